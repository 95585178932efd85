#!/usr/bin/env bash
# The WASI 0.2 shim's HTTP server tells a component another method than the client sent: it is in small letters.
#
# RFC 9110 9.1: "The method token is case-sensitive"; wasi:http/types, method: "other(string)" for one that has no case of its
# own. Expected: other("PROPFIND") for WebDAV's PROPFIND, other("PURGE") for PURGE. Seen: other("propfind"), other("purge"), so
# that a component that answers PROPFIND does not know it, and one that forwards it names another method.
#
# Its README: "Node.js support is fully tested and conformant against the Wasmtime test suite".
# npm @bytecodealliance/preview2-shim 0.26.1, the HTTPServer that "jco serve" starts.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bytecodealliance/preview2-shim@0.26.1 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), preview2-shim 0.26.1"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import http from 'node:http';
import { HTTPServer, types } from '@bytecodealliance/preview2-shim/http';

const told = [];
const server = new HTTPServer({
    handle(request, responseOut) {
        told.push(request.method());
        const response = new types.OutgoingResponse(new types.Fields()), body = response.body();
        types.ResponseOutparam.set(responseOut, { tag: 'ok', val: response });
        types.OutgoingBody.finish(body, undefined);
    },
});
server.listen(0, '127.0.0.1');
const { port } = server.address();
for (const method of ['GET', 'PROPFIND', 'PURGE']) {
    await new Promise((resolve, reject) => {
        const request = http.request({ host: '127.0.0.1', port, method, agent: false }, (response) => response.resume().on('end', resolve));
        request.on('error', reject).end();
    });
    console.log(`sent ${method}, told`, told.at(-1));
}
assert.deepEqual(told, [{ tag: 'get' }, { tag: 'other', val: 'propfind' }, { tag: 'other', val: 'purge' }]);
process.exit(0);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: small letters"
