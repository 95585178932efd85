// Reads and evaluates the probes of probes.txt: expressions over the language and its library, with what Node.js makes of
// each. The file has, for each, the line of the expression and below it lines that begin with a mark:
//
//   = VALUE          what Node.js gives
//   ~ VALUE          what the guest gives, if that is something else
//   ~ because TEXT   why
//
//   node probes.js --write     takes the values anew, from Node.js and the guest; differences keep their reasons
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const FILE = path.join(__dirname, 'probes.txt');
// Expressions of one deploy.
const BATCH = 320;
// Stands where a reason has to be written.
const UNKNOWN = 'UNKNOWN';

// Runs functions, each by itself, and describes what it gives or what it throws. It runs in the guest too.
async function outcomes(functions) {
  const described = (value, depth = 0) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'symbol') return value.toString();
    if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
    if (typeof value === 'function') return `function ${value.name}`;
    if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
    if (depth > 6) return '…';
    const inside = (each) => described(each, depth + 1);
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (value instanceof Error) return `${tag} ${value.name}`;
    if (tag === 'Date') return `Date ${+value}`;
    if (tag === 'RegExp') return String(value);
    if (tag === 'Map') return `Map ${inside([...value])}`;
    if (tag === 'Set') return `Set ${inside([...value])}`;
    if (ArrayBuffer.isView(value) && 'length' in value) return `${tag} ${inside([...value])}`;
    const keys = Reflect.ownKeys(value).filter((key) => Object.getOwnPropertyDescriptor(value, key).enumerable);
    if (!Array.isArray(value)) return `${tag === 'Object' ? '' : `${tag} `}{${keys.map((key) => `${String(key)}: ${inside(value[key])}`).join(', ')}}`;
    const items = Array.from({ length: value.length }, (_, at) => (at in value ? inside(value[at]) : 'hole'));
    const others = keys.filter((key) => !/^\d+$/.test(String(key))).map((key) => `${String(key)}: ${inside(value[key])}`);
    return `[${[...items, ...others].join(', ')}]`;
  };
  const thrown = (error) => `throws ${error?.constructor?.name ?? described(error)}`;
  // Functions of lists of functions: what each gives.
  const settled = async (value) => {
    if (!Array.isArray(value) || value.length < 2 || !value.every((each) => typeof each === 'function' && each.name === '' && each.length === 0)) return described(value);
    return `[${value.map((each) => { try { return described(each()); } catch (error) { return thrown(error); } }).join(', ')}]`;
  };
  const all = [];
  for (const each of functions) {
    try {
      all.push((await settled(await each())).replaceAll(/[\n\r\u2028\u2029]/g, (mark) => JSON.stringify(mark).slice(1, -1)).toWellFormed?.() ?? null);
    } catch (error) {
      all.push(thrown(error));
    }
  }
  return all;
}

// The sections with their probes: { expression, expected, guest, because }.
function read(text = fs.readFileSync(FILE, 'utf8')) {
  const sections = [];
  text.split('\n').forEach((line, at) => {
    const probe = sections.at(-1)?.probes.at(-1);
    if (line === '' || line.startsWith('# ')) return;
    if (line.startsWith('## ')) sections.push({ name: line.slice(3), probes: [] });
    else if (line.startsWith('= ')) probe.expected = line.slice(2);
    else if (line.startsWith('~ because ')) probe.because = line.slice(10) === UNKNOWN ? undefined : line.slice(10);
    else if (line.startsWith('~ ')) probe.guest = line.slice(2);
    else sections.at(-1).probes.push({ expression: line, line: at + 1 });
  });
  return sections;
}

// The function that evaluates expressions, as source of JavaScript.
const sourceOf = (expressions) => `(async () => (${outcomes})([\n${expressions.map((each) => `  async () => (${each}\n),\n`).join('')}]))`;

function batches(expressions) {
  return Array.from({ length: Math.ceil(expressions.length / BATCH) }, (_, at) => expressions.slice(at * BATCH, (at + 1) * BATCH));
}

async function inNode(expressions) {
  // Like a script: sloppy, and with the globals of a module's file left out.
  return (await Promise.all(batches(expressions).map((some) => (0, eval)(sourceOf(some))()))).flat();
}

function inGuest(expressions) {
  const { Guest } = require('./guest.js');
  return batches(expressions).flatMap((some) => {
    const guest = new Guest(`module.exports = ${sourceOf(some)};`);
    if (guest.error) throw new Error(`the probes do not load: ${JSON.stringify(guest.error)}`);
    const { result, error } = guest.call();
    if (error) throw new Error(`the probes fail: ${JSON.stringify(error)}`);
    return result;
  });
}

function written(sections) {
  const all = sections.flatMap(({ probes }) => probes);
  const different = all.filter(({ guest }) => guest !== undefined);
  const lines = [`# ${all.length} probes, of which ${different.length} give something else in the guest than in Node.js. See probes.js.`];
  for (const { name, probes } of sections) {
    lines.push('', `## ${name}`);
    for (const { expression, expected, guest, because } of probes) {
      lines.push(expression, `= ${expected}`);
      if (guest !== undefined) lines.push(`~ ${guest}`, `~ because ${because ?? UNKNOWN}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

async function write() {
  process.env.TZ = 'UTC';
  const sections = read();
  const all = sections.flatMap(({ probes }) => probes);
  const expressions = all.map(({ expression }) => expression);
  const [here, there] = [await inNode(expressions), inGuest(expressions)];
  all.forEach((probe, at) => {
    probe.expected = here[at];
    probe.guest = there[at] === here[at] ? undefined : there[at];
  });
  fs.writeFileSync(FILE, written(sections));
  const unknown = all.filter(({ guest, because }) => guest !== undefined && because === undefined);
  for (const { expression } of unknown) console.error(`say why in ${FILE}: ${expression}`);
  process.exitCode = unknown.length > 0 ? 1 : 0;
}

module.exports = { inGuest, read, written };

if (require.main === module) {
  if (process.argv[2] !== '--write') throw new Error('the only way to call this is: node probes.js --write');
  write();
}
