// Randomness, digests and HMAC of the Web Cryptography API (https://www.w3.org/TR/WebCryptoAPI/).
(function (native, shared) {
  'use strict';

  const RANDOM_BYTES_MAX = 65536;
  const LACKING = 'encrypt decrypt deriveKey deriveBits wrapKey unwrapKey'.split(' ');
  // Bytes that a digest takes in at once, which is where HMAC pads keys to (RFC 2104); `alg` of a key as JSON (RFC 7518).
  const HASHES = {
    'SHA-1': { block: 64, alg: 'HS1' },
    'SHA-256': { block: 64, alg: 'HS256' },
    'SHA-384': { block: 128, alg: 'HS384' },
    'SHA-512': { block: 128, alg: 'HS512' },
  };
  const INTEGERS = [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    BigInt64Array,
    BigUint64Array,
  ];

  function getRandomValues(array) {
    if (!INTEGERS.some((kind) => array instanceof kind))
      throw new DOMException('expected an array of integers', 'TypeMismatchError');
    if (array.byteLength > RANDOM_BYTES_MAX)
      throw new DOMException(`at most ${RANDOM_BYTES_MAX} bytes at once`, 'QuotaExceededError');
    if (!native.invoked()) shared.noteRandom();
    native.randomFill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return array;
  }

  function randomUUID() {
    const bytes = getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return Array.from(
      bytes,
      (byte, at) => ([4, 6, 8, 10].includes(at) ? '-' : '') + byte.toString(16).padStart(2, '0'),
    ).join('');
  }

  function nameOf(algorithm) {
    return String(typeof algorithm === 'object' ? algorithm?.name : algorithm);
  }

  function hashNamed(algorithm) {
    const name = nameOf(algorithm).toUpperCase();
    if (Object.hasOwn(HASHES, name)) return name;
    throw new DOMException(
      `the digest "${nameOf(algorithm)}" is not supported: SHA-1, SHA-256, SHA-384 and SHA-512 are`,
      'NotSupportedError',
    );
  }

  async function digest(algorithm, data) {
    return native.digest(hashNamed(algorithm), shared.bytesOf(data));
  }

  // === HMAC ===

  const secrets = new WeakMap();
  const MAKE = Symbol('only subtle makes keys');

  class CryptoKey {
    #fields;

    constructor(made, fields) {
      if (made !== MAKE) throw new TypeError('Illegal constructor');
      this.#fields = fields;
    }

    get type() {
      return 'secret';
    }

    get extractable() {
      return this.#fields.extractable;
    }

    get algorithm() {
      return this.#fields.algorithm;
    }

    get usages() {
      return this.#fields.usages;
    }

    get [Symbol.toStringTag]() {
      return 'CryptoKey';
    }
  }

  function onlyHmac(algorithm, does) {
    if (nameOf(algorithm).toUpperCase() === 'HMAC') return;
    throw new DOMException(
      `crypto.subtle.${does} does not know "${nameOf(algorithm)}": the runtime javascript has HMAC`,
      'NotSupportedError',
    );
  }

  function keyOf(secret, algorithm, extractable, usages) {
    const hash = hashNamed(algorithm.hash);
    const wanted = [...usages].map(String);
    if (wanted.length === 0 || wanted.some((usage) => usage !== 'sign' && usage !== 'verify'))
      throw new DOMException('an HMAC key is for "sign", "verify" or both', 'SyntaxError');
    if (secret.length === 0) throw new DOMException('an HMAC key has at least one byte', 'DataError');
    const key = new CryptoKey(MAKE, {
      extractable: Boolean(extractable),
      algorithm: { hash: { name: hash }, name: 'HMAC', length: 8 * secret.length },
      usages: [...new Set(wanted)],
    });
    secrets.set(key, secret);
    return key;
  }

  function secretOf(key) {
    const secret = secrets.get(key);
    if (secret === undefined) throw new TypeError('expected a CryptoKey');
    return secret;
  }

  // The secret of a symmetric key as JSON (RFC 7517, RFC 7518 section 6.4).
  function secretOfJwk(jwk, algorithm) {
    const refuse = (message) => {
      throw new DOMException(message, 'DataError');
    };
    if (typeof jwk !== 'object' || jwk === null) throw new TypeError('expected a key as JSON (JWK)');
    if (jwk.kty !== 'oct' || typeof jwk.k !== 'string') refuse('the key is not symmetric: "kty" is "oct", "k" a text');
    const { alg } = HASHES[hashNamed(algorithm.hash)];
    if (jwk.alg !== undefined && jwk.alg !== alg) refuse(`"alg" of the key is not ${alg}`);
    if (!/^[\w-]*$/.test(jwk.k)) refuse('"k" of the key is not base64url');
    const text = atob(jwk.k.replaceAll('-', '+').replaceAll('_', '/'));
    return Uint8Array.from(text, (character) => character.charCodeAt(0));
  }

  async function importKey(format, data, algorithm, extractable, usages) {
    onlyHmac(algorithm, 'importKey');
    if (format === 'raw') return keyOf(shared.bytesOf(data).slice(), algorithm, extractable, usages);
    if (format === 'jwk') return keyOf(secretOfJwk(data, algorithm), algorithm, extractable, usages);
    throw new DOMException(`the format "${format}" is not supported: raw and jwk are`, 'NotSupportedError');
  }

  async function generateKey(algorithm, extractable, usages) {
    onlyHmac(algorithm, 'generateKey');
    const bits = algorithm.length ?? 8 * HASHES[hashNamed(algorithm.hash)].block;
    if (!(bits >= 8) || bits % 8 !== 0 || bits > 8 * RANDOM_BYTES_MAX)
      throw new DOMException('the length of an HMAC key is a number of whole bytes, in bits', 'OperationError');
    return keyOf(getRandomValues(new Uint8Array(bits / 8)), algorithm, extractable, usages);
  }

  async function exportKey(format, key) {
    const secret = secretOf(key);
    if (!key.extractable) throw new DOMException('the key is not extractable', 'InvalidAccessError');
    if (format === 'raw') return secret.slice().buffer;
    if (format !== 'jwk')
      throw new DOMException(`the format "${format}" is not supported: raw and jwk are`, 'NotSupportedError');
    const text = btoa(Array.from(secret, (byte) => String.fromCharCode(byte)).join(''));
    return {
      key_ops: key.usages,
      ext: true,
      kty: 'oct',
      k: text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
      alg: HASHES[key.algorithm.hash.name].alg,
    };
  }

  // RFC 2104.
  function hmac(algorithm, key, data, usage) {
    onlyHmac(algorithm, usage);
    let secret = secretOf(key);
    if (!key.usages.includes(usage)) throw new DOMException(`the key is not for "${usage}"`, 'InvalidAccessError');
    const { name } = key.algorithm.hash;
    const { block } = HASHES[name];
    if (secret.length > block) secret = new Uint8Array(native.digest(name, secret));
    const padded = (byte, rest) => {
      const whole = new Uint8Array(block + rest.length).fill(byte, 0, block);
      secret.forEach((each, at) => (whole[at] ^= each));
      whole.set(rest, block);
      return whole;
    };
    const inner = native.digest(name, padded(0x36, shared.bytesOf(data)));
    return native.digest(name, padded(0x5c, new Uint8Array(inner)));
  }

  async function sign(algorithm, key, data) {
    return hmac(algorithm, key, data, 'sign');
  }

  async function verify(algorithm, key, signature, data) {
    const expected = new Uint8Array(hmac(algorithm, key, data, 'verify'));
    const given = shared.bytesOf(signature);
    // As long for a wrong byte at the beginning as for one at the end.
    const differs = expected.reduce((all, byte, at) => all | (byte ^ given[at]), expected.length ^ given.length);
    return differs === 0;
  }

  // What is not there says so by its name, instead of being "not a function".
  const subtle = { digest, importKey, generateKey, exportKey, sign, verify };
  for (const name of LACKING) {
    Object.defineProperty(subtle, name, {
      value: async () => {
        throw new DOMException(
          `crypto.subtle.${name} is not there: of crypto.subtle, the runtime javascript has digest, and HMAC`,
          'NotSupportedError',
        );
      },
      writable: true,
      configurable: true,
      enumerable: true,
    });
  }
  shared.define({ CryptoKey, crypto: { getRandomValues, randomUUID, subtle } });
});
