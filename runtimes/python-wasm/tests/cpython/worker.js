// Runs the tests of one module after the other, in a thread of its own: a test that never ends is ended with it.
//
// It is sent { library, module, data, stubs, isForced, done, alone, endless } and answers { begin: names }, { outcomes } and
// at last { end: true } or { refused }. `done` are the names of tests that have run, `alone` of those that share no call
// with others, and `endless` of those that are not run.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parentPort } = require('node:worker_threads');

const { filesOf } = require('./files.js');
const { Python } = require('../guest.js');

// 512 MiB, in pages of WebAssembly.
const MEMORY_PAGES_MAX = 8192;
const SOURCE = fs.readFileSync(path.join(__dirname, 'main.py'), 'utf8');

// The outcomes of tests in one call; undefined if the call does not answer.
function outcomesOf(guest, names) {
  parentPort.postMessage({ begin: names });
  try {
    const { result, error } = guest.call({ names });
    if (error === undefined) return result;
    return names.length > 1 ? undefined : { [names[0]]: ['fail', `the call ends: ${error.error}: ${error.message}`] };
  } catch (trap) {
    return names.length > 1 ? undefined : { [names[0]]: ['trap', trap.message] };
  }
}

function run({ library, module, data, stubs, isForced, done, alone, endless }) {
  const source = SOURCE.replace('"MODULE"', JSON.stringify(`test.${module}`)).replace(
    '"FORCED"',
    isForced ? '"yes"' : '""',
  );
  parentPort.postMessage({ begin: [] });
  const guest = new Python(source, { files: filesOf(library, module, data, stubs), memoryPages: MEMORY_PAGES_MAX });
  if (guest.error) return { refused: `${guest.error.error}: ${guest.error.message}` };
  const { result: groups, error } = guest.call({ names: null });
  if (error) return { refused: `${error.error}: ${error.message}` };
  for (const group of groups) {
    const names = group.filter((name) => !done.includes(name) && !endless.includes(name));
    if (names.length === 0) continue;
    const outcomes = names.some((name) => alone.includes(name)) ? undefined : outcomesOf(guest, names);
    if (outcomes !== undefined) parentPort.postMessage({ outcomes });
    else for (const name of names) parentPort.postMessage({ outcomes: outcomesOf(guest, [name]) ?? {} });
  }
  return { end: true };
}

parentPort.on('message', (job) => {
  let answer;
  try {
    answer = run(job);
  } catch (error) {
    answer = { refused: `the deploy ends: ${error.message}` };
  }
  parentPort.postMessage(answer);
});
