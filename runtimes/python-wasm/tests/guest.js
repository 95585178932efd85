// The Python guest in Node's WebAssembly: what runtimes/javascript/tests/guest.js does, with this module and files of Python.
// SERVERLEDGE_TEST_GUEST is another module to test, not packed.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const zlib = require('node:zlib');

if (process.env.SERVERLEDGE_TEST_GUEST === undefined) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'python-wasm-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  process.env.SERVERLEDGE_TEST_GUEST = path.join(folder, 'python.wasm');
  const packed = fs.readFileSync(path.join(__dirname, '..', 'python.wasm.br'));
  fs.writeFileSync(process.env.SERVERLEDGE_TEST_GUEST, zlib.brotliDecompressSync(packed));
}

const { Guest } = require('../../javascript/tests/guest.js');

// A source is written with the indentation of the test around it.
function dedent(source) {
  const lines = source.replace(/^\n/, '').split('\n');
  const depth = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(depth)).join('\n');
}

class Python extends Guest {
  constructor(source, options = {}) {
    const files = options.files && Object.fromEntries(Object.entries(options.files).map(([name, text]) => [name, typeof text === 'string' ? dedent(text) : text]));
    super(dedent(source), { file: 'main.py', ...options, files });
  }
}

// The result of one call; an error is thrown, so that a test shows it.
function result(source, params = {}, options = {}) {
  const guest = new Python(source, options);
  if (guest.error) throw new Error(JSON.stringify(guest.error));
  const { error, result } = guest.call(params);
  if (error) throw new Error(JSON.stringify(error));
  return result;
}

module.exports = { Python, result };
