// Calls a reactor as a page would: node stub.mjs MODULE PARAMS. It has clocks and randomness, and nobody to call.
import { readFileSync, writeSync } from 'node:fs';

const [file, params] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(file));
let memory;
const view = () => new DataView(memory.buffer);
const offered = {
  clock_time_get: (clock, precision, at) => {
    view().setBigUint64(at, clock === 0 ? BigInt(Date.now()) * 1000000n : process.hrtime.bigint(), true);
    return 0;
  },
  random_get: (at, length) => {
    crypto.getRandomValues(new Uint8Array(memory.buffer, at, length));
    return 0;
  },
  environ_sizes_get: (count, bytes) => {
    view().setUint32(count, 0, true);
    view().setUint32(bytes, 0, true);
    return 0;
  },
  environ_get: () => 0,
  proc_exit: (code) => { throw new Error(`it exited with ${code}`); },
};
const imports = { wasi_snapshot_preview1: {}, serverledge: { call: () => { throw new Error('nobody to call'); } } };
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  if (!(from in imports)) throw new Error(`it imports ${from}.${name}`);
  // 52: not supported.
  imports[from][name] ??= offered[name] ?? (() => 52);
}
const { exports } = new WebAssembly.Instance(module, imports);
memory = exports.memory;
const given = new TextEncoder().encode(params);
const at = exports.serverledge_alloc(given.length) >>> 0;
new Uint8Array(memory.buffer).set(given, at);
const packed = BigInt.asUintN(64, exports.serverledge_handle(at, given.length));
const bytes = new Uint8Array(memory.buffer, Number(packed >> 32n), Number(packed & 0x7fffffffn));
writeSync(1, bytes);
process.exitCode = packed & 0x80000000n ? 1 : 0;
