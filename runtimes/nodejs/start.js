// Variables that an interpreter reads when it starts, before anybody knows the function. Node.js cannot start again in the same
// process: a second one is started with them, which goes on as the agent, and the first one only waits for its end. Part of
// the agent.
//
// The second one inherits the socket that listens (descriptor 3), the connection on which the function came (4), and,
// on descriptor 5, the bytes that came on it.
'use strict';

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const { constants: { signals } } = require('node:os');

const WORDS_CHARS_MAX = 2000;
const [LISTENER, CONNECTION, BODY] = [3, 4, 5];

const REFUSED = {
  NODE_CHANNEL_FD: 'Node.js sets it for processes that it starts itself',
  NODE_CHANNEL_SERIALIZATION_MODE: 'Node.js sets it for processes that it starts itself',
  NODE_UNIQUE_ID: 'Node.js sets it for processes that it starts itself',
};

// A variable that cannot have the effect that it is set for.
class RefusedVariable extends Error {}

// Becomes the one that waits, when the other has taken over. `names` are the variables that another start is for; the function's
// files are in the working directory already.
async function startAgain(names, { variables, body, command, heap, server, socket }) {
  const env = { ...process.env, ...Object.fromEntries(names.map((name) => [name, variables[name]])) };
  const flags = /--max[-_](?:old[-_]space|heap)[-_]size/.test(env.NODE_OPTIONS ?? '') ? [] : heap;
  check(names, env);
  const child = spawn(process.execPath, [...flags, ...command, '--bound'], {
    env, stdio: ['inherit', 'inherit', 'inherit', server._handle.fd, socket._handle.fd, 'pipe'],
  });
  if (!await takesOver(child, body)) throw new RefusedVariable(whyNot(names, [...flags, '-e', ''], env));
  wait(child);
  server.close();
  socket.destroy();
}

function check(names, env) {
  for (const name of names) {
    if (REFUSED[name]) throw new RefusedVariable(`${name} cannot be set: ${REFUSED[name]}`);
  }
  if (names.includes('NODE_EXTRA_CA_CERTS')) {
    try {
      fs.accessSync(env.NODE_EXTRA_CA_CERTS, fs.constants.R_OK);
    } catch (error) {
      throw new RefusedVariable(`NODE_EXTRA_CA_CERTS names a file that cannot be read: ${error.message}`);
    }
  }
  if (names.includes('LD_PRELOAD')) {
    // The dynamic loader only warns of what it cannot find.
    const words = String(spawnSync('/bin/true', { env }).stderr);
    if (words.startsWith('ERROR: ld.so:')) throw new RefusedVariable(`LD_PRELOAD: ${shorten(words)}`);
  }
}

// Whether the new process comes as far as to the function.
function takesOver(child, body) {
  return new Promise((resolve) => {
    const pipe = child.stdio[BODY];
    pipe.on('error', () => {});
    pipe.once('data', () => resolve(true));
    pipe.end(body);
    child.once('error', () => resolve(false));
    child.once('exit', () => resolve(false));
  });
}

function whyNot(names, command, env) {
  const { stderr, status, error } = spawnSync(process.execPath, command, { env, encoding: 'utf8' });
  const words = shorten(stderr ?? '') || error?.message || `it ends with ${status}`;
  return `Node.js does not start with ${names.join(', ')}: ${words}`;
}

function shorten(words) {
  return words.trim().slice(0, WORDS_CHARS_MAX);
}

// Ends as the other one does.
function wait(child) {
  process.removeAllListeners('SIGTERM');
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const end = (code, signal) => process.exit(code ?? 128 + (signals[signal] ?? 0));
  child.on('exit', end);
  if (child.exitCode !== null || child.signalCode !== null) end(child.exitCode, child.signalCode);
}

// In the new process: the body, and what goes on with the listener and the connection.
function takeOver(serve) {
  fs.writeSync(BODY, '!');
  const body = fs.readFileSync(BODY);
  fs.closeSync(BODY);
  const server = net.createServer(serve);
  server.listen({ fd: LISTENER });
  return { server, socket: new net.Socket({ fd: CONNECTION }), body };
}

module.exports = { RefusedVariable, startAgain, takeOver };
