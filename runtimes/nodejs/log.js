// The output of functions: how much of it is kept, when it was printed, and how it goes to the node.
'use strict';

const EMPTY = Buffer.alloc(0);
const NOTHING = { bytes: EMPTY, times: [] };

// The longest time that printed output waits for more of it, or for the answer.
const PAUSE_MS = 10;
const BEGIN_CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';

// The end of what one invocation, or loading, prints. Each byte is moved at most twice, however much comes.
class Tail {
  constructor(limit) {
    this.limit = limit;
    this.bytes = EMPTY;
    this.length = 0;
    // Positions at which the bytes of each millisecond begin: position, time, position, time…
    this.times = [];
    this.cut = false;
    this.open = true;
  }

  add(chunk, encoding) {
    if (typeof chunk !== 'string') {
      this.addBytes(chunk);
    } else if (chunk.length * 3 <= this.limit && (encoding === undefined || encoding === 'utf8')) {
      this.reserve(chunk.length * 3);
      this.mark();
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
    this.mark();
    this.length += bytes.copy(this.bytes, this.length);
  }

  // Marks the bytes that come now as written now.
  mark() {
    const now = Date.now();
    const { times } = this;
    if (times.length === 0 || times[times.length - 1] !== now) times.push(this.length, now);
  }

  // Room for that many more bytes, which are at most the limit.
  reserve(count) {
    if (this.length + count <= this.bytes.length) return;
    if (this.length > this.limit) {
      this.bytes.copyWithin(0, this.length - this.limit, this.length);
      this.times = shifted(this.times, this.length - this.limit);
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
    return this.take().bytes;
  }

  // Takes the kept bytes, and the times at which they were written; the bytes are good until the next ones come.
  take() {
    if (this.length === 0) return NOTHING;
    const end = this.length;
    let start = Math.max(0, end - this.limit);
    if (this.cut || start > 0) {
      // At most three bytes of a character can be left of its cut beginning.
      for (let broken = 0; broken < 3 && start < end && (this.bytes[start] & 0xc0) === 0x80; broken++) start++;
    }
    const times = start > 0 ? shifted(this.times, start) : this.times;
    this.length = 0;
    this.times = [];
    this.cut = false;
    return { bytes: this.bytes.subarray(start, end), times };
  }
}

// The same times when so many bytes have gone from the beginning.
function shifted(times, count) {
  const left = [];
  for (let index = 0; index < times.length; index += 2) {
    const position = Math.max(0, times[index] - count);
    if (position === 0) left.length = 0;
    left.push(position, times[index + 1]);
  }
  return left;
}

// The output of one invocation, and its answer. Kept bytes go out once a pause, ahead of the answer: at once, if
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

  // The end of the answer, or all of it if nothing was sent ahead.
  answer(kind, text) {
    const data = this.begun ? this.encode('', true, '0\r\n\r\n', kind, text) : this.encode('HTTP/1.1 200 OK\r\n', false, '', kind, text);
    this.open = false;
    // Work that the invocation has left behind may hold this object for long.
    this.bytes = EMPTY;
    return data;
  }

  // The frames of what is kept and, if given, of the end, as one chunk or as a whole body, in a single buffer.
  encode(before, chunked, after, kind, text) {
    const log = this.take();
    const textBytes = kind === undefined ? 0 : Buffer.byteLength(text);
    const length = this.logBytes(log) + (kind === undefined ? 0 : 5 + textBytes);
    const head = chunked ? `${before}${length.toString(16)}\r\n` : `${before}content-length: ${length}\r\n\r\n`;
    const tail = chunked ? `\r\n${after}` : after;
    const data = Buffer.allocUnsafe(head.length + length + tail.length);
    let at = data.latin1Write(head, 0);
    if (log.bytes.length > 0) at = this.writeLog(log, data, at);
    if (kind !== undefined) {
      at = data.writeUInt32BE(textBytes, data.latin1Write(kind, at) + at);
      at += data.utf8Write(text, at);
    }
    data.latin1Write(tail, at);
    return data;
  }

  // The length of the frames of what was printed.
  logBytes({ bytes, times }) {
    if (bytes.length === 0) return 0;
    return bytes.length + (this.agent.logTimes ? 13 * (times.length / 2) : 5);
  }

  // One frame for each millisecond, where the node reads times.
  writeLog({ bytes, times }, data, at) {
    if (!this.agent.logTimes) {
      at = data.writeUInt32BE(bytes.length, data.latin1Write('l', at) + at);
      return at + bytes.copy(data, at);
    }
    for (let index = 0; index < times.length; index += 2) {
      const piece = bytes.subarray(times[index], times[index + 2] ?? bytes.length);
      at = data.writeUInt32BE(8 + piece.length, data.latin1Write('L', at) + at);
      at = data.writeBigUInt64BE(BigInt(times[index + 1]), at);
      at += piece.copy(data, at);
    }
    return at;
  }
}

module.exports = { Log, PAUSE_MS, Tail };
