#!/usr/bin/env bash
# The WASI 0.2 shim's HTTP server sends only the last of a response's headers of one name.
#
# wasi:http/types, fields: "Names which have multiple values are represented by multiple entries in this list with the same
# name"; append: "Does not change or delete any existing values for that name". RFC 9110 5.3 lets a field be sent as several
# lines, and RFC 6265 3 has each cookie in a Set-Cookie line of its own. Expected: both cookies and both values of Vary. Seen:
# the guest's fields hold two each, and the client is sent the last of each.
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

let held;
const server = new HTTPServer({
    handle(request, responseOut) {
        const fields = new types.Fields();
        for (const [name, value] of [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['vary', 'accept'], ['vary', 'origin']]) {
            fields.append(name, Buffer.from(value));
        }
        held = fields.entries().length;
        const response = new types.OutgoingResponse(fields), body = response.body();
        types.ResponseOutparam.set(responseOut, { tag: 'ok', val: response });
        types.OutgoingBody.finish(body, undefined);
    },
});
server.listen(0, '127.0.0.1');
http.get({ host: '127.0.0.1', port: server.address().port, agent: false }, ({ rawHeaders }) => {
    const sent = rawHeaders.filter((_, at) => at % 2 === 1 && ['set-cookie', 'vary'].includes(rawHeaders[at - 1]));
    console.log(`the guest's fields hold ${held}; sent:`, sent);
    assert.equal(held, 4);
    assert.deepEqual(sent, ['b=2', 'origin']);
    process.exit(0);
});
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the first cookie is lost"
