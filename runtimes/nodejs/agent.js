// The agent inside every Serverledge `nodejs` container: it receives one function, then runs its invocations.
//
// Its protocol is in docs/container-protocol.md. It runs as `agent.js [RUN_DIR APP_DIR]`; tests give the two
// folders, which are /run/serverledge and /app in a container. Node.js alone is all it needs, 18 or newer. The files beside this one
// are parts of it.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { Console } = require('node:console');
const { isUtf8 } = require('node:buffer');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');

// While a snapshot is made, `require` knows Node.js's own modules alone.
const parts = new Map();
function part(name) {
  if (parts.has(name)) return parts.get(name).exports;
  const filename = path.join(__dirname, name);
  const module = { exports: {} };
  parts.set(name, module);
  const text = `(function (module, require, __filename) {${fs.readFileSync(filename, 'utf8')}\n})`;
  const find = (id) => (id.startsWith('./') ? part(id.slice(2)) : require(id));
  vm.runInThisContext(text, { filename })(module, find, filename);
  return module.exports;
}

const { collectFor, readBind, writeFiles } = part('bind.js');
const { offerCalls } = part('calls.js');
const { Malformed, NoHandler, describe } = part('errors.js');
const { contextComesFirst, loadHandler } = part('handler.js');
const { Connection, response } = part('http.js');
const { LateExit, OwnLog } = part('late.js');
const { Log, PAUSE_MS, Tail } = part('log.js');
const { openOutbound } = part('outbound.js');

const PROTOCOL = 1;

// Read when Node.js starts; start.js brings them into force. NODE_ENV is not among them, nor what is read at each use.
const START_VARIABLES = new RegExp(`^(?:${[
  'NODE_(?:OPTIONS|EXTRA_CA_CERTS|PATH|ICU_DATA|NO_WARNINGS|PENDING_DEPRECATION|PRESERVE_SYMLINKS(?:_MAIN)?|REDIRECT_WARNINGS)',
  'NODE_(?:DEBUG(?:_NATIVE)?|V8_COVERAGE|USE_ENV_PROXY|USE_SYSTEM_CA|(?:DISABLE_)?COMPILE_CACHE|COMPILE_CACHE_PORTABLE)',
  'NODE_(?:CHANNEL_FD|CHANNEL_SERIALIZATION_MODE|UNIQUE_ID)', '(?:UV|LD|LC|MALLOC)_\\w+',
  'LANG(?:UAGE)?|LOCPATH|GCONV_PATH|GLIBC_TUNABLES|OPENSSL_CONF|SSL_CERT_(?:DIR|FILE)',
].join('|')})$`);

