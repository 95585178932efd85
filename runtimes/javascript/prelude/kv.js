// names: kv KvError
// Key-value stores (docs/kv.md): `import { kv } from 'serverledge'`. The same as the Node.js agent's kv.js.
(function (native, shared) {
  'use strict';

  const { parse, stringify } = JSON;
  const NOTHING = new Uint8Array(0);

  // An operation was not carried out. Codes are stable, such as `kv_full`; messages are for people.
  class KvError extends Error {
    constructor(code, message) {
      super(message);
      this.name = 'KvError';
      this.code = code;
    }
  }

  // Refuses what is not UTF-8: text with replaced characters would be written back as another value.
  function textOf(text) {
    if (text === undefined) throw new KvError('kv_value_invalid', 'the value is not UTF-8; read it as bytes');
    return text;
  }

  function jsonOf(given) {
    const text = textOf(given);
    try {
      return parse(text);
    } catch (error) {
      throw new KvError('kv_value_invalid', `the value cannot be read as JSON: ${error.message}`);
    }
  }

  const READERS = { text: textOf, json: jsonOf, bytes: (bytes) => bytes };

  function readerOf(type) {
    if (type === 'text') return textOf;
    if (Object.hasOwn(READERS, type)) return READERS[type];
    throw new KvError('kv_request_invalid', `a value is read as text, json or bytes, not as ${String(type)}`);
  }

  // The number that this text says, if JavaScript has it.
  function exactly(sum) {
    const number = Number(sum);
    if (Number.isSafeInteger(number)) return number;
    const what = 'the addition was applied, but its sum is beyond the whole numbers of JavaScript';
    throw new KvError('kv_not_a_number', `${what}: ${sum}`);
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
    const text = stringify(value);
    if (text !== '{}' || [null, Object.prototype].includes(Object.getPrototypeOf(value))) return text;
    throw new TypeError(`${value.constructor?.name ?? 'the object'} has no members; await a promise, and read bytes and forms first`);
  }

  function bytesOf(value) {
    if (typeof value === 'string') return native.encode(value);
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return shared.bytesOf(value);
    let text;
    try {
      text = written(value);
    } catch (error) {
      throw new KvError('kv_request_invalid', `the value cannot be written as JSON: ${error.message}`);
    }
    if (text === undefined) throw new KvError('kv_request_invalid', `a value cannot be ${typeof value}`);
    return native.encode(text);
  }

  function checkLimit(limit) {
    if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 1)) return;
    throw new KvError('kv_request_invalid', `the limit of a list is a whole number from 1 on, not ${stringify(limit)}`);
  }

  // In whole milliseconds; the node knows how long it may be.
  function lifetime(ttl) {
    if (ttl === undefined || ttl === null) return undefined;
    if (typeof ttl === 'number' && ttl >= 0.001 && ttl < 1e12) return Math.round(ttl * 1000);
    throw new KvError('kv_ttl_invalid', `a lifetime is a number of seconds, at least 0.001, not ${stringify(ttl) ?? String(ttl)}`);
  }

  function checked(text, code, what) {
    if (typeof text === 'string') return text;
    throw new KvError(code, `${what} is a string, not ${text === null ? 'null' : typeof text}`);
  }

  const checkStore = ({ name }) => checked(name, 'kv_store_invalid', 'the name of a store');

  // [false, the head of the reply in JSON, the value as a text, if not as bytes].
  function ask(head, body = NOTHING, isText = true) {
    if (!native.invoked())
      throw new KvError('not_running', 'stores are there in calls only: use them in the handler');
    const reply = native.kv(head, body, isText);
    if (reply[0]) throw new KvError(reply[1].error, reply[1].message);
    return reply;
  }

  // The beginning of a head, with its members in the order in which they are written down.
  function headOf(op, store, key) {
    checkStore(store);
    return `{"op":"${op}","store":${store.quoted},"key":${stringify(checked(key, 'kv_key_invalid', 'a key'))}`;
  }

  // As a member of a head, if there is one.
  function lifetimeIn(options) {
    const milliseconds = lifetime(optionsOf(options, ['ttl']).ttl);
    return milliseconds === undefined ? '' : `,"ttl_ms":${milliseconds}`;
  }

  // The reply to the question for a key's value; null if there is no entry.
  function found(store, key, reader) {
    const reply = ask(`${headOf('get', store, key)}}`, NOTHING, reader !== READERS.bytes);
    return reply[1].startsWith('{"found":true') || parse(reply[1]).found ? reply : null;
  }

  // Every operation is a promise, also of the error for arguments that it does not take.
  class Store {
    // Its name, and that in JSON.
    #store;

    constructor(name) {
      this.#store = { name, quoted: typeof name === 'string' ? stringify(name) : '' };
    }

    store(name) {
      return new Store(name);
    }

    async get(key, type = 'text') {
      const reader = readerOf(type);
      const reply = found(this.#store, key, reader);
      const value = reply === null ? null : reader(reply[2]);
      // As late as `entry` would have it.
      await undefined;
      return value;
    }

    async entry(key, type = 'text') {
      const reader = readerOf(type);
      const reply = found(this.#store, key, reader);
      return reply === null ? null : { value: reader(reply[2]), version: parse(reply[1]).version };
    }

    async set(key, value, options) {
      const ttl = lifetimeIn(options);
      ask(`${headOf('set', this.#store, key)}${ttl}}`, bytesOf(value));
    }

    async delete(key) {
      return parse(ask(`${headOf('delete', this.#store, key)}}`)[1]).deleted;
    }

    async list(options) {
      const { prefix, cursor, limit } = optionsOf(options, ['prefix', 'cursor', 'limit']);
      checkLimit(limit);
      const store = checkStore(this.#store);
      const reply = parse(ask(stringify({ op: 'list', store, prefix, cursor: cursor ?? undefined, limit }))[1]);
      return { keys: reply.keys, cursor: reply.cursor ?? null };
    }

    async compareAndSet(key, version, value, options) {
      const ttl = lifetimeIn(options);
      const expected = stringify(version === null || version === undefined ? null : String(version));
      const head = `${headOf('compare_and_set', this.#store, key)},"expected":${expected}${ttl}}`;
      return parse(ask(head, bytesOf(value))[1]).version ?? null;
    }

    async increment(key, by = 1) {
      if (!Number.isSafeInteger(by))
        throw new KvError('kv_request_invalid', `what is added is a whole number, not ${String(by)}`);
      return exactly(parse(ask(`${headOf('increment', this.#store, key)},"by":${by}}`)[1]).value);
    }
  }

  // Asks nobody at deploy: what the engine makes on first use is in the snapshot then, and calls find it.
  async function rehearse(store) {
    const { kv, invoked } = native;
    native.invoked = () => true;
    native.kv = () => [false, '{"found":true,"version":"1"}', ''];
    const asked = [store.get('key'), store.set('key', 'value'), store.entry('key')];
    native.kv = () => [false, '{"value":"1"}'];
    asked.push(store.increment('key'));
    Object.assign(native, { kv, invoked });
    await Promise.all(asked);
  }
  rehearse(new Store('default'));

  shared.offered = { kv: new Store('default'), KvError };
});
