// Compares what handlers of packages/ return in the guest with what they return in CPython for this machine, byte for byte, and
// keeps the table of docs/python.md. scripts/python-packages.sh calls this:
//
//   node packages.js PYTHON PIP FOLDER [--check | --write] [NAME...]     the program PIP fetches packages into FOLDER
'use strict';

const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const { pipArguments, rules } = require('./client.js');
const { Fault, keep } = require('./table.js');

const HANDLERS = path.join(__dirname, 'packages');
const CONSTRAINTS = path.join(HANDLERS, 'constraints.txt');
const [BEGIN, END] = ['<!-- table of packages: begin -->', '<!-- table of packages: end -->'];
const RUN_SECONDS_MAX = 120;
const HEADER = /^# requires: (.+)\n/;
const PARAMS = {
  name: 'Ada',
  count: 5,
  values: [3, 1, 4, 1, 5, 9, 2, 6],
  text: 'Grüße aus Łódź',
  date: '2026-11-29T10:30:00.000Z',
};

// What else the handlers try, or do not.
const TITLES = {
  'click-testing': 'click, its runner of tests',
  httpx: 'httpx, without a host',
  requests: 'requests, without a host',
};
// Why results are not those of CPython.
const COMPILED = 'it needs compiled parts';
const REASONS = {
  'charset-normalizer': 'it tries encodings of Chinese, Japanese and Korean, which are not there',
  cryptography: COMPILED,
  deepdiff: 'it needs `cachebox`, which has compiled parts',
  lxml: COMPILED,
  numpy: COMPILED,
  openpyxl: 'it writes a temporary file',
  pandas: COMPILED,
  pydantic: 'it needs `pydantic-core`, which has compiled parts',
  ujson: COMPILED,
};

function readArguments([python, program, folder, ...rest]) {
  if (folder === undefined) throw new Fault('name CPython, pip, and the folder for the packages');
  const options = rest.filter((each) => each.startsWith('--'));
  const names = rest.filter((each) => !each.startsWith('--'));
  const wrong = options.find((each) => each !== '--check' && each !== '--write');
  if (wrong) throw new Fault(`${wrong} is no option; there are --check and --write`);
  if (names.length > 0 && options.length > 0)
    throw new Fault(`${options[0]} is for the whole table: leave the names out`);
  const all = fs
    .readdirSync(HANDLERS)
    .filter((file) => file.endsWith('.py'))
    .map((file) => file.slice(0, -3))
    .sort();
  const missing = names.find((name) => !all.includes(name));
  if (missing) throw new Fault(`there is no handler ${missing}.py in ${HANDLERS}`);
  const pip = (...words) => runPip(python, program, words);
  return { python, pip, folder: path.resolve(folder), mode: options[0], names: names.length > 0 ? names : all };
}

// === fetching, as the client does it ===

function requirementsOf(name) {
  const [, words] = HEADER.exec(fs.readFileSync(path.join(HANDLERS, `${name}.py`), 'utf8')) ?? [];
  if (words === undefined) throw new Fault(`${name}.py does not begin with "# requires: PACKAGE==VERSION"`);
  return words.split(' ');
}

// pip in the Python of the runtime, whose version packages ask for. What it complained about if it failed.
function runPip(python, program, words) {
  const { status, stderr, error } = spawnSync(python, ['-B', program, ...words], { encoding: 'utf8' });
  if (error) throw new Fault(`pip cannot be run: ${error.message}`);
  return status === 0 ? undefined : stderr;
}

// Fetches a wheel for some machine, named as one without compiled parts; whether there is one.
function fetchForAnyMachine(pip, requirement, wheels) {
  if (
    pip(
      'download',
      ...pipArguments('ANY_MACHINE'),
      '--no-deps',
      '--dest',
      wheels,
      '--constraint',
      CONSTRAINTS,
      requirement,
    ) !== undefined
  )
    return false;
  for (const name of fs.readdirSync(wheels)) {
    const [distribution, version] = name.split('-');
    if (!name.endsWith(rules.pureWheel))
      fs.renameSync(path.join(wheels, name), path.join(wheels, `${distribution}-${version}${rules.pureWheel}`));
  }
  return true;
}

