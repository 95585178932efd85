// The agent inside every Serverledge `nodejs` container: it receives one function, then runs its invocations.
//
// What it says to the node is in docs/container-protocol.md. It runs as `agent.js [RUN_DIR APP_DIR]`; tests give the two
// folders, which are /run/serverledge and /app in a container. Node.js alone is all it needs, 18 or newer.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { Console } = require('node:console');
const { isUtf8 } = require('node:buffer');
const fs = require('node:fs');
const Module = require('node:module');
const net = require('node:net');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const v8 = require('node:v8');

const PROTOCOL = 1;

// Bounds against a peer gone wrong; the node has its own, tighter ones.
const HEAD_BYTES_MAX = 64 * 1024;
const BODY_BYTES_MAX = 512 * 1024 * 1024;
const MESSAGE_CHARS_MAX = 16 * 1024;
const STACK_CHARS_MAX = 64 * 1024;

const CONTEXT_NAMES = new Set(['context', 'ctx', '_context', '_ctx']);
const EXTENSIONS = ['.js', '.cjs', '.mjs'];
const DEFAULT_FILES = ['index', 'main', 'handler', 'function', 'app'];

const REASONS = {
  200: 'OK', 400: 'Bad Request', 404: 'Not Found', 405: 'Method Not Allowed', 409: 'Conflict', 411: 'Length Required',
  413: 'Content Too Large', 422: 'Unprocessable Content', 431: 'Request Header Fields Too Large',
};

const EMPTY = Buffer.alloc(0);

// What is printed waits so long at most for more of it, or for the answer.
const PAUSE_MS = 10;
const BEGIN_CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';

// === what functions print ===

// The end of what one invocation, or loading, prints. Each byte is moved at most twice, however much comes.
class Tail {
  constructor(limit) {
    this.limit = limit;
    this.bytes = EMPTY;
    this.length = 0;
    this.cut = false;
    this.open = true;
  }

  add(chunk, encoding) {
    if (typeof chunk !== 'string') {
      this.addBytes(chunk);
    } else if (chunk.length * 3 <= this.limit && (encoding === undefined || encoding === 'utf8')) {
      this.reserve(chunk.length * 3);
      this.length += this.bytes.write(chunk, this.length, 'utf8');
    } else {
      this.addBytes(Buffer.from(chunk, encoding));
    }
  }

  addBytes(chunk) {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (bytes.length > this.limit) {
      bytes = bytes.subarray(bytes.length - this.limit);
      this.cut = true;
    }
    this.reserve(bytes.length);
    this.length += bytes.copy(this.bytes, this.length);
  }

  // Room for that many more bytes, which are at most the limit.
  reserve(count) {
    if (this.length + count <= this.bytes.length) return;
    if (this.length > this.limit) {
      this.bytes.copyWithin(0, this.length - this.limit, this.length);
      this.length = this.limit;
      this.cut = true;
    }
    if (this.length + count > this.bytes.length) {
      const room = Math.min(2 * this.limit, Math.max(2 * (this.length + count), 1024));
      const grown = Buffer.allocUnsafeSlow(room);
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
  }

  // The bytes to report. What is printed later is no longer this invocation's.
  close() {
    this.open = false;
    return this.take();
  }

  // What is kept, which is then kept no longer. The bytes are good until the next ones come.
  take() {
    if (this.length === 0) return EMPTY;
    const end = this.length;
    let start = Math.max(0, end - this.limit);
    if (this.cut || start > 0) {
      // At most three bytes of a character can be left of its cut beginning.
      for (let broken = 0; broken < 3 && start < end && (this.bytes[start] & 0xc0) === 0x80; broken++) start++;
    }
    this.length = 0;
    this.cut = false;
    return this.bytes.subarray(start, end);
  }
}

// What one invocation prints, and its answer. What is kept goes to the connection once a pause, ahead of the answer: at once, if
// the pause is over, since a function that keeps the event loop to itself leaves no other occasion.
class Log extends Tail {
  constructor(limit, agent, connection) {
    super(limit);
    this.agent = agent;
    this.connection = connection;
    this.begun = false;
  }

  add(chunk, encoding) {
    super.add(chunk, encoding);
    if (performance.now() - this.connection.sentAt >= PAUSE_MS) this.send();
    else this.agent.wait(this);
  }

