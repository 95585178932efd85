// Runs test262's tests for languages (`test/intl402`) in the guest and in Node.js, and keeps the table of
// docs/javascript.md. scripts/javascript-test262.sh calls this:
//
//   node test262.js FOLDER [--check | PATH...]     FOLDER is a clone of test262
//
// Each test is evaluated by an indirect `eval` in a call of its own, once as it is and once strictly, behind the files
// of the harness that it names. So its `var` and functions are properties of the global object that can be deleted, and
// in the strict run they are none. No test of intl402 depends on that, is asynchronous, or expects not to be parsed.
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const { Guest } = require('./intl.js');

const DOCUMENT = path.join(__dirname, '..', '..', '..', 'docs', 'javascript.md');
const [BEGIN, END] = ['<!-- table of test262: begin -->', '<!-- table of test262: end -->'];
const NODE_MAJOR = '20';
const COMMIT_LENGTH = 12;
// Tests that stand in no folder.
const REST = 'no folder';

// What tests are about that the runtime does not have: the names of test262's features, and folders.
const ABSENT = {
  Temporal: '`Temporal`',
  'Intl.DurationFormat': '`Intl.DurationFormat`',
  DurationFormat: '`Intl.DurationFormat`',
  'Intl.DisplayNames': '`Intl.DisplayNames`',
  'Intl.DisplayNames-v2': '`Intl.DisplayNames`',
  'cross-realm': 'more than one global object',
};

// That Node.js fails as well is checked for the first of them.
const [AS_NODE, CALENDARS, LANGUAGES] = [
  'what is expected is not the result of Node.js 20, which is kept',
  'other calendars',
  'languages of five to eight letters, of which there are none',
];
// Why tests fail, by their paths without `.js`.
const REASONS = {
  'DateTimeFormat/canonicalize-calendar': CALENDARS,
  'DateTimeFormat/canonicalize-timezone': AS_NODE,
  'DateTimeFormat/canonicalize-utc-timezone': AS_NODE,
  'DateTimeFormat/prototype/format/related-year-zh': CALENDARS,
  'DateTimeFormat/prototype/format/timedatestyle-en': AS_NODE,
  'DateTimeFormat/prototype/formatRangeToParts/chinese-calendar-dates': CALENDARS,
  'DateTimeFormat/prototype/formatRangeToParts/dangi-calendar-dates': CALENDARS,
  'DateTimeFormat/prototype/formatToParts/chinese-calendar-dates': CALENDARS,
  'DateTimeFormat/prototype/formatToParts/era': CALENDARS,
  'DateTimeFormat/prototype/formatToParts/lunisolar-leap-months': CALENDARS,
  'DateTimeFormat/prototype/formatToParts/related-year': CALENDARS,
  'DateTimeFormat/prototype/formatToParts/related-year-zh': CALENDARS,
  'DateTimeFormat/prototype/resolvedOptions/calendar': CALENDARS,
  'DateTimeFormat/prototype/resolvedOptions/hourCycle-default': AS_NODE,
  'DateTimeFormat/timezone-case-insensitive': AS_NODE,
  'DateTimeFormat/timezone-not-canonicalized': AS_NODE,
  'Intl/getCanonicalLocales/non-iana-canon': LANGUAGES,
  'Intl/supportedValuesOf/calendars-required-by-intl-era-monthcode': CALENDARS,
  'Locale/constructor-non-iana-canon': LANGUAGES,
  'Locale/getters': AS_NODE,
  'Locale/prototype/getCollations/und-language': AS_NODE,
  'NumberFormat/currency-digits-nonstandard-notation': AS_NODE,
  'NumberFormat/prototype/resolvedOptions/return-keys-order-default': AS_NODE,
  'PluralRules/prototype/resolvedOptions/plural-categories-order': AS_NODE,
};

class Fault extends Error {}

// === tests ===

