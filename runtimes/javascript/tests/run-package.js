// Runs one handler and writes what JSON.stringify makes of its result to a file, or why there is none. A process of its own
// for each: packages change what is global, and may not end.
//
//   node run-package.js node HANDLER.mjs OUT       in Node.js
//   node run-package.js guest BUNDLE.mjs OUT       in the guest: SERVERLEDGE_TEST_GUEST is its module
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

// What every handler is called with.
const PARAMS = {
  name: 'Ada',
  count: 5,
  values: [3, 1, 4, 1, 5, 9, 2, 6],
  text: 'Grüße aus Łódź',
  date: '2026-11-29T10:30:00.000Z',
};

async function inNode(file) {
  const { default: handler } = await import(pathToFileURL(file));
  return { text: JSON.stringify(await handler(PARAMS)) };
}

function inGuest(file) {
  const { Guest } = require('./guest.js');
  const guest = new Guest(fs.readFileSync(file, 'utf8'), { file: path.basename(file) });
  if (guest.error) return { fault: 'does not load', message: `${guest.error.error}: ${guest.error.message}` };
  const { text, error } = guest.call(PARAMS);
  return error ? { fault: 'fails', message: `${error.error}: ${error.message}` } : { text };
}

const [where, file, out] = process.argv.slice(2);
Promise.resolve()
  .then(() => (where === 'node' ? inNode(path.resolve(file)) : inGuest(file)))
  .catch((error) => ({ fault: 'fails', message: String(error?.stack ?? error) }))
  .then((outcome) => {
    fs.writeFileSync(out, JSON.stringify(outcome));
    // Whatever a package still waits for is of no interest.
    process.exit(0);
  });
