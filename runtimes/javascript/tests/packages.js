// Compares what handlers of packages/ return in the guest with what they return in Node.js, byte for byte, and keeps the
// table of docs/javascript.md. scripts/javascript-packages.sh installs the packages and calls this:
//
//   node packages.js FOLDER [--check | --write] [NAME...]     FOLDER has the node_modules
'use strict';

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { engineArguments, pinned } = require('./client.js');

const HANDLERS = path.join(__dirname, 'packages');
const DOCUMENT = path.join(__dirname, '..', '..', '..', 'docs', 'javascript.md');
const ENGINES = path.join(__dirname, '..');
const [BEGIN, END] = ['<!-- table of packages: begin -->', '<!-- table of packages: end -->'];
const RUN_SECONDS_MAX = 300;

// Handlers that are not called like their package.
const PACKAGES = {
  'axios-get': 'axios',
  'dayjs-timezone': 'dayjs',
  'i18next-en': 'i18next',
  'noble-hashes': '@noble/hashes',
  'superjson-error': 'superjson',
  turf: '@turf/turf',
};
// What else they try.
const TITLES = {
  'axios-get': 'axios, with requests',
  'dayjs-timezone': 'dayjs, time zones',
  'i18next-en': 'i18next, English only',
  'superjson-error': 'superjson, errors',
};
// Why results are not those of Node.js.
const REASONS = {
  jsonwebtoken: 'it needs `stream` of Node.js',
  'onnxruntime-web': 'it needs `WebAssembly`',
  pug: 'it needs `fs` of Node.js',
  sharp: 'it is native code',
  'sql.js': 'it needs `WebAssembly`',
};

class Fault extends Error {}

function readArguments([folder, ...rest]) {
  if (folder === undefined) throw new Fault('name the folder that the packages are installed in');
  const options = rest.filter((each) => each.startsWith('--'));
  const names = rest.filter((each) => !each.startsWith('--'));
  const wrong = options.find((each) => each !== '--check' && each !== '--write');
  if (wrong) throw new Fault(`${wrong} is no option; there are --check and --write`);
  if (names.length > 0 && options.length > 0) throw new Fault(`${options[0]} is for the whole table: leave the names out`);
  const all = fs.readdirSync(HANDLERS).filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -4)).sort();
  const missing = names.find((name) => !all.includes(name));
  if (missing) throw new Fault(`there is no handler ${missing}.mjs in ${HANDLERS}`);
  return { folder: path.resolve(folder), mode: options[0], names: names.length > 0 ? names : all };
}

const packageOf = (name) => PACKAGES[name] ?? name;

// The version that is installed, which has to be the pinned one.
function versionOf(folder, wanted, name) {
  const file = path.join(folder, 'node_modules', name, 'package.json');
  if (!fs.existsSync(file)) throw new Fault(`${name} is not installed in ${folder}; scripts/javascript-packages.sh installs it`);
  const { version } = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (version !== wanted[name]) throw new Fault(`${name} is installed as ${version}, and ${wanted[name] ?? 'no version'} is pinned in ${HANDLERS}/package.json`);
  return version;
}

