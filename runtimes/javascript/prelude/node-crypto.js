// names: node:crypto 'crypto'
// needs: buffer
// node:crypto (https://nodejs.org/docs/latest-v20.x/api/crypto.html): digests, HMAC, randomness and the derivation of keys, with the
// texts of errors as in Node.js. Ciphers and pairs of keys are in crypto.subtle.
(function (native, shared) {
  'use strict';

  const { bufferOf, bytesOf, coded, invalidArgument } = shared;
  const { Buffer } = shared.nodeModules.buffer;
  const HASHES = {
    md5: 'MD5',
    sha1: 'SHA-1',
    sha224: 'SHA-224',
    sha256: 'SHA-256',
    sha384: 'SHA-384',
    sha512: 'SHA-512',
  };
  const RANDOM_RANGE_MAX = 2 ** 48 - 1;
  const LENGTH_MAX = 2 ** 31 - 1;

  const BINARY = 'of type string or an instance of ArrayBuffer, Buffer, TypedArray, or DataView';
  function bytesFrom(name, value, encoding, expected = BINARY) {
    if (typeof value === 'string') return Buffer.from(value, encoding === 'buffer' ? 'utf8' : encoding);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return bytesOf(value);
    throw invalidArgument(name, expected, value);
  }

  function outOfRange(name, range, value) {
    const text = `The value of "${name}" is out of range. It must be ${range}. Received ${shared.inspect(value)}`;
    return coded(new RangeError(text), 'ERR_OUT_OF_RANGE');
  }

  function checkInteger(name, value, least, most) {
    if (typeof value !== 'number') throw invalidArgument(name, 'of type number', value);
    if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
    if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  }

  function checkCallback(callback) {
    if (typeof callback !== 'function') throw invalidArgument('callback', 'of type function', callback);
  }

  const hashNamed = (name) => {
    const lower = `${name}`.toLowerCase().replace(/^rsa-/, '').replace(/^sha-/, 'sha');
    return Object.hasOwn(HASHES, lower) ? HASHES[lower] : undefined;
  };
  const output = (bytes, encoding) => {
    const made = bufferOf(new Uint8Array(bytes));
    return encoding === undefined || encoding === 'buffer' ? made : made.toString(encoding);
  };
  // As with Node.js, not before what called is done.
  const later = (callback, ...values) => setTimeout(() => callback(...values), 0);

  // === digests ===

  class Digesting {
    #handle;
    #isDone = false;

    constructor(handle) {
      this.#handle = handle;
    }

    static handleOf(digesting) {
      if (digesting.#isDone) throw coded(new Error('Digest already called'), 'ERR_CRYPTO_HASH_FINALIZED');
      return digesting.#handle;
    }

    update(data, encoding) {
      const handle = Digesting.handleOf(this);
      const expected = 'of type string or an instance of Buffer, TypedArray, or DataView';
      if (data instanceof ArrayBuffer) throw invalidArgument('data', expected, data);
      native.hasherUpdate(handle, bytesFrom('data', data, encoding, expected));
      return this;
    }

    digest(encoding) {
      // A second one of an HMAC is empty.
      if (this.#isDone && this instanceof Hmac) return output([], encoding);
      const bytes = native.hasherDigest(Digesting.handleOf(this));
      this.#isDone = true;
      return output(bytes, encoding);
    }
  }

  class Hash extends Digesting {
    copy() {
      return new Hash(native.hasherCopy(Digesting.handleOf(this)));
    }
  }

  class Hmac extends Digesting {}

  function createHash(algorithm) {
    if (typeof algorithm !== 'string') throw invalidArgument('algorithm', 'of type string', algorithm);
    const name = hashNamed(algorithm);
    if (name === undefined) throw coded(new Error('Digest method not supported'), 'ERR_CRYPTO_INVALID_DIGEST');
    return new Hash(native.hasher(name));
  }

  function invalidDigest(name) {
    return coded(new TypeError(`Invalid digest: ${name}`), 'ERR_CRYPTO_INVALID_DIGEST');
  }

  const KEY = 'of type string or an instance of ArrayBuffer, Buffer, TypedArray, DataView, KeyObject, or CryptoKey';
  function createHmac(algorithm, key, options) {
    if (typeof algorithm !== 'string') throw invalidArgument('hmac', 'of type string', algorithm);
    const secret = bytesFrom('key', key, options?.encoding, KEY);
    const name = hashNamed(algorithm);
    if (name === undefined) throw invalidDigest(algorithm);
    return new Hmac(native.hasher(name, secret));
  }

  function digestNamed(name) {
    if (typeof name !== 'string') throw invalidArgument('digest', 'of type string', name);
    const found = hashNamed(name);
    if (found === undefined) throw invalidDigest(name);
    return found;
  }

  // === randomness ===

  function randomBytes(size, callback) {
    checkInteger('size', size, 0, LENGTH_MAX);
    if (callback !== undefined) checkCallback(callback);
    const bytes = bufferOf(shared.randomFill(new Uint8Array(size)));
    if (callback === undefined) return bytes;
    later(callback, null, bytes);
    return undefined;
  }

  function randomFillSync(target, offset = 0, size = undefined) {
    if (!ArrayBuffer.isView(target) && !(target instanceof ArrayBuffer))
      throw invalidArgument('buf', 'an instance of ArrayBuffer or ArrayBufferView', target);
    const width = target.BYTES_PER_ELEMENT ?? 1;
    checkInteger('offset', offset, 0, target.byteLength / width);
    if (size !== undefined) checkInteger('size', size, 0, target.byteLength / width - offset);
    const end = size === undefined ? undefined : (offset + size) * width;
    shared.randomFill(bytesOf(target).subarray(offset * width, end));
    return target;
  }

  function randomFill(target, ...rest) {
    const callback = rest.pop();
    checkCallback(callback);
    randomFillSync(target, ...rest);
    later(callback, null, target);
  }

  function randomInt(...values) {
    const callback = typeof values.at(-1) === 'function' ? values.pop() : undefined;
    const [least, most] = values.length < 2 ? [0, values[0]] : values;
    if (!Number.isSafeInteger(least)) throw invalidArgument('min', 'a safe integer', least);
    if (!Number.isSafeInteger(most)) throw invalidArgument('max', 'a safe integer', most);
    if (most <= least) throw outOfRange('max', `greater than the value of "min" (${least})`, most);
    const range = most - least;
    if (range > RANDOM_RANGE_MAX)
      throw outOfRange(values.length < 2 ? 'max' : 'max - min', `<= ${RANDOM_RANGE_MAX}`, range);
    // What would make small numbers likelier is drawn again.
    const limit = RANDOM_RANGE_MAX - (RANDOM_RANGE_MAX % range);
    let drawn;
    do drawn = randomBytes(6).readUIntBE(0, 6);
    while (drawn >= limit);
    const number = least + (drawn % range);
    if (callback === undefined) return number;
    later(callback, undefined, number);
    return undefined;
  }

  function timingSafeEqual(one, other) {
    for (const [name, value] of [
      ['buf1', one],
      ['buf2', other],
    ]) {
      if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer)) {
        const text = `The "${name}" argument must be an instance of ArrayBuffer, Buffer, TypedArray, or DataView.`;
        throw coded(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
      }
    }
    if (one.byteLength !== other.byteLength) {
      const text = 'Input buffers must have the same byte length';
      throw coded(new RangeError(text), 'ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH');
    }
    return native.timingSafeEqual(bytesOf(one), bytesOf(other));
  }

  // === derivation of keys ===

  function pbkdf2Sync(password, salt, iterations, length, digest) {
    const [secret, salted] = [bytesFrom('password', password), bytesFrom('salt', salt)];
    checkInteger('iterations', iterations, 1, LENGTH_MAX);
    checkInteger('keylen', length, 0, LENGTH_MAX);
    const name = digestNamed(digest);
    return length === 0 ? Buffer.alloc(0) : bufferOf(native.pbkdf2(name, secret, salted, iterations, length));
  }

  function hkdfSync(digest, key, salt, info, length) {
    const name = digestNamed(digest);
    const parts = [bytesFrom('ikm', key, undefined, KEY), bytesFrom('salt', salt), bytesFrom('info', info)];
    checkInteger('length', length, 0, LENGTH_MAX);
    const made = length === 0 ? new Uint8Array(0) : native.hkdf(name, ...parts, length);
    if (made === undefined) throw coded(new RangeError('Invalid key length'), 'ERR_CRYPTO_INVALID_KEYLEN');
    return made.slice().buffer;
  }

  function scryptSync(password, salt, length, options) {
    const [secret, salted] = [bytesFrom('password', password), bytesFrom('salt', salt)];
    checkInteger('keylen', length, 0, LENGTH_MAX);
    const given = options ?? {};
    const N = given.N ?? given.cost ?? 16384;
    const r = given.r ?? given.blockSize ?? 8;
    const p = given.p ?? given.parallelization ?? 1;
    const maxmem = given.maxmem ?? 32 * 1024 * 1024;
    if (length === 0) return Buffer.alloc(0);
    const isAllowed = 128 * N * r + 128 * r * p <= maxmem;
    const made = isAllowed ? native.scrypt(secret, salted, N, r, p, length) : undefined;
    if (made === undefined) {
      const why = isAllowed ? '' : ': error:030000AC:digital envelope routines::memory limit exceeded';
      throw coded(new RangeError(`Invalid scrypt params${why}`), 'ERR_CRYPTO_INVALID_SCRYPT_PARAMS');
    }
    return bufferOf(made);
  }

  // What gives its result to a callback: the work is done at once.
  function withCallback(work) {
    return (...values) => {
      const callback = values.pop();
      checkCallback(callback);
      later(callback, null, work(...values));
    };
  }

  const { crypto } = globalThis;
  shared.nodeModules.crypto = {
    createHash,
    createHmac,
    getHashes: () => Object.keys(HASHES),
    hash: (algorithm, data, encoding = 'hex') => createHash(algorithm).update(data).digest(encoding),
    hkdf: withCallback(hkdfSync),
    hkdfSync,
    pbkdf2: withCallback(pbkdf2Sync),
    pbkdf2Sync,
    randomBytes,
    pseudoRandomBytes: randomBytes,
    randomFill,
    randomFillSync,
    randomInt,
    randomUUID: () => crypto.randomUUID(),
    scrypt: withCallback(scryptSync),
    scryptSync,
    timingSafeEqual,
    Hash,
    Hmac,
    webcrypto: crypto,
    subtle: crypto.subtle,
    getRandomValues: (array) => crypto.getRandomValues(array),
  };
});
