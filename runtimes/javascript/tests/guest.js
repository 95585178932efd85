// Runs the guest in Node's WebAssembly with a small WASI of its own, as a browser would: no Serverledge is needed.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const { Stores } = require('./stores.js');

const binary = fs.readFileSync(process.env.SERVERLEDGE_TEST_GUEST ?? path.join(__dirname, '..', 'javascript.wasm'));
const whole = new WebAssembly.Module(binary);
const BADF = 8;
const PAGE = 4096;

class Exit extends Error {
  constructor(code) {
    super(`proc_exit(${code})`);
    this.code = code;
  }
}

function readNumber(bytes, at) {
  let [value, shift] = [0, 0];
  for (;;) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte < 0x80) return [value, at];
  }
}

function writeNumber(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...writeNumber(value >>> 7)];
}

// The module with an end to its memory, as the node sets one: a maximum in the memory section (number 5).
function limited(pages) {
  for (let at = 8; at < binary.length;) {
    const [length, start] = readNumber(binary, at + 1);
    if (binary[at] === 5) {
      const [least] = readNumber(binary, start + 2);
      const section = [1, 1, ...writeNumber(least), ...writeNumber(pages)];
      return new WebAssembly.Module(
        Buffer.concat([
          binary.subarray(0, at),
          Buffer.from([5, section.length, ...section]),
          binary.subarray(start + length),
        ]),
      );
    }
    at = start + length;
  }
  throw new Error('the module has no memory');
}

function written({ status = 200, headers = [], body = '' }) {
  const head = Buffer.from(JSON.stringify({ status, headers }));
  return { bytes: withHead(head, Buffer.from(body)), mark: 0n };
}

function withHead(head, body) {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([length, head, body]);
}

// The deploy of one script. `error` is what it said if it failed; else calls can be made.
class Guest {
  constructor(
    source,
    { file = 'index.js', files, handler = '', env = {}, deployEnv = {}, secrets = [], name = 'tested', call, send, memoryPages } = {},
  ) {
    this.compiled = memoryPages === undefined ? whole : limited(memoryPages);
    this.env = env;
    this.stores = new Stores();
    this.name = name;
    this.answer = call ?? (() => ({ error: 'function_unknown', message: 'there is none' }));
    this.respond = send ?? (() => ({ error: 'outbound_not_granted', message: 'the function may send no requests' }));
    this.stdin = Buffer.from(JSON.stringify({ file, source, files, handler, env: deployEnv, secrets }));
    this.instance = new WebAssembly.Instance(this.compiled, this.imports());
    this.out = '';
    this.log = '';
    this.slept = 0;
    // Time goes on by sleeping only.
    this.monotonic = 1_000_000_000n;
    try {
      this.instance.exports['wizer-initialize']();
    } catch (exit) {
      if (!(exit instanceof Exit)) throw exit;
      this.exit = exit.code;
      this.error = JSON.parse(this.out);
    }
    const said = this.error || this.out === '' ? {} : JSON.parse(this.out);
    this.warnings = said.warnings ?? [];
    // 'http' for a handler that answers requests.
    this.interface = said.interface;
    this.deployLog = this.log;
    this.log = '';
    this.snapshot = this.error ? undefined : Buffer.from(this.memory());
  }

  memory() {
    return new Uint8Array(this.instance.exports.memory.buffer);
  }

  view() {
    return new DataView(this.instance.exports.memory.buffer);
  }

  // A call in a sandbox as it was after the deploy.
  call(params = {}) {
    return this.callText(JSON.stringify(params));
  }

  callText(text) {
    const { isError, bytes } = this.enter('serverledge_handle', Buffer.from(text));
    const reply = bytes.toString();
    return isError ? { error: JSON.parse(reply) } : { result: JSON.parse(reply), text: reply };
  }

  // A request to a handler that answers them: { status, headers, body }, or { error }.
  fetch(url, { method = 'GET', headers = [], body = '' } = {}) {
    const head = Buffer.from(JSON.stringify({ method, url, headers }));
    const { isError, bytes } = this.enter('serverledge_fetch', withHead(head, Buffer.from(body)));
    if (isError) return { error: JSON.parse(bytes.toString()) };
    const end = 4 + bytes.readUInt32LE(0);
    return { ...JSON.parse(bytes.subarray(4, end).toString()), body: bytes.subarray(end) };
  }

  enter(name, bytes) {
    const { serverledge_alloc: alloc, [name]: handle } = this.fresh();
    const at = alloc(bytes.length);
    this.memory().set(bytes, at);
    const packed = BigInt.asUintN(64, handle(at, bytes.length));
    const [start, tagged] = [Number(packed >> 32n), Number(packed & 0xffffffffn)];
    const reply = Buffer.from(this.memory().slice(start, start + (tagged & 0x7fffffff)));
    return { isError: tagged >= 0x80000000, bytes: reply };
  }

  // A new instance with the memory of the snapshot: what a snapshot's module is.
  fresh() {
    this.instance = new WebAssembly.Instance(this.compiled, this.imports());
    this.log = '';
    const { memory } = this.instance.exports;
    const missing = this.snapshot.length - memory.buffer.byteLength;
    if (missing > 0) memory.grow(missing / 65536);
    this.memory().set(this.snapshot);
    return this.instance.exports;
  }

  // The number of pages of 4 KiB that the last call has changed.
  pagesChanged() {
    const now = Buffer.from(this.memory());
    let changed = 0;
    for (let at = 0; at < now.length; at += PAGE) {
      const was = at < this.snapshot.length ? this.snapshot.subarray(at, at + PAGE) : Buffer.alloc(PAGE);
      if (!now.subarray(at, at + PAGE).equals(was)) changed++;
    }
    return changed;
  }