function bundle(folder, name, file) {
  const esbuild = path.join(folder, 'node_modules', '.bin', 'esbuild');
  const out = path.join(folder, 'bundles', `${name}.mjs`);
  try {
    execFileSync(esbuild, [file, ...engineArguments(), `--outfile=${out}`], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
    return { out };
  } catch (failure) {
    const missing = [...new Set([...(failure.stderr ?? '').matchAll(/Could not resolve "([^"]*)"/g)].map(([, each]) => each))];
    return { fault: 'does not bundle', message: missing.length > 0 ? `could not resolve ${missing.join(', ')}` : failure.message };
  }
}

function run(where, file, folder, environment) {
  const out = path.join(folder, 'outcome.json');
  fs.rmSync(out, { force: true });
  const { signal, status, stderr } = spawnSync(process.execPath, [path.join(__dirname, 'run-package.js'), where, file, out], {
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'en_US.UTF-8', ...environment },
    timeout: RUN_SECONDS_MAX * 1000,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  if (fs.existsSync(out)) return JSON.parse(fs.readFileSync(out, 'utf8'));
  const why = signal === 'SIGKILL' ? `it did not end in ${RUN_SECONDS_MAX} s` : `the process ended with ${signal ?? status}: ${stderr.slice(-300)}`;
  return { fault: 'fails', message: why };
}

// The module that the node would give such a bundle.
function engineFor(file) {
  const [header] = fs.readFileSync(path.join(ENGINES, 'prelude', 'intl.js'), 'utf8').split('\n', 1);
  const names = header.replace('// names: ', '').split(' ');
  const module = new RegExp(`\\b(?:${names.join('|')})\\b`).test(fs.readFileSync(file, 'utf8')) ? 'javascript-intl.wasm' : 'javascript.wasm';
  return process.env.SERVERLEDGE_TEST_GUEST ?? path.join(ENGINES, module);
}

// Where two texts begin to differ, with what stands around it.
function difference(expected, got) {
  let at = 0;
  while (at < expected.length && expected[at] === got[at]) at += 1;
  const around = (text) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 60));
  return `at ${at}: Node.js ${around(expected)}, the guest ${around(got)}`;
}

function compare(folder, name) {
  const file = path.join(folder, `${name}.mjs`);
  fs.copyFileSync(path.join(HANDLERS, `${name}.mjs`), file);
  const expected = run('node', file, folder, {});
  if (expected.text === undefined) return { fault: 'fails in Node.js itself', message: expected.message ?? 'it returns nothing' };
  const { out, ...failure } = bundle(folder, name, file);
  if (out === undefined) return failure;
  const got = run('guest', out, folder, { SERVERLEDGE_TEST_GUEST: engineFor(out) });
  if (got.text === expected.text) return {};
  // Whether it comes of the bundling, or of the package's build for browsers.
  const isBundling = run('node', out, folder, {}).text === got.text && got.text !== undefined;
  const { fault, message } = got.fault ? got : { fault: 'differs', message: difference(expected.text, got.text) };
  return { fault, message: isBundling ? `${message}; Node.js gives the same from the bundle` : message };
}

function row(name, version, { fault }) {
  const verdict = fault === undefined ? 'the same' : `${fault}: ${REASONS[name]}`;
  return `| ${TITLES[name] ?? packageOf(name)} | ${version} | ${verdict} |`;
}

function table(rows, same) {
  return `${BEGIN}\n${same} of ${rows.length} are the same.\n\n| package | version | result |\n|---|---|---|\n${rows.join('\n')}\n${END}`;
}

function keep(mode, text) {
  const document = fs.readFileSync(DOCUMENT, 'utf8');
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Fault(`${DOCUMENT} lacks the lines ${BEGIN} and ${END}, between which the table stands`);
  const written = document.slice(0, begin) + text + document.slice(end + END.length);
  if (mode === '--write') return fs.writeFileSync(DOCUMENT, written);
  if (written === document) return;
  const [before, now] = [document.slice(begin, end).split('\n'), text.split('\n')];
  const changed = now.filter((line) => !before.includes(line) && line !== END);
  throw new Fault(`the table of ${DOCUMENT} is not what was measured; --write writes it. Lines that are new:\n${changed.join('\n')}`);
}

function main() {
  const { folder, mode, names } = readArguments(process.argv.slice(2));
  const { dependencies: wanted } = JSON.parse(fs.readFileSync(path.join(HANDLERS, 'package.json'), 'utf8'));
  if (`esbuild@${wanted.esbuild}` !== pinned()) throw new Fault(`the client bundles with ${pinned()}, and esbuild ${wanted.esbuild} is pinned in ${HANDLERS}/package.json`);
  versionOf(folder, wanted, 'esbuild');
  const [rows, unexplained] = [[], []];
  let same = 0;
  names.forEach((name, at) => {
    const began = Date.now();
    const version = versionOf(folder, wanted, packageOf(name));
    const outcome = compare(folder, name);
    const { fault, message } = outcome;
    if (fault === undefined) same += 1;
    if (fault !== undefined && !REASONS[name]) unexplained.push(`${name} ${fault}, and REASONS does not say why: ${message}`);
    if (fault === undefined && REASONS[name]) unexplained.push(`${name} is the same, though REASONS says why not: take it out`);
    rows.push(row(name, version, outcome));
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(`${String(at + 1).padStart(2)}/${names.length} ${name} ${version}: ${fault === undefined ? 'the same' : `${fault}: ${message}`} (${seconds} s)`);
  });
  console.log(`${same} of ${names.length} are the same`);
  if (unexplained.length > 0) throw new Fault(unexplained.join('\n'));
  if (mode) keep(mode, table(rows, same));
}

try {
  main();
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  console.error(`packages: ${error.message}`);
  process.exitCode = 1;
}