  // Sends what is kept, as a chunk of the answer; not if the connection has not even got rid of the one before.
  send() {
    if (!this.open || this.length === 0 || this.connection.socket.writableLength > 0) return;
    this.connection.send(this.encode(this.begun ? '' : BEGIN_CHUNKED, true, ''));
    this.begun = true;
  }

  // What ends the answer, or all of it where nothing was sent ahead.
  answer(kind, text) {
    const data = this.begun ? this.encode('', true, '0\r\n\r\n', kind, text) : this.encode('HTTP/1.1 200 OK\r\n', false, '', kind, text);
    this.open = false;
    return data;
  }

  // The frames of what is kept and, if given, of the end, as one chunk or as a whole body, in a single buffer.
  encode(before, chunked, after, kind, text) {
    const log = this.take();
    const textBytes = kind === undefined ? 0 : Buffer.byteLength(text);
    const length = (log.length > 0 ? 5 + log.length : 0) + (kind === undefined ? 0 : 5 + textBytes);
    const head = chunked ? `${before}${length.toString(16)}\r\n` : `${before}content-length: ${length}\r\n\r\n`;
    const tail = chunked ? `\r\n${after}` : after;
    const data = Buffer.allocUnsafe(head.length + length + tail.length);
    let at = data.latin1Write(head, 0);
    if (log.length > 0) {
      at = data.writeUInt32BE(log.length, data.latin1Write('l', at) + at);
      at += log.copy(data, at);
    }
    if (kind !== undefined) {
      at = data.writeUInt32BE(textBytes, data.latin1Write(kind, at) + at);
      at += data.utf8Write(text, at);
    }
    data.latin1Write(tail, at);
    return data;
  }
}

// === errors in words ===

// There is no such file or function, or it cannot be called.
class NoHandler extends Error {}

class Malformed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function shorten(text, limit) {
  return text.length <= limit ? text : `${text.slice(0, limit / 2)}\n…\n${text.slice(-limit / 2)}`;
}

// An exception as the node wants it: its type, its message, and a stack of the function's own frames. Anything can be thrown,
// and what is thrown can refuse to be looked at.
function describe(thrown) {
  try {
    if (thrown === null || typeof thrown !== 'object') {
      return { error: typeof thrown, message: shorten(String(thrown), MESSAGE_CHARS_MAX), stack: '' };
    }
    const name = thrown.name ?? thrown.constructor?.name ?? 'object';
    const message = thrown.message ?? JSON.stringify(thrown);
    return {
      error: String(name),
      message: shorten(String(message), MESSAGE_CHARS_MAX),
      stack: shorten(ownFrames(String(thrown.stack ?? '')), STACK_CHARS_MAX),
    };
  } catch {
    return { error: 'Error', message: '(the error cannot say what it is)', stack: '' };
  }
}

function ownFrames(stack) {
  return stack.split('\n')
    .filter((line) => !/^\s+at /.test(line) || !(line.includes('node:internal/') || line.includes(__filename)))
    .join('\n');
}

// === the function: what a bind brings ===

function expect(value, name, kind) {
  const found = value?.[name];
  const fits = kind === 'object' ? found !== null && typeof found === 'object' && !Array.isArray(found)
    : kind === 'array' ? Array.isArray(found)
      : kind === 'size' ? Number.isSafeInteger(found) && found >= 0 : typeof found === kind;
  if (!fits) throw new Malformed(400, `the body is malformed: '${name}' is missing or of the wrong type`);
  return found;
}

// Checks all of the body, so that nothing has been written when it is refused.
function readBind(body) {
  const broken = (why) => new Malformed(400, `the body is malformed: ${why}`);
  let end = body.length < 4 ? Infinity : 4 + body.readUInt32BE(0);
  if (end > body.length) throw broken('it ends before its description does');
  let head;
  try {
    head = JSON.parse(body.toString('utf8', 4, end));
  } catch (error) {
    throw broken(error.message);
  }
  const variables = { ...expect(head, 'env', 'object'), ...expect(head, 'secrets', 'object') };
  for (const [name, value] of Object.entries(variables)) {
    if (typeof value !== 'string' || !/^[^=\0]+$/.test(name) || value.includes('\0')) throw broken(`the variable '${name}' cannot be set`);
  }
  const files = expect(head, 'files', 'array').map((file) => {
    const name = expect(file, 'path', 'string');
    const start = end;
    end += expect(file, 'bytes', 'size');
    if (name.includes('\0') || name.split('/').some((part) => ['', '.', '..'].includes(part))) {
      throw broken(`the file '${name}' has no valid path`);
    }
    return { path: name, content: body.subarray(start, end), mode: file.executable ? 0o755 : 0o644 };
  });
  if (end !== body.length) throw broken(`the files end at byte ${end} of ${body.length}`);
  return {
    handler: expect(head, 'handler', 'string'),
    logBytesMax: expect(head, 'log_bytes_max', 'size'),
    outputBytesMax: expect(head, 'output_bytes_max', 'size'),
    concurrency: expect(head, 'concurrency', 'size'),
    memoryMb: expect(head, 'memory_mb', 'size'),
    variables,
    files,
  };
}

// V8 fixes the size of its heap when it starts, before anybody knows the function: images give it one that is never reached, so
// that the container's memory is the limit. What can be set later is how much the heap may grow from one collection to the
// next; by default it may become four times as large, which a small container has no room for.
function collectFor(memoryMb) {
  const percent = memoryMb <= 256 ? 20 : memoryMb <= 1024 ? 50 : 100;
  v8.setFlagsFromString(`--heap-growing-percent=${percent}`);
}

function writeFiles(files, codeDir) {
  const made = new Set(['.']);
  for (const file of files) {
    const folder = path.dirname(file.path);
    if (!made.has(folder)) {
      fs.mkdirSync(path.join(codeDir, folder), { recursive: true });
      made.add(folder);
    }
    fs.writeFileSync(path.join(codeDir, file.path), file.content, { mode: file.mode });
  }
}

// === where the handler is ===

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

// === calls of other functions ===

// A call gave no result. Codes are stable, such as `function_unknown` or `call_would_deadlock`; messages are for people.
class CallError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'CallError';
    this.code = code;
  }
}

