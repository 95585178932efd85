// The files that a test of CPython is sent with: its own, those of the package `test` that it imports, its data, and modules
// of the library that the runtime leaves out and tests need.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const LEFT_OUT = [
  ...['_pyrepl/__init__', '_pyrepl/pager', 'compileall', 'dbm/__init__', 'dbm/dumb', 'mailbox', 'py_compile', 'pydoc'],
  ...['pydoc_data/__init__', 'wsgiref/__init__', 'wsgiref/handlers', 'wsgiref/headers', 'wsgiref/simple_server'],
  'wsgiref/util',
];
const IMPORT = /^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n#]+))/gm;

const base64 = (file) => ({ base64: fs.readFileSync(file).toString('base64') });
const wordOf = (text) => text.trim().split(/\s/)[0];

// The names of modules that a text imports, and of what it takes from modules, which may be modules too.
function* importsOf(text) {
  for (const [, from, names, plain] of text.matchAll(IMPORT)) {
    if (plain !== undefined) {
      yield* plain.split(',').map(wordOf);
      continue;
    }
    yield from;
    const taken = names
      .replace(/[()\\]|#.*/g, '')
      .split(',')
      .map(wordOf);
    yield* taken.map((name) => (from.endsWith('.') ? `${from}${name}` : `${from}.${name}`));
  }
}

function absolute(name, file) {
  const dots = /^\.*/.exec(name)[0].length;
  const folder = file.split('/').slice(0, -dots).join('.');
  return dots === 0 ? name : [folder, name.slice(dots)].filter((part) => part !== '').join('.');
}

// The path of a module of the package `test`; undefined if it is none.
function pathOf(library, name) {
  if (name !== 'test' && !name.startsWith('test.')) return undefined;
  const stem = name.replaceAll('.', '/');
  return [`${stem}/__init__.py`, `${stem}.py`].find((each) => fs.existsSync(path.join(library, each)));
}

// A map from paths to contents. `data` are files and folders of the package `test`.
function filesOf(library, module, data, stubs) {
  const files = Object.fromEntries(stubs.map((name) => [`${name}.py`, '']));
  const add = (file) => {
    if (file === undefined || file in files) return;
    files[file] = base64(path.join(library, file));
    for (const name of importsOf(fs.readFileSync(path.join(library, file), 'utf8'))) addModule(absolute(name, file));
  };
  const addModule = (name) => {
    const parts = name.split('.');
    parts.forEach((_, index) => add(pathOf(library, parts.slice(0, index + 1).join('.'))));
  };
  for (const each of LEFT_OUT) files[`${each}.py`] = base64(path.join(library, `${each}.py`));
  addModule('test.support');
  addModule(`test.${module}`);
  for (const each of data) {
    const found = path.join(library, 'test', each);
    if (each.endsWith('.py')) addModule(`test.${each.slice(0, -3).replaceAll('/', '.')}`);
    const isFolder = fs.statSync(found).isDirectory();
    for (const name of isFolder ? fs.readdirSync(found, { recursive: true }) : ['']) {
      const file = path.join('test', each, name);
      if (fs.statSync(path.join(library, file)).isFile()) files[file] = base64(path.join(library, file));
    }
  }
  return files;
}

module.exports = { filesOf };
