// The way of a function to hosts outside. The container has no network; the node is an HTTP proxy on a socket. Connections over
// TCP of this process go there by CONNECT, and programs that it starts find the proxy in the usual variables. Part of the agent.
'use strict';

const { AsyncResource } = require('node:async_hooks');
const net = require('node:net');
const path = require('node:path');

const VARIABLES = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'];
const LOCAL = ['localhost', '127.0.0.1', '::1'];
// What names and addresses are made of; no other text comes into the line of a request.
const HOST = /^[\w.:%-]+$/;
const HEAD_BYTES_MAX = 64 * 1024;
const MATCH_MS = 10_000;

// A connection that did not come about, or not to its end. Codes are stable, such as `outbound_host_not_allowed`.
class OutboundError extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.name = 'OutboundError';
    this.code = code;
  }
}

class Outbound {
  constructor(runDir) {
    this.socketPath = path.join(runDir, 'outbound.sock');
    // Both ends of each connection that is open.
    this.open = new Set();
    // Halves of connections through the second listener, by the port that both know: what was connected, and what was accepted.
    this.halves = new Map();
  }

  // Listens on two ports: for what speaks to a proxy itself, and for what is to be led through one without knowing.
  async start() {
    const plain = await listen((accepted) => this.pass(accepted, this.toNode()));
    this.port = await listen((accepted) => {
      const from = accepted.remotePort;
      accepted.setTimeout(MATCH_MS, () => accepted.destroy());
      accepted.on('close', () => this.halves.delete(from));
      this.match(from, { accepted });
    });
    for (const name of VARIABLES) process.env[name] = `http://127.0.0.1:${plain}`;
    process.env.no_proxy = process.env.NO_PROXY = LOCAL.join(',');
    this.intercept();
  }

  intercept() {
    const outbound = this;
    const connect = net.Socket.prototype.connect;
    net.Socket.prototype.connect = function throughProxy(...args) {
      const [options, callback] = argumentsOf(args);
      const host = options.host || 'localhost';
      if (options.path || options.port === undefined || LOCAL.includes(host)) return connect.apply(this, args);
      // Node.js says itself what is wrong with a port.
      if (!/^\d{1,5}$/.test(options.port) || options.port > 65535) return connect.apply(this, args);
      const target = `${net.isIPv6(host) ? `[${host}]` : host}:${options.port}`;
      const fail = AsyncResource.bind((error) => this.destroy(error));
      if (!HOST.test(host)) {
        process.nextTick(fail, new OutboundError('outbound_url_invalid', `${JSON.stringify(host)} is no host`));
        return this;
      }
      // What Node.js's own has, for the name that a TLS connection over this one expects.
      this._host = host;
      this.prependOnceListener('connect', () => outbound.match(this.localPort, { socket: this, target, fail }));
      // The node looks the name up.
      const led = { ...options, host: '127.0.0.1', port: outbound.port };
      for (const name of ['family', 'localAddress', 'localPort', 'lookup']) delete led[name];
      return connect.call(this, led, callback);
    };
  }

  // Goes on once both halves of a connection are there.
  match(port, half) {
    const both = { ...this.halves.get(port), ...half };
    if (both.accepted && both.socket) {
      this.halves.delete(port);
      both.accepted.setTimeout(0);
      this.lead(both);
    } else {
      this.halves.set(port, both);
    }
  }

  lead({ accepted, socket, target, fail }) {
    const node = this.toNode();
    node.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
    for (const one of [socket, accepted, node]) this.keep(one);
    const refuse = (error) => {
      node.destroy();
      accepted.destroy();
      fail(error);
    };
    let head = Buffer.alloc(0);
    const broke = () => refuse(new OutboundError('outbound_broken', `the node opened no connection to ${target}`));
    const read = (chunk) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0 && head.length < HEAD_BYTES_MAX) return;
      node.off('data', read).off('end', broke).off('close', broke).pause();
      socket.off('close', broke);
      const [, status, code, message] = /^HTTP\/1\.\d (\d{3}) (?:(\w+): )?(.*)/.exec(head.toString('utf8')) ?? [];
      if (status !== '200') {
        refuse(new OutboundError(code ?? 'outbound_broken', message ?? 'the node answered with no HTTP'));
        return;
      }
      if (head.length > end + 4) node.unshift(head.subarray(end + 4));
      this.pass(accepted, node);
    };
    node.on('data', read).on('end', broke).on('close', broke);
    socket.on('close', broke);
  }

  toNode() {
    const node = net.connect({ path: this.socketPath, allowHalfOpen: true });
    node.on('error', () => {});
    return node;
  }

  // Bytes go both ways until one side is closed.
  pass(accepted, node) {
    for (const [one, other] of [[accepted, node], [node, accepted]]) {
      this.keep(one);
      one.pipe(other);
      one.on('close', () => other.destroy());
    }
  }

  keep(socket) {
    this.open.add(socket);
    socket.on('close', () => this.open.delete(socket));
  }

  // No invocation runs any more: what is still open would be closed by the node, at a moment at which the next one may use it.
  closeAll() {
    for (const socket of this.open) socket.destroy();
  }
}

// The options and the callback that a socket is connected with, in all the forms that there are. Node.js itself gives both in an
// array.
function argumentsOf(args) {
  const [first, second] = args;
  if (Array.isArray(first)) return first;
  const last = args[args.length - 1];
  const callback = typeof last === 'function' ? last : undefined;
  if (typeof first === 'object' && first !== null) return [first, callback];
  if (typeof first === 'string' && Number.isNaN(Number(first))) return [{ path: first }, callback];
  return [{ port: first, host: typeof second === 'string' ? second : undefined }, callback];
}

// The port of a listener on loopback.
function listen(serve) {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
    server.unref();
  });
}

async function openOutbound(runDir) {
  const outbound = new Outbound(runDir);
  await outbound.start();
  return outbound;
}

module.exports = { openOutbound };