// Puts the packages into a folder; a fault if they cannot be had without compiled parts.
function install(pip, requirements, target, wheels) {
  const fetched = new Set();
  for (;;) {
    const told = pip(
      'install',
      ...pipArguments('PURE'),
      '--no-compile',
      '--upgrade',
      '--target',
      target,
      '--find-links',
      wheels,
      '--constraint',
      CONSTRAINTS,
      ...requirements,
    );
    if (told === undefined) return undefined;
    const [, named] = /satisfies the requirement ([A-Za-z0-9].*?) \(from /.exec(told) ?? [];
    // Where a constraint gives the version, pip does not say which package it misses.
    const isUnnamed = named === undefined && told.includes('ResolutionImpossible');
    const wanted = isUnnamed ? rules.optionalParts.find((part) => !fetched.has(part)) : named;
    if (isUnnamed && wanted === undefined)
      return { fault: 'is not fetched', message: 'one of its packages has no wheel in Python' };
    if (wanted === undefined) throw new Fault(`pip does not fetch ${requirements.join(' ')}: ${told.trim()}`);
    const name = /^[\w.-]+/.exec(wanted)[0].toLowerCase().replaceAll(/[_.]/g, '-');
    if (!rules.optionalParts.includes(name) || fetched.has(name) || !fetchForAnyMachine(pip, wanted, wheels))
      return { fault: 'is not fetched', message: `${name} has no wheel in Python` };
    fetched.add(name);
  }
}

// Where the client sends a file of a package, or undefined.
function placeOf(name) {
  const [top, ...below] = name.split('/');
  if (top.endsWith('.dist-info')) return below.length === 1 && rules.about.includes(below[0]) ? name : undefined;
  if (top === 'bin' || rules.useless.includes(path.extname(name).slice(1))) return undefined;
  return below.length === 0 && name.endsWith('.py') ? `${name.slice(0, -3)}/__init__.py` : name;
}

function sortOut(from, to) {
  for (const name of fs.readdirSync(from, { recursive: true })) {
    const place = placeOf(name);
    if (place === undefined || !fs.statSync(path.join(from, name)).isFile()) continue;
    fs.mkdirSync(path.join(to, path.dirname(place)), { recursive: true });
    fs.copyFileSync(path.join(from, name), path.join(to, place));
  }
}

// The folder with a handler's packages, which is kept, or the fault with which they were not fetched.
function fetchPackages(pip, folder, name) {
  const requirements = requirementsOf(name);
  const key = crypto
    .createHash('sha256')
    .update(JSON.stringify([requirements, fs.readFileSync(CONSTRAINTS, 'utf8')]))
    .digest('hex')
    .slice(0, 16);
  const [place, complete] = [path.join(folder, name), path.join(folder, name, 'complete.json')];
  const files = path.join(place, 'files');
  const known = fs.existsSync(complete) ? JSON.parse(fs.readFileSync(complete, 'utf8')) : {};
  if (known.key === key) return { files, fault: known.fault };
  fs.rmSync(place, { recursive: true, force: true });
  const [target, wheels] = ['packages', 'wheels'].map((each) => path.join(place, each));
  for (const each of [target, wheels, files]) fs.mkdirSync(each, { recursive: true });
  const fault = install(pip, requirements, target, wheels);
  if (fault === undefined) sortOut(target, files);
  for (const each of [target, wheels]) fs.rmSync(each, { recursive: true, force: true });
  fs.writeFileSync(complete, JSON.stringify({ key, fault }));
  return { files, fault };
}

// === running ===

function inCpython(python, files, module) {
  const { status, stdout, stderr } = spawnSync(
    python,
    ['-B', path.join(__dirname, 'run-package.py'), files, module, JSON.stringify(PARAMS)],
    {
      env: { ...process.env, TZ: 'UTC', PYTHONHASHSEED: '0', COLUMNS: '80' },
      timeout: RUN_SECONDS_MAX * 1000,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    },
  );
  return status === 0 ? { text: stdout } : { message: stderr.trim().split('\n').slice(-3).join(' ') };
}

function inGuest(files, handler) {
  const out = path.join(path.dirname(files), 'outcome.json');
  fs.rmSync(out, { force: true });
  const { signal, status, stderr } = spawnSync(
    process.execPath,
    [path.join(__dirname, 'run-package.js'), files, handler, JSON.stringify(PARAMS), out],
    {
      timeout: RUN_SECONDS_MAX * 1000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    },
  );
  if (fs.existsSync(out)) return JSON.parse(fs.readFileSync(out, 'utf8'));
  const why =
    signal === 'SIGKILL'
      ? `it did not end in ${RUN_SECONDS_MAX} s`
      : `the process ended with ${signal ?? status}: ${stderr.slice(-300)}`;
  return { fault: 'fails', message: why };
}

// Where two texts begin to differ, with what stands around it.
function difference(expected, got) {
  let at = 0;
  while (at < expected.length && expected[at] === got[at]) at += 1;
  const around = (text) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 60));
  return `at ${at}: CPython ${around(expected)}, the guest ${around(got)}`;
}

function compare(python, pip, folder, name) {
  const { files, fault } = fetchPackages(pip, folder, name);
  if (fault !== undefined) return fault;
  // Not called like the package that it imports.
  const module = `handle_${name.replaceAll(/\W/g, '_')}`;
  fs.copyFileSync(path.join(HANDLERS, `${name}.py`), path.join(files, `${module}.py`));
  const expected = inCpython(python, files, module);
  if (expected.text === undefined) return { fault: 'fails in CPython itself', message: expected.message };
  const got = inGuest(files, `${module}.py`);
  if (got.fault) return got;
  return got.text === expected.text ? {} : { fault: 'differs', message: difference(expected.text, got.text) };
}

// === the table ===

function table(rows, same) {
  return `${BEGIN}\n${same} of ${rows.length} are the same.\n\n| package | version | result |\n|---|---|---|\n${rows.join('\n')}\n${END}`;
}

function main() {
  const { python, pip, folder, mode, names } = readArguments(process.argv.slice(2));
  const [rows, unexplained] = [[], []];
  let same = 0;
  names.forEach((name, at) => {
    const began = Date.now();
    const [title, version] = requirementsOf(name)[0].split('==');
    const { fault, message } = compare(python, pip, folder, name);
    if (fault === undefined) same += 1;
    if (fault !== undefined && !REASONS[name])
      unexplained.push(`${name} ${fault}, and REASONS does not say why: ${message}`);
    if (fault === undefined && REASONS[name])
      unexplained.push(`${name} is the same, though REASONS says why not: take it out`);
    rows.push(
      `| ${TITLES[name] ?? title} | ${version} | ${fault === undefined ? 'the same' : `${fault}: ${REASONS[name]}`} |`,
    );
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(
      `${String(at + 1).padStart(2)}/${names.length} ${name} ${version}: ${fault === undefined ? 'the same' : `${fault}: ${message}`} (${seconds} s)`,
    );
  });
  console.log(`${same} of ${names.length} are the same`);
  if (unexplained.length > 0) throw new Fault(unexplained.join('\n'));
  if (mode) keep('python.md', mode === '--check', BEGIN, END, table(rows, same));
}

try {
  main();
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  console.error(`packages: ${error.message}`);
  process.exitCode = 1;
}