function readArguments([folder, ...rest]) {
  if (folder === undefined) throw new Fault('name the folder with test262');
  if (!fs.existsSync(path.join(folder, 'test', 'intl402')))
    throw new Fault(`${folder} has no test/intl402: it is no clone of test262, or a partial one`);
  const wrong = rest.find((each) => each.startsWith('--') && each !== '--check');
  if (wrong) throw new Fault(`${wrong} is no option; there is --check`);
  const paths = rest.filter((each) => !each.startsWith('--'));
  if (paths.length > 0 && rest.includes('--check'))
    throw new Fault('--check is for the whole table: leave the paths out');
  return { folder: path.resolve(folder), isCheck: rest.includes('--check'), paths };
}

function commitOf(folder) {
  try {
    const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    return execFileSync('git', ['-C', folder, 'rev-parse', 'HEAD'], options).slice(0, COMMIT_LENGTH);
  } catch {
    throw new Fault(`git does not know the commit of ${folder}, which the table names: clone test262 with git`);
  }
}

// The lists in the comment at the beginning of a test, in either form that YAML has for them.
function listsOf(text) {
  const front = /\/\*---([^]*?)---\*\//.exec(text)?.[1] ?? '';
  const list = (name) => {
    const found = new RegExp(`^${name}:[ \\t]*(?:\\[([^\\]]*)\\]|((?:\\r?\\n[ \\t]+-.*)+))`, 'm').exec(front);
    const items = found?.[1]?.split(',') ?? found?.[2]?.trim().split(/\s*\n\s*/) ?? [];
    return items.map((item) => item.trim().replace(/^- */, '')).filter((item) => item !== '');
  };
  if (list('flags').length > 0 || /^negative:/m.test(front)) throw new Fault('a test has flags or is negative');
  return { features: list('features'), includes: list('includes') };
}

function readTests(folder, paths) {
  const tests = path.join(folder, 'test', 'intl402');
  const harness = (file) => fs.readFileSync(path.join(folder, 'harness', file), 'utf8');
  const files = fs.readdirSync(tests, { recursive: true }).filter((file) => file.endsWith('.js')).sort();
  const wanted = files.filter((file) => paths.length === 0 || paths.some((each) => file.startsWith(each)));
  if (wanted.length === 0) throw new Fault(`no test of ${tests} begins with ${paths.join(' or ')}`);
  return wanted.map((file) => {
    const text = fs.readFileSync(path.join(tests, file), 'utf8');
    const { features, includes } = listsOf(text);
    const group = file.includes('/') ? file.slice(0, file.indexOf('/')) : REST;
    const about = text.includes('$262') ? [...features, 'cross-realm'] : features;
    const absent = [group, ...about].map((name) => ABSENT[name]).find((reason) => reason !== undefined);
    const whole = [...['assert.js', 'sta.js', ...includes].map(harness), text].join('\n');
    return { name: file.slice(0, -3), group, absent, whole };
  });
}

// === running ===

// What a test throws may come from another global object, and need not be an error.
const told = (error) =>
  error?.message === undefined ? `${error}` : `${error.name ?? 'Test262Error'}: ${error.message}`;

function guestRunner() {
  const guest = new Guest(`// It has Intl.
    const told = ${told};
    module.exports = ({ whole }) => {
      try {
        (0, eval)(whole);
        return null;
      } catch (error) {
        return told(error);
      }
    };`);
  if (guest.error) throw new Fault(`the guest does not load the test's script: ${JSON.stringify(guest.error)}`);
  return (whole) => {
    const { result, error } = guest.call({ whole });
    return error === undefined ? result : `the call ends: ${told({ ...error, name: error.error })}`;
  };
}

// In a global object of its own.
function inNode(whole) {
  try {
    vm.runInContext(whole, vm.createContext());
    return null;
  } catch (error) {
    return told(error);
  }
}

// What a test says that fails; null if it passes both ways.
const outcome = (run, whole) => run(whole) ?? run(`'use strict';\n${whole}`);

// === the table ===

const number = (count) => count.toLocaleString('en');

