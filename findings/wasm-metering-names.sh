#!/usr/bin/env bash
# wasm-metering shifts a module's functions and leaves their names, so that stack traces name other functions.
#
# WebAssembly Core Specification, appendix, name section: the function name subsection "assigns function names to function
# indices". wasm-metering's README: "Injects metering into webassembly binaries", by an import that functions as the gas
# counter. Expected: as the import moves each function's index by one, the names move too (or are dropped). Seen: everything
# but the names is moved; a trap in "boom", called by "middle", is reported in "middle", called by "outer".
#
# npm wasm-metering 0.2.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wasm-metering@0.2.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wasm-metering 0.2.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import metering from 'wasm-metering';
import wabt from 'wabt';

const text = `(module
    (func $boom (unreachable))
    (func $middle (call $boom))
    (func $outer (export "outer") (call $middle))
    (func $never))`;
const module = Buffer.from((await wabt()).parseWat('module.wat', text).toBinary({ write_debug_names: true }).buffer);
const trace = (binary) => {
    let gas = 0;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { metering: { usegas: (amount) => { gas += amount; } } });
    try {
        exports.outer();
    } catch (error) {
        return { gas, names: [...error.stack.matchAll(/at (\S+) \(wasm:/g)].map(([, name]) => name.replace(/^.*\./, '')).join(' < ') };
    }
};
const plain = trace(module), metered = trace(metering.meterWASM(module));
console.log({ plain, metered });
assert.equal(plain.names, 'boom < middle < outer');
assert.ok(metered.gas > 0);
assert.equal(metered.names, 'middle < outer < never');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the stack trace names functions that were never called"
