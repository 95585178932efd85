// Loads the user's script at deploy: finds out what kind of source it is, evaluates it, and finds its handler.
(function (native, shared) {
  'use strict';

  const CONTEXT_NAMES = new Set(['context', 'ctx', '_context', '_ctx']);
  const NODE_APIS = new Set(
    (
      'assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns domain ' +
      'events fs http http2 https inspector module net os path perf_hooks process punycode querystring readline repl ' +
      'sea sqlite stream string_decoder sys test timers tls trace_events tty url util v8 vm wasi worker_threads zlib'
    ).split(' '),
  );
  // Semicolons at the end that are looked at: those in comments there, and the one before.
  const SEMICOLONS_MAX = 32;
  const BEGIN = '(function (exports, require, module, __filename, __dirname) {\n\n';
  // With this number for the first line, the user's first one is line 1. (0 would mean that there is none.)
  const BEGIN_LINE = -1;
  // Of what a file exports, so many names are told.
  const NAMES_TOLD_MAX = 20;

  // === what there is to import ===

  class UnresolvedImport extends Error {
    constructor(specifier) {
      super(reason(specifier));
      this.name = 'UnresolvedImport';
      this.code = 'MODULE_NOT_FOUND';
      Object.assign(this, placeOf(specifier));
    }
  }

  function reason(specifier) {
    const name = specifier.replace(/^node:/, '');
    if (specifier.startsWith('serverledge/'))
      return `there is no module "${specifier}": write import { kv } from 'serverledge'`;
    if (specifier.startsWith('node:') || NODE_APIS.has(name.split('/')[0])) {
      return (
        `"${specifier}" is an API of Node.js, which the runtime javascript does not have: ` +
        'deploy this function with the runtime nodejs'
      );
    }
    const what = /^(\.{0,2}\/|[a-z]+:\/\/)/.test(specifier)
      ? `the file "${specifier}"`
      : `the package "${specifier}"`;
    return (
      `${what} is not there: a function of the runtime javascript is one file, ` +
      'so bundle what it needs into it (with esbuild, for example)'
    );
  }

  // Where the source names a module, if it does so in quotes.
  function placeOf(specifier) {
    const before = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*$/;
    for (const quote of ["'", '"', '`']) {
      const name = quote + specifier + quote;
      for (let at = shared.source.indexOf(name); at >= 0; at = shared.source.indexOf(name, at + 1)) {
        const lines = shared.source.slice(0, at).split('\n');
        if (before.test(lines.slice(-3).join('\n'))) return { line: lines.length, column: lines.at(-1).length + 1 };
      }
    }
    return {};
  }

  function offered() {
    return { call: shared.call, CallError: shared.CallError, ...shared.offered };
  }

  // The modules of Node.js that other files of the prelude give, by their names without `node:`.
  shared.nodeModules = Object.create(null);
  const MODULES = Symbol.for('serverledge.modules');

  function moduleNamed(specifier) {
    const { nodeModules } = shared;
    const name = specifier.replace(/^node:|\/$/g, '');
    return Object.hasOwn(nodeModules, name) ? nodeModules[name] : undefined;
  }

  function require(specifier) {
    if (specifier === 'serverledge') return offered();
    const found = moduleNamed(String(specifier));
    if (found !== undefined) return found;
    throw new UnresolvedImport(String(specifier));
  }
  require.resolve = (specifier) => {
    if (specifier === 'serverledge' || moduleNamed(String(specifier)) !== undefined) return specifier;
    throw new UnresolvedImport(String(specifier));
  };
  require.cache = Object.create(null);

  shared.moduleSource = (specifier) => {
    if (specifier === 'serverledge' && shared.offered !== undefined) shared.nodeModules.serverledge ??= offered();
    else if (specifier === 'serverledge')
      return 'const { call, CallError } = globalThis; export { call, CallError }; export default { call, CallError };';
    const found = moduleNamed(specifier);
    if (found === undefined) throw new UnresolvedImport(specifier);
    Object.defineProperty(globalThis, MODULES, { value: shared.nodeModules, configurable: true });
    const name = Object.keys(shared.nodeModules).find((each) => shared.nodeModules[each] === found);
    const members = Object.keys(found).filter((member) => /^[a-z_$][\w$]*$/i.test(member) && member !== 'default');
    const lines = members.map((member, at) => `const e${at} = all.${member}; export { e${at} as ${member} };`);
    return `const all = globalThis[Symbol.for('serverledge.modules')]['${name}']; export default all; ${lines.join(' ')}`;
  };

  // === evaluating ===

  // A CommonJS module. One that is nothing but a function has that function as its value. What was loaded is wrapped.
  function runScript(run, file) {
    const module = { exports: {}, id: file, filename: file, loaded: false, children: [], paths: [] };
    const untouched = module.exports;
    require.main = module;
    const value = run.call(untouched, untouched, require, module, file, '.');
    module.loaded = true;
    const exported = module.exports !== untouched || Reflect.ownKeys(untouched).length > 0;
    const loaded = !exported && typeof value === 'function' ? value : module.exports;
    // A router has a function for every name, `then` included, and is no promise.
    return loaded instanceof Promise ? loaded.then((settled) => ({ loaded: settled })) : { loaded };
  }

  function isSpaceAndComments(text) {
    for (let at = 0; at < text.length; ) {
      const ends = text.startsWith('//', at) ? '\n' : text.startsWith('/*', at) ? '*/' : undefined;
      if (ends === undefined) {
        if (!/\s/.test(text[at])) return false;
        at += 1;
      } else {
        const end = text.indexOf(ends, at + 2);
        at = end < 0 ? text.length : end + ends.length;
      }
    }
    return true;
  }

  // The source without a semicolon at its end, behind which there may be comments. One in a comment is no harm.
  function* unended(source) {
    let at = source.lastIndexOf(';');
    for (let tried = 0; at >= 0 && tried < SEMICOLONS_MAX; tried += 1) {
      if (isSpaceAndComments(source.slice(at + 1))) yield `${source.slice(0, at)} ${source.slice(at + 1)}`;
      at = at === 0 ? -1 : source.lastIndexOf(';', at - 1);
    }
  }

  function* asExpressions(source) {
    yield source;
    yield* unended(source);
  }

  // The source as a function that returns its value, if it begins like a function and is a single expression.
  function compileExpression(source, file) {
    const code = source.replace(/^(?:\s|\/\/.*|\/\*[^]*?\*\/)*/, '');
    if (!/^(?:async\b|function\b|\(|[\w$]+\s*=>)/.test(code)) return undefined;
    for (const text of asExpressions(source)) {
      try {
        return native.compile(
          `(function (exports, require, module, __filename, __dirname) { return (\n\n${text}\n)})`,
          file,
          BEGIN_LINE,
        );
      } catch {
        // Then it is something else.
      }
    }
    return undefined;
  }

  async function runModule([finished, exports]) {
    await finished;
    return { loaded: exports };
  }

  function attempt(compile) {
    try {
      return { done: compile() };
    } catch (failure) {
      if (!(failure instanceof SyntaxError)) throw failure;
      return { failure };
    }
  }

  // An ES module is what is called .mjs, and what is valid as one but not as a script. What is bundled into one from CommonJS has no
  // other `require` than a global one.
  function evaluate(source, file) {
    if (Object.keys(shared.nodeModules).length > 0) shared.define({ require });
    if (file.endsWith('.mjs')) return runModule(native.compileModule(source, file));
    const expression = compileExpression(source, file);
    if (expression) return runScript(expression, file);
    const script = attempt(() => native.compile(`${BEGIN}${source}\n})`, file, BEGIN_LINE));
    if (!script.failure) return runScript(script.done, file);
    if (file.endsWith('.cjs')) throw scriptFailure(source, file) ?? script.failure;
    const module = attempt(() => native.compileModule(source, file));
    if (!module.failure) return runModule(module.done);
    // Which mistake to tell: that of what it looks like.
    if (/^\s*(?:import\b(?!\s*\()|export\b)/m.test(source)) throw module.failure;
    throw scriptFailure(source, file) ?? script.failure;
  }

  // What is wrong with the source by itself: a brace too many would end our function, and be told as being behind the end. At the
  // top level of CommonJS there may be a `return`, so that is not what is wrong.
  function scriptFailure(source, file) {
    const { failure } = attempt(() => native.check(source, file));
    return failure?.message.includes('return') ? undefined : failure;
  }

  // === the handler ===

  function noHandler(message) {
    const error = new Error(message);
    error.name = 'HandlerMissing';
    error.stack = '';
    return error;
  }

  // What a module has by itself: every object inherits a `toString`, and that is nobody's handler.
  function own(value, name) {
    const has = value !== null && (typeof value === 'object' || typeof value === 'function');
    return has && Object.hasOwn(value, name) ? value[name] : undefined;
  }

  // For the one who named another: the names that there are.
  function exported(loaded) {
    const parts = [loaded, own(loaded, 'default')].filter((each) => each !== null && typeof each === 'object');
    const names = [...new Set(parts.flatMap((each) => Object.keys(each)))];
    const more = names.length > NAMES_TOLD_MAX ? ', …' : '';
    return names.length === 0 ? 'no names' : names.slice(0, NAMES_TOLD_MAX).join(', ') + more;
  }

  function answersRequests(value) {
    return value !== null && typeof value === 'object' && typeof value.fetch === 'function';
  }

  // What answers requests may be a router, which has a function for every name that it is asked for.
  function member(value, name) {
    return answersRequests(value) ? own(value, name) : value?.[name];
  }

  // `FILE` is what the file exports as its handler, or else under its own name; `NAME` and `FILE.NAME` are what it exports
  // under that name. Without a function there it is an object that answers requests.
  function findHandler(loaded, handler, file) {
    const stem = file.replace(/\.[cm]?js$/, '');
    const isFile = handler === '' || handler === file || handler === stem;
    const name = isFile ? stem : handler.slice(handler.lastIndexOf('.') + 1);
    const inner = member(loaded, 'default');
    const named = [own(loaded, name), own(inner, name)];
    const whole = isFile
      ? [loaded, inner, member(loaded, 'handler'), member(inner, 'default'), member(inner, 'handler')]
      : [];
    const candidates = handler === '' ? whole : [...whole, ...named];
    const found = candidates.find((each) => typeof each === 'function');
    if (found) return { handler: found, contextFirst: contextComesFirst(found) };
    // What is exported as the default comes before the names beside it.
    const app = (isFile ? [inner, loaded, ...candidates] : candidates).find(answersRequests);
    if (app && shared.serve) {
      shared.handlerInterface = 'http';
      return { handler: shared.serve(app), contextFirst: false };
    }
    if (handler !== '' && named.some((each) => each !== undefined)) {
      throw noHandler(`'${name}' in ${file} cannot be called`);
    }
    const missing = isFile ? 'exports neither a function nor a handler' : `has no function '${name}'`;
    const likeFile = isFile && handler !== '' ? `, and nothing called '${name}'` : '';
    const wanted = isFile ? '; export a function, or an object with a function fetch' : '';
    throw noHandler(`${file} ${missing}${likeFile}; it exports ${exported(loaded)}${wanted}`);
  }

  // Whether the first parameter is the context, which only the function's text can tell.
  function contextComesFirst(handler) {
    const text = Function.prototype.toString
      .call(handler)
      .replace(/\/\*[^]*?\*\/|\/\/.*/g, '')
      .trimStart()
      .replace(/^async\b\s*/, '');
    const alone = /^([\w$]+)\s*=>/.exec(text);
    const first = alone ?? /^[^(]*\(\s*([\w$]+)\s*[,)=]/.exec(text);
    return first !== null && CONTEXT_NAMES.has(first[1]);
  }

  shared.load = async ({ file, source, handler, env, secrets }) => {
    shared.file = file || 'index.js';
    shared.setVariables(env ?? {}, secrets ?? []);
    shared.source = String(source ?? '').replace(/^#!/, '//');
    const { loaded } = await evaluate(shared.source, shared.file);
    const found = findHandler(loaded, String(handler ?? ''), shared.file);
    // A call that requires something is told where by its stack.
    shared.source = '';
    return found;
  };
});