function tableOf(counts, failures, absent, commit) {
  const groups = Object.keys(counts).sort((left, right) => (left === REST) - (right === REST));
  const sum = (key) => groups.reduce((total, group) => total + counts[group][key], 0);
  const row = (title, { all, here, there }) => `| ${title} | ${number(all)} | ${number(here)} | ${number(there)} |`;
  const listed = (of) => [...of].sort(([, left], [, right]) => right - left);
  const all = { all: sum('all'), here: sum('here'), there: sum('there') };
  return [
    BEGIN,
    `${number(all.here)} of ${number(all.all)} pass, at test262's commit \`${commit}\`.`,
    '',
    `| folder | tests | pass | in Node.js ${NODE_MAJOR} |`,
    '|---|---|---|---|',
    ...groups.map((group) => row(group === REST ? REST : `\`${group}\``, counts[group])),
    row('all', all),
    '',
    '| why the others fail | tests |',
    '|---|---|',
    ...listed(failures).map(([reason, count]) => `| ${reason} | ${number(count)} |`),
    '',
    '| what tests that were left out are about | tests |',
    '|---|---|',
    ...listed(absent).map(([reason, count]) => `| ${reason} | ${number(count)} |`),
    END,
  ].join('\n');
}

function keep(isCheck, text) {
  const document = fs.readFileSync(DOCUMENT, 'utf8');
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin)
    throw new Fault(`${DOCUMENT} lacks the lines ${BEGIN} and ${END}, between which the table stands`);
  const written = document.slice(0, begin) + text + document.slice(end + END.length);
  if (!isCheck) fs.writeFileSync(DOCUMENT, written);
  else if (written !== document)
    throw new Fault(`the table of ${DOCUMENT} is not what was measured, which is:\n${text}`);
}

// Why the outcome is not what REASONS says; undefined if it is.
function surprise(name, here, there) {
  const reason = REASONS[name];
  if (here !== null && reason === undefined) return `${name} fails, and REASONS does not say why: ${here}`;
  if (here === null && reason !== undefined) return `${name} passes, though REASONS says why not: take it out`;
  if (here !== null && there === null && reason === AS_NODE) return `${name} fails, and passes in Node.js: ${here}`;
  return undefined;
}

function count(map, key) {
  map.set(key, (map.get(key) ?? 0) + 1);
}

function main() {
  const { folder, isCheck, paths } = readArguments(process.argv.slice(2));
  const isWhole = paths.length === 0;
  const commit = isWhole ? commitOf(folder) : undefined;
  if (isWhole && process.versions.node.split('.')[0] !== NODE_MAJOR)
    throw new Fault(`the table is of Node.js ${NODE_MAJOR}, and this is ${process.version}: use that, or name paths`);
  const inGuest = guestRunner();
  const [counts, failures, absent, surprises] = [{}, new Map(), new Map(), []];
  for (const test of readTests(folder, paths)) {
    const { name, group, whole } = test;
    if (test.absent !== undefined) {
      count(absent, test.absent);
      continue;
    }
    const [here, there] = [outcome(inGuest, whole), outcome(inNode, whole)];
    const of = (counts[group] ??= { all: 0, here: 0, there: 0 });
    of.all += 1;
    if (here === null) of.here += 1;
    else count(failures, REASONS[name] ?? 'no known reason');
    if (there === null) of.there += 1;
    if (here !== null) console.log(`${name} fails${there === null ? '' : ', also in Node.js'}: ${here}`);
    const found = surprise(name, here, there);
    if (found !== undefined) surprises.push(found);
  }
  const sum = (key) => Object.values(counts).reduce((total, of) => total + of[key], 0);
  console.log(`${sum('here')} of ${sum('all')} pass, in Node.js ${sum('there')}`);
  if (surprises.length > 0) throw new Fault(surprises.join('\n'));
  if (isWhole) keep(isCheck, tableOf(counts, failures, absent, commit));
}

try {
  main();
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  console.error(`test262: ${error.message}`);
  process.exitCode = 1;
}
