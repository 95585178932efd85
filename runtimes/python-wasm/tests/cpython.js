// Runs tests of CPython in the guest, and keeps the tables of docs/python.md and docs/python-tests.md.
// scripts/python-cpython-tests.sh calls this:
//
//   node cpython.js LIBRARY VERSION [--check | --quick | --record | MODULE...]     LIBRARY is the folder Lib of CPython's source
//
// cpython/modules.txt says which modules are run, and cpython/failures.txt which tests fail there and why. Each class of tests
// runs in a call of its own; where that call does not answer, each of its tests does.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const { Fault, keep } = require('./table.js');

const MODULES = path.join(__dirname, 'cpython', 'modules.txt');
const FAILURES = path.join(__dirname, 'cpython', 'failures.txt');
const [BEGIN, END] = ['<!-- table of tests: begin -->', '<!-- table of tests: end -->'];
const OPTIONS = ['--check', '--quick', '--record'];
// What --quick runs.
const QUICK = [
  'test_json',
  'test_re',
  'test_dict',
  'test_list',
  'test_str',
  'test_float',
  'test_datetime',
  'test_collections',
  'test_functools',
  'test_dataclasses',
  'test_hashlib',
  'test_struct',
  'test_urlparse',
  'test_generators',
  'test_asyncio.test_tasks',
];
const CALL_SECONDS_MAX = 60;
const STACK_MIB = 4;
// Reasons that begin so are no faults: what the test is about is not there.
const ABSENT = 'absent: ';
// Tests of reasons that end so are not run, and count as failed.
const ENDLESS = 'do not end in a minute';
// Of modules that CPython leaves out as a whole.
const LEFT_OUT = 'SkipTest';

// === what is run ===

function readArguments([library, version, ...rest]) {
  if (version === undefined) throw new Fault("name the folder Lib of CPython's source, and its version");
  const options = rest.filter((each) => each.startsWith('--'));
  const names = rest.filter((each) => !each.startsWith('--'));
  const wrong = options.find((each) => !OPTIONS.includes(each));
  if (wrong) throw new Fault(`${wrong} is no option; there are ${OPTIONS.join(', ')}`);
  if (names.length + options.length > 1 && options.length > 0) throw new Fault(`${options[0]} is given alone`);
  return { library, version, option: options[0], names: options[0] === '--quick' ? QUICK : names };
}

// A package's modules, or the module itself.
function expanded(library, module) {
  if (!module.endsWith('.*')) return [module];
  const folder = module.slice(0, -2);
  const files = fs.readdirSync(path.join(library, 'test', folder.replaceAll('.', '/')));
  return files
    .filter((file) => /^test\w*\.py$/.test(file))
    .sort()
    .map((file) => `${folder}.${file.slice(0, -3)}`);
}

// The title of a module: that of the package whose modules are all run.
const titleOf = (module) =>
  module
    .replace(/\.\*$/, '')
    .replace(/^test_/, '')
    .replace('.test_', '.');

// The modules by sections, each with { title, jobs }.
function readModules(library) {
  const sections = [];
  for (const line of fs.readFileSync(MODULES, 'utf8').split('\n\n').slice(1).join('\n').split('\n')) {
    const [module, ...words] = line.trim().split(' ');
    if (module === '#') sections.push({ title: words.join(' '), rows: [] });
    if (module === '#' || module === '') continue;
    const stubs = words.filter((word) => word.startsWith('stub:')).map((word) => word.slice('stub:'.length));
    const data = words.filter((word) => word !== 'forced' && !word.startsWith('stub:'));
    const jobs = expanded(library, module).map((each) => ({
      library,
      module: each,
      data,
      stubs,
      isForced: words.includes('forced'),
      done: [],
      alone: [],
      endless: [],
    }));
    sections.at(-1).rows.push({ title: titleOf(module), jobs });
  }
  return sections;
}

function chosen(sections, names) {
  if (names.length === 0) return sections;
  const isChosen = ({ module }) => names.some((name) => module === name || module.startsWith(`${name}.`));
  const some = sections.map((section) => ({
    ...section,
    rows: section.rows.map((row) => ({ ...row, jobs: row.jobs.filter(isChosen) })).filter((row) => row.jobs.length > 0),
  }));
  const missing = names.find(
    (name) =>
      !some.some(({ rows }) =>
        rows.some(({ jobs }) => jobs.some(({ module }) => module === name || module.startsWith(`${name}.`))),
      ),
  );
  if (missing) throw new Fault(`${MODULES} has no module ${missing}`);
  return some.filter(({ rows }) => rows.length > 0);
}

