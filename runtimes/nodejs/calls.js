// Calls of other functions, and what every request to the node over this socket goes through.
'use strict';

const Module = require('node:module');
const net = require('node:net');

const { storesOf, KvError } = require('./kv.js');

// A call gave no result. Codes are stable, such as `function_unknown` or `call_would_deadlock`; messages are for people.
class CallError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'CallError';
    this.code = code;
  }
}

// Operations of one invocation that are under way at once, and those of all together: each has a connection, and a container may
// open 1,024 files.
const [OPERATIONS_AT_ONCE_MAX, OPERATIONS_MAX] = [16, 256];

// Lets so many at once begin; the others wait in the order in which they came.
class Turns {
  #free;
  #waiting = [];

  constructor(places) {
    this.#free = places;
  }

  // What the work comes to, once it has had its turn.
  async take(work) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

// Runs the function of this name with these arguments; a promise of its result, or of a CallError. One connection for each call.
async function call(agent, name, args = {}) {
  const [text, params] = [Buffer.from(String(name)), Buffer.from(toJson(args))];
  // To the node, a request without a name is one to a store.
  if (text.length === 0) throw new CallError('invalid_name', "a function's name has at least one character");
  const invocation = callerOf(agent, CallError);
  if (text.length > 0xffff || params.length > 0xffffffff) throw new CallError('params_too_large', 'the name or the arguments are too long');
  const { isError, content } = await exchange(agent, invocation, text, params, CallError, 'call_broken');
  const value = JSON.parse(content.toString('utf8'));
  if (isError) throw new CallError(value.error, value.message);
  return value;
}

// The node's answer to an operation on a store.
async function operate(agent, content) {
  const invocation = callerOf(agent, KvError);
  invocation.turns ??= new Turns(Math.max(1, Math.min(OPERATIONS_AT_ONCE_MAX, Math.floor(OPERATIONS_MAX / agent.concurrency))));
  return invocation.turns.take(() => {
    if (!invocation.tail.open) throw refusal(KvError);
    return exchange(agent, invocation, Buffer.alloc(0), content, KvError, 'kv_unavailable');
  });
}

// The invocation that whatever runs now belongs to. It may call until it ends.
function callerOf(agent, ErrorClass) {
  const invocation = agent.current();
  if (!invocation?.capability) throw refusal(ErrorClass);
  return invocation;
}

function refusal(ErrorClass) {
  return new ErrorClass('call_refused', 'there is no invocation that could call: it has ended, or not begun');
}

// The node's answer to a request with this name and content. Whatever keeps it from coming is an error of this class; `broken`
// is its code where the node did not answer.
function exchange(agent, { capability }, name, content, ErrorClass, broken) {
  return new Promise((resolve, reject) => {
    const head = Buffer.alloc(70);
    head.latin1Write(capability, 0);
    head.writeUInt32BE(content.length, head.writeUInt16BE(name.length, 64));
    const chunks = [];
    const socket = net.connect(agent.callPath, () => socket.write(Buffer.concat([head, name, content])));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error) => reject(new ErrorClass(broken, `the node gave no answer: ${error.message}`)));
    socket.on('close', () => {
      const all = Buffer.concat(chunks);
      const whole = all.length >= 5 && all.length === 5 + all.readUInt32BE(1);
      if (whole) resolve({ isError: all[0] !== 0x72, content: all.subarray(5) });
      else reject(new ErrorClass(broken, 'the node closed the connection'));
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

// For `require('serverledge')`; what calls is a global as well.
function offerCalls(agent) {
  const globals = { call: (name, args) => call(agent, name, args), CallError };
  const kv = storesOf((content) => operate(agent, content));
  const offered = { ...globals, kv, KvError };
  const load = Module._load;
  Module._load = (request, ...rest) => (request === 'serverledge' ? offered : load(request, ...rest));
  Object.assign(globalThis, globals);
}

module.exports = { offerCalls };
