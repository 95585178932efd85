// The place of the handler, and its loading.
'use strict';

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const { NoHandler } = require('./errors.js');

const CONTEXT_NAMES = new Set(['context', 'ctx', '_context', '_ctx']);
const EXTENSIONS = ['.js', '.cjs', '.mjs'];
const DEFAULT_FILES = ['index', 'main', 'handler', 'function', 'app'];

function isFile(name) {
  return fs.statSync(name, { throwIfNoEntry: false })?.isFile() ?? false;
}

// The folders in which a handler is looked for: the folder of the code, then its only folder.
function roots(codeDir) {
  const folders = fs.readdirSync(codeDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(\.|__)|^node_modules$/.test(entry.name));
  return folders.length === 1 ? [codeDir, path.join(codeDir, folders[0].name)] : [codeDir];
}

// A file, given with or without its extension.
function fileOf(root, name) {
  const whole = path.join(root, name);
  if (EXTENSIONS.includes(path.extname(name)) && isFile(whole)) return whole;
  return EXTENSIONS.map((extension) => whole + extension).find(isFile);
}

// The module's file and the function's name, which is empty where none is given.
function findHandler(handler, codeDir) {
  for (const root of roots(codeDir)) {
    if (handler === '') {
      const file = defaultFile(root);
      if (file) return { file, name: '' };
      continue;
    }
    const whole = fileOf(root, handler);
    if (whole) return { file: whole, name: '' };
    const dot = handler.lastIndexOf('.');
    const file = dot > 0 && dot < handler.length - 1 ? fileOf(root, handler.slice(0, dot)) : undefined;
    if (file) return { file, name: handler.slice(dot + 1) };
  }
  throw new NoHandler(handler === ''
    ? `no handler is named, and there is neither a main in package.json, nor one of ${DEFAULT_FILES.join(', ')}, nor a single file`
    : `there is no file for the handler '${handler}'`);
}

function defaultFile(root) {
  const main = mainOf(path.join(root, 'package.json'));
  const named = main && (fileOf(root, main) ?? fileOf(root, path.join(main, 'index')));
  if (named) return named;
  const known = DEFAULT_FILES.map((name) => fileOf(root, name)).find(Boolean);
  if (known) return known;
  const all = fs.readdirSync(root).filter((name) => EXTENSIONS.includes(path.extname(name)) && isFile(path.join(root, name)));
  return all.length === 1 ? path.join(root, all[0]) : undefined;
}

function mainOf(file) {
  try {
    const { main } = JSON.parse(fs.readFileSync(file, 'utf8'));
    return typeof main === 'string' && main !== '' ? main : undefined;
  } catch {
    return undefined;
  }
}

// `require` is much quicker than `import`, and the only one of the two that older versions of Node.js have for a module
// without a package.json; so a file is imported only where it looks like an ES module, or turns out to be one.
async function loadModule(file) {
  const looksLikeModule = file.endsWith('.mjs')
    || (!file.endsWith('.cjs') && /^\s*(?:import\b(?!\s*\()|export\b)/m.test(fs.readFileSync(file, 'utf8')));
  if (!looksLikeModule) {
    try {
      return Module.createRequire(file)(file);
    } catch (error) {
      if (error?.code !== 'ERR_REQUIRE_ESM' && error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    }
  }
  return importModule(pathToFileURL(file).href);
}

// Code that comes out of a snapshot cannot import; a module that is compiled now can.
function importModule(url) {
  const importer = new Module(__filename);
  importer._compile('module.exports = (url) => import(url);', __filename);
  return importer.exports(url);
}

async function loadHandler(handler, codeDir) {
  const { file, name } = findHandler(handler, codeDir);
  const loaded = await loadModule(file);
  const candidates = name === ''
    ? [loaded, loaded?.default, loaded?.handler, loaded?.default?.default, loaded?.default?.handler]
    : [loaded?.[name], loaded?.default?.[name]];
  const found = candidates.find((each) => typeof each === 'function');
  if (found) return found;
  const shown = path.relative(codeDir, file);
  if (name === '') throw new NoHandler(`${shown} exports neither a function nor a handler`);
  throw new NoHandler(candidates.some((each) => each !== undefined)
    ? `'${name}' in ${shown} cannot be called` : `${shown} has no function '${name}'`);
}

// Whether the first parameter is the context, which only the function's text can tell.
function contextComesFirst(handler) {
  let text = Function.prototype.toString.call(handler).replace(/\/\*[^]*?\*\/|\/\/.*/g, '').trimStart();
  text = text.replace(/^async\b\s*/, '');
  const alone = /^([\w$]+)\s*=>/.exec(text);
  const first = alone ?? /^[^(]*\(\s*([\w$]+)\s*[,)=]/.exec(text);
  return first !== null && CONTEXT_NAMES.has(first[1]);
}

module.exports = { contextComesFirst, loadHandler };