// One function, or none yet, and its running invocations.
class Agent {
  constructor(appDir, runDir) {
    this.runDir = runDir;
    this.appDir = appDir;
    this.callPath = path.join(runDir, 'call.sock');
    this.codeDir = path.join(appDir, 'code');
    // Taken by the first bind and never given back, whether it succeeds or not.
    this.bindTaken = false;
    this.server = undefined;
    // Whether this is the process that was started for the sake of variables, and how large a heap the first one has.
    this.startedAgain = false;
    this.heap = [];
    this.call = undefined;
    this.contextFirst = false;
    this.logBytesMax = 0;
    this.outputBytesMax = 0;
    this.logTimes = false;
    this.running = new Set();
    // One invocation at a time: what nobody can tell the origin of is its doing.
    this.alone = true;
    this.concurrency = 1;
    // Tells which invocation everything belongs to. Made for the function, since a snapshot cannot hold it.
    this.storage = undefined;
    this.ownLog = undefined;
    // The way to hosts outside, where the function may send requests.
    this.outbound = undefined;
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

  // The invocation that whatever runs now belongs to, ended or not, if anybody can tell.
  origin() {
    const known = this.storage?.getStore();
    if (known !== undefined || !this.alone || this.running.size !== 1) return known;
    return this.running.values().next().value;
  }

  // The same if it has not ended.
  current() {
    const invocation = this.origin();
    return invocation?.tail.open ? invocation : undefined;
  }

  // --- bind ---

  async bind(connection, body) {
    let loading;
    try {
      if (this.bindTaken) throw new Malformed(409, 'this container has its function already');
      const bind = readBind(body);
      this.bindTaken = true;
      if (await this.startsAgain(connection, bind, body)) return;
      loading = { tail: new Tail(bind.logBytesMax) };
      this.running.add(loading);
      this.storage = new AsyncLocalStorage();
      if (bind.outbound) this.outbound = await openOutbound(this.runDir);
      await this.storage.run(loading, () => this.load(bind));
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

  // Whether another process goes on, since there are variables that only the start of one brings into force.
  async startsAgain(connection, bind, body) {
    if (this.startedAgain) return false;
    writeFiles(bind.files, this.codeDir);
    process.chdir(this.codeDir);
    const names = Object.keys(bind.variables).filter((name) => START_VARIABLES.test(name));
    if (names.length === 0) return false;
    const { RefusedVariable, startAgain } = part('start.js');
    try {
      const command = [path.join(__dirname, 'agent.js'), this.runDir, this.appDir];
      const [{ variables }, { heap, server }, { socket }] = [bind, this, connection];
      await startAgain(names, { variables, body, command, heap, server, socket });
    } catch (error) {
      if (!(error instanceof RefusedVariable)) throw error;
      const found = { code: 'load_failed', error: 'RefusedVariable', message: error.message, stack: '', log: '' };
      connection.answer(response(422, found));
    }
    return true;
  }

  withLog(loading, value) {
    if (loading === undefined) return { ...value, log: '' };
    this.running.delete(loading);
    return { ...value, log: loading.tail.close().toString() };
  }

  async load(bind) {
    Object.assign(process.env, bind.variables);
    collectFor(bind.memoryMb);
    offerCalls(this);
    const handler = await loadHandler(bind.handler, this.codeDir);
    this.logBytesMax = bind.logBytesMax;
    this.outputBytesMax = bind.outputBytesMax;
    this.contextFirst = contextComesFirst(handler);
    this.logTimes = bind.logTimes;
    this.concurrency = bind.concurrency;
    this.alone = bind.concurrency === 1;
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
    // Absent where nobody traces.
    for (const name of ['traceparent', 'tracestate']) {
      if (headers[name] !== undefined) context[name] = headers[name];
    }
    const capability = headers['serverledge-call'] ?? '';
    const tail = new Log(this.logBytesMax, this, connection);
    const invocation = { id: context.invocation_id, connection, capability, tail };
    this.running.add(invocation);
    this.storage.run(invocation, () => this.run(invocation, params, context));
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
    if (this.running.size === 0) this.outbound?.closeAll();
    invocation.connection.sentAt = performance.now();
    invocation.connection.answer(invocation.tail.answer(kind, body));
  }

  // --- what goes on beside the invocations ---

  // Output to stdout and stderr belongs to the invocation that writes it, else to the container's log. The output of
  // loading goes to that log too, since no answer brings it to the node.
  captureOutput() {
    this.ownLog = new OwnLog();
    for (const stream of [process.stdout, process.stderr]) {
      const write = stream.write.bind(stream);
      stream.write = (chunk, encoding, done) => {
        const invocation = this.origin();
        if (!invocation || (typeof chunk !== 'string' && !ArrayBuffer.isView(chunk))) return write(chunk, encoding, done);
        const callback = typeof encoding === 'function' ? encoding : done;
        const form = typeof encoding === 'string' ? encoding : undefined;
        if (invocation.tail.open) invocation.tail.add(chunk, form);
        if (!invocation.connection) return write(chunk, encoding, done);
        if (!invocation.tail.open) this.ownLog.add(invocation, chunk, form);
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

  // An exception that nobody caught, or a rejection that nobody handles, fails the invocation it comes from, and no other: it
  // might wait for ever for what has failed. One whose invocation has ended, or is not known, is only logged. Whatever it was,
  // the process is in no known state and serves no further invocation; but what loading leaves behind would come again.
  survive(error) {
    if (error instanceof LateExit) return;
    const invocation = this.storage?.getStore();
    if (invocation?.connection && invocation.tail.open) this.fail(invocation, error);
    else this.ownLog.failed(invocation, error);
    if (this.call !== undefined && (invocation === undefined || invocation.connection)) this.ownLog.retire();
  }

  // A function may end its process while it is called; afterwards that would end the calls of others.
  exitOnlyInTime() {
    const exit = process.exit.bind(process);
    process.exit = (code) => {
      const invocation = this.storage?.getStore();
      if (!invocation?.connection || invocation.tail.open) return exit(code);
      this.ownLog.tell(invocation, 'process.exit was called after the answer');
      this.ownLog.retire();
      throw new LateExit();
    };
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

  // A function ends the process: there will be no answer, but its output so far is still sent.
  leave() {
    for (const { tail } of this.running) {
      if (tail instanceof Log) tail.send();
      else fs.writeSync(2, tail.close());
    }
  }
}

// === start ===

// The socket appears under its name only when connections to it will be accepted.
function listen(agent) {
  const unready = path.join(agent.runDir, `.agent.${process.pid}`);
  agent.server = net.createServer((socket) => new Connection(agent, socket));
  agent.server.listen(unready, () => {
    fs.chmodSync(unready, 0o666);
    fs.renameSync(unready, path.join(agent.runDir, 'agent.sock'));
  });
}

// Goes on with the function for whose variables this process was started.
function goOn(agent) {
  const { server, socket, body } = part('start.js').takeOver((next) => new Connection(agent, next));
  agent.startedAgain = true;
  agent.server = server;
  const connection = new Connection(agent, socket);
  connection.busy = true;
  agent.bind(connection, body);
}

function main() {
  const [runDir, appDir] = process.argv.length > 3 ? process.argv.slice(2, 4) : ['/run/serverledge', '/app'];
  const agent = new Agent(appDir, runDir);
  const again = process.argv[4] === '--bound';
  if (!again) listen(agent);
  agent.heap = process.execArgv.filter((argument) => argument.startsWith('--max-old-space-size='));
  // A function does not see how the agent was started, nor do its children.
  process.argv = [process.argv[0], __filename];
  process.execArgv = [];
  agent.captureOutput();
  agent.exitOnlyInTime();
  process.on('uncaughtException', (error) => agent.survive(error));
  process.on('unhandledRejection', (reason) => agent.survive(reason));
  process.on('exit', () => agent.leave());
  // The first process of a container ignores signals that it has no handler for.
  process.on('SIGTERM', () => process.exit(143));
  if (again) goOn(agent);
}

// The image may hold a snapshot of the process as it is here: half of the time until the socket is there goes before.
if (v8.startupSnapshot?.isBuildingSnapshot()) {
  v8.startupSnapshot.setDeserializeMainFunction(main);
} else {
  main();
}
