// As much of HTTP/1.1 as the node speaks.
'use strict';

const { Malformed } = require('./errors.js');

// Bounds against a peer gone wrong; the node has its own, tighter ones.
const HEAD_BYTES_MAX = 64 * 1024;
const BODY_BYTES_MAX = 512 * 1024 * 1024;

const REASONS = {
  200: 'OK', 400: 'Bad Request', 404: 'Not Found', 405: 'Method Not Allowed', 409: 'Conflict', 411: 'Length Required',
  413: 'Content Too Large', 422: 'Unprocessable Content', 431: 'Request Header Fields Too Large',
};

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
    // The time at which an invocation's answer, or a piece of one, last went out here.
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

module.exports = { Connection, response };