// Reasons by tests, in the order of the file: lines of tests follow their reason, which stands in brackets.
function readFailures() {
  const reasons = new Map();
  let reason;
  for (const line of fs.readFileSync(FAILURES, 'utf8').split('\n')) {
    const found = /^\[(.*)\]$/.exec(line);
    if (found) [, reason] = found;
    else if (line !== '' && !line.startsWith('#')) {
      if (reasons.has(line)) throw new Fault(`${FAILURES} has ${line} twice`);
      reasons.set(line, reason);
    }
  }
  return reasons;
}

// === running ===

// One thread, which is ended with a call that does not end.
class Runner {
  // Runs a module's tests, and returns their outcomes by names, or { refused }.
  async run(job) {
    const { outcomes } = job;
    for (;;) {
      const { ended, refused, at } = await this.ask(job, outcomes);
      if (ended) return { outcomes, refused };
      if (at.length === 0) return { outcomes, refused: `it does not load in ${CALL_SECONDS_MAX} s` };
      if (at.length > 1) job.alone.push(...at);
      else {
        job.endless.push(at[0]);
        outcomes[at[0]] = ['fail', `it does not end in ${CALL_SECONDS_MAX} s`];
      }
    }
  }

  // Until the module has ended, or a call takes too long: then `at` has the names of its tests.
  ask(job, outcomes) {
    this.worker ??= this.start();
    const { worker } = this;
    return new Promise((resolve) => {
      let [timer, at] = [undefined, []];
      const stop = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      const giveUp = (why) => {
        this.worker = undefined;
        worker.terminate();
        stop({ ended: why !== undefined, refused: why, at });
      };
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(giveUp, CALL_SECONDS_MAX * 1000);
      };
      this.onError = (error) => giveUp(`the thread ends: ${error.message}`);
      this.onMessage = (message) => {
        wait();
        if (message.begin) at = message.begin;
        else if (message.outcomes) {
          Object.assign(outcomes, message.outcomes);
          job.done.push(...at);
        } else stop({ ended: true, refused: message.refused });
      };
      wait();
      worker.postMessage(job);
    });
  }

  start() {
    const worker = new Worker(path.join(__dirname, 'cpython', 'worker.js'), {
      resourceLimits: { stackSizeMb: STACK_MIB },
    });
    worker.on('error', (error) => worker === this.worker && this.onError(error));
    worker.on('message', (message) => worker === this.worker && this.onMessage(message));
    return worker;
  }

  async end() {
    await this.worker?.terminate();
  }
}

// Puts { outcomes, refused } into every job.
async function runAll(jobs) {
  const queue = [...jobs];
  const work = async () => {
    const runner = new Runner();
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const began = Date.now();
      Object.assign(job, await runner.run(job));
      const words = Object.values(job.outcomes).map(([outcome]) => outcome);
      const failed = words.filter((word) => word === 'fail' || word === 'trap').length;
      console.log(
        `${job.module}: ${job.refused ?? `${words.length} tests, ${failed} fail`} (${((Date.now() - began) / 1000).toFixed(1)} s)`,
      );
    }
    await runner.end();
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, work));
}

// === counting ===

const shown = (name) => name.replace(/^test\./, '');

// How often each outcome comes: pass, fail, absent, skip; and what is not as the file of failures says.
function judge(jobs, reasons, isWhole) {
  const [seen, surprises, why] = [new Set(), [], new Map()];
  for (const job of jobs) {
    job.counts = { pass: 0, fail: 0, absent: 0, skip: 0 };
    if (job.refused !== undefined && !job.refused.startsWith(LEFT_OUT))
      surprises.push(`${job.module} is not run: ${job.refused}`);
    for (const [name, [outcome, told]] of Object.entries(job.outcomes)) {
      const reason = reasons.get(shown(name));
      if (reason !== undefined) seen.add(shown(name));
      const isFailure = outcome === 'fail' || outcome === 'trap';
      if (isFailure && reason === undefined)
        surprises.push(`${shown(name)} fails, and failures.txt does not say why: ${told}`);
      if (!isFailure && reason !== undefined)
        surprises.push(`${shown(name)} does not fail (${outcome}), though failures.txt says why: take it out`);
      const counted = !isFailure ? outcome : reason?.startsWith(ABSENT) ? 'absent' : 'fail';
      job.counts[counted] += 1;
      if (isFailure) why.set(reason, (why.get(reason) ?? 0) + 1);
    }
  }
  if (isWhole)
    for (const name of reasons.keys())
      if (!seen.has(name)) surprises.push(`${name} of failures.txt is not run: take it out`);
  return { surprises, why };
}