  // === what the guest imports ===

  imports() {
    const memory = () => this.memory();
    const view = () => this.view();
    const strings = (list, buffer, texts) => {
      let at = buffer;
      texts.forEach((text, index) => {
        view().setUint32(list + 4 * index, at, true);
        memory().set(Buffer.from(`${text}\0`), at);
        at += Buffer.byteLength(text) + 1;
      });
      return 0;
    };
    const sizes = (count, bytes, texts) => {
      view().setUint32(count, texts.length, true);
      view().setUint32(
        bytes,
        texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0),
        true,
      );
      return 0;
    };
    const vectors = (iovs, count) =>
      Array.from({ length: count }, (_, index) => {
        const at = view().getUint32(iovs + 8 * index, true);
        return memory().subarray(at, at + view().getUint32(iovs + 8 * index + 4, true));
      });
    const variables = () => Object.entries(this.env).map(([key, value]) => `${key}=${value}`);
    const offered = {
      args_sizes_get: (count, bytes) => sizes(count, bytes, [this.name]),
      args_get: (list, buffer) => strings(list, buffer, [this.name]),
      environ_sizes_get: (count, bytes) => sizes(count, bytes, variables()),
      environ_get: (list, buffer) => strings(list, buffer, variables()),
      clock_time_get: (clock, _precision, at) => {
        const now = clock === 0 ? BigInt(Date.now()) * 1_000_000n : this.monotonic;
        view().setBigUint64(at, now, true);
        return 0;
      },
      random_get: (at, length) => {
        crypto.getRandomValues(memory().subarray(at, at + length));
        return 0;
      },
      poll_oneoff: (subscription, event, _count, written) => {
        const milliseconds = Number(view().getBigUint64(subscription + 24, true)) / 1e6;
        this.monotonic += view().getBigUint64(subscription + 24, true);
        this.slept += milliseconds;
        view().setUint32(written, 1, true);
        return 0;
      },
      fd_read: (fd, iovs, count, read) => {
        if (fd !== 0) return BADF;
        let total = 0;
        for (const vector of vectors(iovs, count)) {
          const some = this.stdin.copy(vector, 0, total);
          total += some;
        }
        this.stdin = this.stdin.subarray(total);
        view().setUint32(read, total, true);
        return 0;
      },
      fd_write: (fd, iovs, count, written) => {
        const bytes = Buffer.concat(vectors(iovs, count));
        if (fd === 1) this.out += bytes;
        else this.log += bytes;
        view().setUint32(written, bytes.length, true);
        return 0;
      },
      proc_exit: (code) => {
        throw new Exit(code);
      },
    };
    const wasi = {};
    for (const { module, name } of WebAssembly.Module.imports(whole)) {
      if (module === 'wasi_snapshot_preview1') wasi[name] = offered[name] ?? (() => BADF);
    }
    const serverledge = {
      call: (...args) => this.callOther(...args),
      send: (...args) => this.sendOut(...args),
      kv: (...args) => this.askStore(...args),
    };
    return { wasi_snapshot_preview1: wasi, serverledge };
  }

  callOther(nameAt, nameLength, paramsAt, paramsLength, out, outMax) {
    const text = (at, length) => Buffer.from(this.memory().slice(at, at + length)).toString();
    if (nameLength > 0) {
      const reply = this.answer(text(nameAt, nameLength), JSON.parse(text(paramsAt, paramsLength)));
      const isError = reply !== null && typeof reply === 'object' && 'error' in reply;
      this.kept = { bytes: Buffer.from(JSON.stringify(reply)), mark: isError ? -(2n ** 63n) : 0n };
    }
    return this.deliver(out, outMax);
  }

  // Requests and responses are a head's length, the head in JSON and a body; here { method, url, headers, body } and
  // { status, headers, body }, with bodies as text or bytes.
  sendOut(at, length, out, outMax) {
    if (length > 0) {
      const request = Buffer.from(this.memory().slice(at, at + length));
      const end = 4 + request.readUInt32LE(0);
      const head = JSON.parse(request.subarray(4, end).toString());
      const reply = this.respond({ ...head, body: request.subarray(end) });
      this.kept = 'error' in reply ? { bytes: Buffer.from(JSON.stringify(reply)), mark: -(2n ** 63n) } : written(reply);
    }
    return this.deliver(out, outMax);
  }

  // The key-value stores, in memory. They stay from call to call; `guest.stores.now` is their clock in milliseconds.
  askStore(at, length, out, outMax) {
    if (length > 0) {
      const request = Buffer.from(this.memory().slice(at, at + length));
      const end = 4 + request.readUInt32LE(0);
      const reply = this.stores.answer(JSON.parse(request.subarray(4, end).toString()), request.subarray(end));
      this.kept =
        'error' in reply
          ? { bytes: Buffer.from(JSON.stringify(reply)), mark: -(2n ** 63n) }
          : { bytes: withHead(Buffer.from(JSON.stringify(reply.head)), reply.body ?? Buffer.alloc(0)), mark: 0n };
    }
    return this.deliver(out, outMax);
  }

  deliver(out, outMax) {
    const { bytes, mark } = this.kept;
    if (bytes.length <= outMax) this.memory().set(bytes, out);
    return BigInt.asIntN(64, BigInt(bytes.length) | mark);
  }
}

module.exports = { Guest };
