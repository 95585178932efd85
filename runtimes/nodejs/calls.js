// Calls of other functions.
'use strict';

const Module = require('node:module');
const net = require('node:net');

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

module.exports = { offerCalls };
