// Runs one handler in the guest and writes its result to a file, or why there is none. A process of its own for each, since
// packages may not end:
//
//   node run-package.js FOLDER HANDLER.py PARAMS OUT
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { Python } = require('./guest.js');

// As tars of functions carry them.
function filesOf(folder) {
  const names = fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => fs.statSync(path.join(folder, name)).isFile());
  return Object.fromEntries(
    names.map((name) => [name, { base64: fs.readFileSync(path.join(folder, name)).toString('base64') }]),
  );
}

function run(folder, handler, params) {
  const files = filesOf(folder);
  delete files[handler];
  const began = Date.now();
  const guest = new Python(fs.readFileSync(path.join(folder, handler), 'utf8'), { file: handler, files });
  if (guest.error) return { fault: 'does not load', message: `${guest.error.error}: ${guest.error.message}` };
  const { text, error } = guest.call(params);
  if (error) return { fault: 'fails', message: `${error.error}: ${error.message}`, stack: error.stack };
  return { text, memory: guest.snapshot.length, milliseconds: Date.now() - began };
}

const [folder, handler, params, out] = process.argv.slice(2);
let outcome;
try {
  outcome = run(folder, handler, JSON.parse(params));
} catch (error) {
  outcome = { fault: 'fails', message: `the sandbox ends: ${error.message}` };
}
fs.writeFileSync(out, JSON.stringify(outcome));