const sum = (jobs) =>
  jobs.reduce(
    (total, { counts }) => Object.fromEntries(Object.keys(total).map((key) => [key, total[key] + counts[key]])),
    { pass: 0, fail: 0, absent: 0, skip: 0 },
  );
const number = (count) => count.toLocaleString('en');
const cells = ({ pass, fail, absent, skip }) => [pass + fail, pass, absent, skip].map(number).join(' | ');

// === tables ===

const HEAD = ['tests that apply', 'pass', 'need what is not there', 'skipped by CPython'];

function summary(sections, why, version) {
  const all = sum(sections.flatMap(({ rows }) => rows.flatMap(({ jobs }) => jobs)));
  const listed = (isAbsent) =>
    [...why].filter(([reason]) => reason.startsWith(ABSENT) === isAbsent).sort(([, left], [, right]) => right - left);
  return [
    BEGIN,
    `${number(all.pass)} of ${number(all.pass + all.fail)} tests that apply pass, of CPython ${version}.`,
    '',
    `| | ${HEAD.join(' | ')} |`,
    '|---|---|---|---|---|',
    ...sections.map(({ title, rows }) => `| ${title} | ${cells(sum(rows.flatMap(({ jobs }) => jobs)))} |`),
    `| all | ${cells(all)} |`,
    '',
    '| why tests fail | tests |',
    '|---|---|',
    ...listed(false).map(([reason, count]) => `| ${reason} | ${number(count)} |`),
    '',
    '| what tests need that is not there | tests |',
    '|---|---|',
    ...listed(true).map(([reason, count]) => `| ${reason.slice(ABSENT.length)} | ${number(count)} |`),
    END,
  ].join('\n');
}

function byModule(sections) {
  const parts = sections.map(({ title, rows }) =>
    [
      `## ${title}`,
      '',
      `| module | ${HEAD.join(' | ')} |`,
      '|---|---|---|---|---|',
      ...rows.map((row) => `| \`${row.title}\` | ${cells(sum(row.jobs))} |`),
    ].join('\n'),
  );
  return `${BEGIN}\n${parts.join('\n\n')}\n${END}`;
}

// The file of failures with the tests that fail now. New ones stand below a reason that has to be written.
function record(jobs, reasons) {
  const groups = new Map([...new Set(reasons.values())].map((reason) => [reason, []]));
  for (const job of jobs) {
    for (const [name, [outcome, told]] of Object.entries(job.outcomes)) {
      if (outcome !== 'fail' && outcome !== 'trap') continue;
      const reason = reasons.get(shown(name)) ?? `not known: ${told.slice(0, 100)}`;
      groups.set(reason, [...(groups.get(reason) ?? []), shown(name)]);
    }
  }
  const [head] = fs.readFileSync(FAILURES, 'utf8').split('\n\n', 1);
  const parts = [...groups]
    .filter(([, names]) => names.length > 0)
    .map(([reason, names]) => [`[${reason}]`, ...names.sort()].join('\n'));
  fs.writeFileSync(FAILURES, `${[head, ...parts].join('\n\n')}\n`);
}

async function main() {
  const { library, version, option, names } = readArguments(process.argv.slice(2));
  const sections = chosen(readModules(library), names);
  const jobs = sections.flatMap(({ rows }) => rows.flatMap((row) => row.jobs));
  const reasons = readFailures();
  const endless = [...reasons].filter(([, reason]) => reason.endsWith(ENDLESS)).map(([name]) => `test.${name}`);
  for (const job of jobs) {
    job.endless = endless.filter((name) => name.startsWith(`test.${job.module}.`));
    job.outcomes = Object.fromEntries(job.endless.map((name) => [name, ['fail', ENDLESS]]));
  }
  await runAll(jobs);
  if (option === '--record') return record(jobs, reasons);
  const { surprises, why } = judge(jobs, reasons, names.length === 0);
  const { pass, fail, absent, skip } = sum(jobs);
  console.log(
    `${pass} of ${pass + fail} tests that apply pass; ${absent} need what is not there, and CPython skips ${skip}`,
  );
  if (surprises.length > 0) throw new Fault(surprises.join('\n'));
  if (names.length > 0) return undefined;
  keep('python.md', option === '--check', BEGIN, END, summary(sections, why, version));
  return keep('python-tests.md', option === '--check', BEGIN, END, byModule(sections));
}

main().catch((error) => {
  if (!(error instanceof Fault)) throw error;
  console.error(`cpython: ${error.message}`);
  process.exitCode = 1;
});
