// The key-value state of the function's space: `require('serverledge').kv`.
'use strict';

const LENGTH_BYTES = 4;
// The longest operation that the node takes, with its value.
const OPERATION_BYTES_MAX = 6 << 20;

// An operation on a store was not carried out. Codes are stable, such as `kv_full`; messages are for people.
class KvError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'KvError';
    this.code = code;
  }
}

// Refuses what is not UTF-8: text with replaced characters would be written back as another value.
const textOf = (value) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);

const READERS = {
  text: textOf,
  json: (value) => JSON.parse(textOf(value)),
  // A copy: what was received holds more than the value.
  bytes: (value) => new Uint8Array(value),
};

function readerOf(type) {
  if (!Object.hasOwn(READERS, type)) throw new KvError('kv_request_invalid', `a value is read as text, json or bytes, not as ${String(type)}`);
  return (value) => {
    try {
      return READERS[type](value);
    } catch (error) {
      throw new KvError('kv_value_invalid', `the value cannot be read as ${type}: ${error.message}`);
    }
  };
}

// The number that this text says, if JavaScript has it.
function exactly(sum) {
  const number = Number(sum);
  if (Number.isSafeInteger(number)) return number;
  throw new KvError('kv_not_a_number', `the addition was applied, but its sum is beyond the whole numbers of JavaScript: ${sum}`);
}

// Options of an operation. A misspelt one would silently do nothing.
function optionsOf(given, known) {
  if (given === undefined || given === null) return {};
  const wrong = typeof given === 'object' ? Object.keys(given).find((name) => !known.includes(name)) : String(given);
  if (wrong === undefined) return given;
  throw new KvError('kv_request_invalid', `the options are an object of ${known.join(', ')}, not ${wrong}`);
}

// Refuses what JSON knows nothing of, such as a promise, a Map or a Blob: it would be kept as {}.
function written(value) {
  const text = JSON.stringify(value);
  if (text !== '{}' || [null, Object.prototype].includes(Object.getPrototypeOf(value))) return text;
  throw new TypeError(`${value.constructor?.name ?? 'the object'} has no members; await a promise, and read bytes and forms first`);
}

function contentOf(value) {
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  let text;
  try {
    text = written(value);
  } catch (error) {
    throw new KvError('kv_request_invalid', `the value cannot be written as JSON: ${error.message}`);
  }
  if (text === undefined) throw new KvError('kv_request_invalid', `a value cannot be ${typeof value}`);
  return Buffer.from(text);
}

function checkLimit(limit) {
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 1)) return;
  throw new KvError('kv_request_invalid', `the limit of a list is a whole number from 1 on, not ${JSON.stringify(limit)}`);
}

function lifetime(ttl) {
  if (ttl === undefined || ttl === null) return {};
  if (typeof ttl !== 'number' || !(ttl >= 0.001 && ttl < 1e12)) {
    throw new KvError('kv_ttl_invalid', `a lifetime is a number of seconds, at least 0.001, not ${JSON.stringify(ttl) ?? String(ttl)}`);
  }
  return { ttl_ms: Math.round(ttl * 1000) };
}

function text(value, code, what) {
  if (typeof value !== 'string') throw new KvError(code, `${what} is a string, not ${value === null ? 'null' : typeof value}`);
  return value;
}

// A store. Every operation is a promise, also of the error for arguments that it does not take.
class Store {
  #exchange;
  #name;

  constructor(exchange, name) {
    this.#exchange = exchange;
    this.#name = name;
  }

  // Another store of the space.
  store(name) {
    return new Store(this.#exchange, name);
  }

  // The value of an entry as 'text', 'json' or 'bytes'; null if there is none.
  async get(key, type = 'text') {
    return (await this.entry(key, type))?.value ?? null;
  }

  // `{ value, version }` of an entry; null if there is none.
  async entry(key, type = 'text') {
    const reader = readerOf(type);
    const { head, value } = await this.#ask('get', key);
    return head.found ? { value: reader(value), version: head.version } : null;
  }

  // Writes an entry: texts and bytes as they are, all else as JSON. `ttl`: the seconds after which it is gone.
  async set(key, value, options) {
    const { ttl } = optionsOf(options, ['ttl']);
    await this.#ask('set', key, lifetime(ttl), contentOf(value));
  }

  // Deletes an entry. Whether there was one.
  async delete(key) {
    return (await this.#ask('delete', key)).head.deleted;
  }

  // `{ keys, cursor }`: keys in their order, and what gives the next ones; null at the end.
  async list(options) {
    const { prefix, cursor, limit } = optionsOf(options, ['prefix', 'cursor', 'limit']);
    checkLimit(limit);
    const given = { prefix, cursor: cursor ?? undefined, limit };
    const { head } = await this.#ask('list', undefined, given);
    return { keys: head.keys, cursor: head.cursor ?? null };
  }

  // Writes an entry if it has this version (null: if there is none). Its new version; null if it was not so.
  async compareAndSet(key, version, value, options) {
    const { ttl } = optionsOf(options, ['ttl']);
    const expected = version === null || version === undefined ? null : String(version);
    const { head } = await this.#ask('compare_and_set', key, { expected, ...lifetime(ttl) }, contentOf(value));
    return head.version ?? null;
  }

  // Adds to a number; an entry that is not there counts as 0. The sum; an error that has it as text if it is no safe integer.
  async increment(key, by = 1) {
    if (!Number.isSafeInteger(by)) throw new KvError('kv_request_invalid', `what is added is a whole number, not ${String(by)}`);
    return exactly((await this.#ask('increment', key, { by })).head.value);
  }

  async #ask(op, key, given = {}, value = Buffer.alloc(0)) {
    const store = text(this.#name, 'kv_store_invalid', 'the name of a store');
    const named = op === 'list' ? {} : { key: text(key, 'kv_key_invalid', 'a key') };
    const head = Buffer.from(JSON.stringify({ op, store, ...named, ...given }));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(head.length);
    if (LENGTH_BYTES + head.length + value.length > OPERATION_BYTES_MAX) {
      throw new KvError('kv_value_too_large', `an operation may have ${OPERATION_BYTES_MAX} bytes, its value included`);
    }
    const { isError, content } = await this.#exchange(Buffer.concat([length, head, value]));
    if (isError) {
      const fault = JSON.parse(content.toString('utf8'));
      throw new KvError(fault.error, fault.message);
    }
    const end = LENGTH_BYTES + content.readUInt32LE(0);
    return { head: JSON.parse(content.toString('utf8', LENGTH_BYTES, end)), value: content.subarray(end) };
  }
}

// The default store. `exchange(content)` is a promise of the node's answer to an operation.
function storesOf(exchange) {
  return new Store(exchange, 'default');
}

module.exports = { storesOf, KvError };
