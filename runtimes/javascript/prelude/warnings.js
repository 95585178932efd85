// What whoever deploys a file is told about it, though it loads: each with its place in the file.
(function (native, shared) {
  'use strict';

  // So many are told; the first ones say what the matter is.
  const WARNINGS_MAX = 10;
  const CLOCK = 'and what it says then, 1970-01-01T00:00:00Z, is what every call sees';
  const LACKING = new Set(
    'Atomics BroadcastChannel EventSource Intl SharedArrayBuffer WebAssembly WebSocket Worker XMLHttpRequest'.split(' '),
  );

  const warnings = [];
  const known = new Set();
  let more = 0;

  // The innermost frame in the user's file, as `FILE:LINE:COLUMN`.
  function placeInFile() {
    for (const line of new Error().stack.split('\n')) {
      const found = /\s+at (?:.*\()?(.*):(\d+):(\d+)\)?$/.exec(line);
      if (found !== null && found[1] === shared.file) return `${found[1]}:${found[2]}:${found[3]}`;
    }
    return shared.file;
  }

  shared.placeInFile = placeInFile;
  shared.isLacking = (name) => LACKING.has(name);
  shared.warn = (text, place = placeInFile()) => {
    const warning = `${place}: ${text}`;
    if (known.has(warning)) return;
    known.add(warning);
    if (warnings.length < WARNINGS_MAX) warnings.push(warning);
    else more += 1;
  };
  shared.noteClock = () => shared.warn(`the clock is read while the file is loaded, ${CLOCK}: read it in the handler`);
  shared.noteRandom = () =>
    shared.warn(
      'a random value is drawn while the file is loaded: all calls have the same one. Draw it in the handler',
    );
  shared.takeWarnings = () => {
    const told = warnings.splice(0);
    if (more > 0) told.push(`and ${more} more like these`);
    known.clear();
    const { handlerInterface } = shared;
    if (told.length === 0 && handlerInterface === undefined) return undefined;
    return JSON.stringify({ warnings: told, interface: handlerInterface });
  };
});