// Runs the function of this name with these arguments; a promise of its result, or of a CallError. One connection for each call.
function call(agent, name, args = {}) {
  return new Promise((resolve, reject) => {
    const capability = agent.current()?.capability ?? '';
    if (capability === '') throw new CallError('call_refused', 'there is no invocation that could call: it has ended, or not begun');
    const [text, params] = [Buffer.from(String(name)), Buffer.from(toJson(args))];
    if (text.length > 0xffff || params.length > 0xffffffff) throw new CallError('params_too_large', 'the name or the arguments are too long');
    const head = Buffer.alloc(70);
    head.latin1Write(capability, 0);
    head.writeUInt32BE(params.length, head.writeUInt16BE(text.length, 64));
    const chunks = [];
    const socket = net.connect(agent.callPath, () => socket.write(Buffer.concat([head, text, params])));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error) => reject(new CallError('call_broken', `the node gave no answer: ${error.message}`)));
    socket.on('close', () => {
      const all = Buffer.concat(chunks);
      const whole = all.length >= 5 && all.length === 5 + all.readUInt32BE(1);
      const value = whole ? JSON.parse(all.toString('utf8', 5)) : { error: 'call_broken', message: 'the node closed the connection' };
      if (whole && all[0] === 0x72) resolve(value);
      else reject(new CallError(value.error, value.message));
    });
  });
}

function toJson(args) {
  try {
    return JSON.stringify(args) ?? JSON.stringify(null);
  } catch (error) {
    throw new CallError('invalid_params', `the arguments cannot be written as JSON: ${error.message}`);
  }
}

// As globals, and for `require('serverledge')`.
function offerCalls(agent) {
  const offered = { call: (name, args) => call(agent, name, args), CallError };
  const load = Module._load;
  Module._load = (request, ...rest) => (request === 'serverledge' ? offered : load(request, ...rest));
  Object.assign(globalThis, offered);
}

// === HTTP ===

function response(status, value, headers = '') {
  const body = JSON.stringify(value);
  return `HTTP/1.1 ${status} ${REASONS[status]}\r\n${headers}content-type: application/json\r\n`
    + `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function readHead(text) {
  const lines = text.split('\r\n');
  const start = lines[0].split(' ');
  if (start.length !== 3 || !start[2].startsWith('HTTP/1.')) throw new Malformed(400, 'this is no HTTP/1.1 request');
  const headers = Object.create(null);
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index];
    const colon = line.indexOf(':');
    if (colon < 0) throw new Malformed(400, 'a header has no colon');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { method: start[0], path: start[1], headers, length: bodyLength(start[0], headers) };
}

function bodyLength(method, headers) {
  const length = headers['content-length'];
  if (headers['transfer-encoding'] !== undefined || (length === undefined && method === 'POST')) {
    throw new Malformed(411, 'a body needs a content-length');
  }
  if (length === undefined) return 0;
  if (!/^[0-9]+$/.test(length)) throw new Malformed(400, 'the content-length is no number');
  if (Number(length) > BODY_BYTES_MAX) throw new Malformed(413, 'the body is too large');
  return Number(length);
}

// Requests of one connection, one after the other. Large bodies are put together once, when all of them has come.
class Connection {
  constructor(agent, socket) {
    this.agent = agent;
    this.socket = socket;
    this.chunks = [];
    this.size = 0;
    this.needed = 0;
    this.head = undefined;
    this.bodyStart = 0;
    this.busy = false;
    // When an invocation's answer, or a piece of one, last went out here.
    this.sentAt = -Infinity;
    socket.on('data', (chunk) => {
      this.chunks.push(chunk);
      this.size += chunk.length;
      this.proceed();
    });
    // The node has gone, and with it whoever could be told.
    socket.on('error', () => {});
  }

  proceed() {
    while (!this.busy && this.size > 0 && this.size >= this.needed) {
      const all = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks, this.size);
      this.chunks = [all];
      try {
        if (!this.take(all)) return;
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        // Nobody knows where the next request begins.
        this.busy = true;
        this.socket.end(response(error.status, { message: error.message }, 'connection: close\r\n'));
      }
    }
  }

  // Starts the first request in these bytes; false if it is not there in full.
  take(all) {
    if (this.head === undefined) {
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) {
        if (all.length > HEAD_BYTES_MAX) throw new Malformed(431, 'the headers are too long');
        this.needed = all.length + 1;
        return false;
      }
      this.head = readHead(all.latin1Slice(0, end));
      this.bodyStart = end + 4;
      this.needed = this.bodyStart + this.head.length;
      if (all.length < this.needed && this.head.headers.expect?.toLowerCase() === '100-continue') {
        this.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      }
    }
    const end = this.needed;
    if (all.length < end) return false;
    const head = this.head;
    this.head = undefined;
    this.needed = 0;
    this.size = all.length - end;
    this.chunks = this.size > 0 ? [all.subarray(end)] : [];
    this.busy = true;
    this.agent.handle(this, head, all, this.bodyStart, end);
    return true;
  }

  send(data) {
    this.socket.write(data);
    this.sentAt = performance.now();
  }

  // Ends the request that is under way; the next one may be there already.
  answer(data) {
    this.socket.write(data);
    this.busy = false;
    if (this.size > 0) setImmediate(() => this.proceed());
  }
}

// === the agent ===

// One function, or none yet, and its running invocations.
class Agent {
  constructor(appDir, runDir) {
    this.callPath = path.join(runDir, 'call.sock');
    this.codeDir = path.join(appDir, 'code');
    // Taken by the first bind and never given back, whether it succeeds or not.
    this.bindTaken = false;
    this.call = undefined;
    this.contextFirst = false;
    this.logBytesMax = 0;
    this.outputBytesMax = 0;
    this.running = new Set();
    // Where there is never more than one invocation, everything that happens is its doing, and nothing has to be traced.
    this.only = undefined;
    this.storage = undefined;
    this.waiting = new Set();
    this.timer = undefined;
  }

  handle(connection, head, all, bodyStart, bodyEnd) {
    if (head.path === '/invoke' && head.method === 'POST') {
      this.invoke(connection, head.headers, all, bodyStart, bodyEnd);
      return;
    }
    const known = { '/health': 'GET', '/bind': 'POST', '/invoke': 'POST' }[head.path];
    if (known === undefined) {
      connection.answer(response(404, { message: `there is no ${head.path}` }));
    } else if (known !== head.method) {
      connection.answer(response(405, { message: `${head.path} takes ${known}` }));
    } else if (known === 'GET') {
      connection.answer(response(200, {
        protocol: PROTOCOL, runtime: 'nodejs', version: process.versions.node, bound: this.call !== undefined,
      }));
    } else {
      this.bind(connection, all.subarray(bodyStart, bodyEnd));
    }
  }

  // The invocation that whatever runs now belongs to, if there is one.
  current() {
    const invocation = this.only ?? this.storage?.getStore();
    return invocation?.tail.open ? invocation : undefined;
  }

  // --- bind ---

  async bind(connection, body) {
    let loading;
    try {
      if (this.bindTaken) throw new Malformed(409, 'this container has its function already');
      const bind = readBind(body);
      this.bindTaken = true;
      loading = { tail: new Tail(bind.logBytesMax) };
      this.running.add(loading);
      this.only = loading;
      await this.load(bind);
      connection.answer(response(200, this.withLog(loading, {})));
    } catch (error) {
      if (error instanceof Malformed && !loading) {
        connection.answer(response(error.status, { message: error.message }));
        return;
      }
      const found = error instanceof NoHandler
        ? { code: 'handler_missing', error: 'HandlerMissing', message: error.message, stack: '' }
        : { code: 'load_failed', ...describe(error) };
      connection.answer(response(422, this.withLog(loading, found)));
    }
  }

  withLog(loading, value) {
    this.only = undefined;
    this.running.delete(loading);
    return { ...value, log: loading.tail.close().toString() };
  }

  async load(bind) {
    writeFiles(bind.files, this.codeDir);
    Object.assign(process.env, bind.variables);
    process.chdir(this.codeDir);
    collectFor(bind.memoryMb);
    offerCalls(this);
    const handler = await loadHandler(bind.handler, this.codeDir);
    this.logBytesMax = bind.logBytesMax;
    this.outputBytesMax = bind.outputBytesMax;
    this.contextFirst = contextComesFirst(handler);
    if (bind.concurrency > 1) this.storage = new AsyncLocalStorage();
    this.call = handler;
  }

  // --- invoke ---

  invoke(connection, headers, all, bodyStart, bodyEnd) {
    if (this.call === undefined) {
      connection.answer(response(409, { message: 'no function is bound' }));
      return;
    }
    let params;
    try {
      if (isUtf8 && !isUtf8(all.subarray(bodyStart, bodyEnd))) throw new Error('they are not UTF-8');
      params = JSON.parse(all.utf8Slice(bodyStart, bodyEnd));
    } catch (error) {
      connection.answer(response(400, { message: `the parameters are not JSON: ${error.message}` }));
      return;
    }
    const context = {
      invocation_id: headers['serverledge-invocation'] ?? '',
      function: headers['serverledge-function'] ?? '',
      deadline_ms: Number(headers['serverledge-deadline']) || 0,
      memory_mb: Number(headers['serverledge-memory']) || 0,
    };
    const capability = headers['serverledge-call'] ?? '';
    const invocation = { connection, capability, tail: new Log(this.logBytesMax, this, connection) };
    this.running.add(invocation);
    if (this.storage === undefined) {
      this.only = invocation;
      this.run(invocation, params, context);
    } else {
      this.storage.run(invocation, () => this.run(invocation, params, context));
    }
  }

  run(invocation, params, context) {
    // Called on its own, so that its `this` is not the agent.
    const call = this.call;
    try {
      const result = this.contextFirst ? call(context, params) : call(params, context);
      if (typeof result?.then === 'function') {
        Promise.resolve(result).then((value) => this.succeed(invocation, value), (error) => this.fail(invocation, error));
      } else {
        this.succeed(invocation, result);
      }
    } catch (error) {
      this.fail(invocation, error);
    }
  }

  succeed(invocation, result) {
    let body;
    try {
      body = result === undefined ? 'null' : JSON.stringify(result);
      if (body === undefined) throw new TypeError(`a ${typeof result} is no JSON`);
    } catch (error) {
      const { error: name, message } = describe(error);
      const told = { error: name, message: `the result cannot be written as JSON: ${message}`, stack: '' };
      this.finish(invocation, 'b', JSON.stringify(told));
      return;
    }
    // A character has at most three bytes for each unit of its length.
    if (body.length * 3 > this.outputBytesMax && Buffer.byteLength(body) > this.outputBytesMax) {
      const message = `the result has ${Buffer.byteLength(body)} bytes and may have ${this.outputBytesMax}`;
      this.finish(invocation, 't', JSON.stringify({ error: 'OutputTooLarge', message, stack: '' }));
      return;
    }
    this.finish(invocation, 'r', body);
  }

  fail(invocation, error) {
    this.finish(invocation, 'e', JSON.stringify(describe(error)));
  }

  finish(invocation, kind, body) {
    // An exception that nobody caught may have ended it before its handler did.
    if (!this.running.delete(invocation)) return;
    if (this.only === invocation) this.only = undefined;
    invocation.connection.sentAt = performance.now();
    invocation.connection.answer(invocation.tail.answer(kind, body));
  }

  // --- what goes on beside the invocations ---

  // What is written to stdout and stderr belongs to the invocation that writes it, else to the container's log.
  captureOutput() {
    for (const stream of [process.stdout, process.stderr]) {
      const write = stream.write.bind(stream);
      stream.write = (chunk, encoding, done) => {
        const invocation = this.current();
        if (!invocation || (typeof chunk !== 'string' && !ArrayBuffer.isView(chunk))) return write(chunk, encoding, done);
        const callback = typeof encoding === 'function' ? encoding : done;
        invocation.tail.add(chunk, typeof encoding === 'string' ? encoding : undefined);
        if (callback) process.nextTick(callback, null);
        return true;
      };
    }
    // The global console waits for the end of each write, and would so remember every line of a long loop.
    const quick = new Console({ stdout: process.stdout, stderr: process.stderr, ignoreErrors: false });
    for (const [name, method] of Object.entries(quick)) {
      if (typeof method === 'function') console[name] = method;
    }
    // The only thing that a snapshot loses.
    console.Console = Console;
  }

  // An exception that nobody caught, or a rejection that nobody handles, fails the invocation it comes from: it might wait
  // for ever for what has failed. The others go on. One that comes from no invocation is only logged.
  survive(error) {
    const invocation = this.current();
    if (invocation?.connection) {
      this.fail(invocation, error);
    } else {
      const { error: name, message, stack } = describe(error);
      process.stderr.write(`not caught: ${stack || `${name}: ${message}`}\n`);
    }
  }

  // Sends what this invocation has printed when the pause is over. One timer serves all.
  wait(log) {
    this.waiting.add(log);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.sendWaiting();
    }, PAUSE_MS);
  }

  sendWaiting() {
    const logs = [...this.waiting];
    this.waiting.clear();
    for (const log of logs) {
      log.send();
      if (log.open && log.length > 0) this.wait(log);
    }
  }

  // When a function ends the process, there will be no answer, but what was printed is still sent.
  leave() {
    for (const { tail } of this.running) {
      if (tail instanceof Log) tail.send();
      else fs.writeSync(2, tail.close());
    }
  }
}

// === start ===

// The socket appears under its name only when connections to it will be accepted.
function listen(agent, runDir) {
  const unready = path.join(runDir, `.agent.${process.pid}`);
  const server = net.createServer((socket) => new Connection(agent, socket));
  server.listen(unready, () => {
    fs.chmodSync(unready, 0o666);
    fs.renameSync(unready, path.join(runDir, 'agent.sock'));
  });
}

function main() {
  const [runDir, appDir] = process.argv.length > 3 ? process.argv.slice(2, 4) : ['/run/serverledge', '/app'];
  const agent = new Agent(appDir, runDir);
  listen(agent, runDir);
  // What a function sees, and hands on to its children, is not how the agent was started.
  process.argv = [process.argv[0], __filename];
  process.execArgv = [];
  agent.captureOutput();
  process.on('uncaughtException', (error) => agent.survive(error));
  process.on('unhandledRejection', (reason) => agent.survive(reason));
  process.on('exit', () => agent.leave());
  // The first process of a container ignores signals that it has no handler for.
  process.on('SIGTERM', () => process.exit(143));
}

// The image may hold a snapshot of the process as it is here: half of the time until the socket is there goes before.
if (v8.startupSnapshot?.isBuildingSnapshot()) {
  v8.startupSnapshot.setDeserializeMainFunction(main);
} else {
  main();
}
