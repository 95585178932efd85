// names: subtle Crypto CryptoKey SubtleCrypto
// needs: interfaces keyformats
// crypto.subtle of the Web Cryptography API (https://www.w3.org/TR/WebCryptoAPI/), with the texts of errors as in Node.js.
(function (native, shared) {
  'use strict';

  const { DOMException } = globalThis;
  const { coded, keyFormats } = shared;
  const INSIDE = Symbol('made by the prelude');
  const FORMATS = 'raw jwk spki pkcs8'.split(' ');
  const USAGES = 'encrypt decrypt sign verify deriveKey deriveBits wrapKey unwrapKey'.split(' ');
  const NOTHING = new Uint8Array(0);
  // Bytes that a digest takes in at once, which is how long keys of HMAC are if nobody says (RFC 2104); and the number that names it
  // in `alg` of keys as JSON (RFC 7518).
  const HASHES = { 'SHA-1': [64, 1], 'SHA-256': [64, 256], 'SHA-384': [128, 384], 'SHA-512': [128, 512] };

  // === errors ===

  function fail(name, message) {
    throw new DOMException(message, name);
  }
  const refuse = () => fail('OperationError', 'The operation failed for an operation-specific reason');
  const unknown = () => fail('NotSupportedError', 'Unrecognized algorithm name');
  const invalidData = () => fail('DataError', 'Invalid keyData');

  const ordinal = (at) => ['1st', '2nd', '3rd'][at] ?? `${at + 1}th`;
  function fault(method, at, text, code = 'ERR_INVALID_ARG_TYPE') {
    return coded(
      new TypeError(`Failed to execute '${method}' on 'SubtleCrypto': ${ordinal(at)} argument${text}`),
      code,
    );
  }

  function checkCount(method, count, needed) {
    if (count >= needed) return;
    const text = `${needed} argument${needed > 1 ? 's' : ''} required, but only ${count} present.`;
    throw coded(new TypeError(`Failed to execute '${method}' on 'SubtleCrypto': ${text}`), 'ERR_MISSING_ARGS');
  }

  // A copy: what is changed while an operation waits changes nothing.
  function bytesAt(method, at, value) {
    if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer))
      throw fault(method, at, ' is not instance of ArrayBuffer, Buffer, TypedArray, or DataView.');
    return shared.bytesOf(value).slice();
  }

  function bufferOf(bytes) {
    if (bytes === undefined) refuse();
    if (bytes instanceof ArrayBuffer) return bytes;
    return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  }

  // === algorithms ===

  const RSA_IMPORT = ['RsaHashedImportParams', 'hash'];
  const RSA_GENERATE = ['RsaHashedKeyGenParams', 'modulusLength', 'publicExponent', 'hash'];
  const EC_IMPORT = ['EcKeyImportParams', 'namedCurve'];
  const EC_GENERATE = ['EcKeyGenParams', 'namedCurve'];
  const AES_GENERATE = ['AesKeyGenParams', 'length'];
  const AES_LENGTH = ['AesDerivedKeyParams', 'length'];
  // For each operation the algorithms, each with the name of its parameters and those of them that must be there.
  const OPERATIONS = {
    digest: Object.fromEntries(Object.keys(HASHES).map((name) => [name, []])),
    sign: {
      HMAC: [],
      ECDSA: ['EcdsaParams', 'hash'],
      Ed25519: [],
      'RSASSA-PKCS1-v1_5': [],
      'RSA-PSS': ['RsaPssParams', 'saltLength'],
    },
    encrypt: {
      'AES-GCM': ['AesGcmParams', 'iv'],
      'AES-CBC': ['AesCbcParams', 'iv'],
      'AES-CTR': ['AesCtrParams', 'counter', 'length'],
      'RSA-OAEP': [],
    },
    wrap: { 'AES-KW': [] },
    derive: {
      PBKDF2: ['Pbkdf2Params', 'hash', 'iterations', 'salt'],
      HKDF: ['HkdfParams', 'hash', 'info', 'salt'],
      ECDH: ['EcdhKeyDeriveParams', 'public'],
      X25519: ['EcdhKeyDeriveParams', 'public'],
    },
    import: {
      HMAC: ['HmacImportParams', 'hash'],
      'AES-GCM': [],
      'AES-CBC': [],
      'AES-CTR': [],
      'AES-KW': [],
      PBKDF2: [],
      HKDF: [],
      ECDSA: EC_IMPORT,
      ECDH: EC_IMPORT,
      Ed25519: [],
      X25519: [],
      'RSASSA-PKCS1-v1_5': RSA_IMPORT,
      'RSA-PSS': RSA_IMPORT,
      'RSA-OAEP': RSA_IMPORT,
    },
    generate: {
      HMAC: ['HmacKeyGenParams', 'hash'],
      'AES-GCM': AES_GENERATE,
      'AES-CBC': AES_GENERATE,
      'AES-CTR': AES_GENERATE,
      'AES-KW': AES_GENERATE,
      ECDSA: EC_GENERATE,
      ECDH: EC_GENERATE,
      Ed25519: [],
      X25519: [],
      'RSASSA-PKCS1-v1_5': RSA_GENERATE,
      'RSA-PSS': RSA_GENERATE,
      'RSA-OAEP': RSA_GENERATE,
    },
    length: {
      HMAC: ['HmacImportParams', 'hash'],
      'AES-GCM': AES_LENGTH,
      'AES-CBC': AES_LENGTH,
      'AES-CTR': AES_LENGTH,
      'AES-KW': AES_LENGTH,
      HKDF: [],
      PBKDF2: [],
    },
  };
  // The number in each kind of parameters, and the largest that it can be.
  const [OCTET, SHORT, LONG] = [0xff, 0xffff, 0xffffffff];
  const NUMBERS = {
    AesCtrParams: ['length', OCTET],
    AesDerivedKeyParams: ['length', SHORT],
    AesGcmParams: ['tagLength', OCTET],
    AesKeyGenParams: ['length', SHORT],
    HmacImportParams: ['length', LONG],
    HmacKeyGenParams: ['length', LONG],
    Pbkdf2Params: ['iterations', LONG],
    RsaHashedKeyGenParams: ['modulusLength', LONG],
    RsaPssParams: ['saltLength', LONG],
  };
  const BYTES = 'iv counter salt info label additionalData publicExponent'.split(' ');

  // As Web IDL converts it, with [EnforceRange].
  function numberOf(dictionary, member, most, value) {
    const number = Math.trunc(Number(value)) + 0;
    const wrong = (text, code) => {
      const whole = `Failed to normalize algorithm: '${member}' of '${dictionary}' (passed algorithm) ${text}`;
      throw coded(new TypeError(whole), code);
    };
    if (!Number.isFinite(number)) wrong('is not a finite number.', 'ERR_INVALID_ARG_TYPE');
    if (number < 0 || number > most) wrong(`is outside the expected range of 0 to ${most}.`, 'ERR_OUT_OF_RANGE');
    return number;
  }

  // The algorithm with its name as it is written, its numbers as such, its bytes as copies, and its hash by its name.
  function normalize(algorithm, operation) {
    const given = typeof algorithm === 'object' && algorithm !== null ? algorithm : { name: algorithm };
    const lacks = (dictionary, name) => {
      const text = `passed algorithm can not be converted to '${dictionary}' because '${name}' is required in '${dictionary}'.`;
      throw coded(new TypeError(`Failed to normalize algorithm: ${text}`), 'ERR_MISSING_OPTION');
    };
    if (given.name === undefined) lacks('Algorithm', 'name');
    const wanted = String(given.name).toUpperCase();
    const known = OPERATIONS[operation];
    const name = Object.keys(known).find((each) => each.toUpperCase() === wanted) ?? unknown();
    const [dictionary, ...needed] = known[name];
    const whole = { ...given, name };
    for (const member of needed) if (given[member] === undefined) lacks(dictionary, member);
    if (dictionary !== undefined && given.hash !== undefined) whole.hash = normalize(given.hash, 'digest').name;
    const [counted, most] = NUMBERS[dictionary] ?? [];
    if (counted !== undefined && given[counted] !== undefined)
      whole[counted] = numberOf(dictionary, counted, most, given[counted]);
    for (const member of BYTES) {
      if (given[member] === undefined) continue;
      if (!ArrayBuffer.isView(given[member]) && !(given[member] instanceof ArrayBuffer)) {
        const text = `'${member}' of '${dictionary ?? 'Algorithm'}' (Failed to normalize algorithm) is not instance of ArrayBuffer, Buffer, TypedArray, or DataView.`;
        throw coded(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
      }
      whole[member] = shared.bytesOf(given[member]).slice();
    }
    return whole;
  }

  // The first operation that knows the algorithm.
  function normalizeAny(algorithm, ...operations) {
    const name = String(algorithm?.name ?? algorithm).toUpperCase();
    const found = operations.find((each) =>
      Object.keys(OPERATIONS[each]).some((known) => known.toUpperCase() === name),
    );
    return normalize(algorithm, found ?? operations[0]);
  }

  // === keys ===

  // A copy that has nothing in common with the original.
  function copyOfAlgorithm(algorithm) {
    const copy = { ...algorithm };
    if (copy.hash !== undefined) copy.hash = { ...copy.hash };
    if (copy.publicExponent !== undefined) copy.publicExponent = copy.publicExponent.slice();
    return copy;
  }

  let materialOf;
  // What a key is and may be used for, whatever is done to the copies that its getters give.
  let factsOf;
  class CryptoKey {
    #type;
    #extractable;
    #algorithm;
    #usages;
    #material;
    #shownAlgorithm;
    #shownUsages;

    static {
      materialOf = (key) => key.#material;
      factsOf = (key) => ({
        type: key.#type,
        extractable: key.#extractable,
        algorithm: key.#algorithm,
        usages: key.#usages,
      });
    }

    constructor(mark, type, extractable, algorithm, usages, material) {
      if (mark !== INSIDE) throw coded(new TypeError('Illegal constructor'), 'ERR_ILLEGAL_CONSTRUCTOR');
      this.#type = type;
      this.#extractable = Boolean(extractable);
      this.#algorithm = Object.freeze(algorithm);
      this.#usages = Object.freeze(usages);
      this.#material = material;
    }

    get type() {
      return this.#type;
    }

    get extractable() {
      return this.#extractable;
    }

    get algorithm() {
      return (this.#shownAlgorithm ??= copyOfAlgorithm(this.#algorithm));
    }

    get usages() {
      return (this.#shownUsages ??= [...this.#usages]);
    }

    get [shared.shownParts]() {
      return ['type', 'extractable', 'algorithm', 'usages'];
    }
  }

  shared.cloners.push((value) => {
    if (!(value instanceof CryptoKey)) return undefined;
    const { type, extractable, algorithm, usages } = factsOf(value);
    return new CryptoKey(INSIDE, type, extractable, copyOfAlgorithm(algorithm), [...usages], materialOf(value));
  });

  function keyAt(method, at, value) {
    if (value instanceof CryptoKey) return value;
    throw fault(method, at, ' is not of type CryptoKey.');
  }

  function formatAt(method, at, value) {
    if (FORMATS.includes(`${value}`)) return `${value}`;
    throw fault(method, at, ` value '${value}' is not a valid enum value of type KeyFormat.`, 'ERR_INVALID_ARG_VALUE');
  }

  function usagesAt(method, at, value) {
    if (typeof value?.[Symbol.iterator] !== 'function') throw fault(method, at, ' can not be converted to sequence.');
    const usages = [...value].map(String);
    usages.forEach((usage, index) => {
      if (USAGES.includes(usage)) return;
      const text = `, index ${index} value '${usage}' is not a valid enum value of type KeyUsage.`;
      throw fault(method, at, text, 'ERR_INVALID_ARG_VALUE');
    });
    return [...new Set(usages)];
  }

  function checkUsages(usages, allowed, words) {
    if (usages.some((usage) => !allowed.includes(usage))) fail('SyntaxError', `Unsupported key usage for ${words} key`);
  }

  const lengthIn = (bytes) => bytes.length * 8;

  function random(length) {
    return shared.randomFill(new Uint8Array(length));
  }

  // What a JWK says of itself beside its contents.
  function checkJwk(jwk, { kty, use, alg }, extractable, usages) {
    if (jwk.kty === undefined) invalidData();
    if (jwk.kty !== kty) fail('DataError', 'Invalid JWK "kty" Parameter');
    if (usages.length > 0 && jwk.use !== undefined && jwk.use !== use) fail('DataError', 'Invalid JWK "use" Parameter');
    if (jwk.key_ops !== undefined) {
      if (!Array.isArray(jwk.key_ops)) invalidData();
      if (new Set(jwk.key_ops).size < jwk.key_ops.length) fail('DataError', 'Duplicate key operation');
      if (usages.some((usage) => !jwk.key_ops.includes(usage))) fail('DataError', 'Key operations and usage mismatch');
    }
    if (jwk.ext === false && extractable) fail('DataError', 'JWK "ext" Parameter and extractable mismatch');
    if (jwk.alg !== undefined && alg.length > 0 && !alg.includes(jwk.alg))
      fail('DataError', 'JWK "alg" does not match the requested algorithm');
  }

  function rawSecret(data, expected, extractable, usages) {
    checkJwk(data, { kty: 'oct', ...expected }, extractable, usages);
    return keyFormats.unbase64url(data.k) ?? invalidData();
  }

  // === secrets: HMAC, AES, PBKDF2 and HKDF ===

  const HMAC = {
    use: 'sig',
    words: 'an HMAC',
    usages: ['sign', 'verify'],
    alg: ({ hash }) => `HS${HASHES[hash.name ?? hash][1]}`,
    key(secret, { hash, length = lengthIn(secret) }) {
      if (secret.length === 0 || length === 0) fail('DataError', 'Zero-length key is not supported');
      if (length !== lengthIn(secret)) fail('DataError', 'Invalid key length');
      return { name: 'HMAC', hash: { name: hash }, length };
    },
    bits({ hash, length }) {
      if (length === 0) refuse();
      return length ?? 8 * HASHES[hash][0];
    },
    bitsToGenerate(algorithm) {
      const bits = this.bits(algorithm);
      if (bits % 8 !== 0) {
        const text = `The property 'algorithm.length' must be a multiple of 8. Received ${bits}`;
        throw coded(new TypeError(text), 'ERR_INVALID_ARG_VALUE');
      }
      return bits;
    },
  };

  const AES = {
    use: 'enc',
    words: 'an AES',
    usages: ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'],
    alg: ({ name, length }) => `A${length}${name.slice(4)}`,
    key(secret, { name }) {
      if (![16, 24, 32].includes(secret.length)) fail('DataError', 'Invalid key length');
      return { name, length: lengthIn(secret) };
    },
    bits({ length }) {
      if (![128, 192, 256].includes(length)) fail('OperationError', 'AES key length must be 128, 192, or 256 bits');
      return length;
    },
    bitsToGenerate(algorithm) {
      return this.bits(algorithm);
    },
  };

  const DERIVING = {
    usages: ['deriveKey', 'deriveBits'],
    key: (secret, { name }) => ({ name }),
    bits: () => null,
  };

  const SECRETS = {
    HMAC,
    'AES-GCM': AES,
    'AES-CBC': AES,
    'AES-CTR': AES,
    'AES-KW': { ...AES, usages: ['wrapKey', 'unwrapKey'] },
    PBKDF2: { ...DERIVING, words: 'a PBKDF2' },
    HKDF: { ...DERIVING, words: 'a HKDF' },
  };

  function importSecret(kind, format, data, algorithm, extractable, usages) {
    checkUsages(usages, kind.usages, kind.words);
    const { name } = algorithm;
    if (kind.alg === undefined && extractable) fail('SyntaxError', `${name} keys are not extractable`);
    if (format !== 'raw' && (format !== 'jwk' || kind.alg === undefined))
      fail('NotSupportedError', `Unable to import ${name} key with format ${format}`);
    if (format === 'raw') {
      return new CryptoKey(INSIDE, 'secret', extractable, kind.key(data, algorithm), usages, data);
    }
    const secret = rawSecret(data, { use: kind.use, alg: [] }, extractable, usages);
    const made = kind.key(secret, algorithm);
    checkJwk(data, { kty: 'oct', use: kind.use, alg: [kind.alg(made)] }, extractable, usages);
    return new CryptoKey(INSIDE, 'secret', extractable, made, usages, secret);
  }

  function generateSecret(kind, algorithm, extractable, usages) {
    checkUsages(usages, kind.usages, kind.words);
    const secret = random(Math.ceil(kind.bitsToGenerate(algorithm) / 8));
    return new CryptoKey(INSIDE, 'secret', extractable, kind.key(secret, algorithm), usages, secret);
  }

  // === pairs of keys ===

  function curveOf({ namedCurve }) {
    if (namedCurve === 'P-256' || namedCurve === 'P-384') return namedCurve;
    return fail('NotSupportedError', 'Unrecognized namedCurve');
  }

  function generateEc(curve) {
    for (;;) {
      const d = random(curve === 'P-256' ? 32 : 48);
      const point = native.ecPublic(curve, d);
      if (point !== undefined) return { point, d };
    }
  }

  function generateRsa({ modulusLength, publicExponent }) {
    if (!native.invoked()) {
      const text = 'an RSA key pair is generated while the file is loaded: all calls would have the same one.';
      throw new Error(`${text} Generate it in the handler`);
    }
    const digits = publicExponent.subarray(publicExponent.findIndex((byte) => byte !== 0));
    if (digits.length > 4)
      fail('OperationError', 'The publicExponent must be equivalent to an unsigned 32-bit value');
    // Others have no private key.
    const exponent = digits.reduce((all, byte) => all * 0x100 + byte, 0);
    if (exponent < 3 || exponent % 2 === 0) refuse();
    const bytes = native.rsaGenerate(modulusLength, publicExponent) ?? refuse();
    const size = modulusLength / 8;
    const part = (begin, length) => bytes.slice(begin, begin + length);
    return {
      n: part(0, size),
      e: publicExponent,
      d: part(size, size),
      p: part(2 * size, size / 2),
      q: part(2.5 * size, size / 2),
    };
  }

  const SIGNING = { use: 'sig', publicUsages: ['verify'], privateUsages: ['sign'] };
  const AGREEING = { use: 'enc', publicUsages: [], privateUsages: ['deriveKey', 'deriveBits'] };
  const EC = {
    kty: 'EC',
    formats: keyFormats.ec,
    curve: curveOf,
    key: ({ name, namedCurve }) => ({ name, namedCurve }),
    generate: ({ namedCurve }) => generateEc(namedCurve),
  };
  const OKP = {
    kty: 'OKP',
    formats: keyFormats.okp,
    curve: ({ name }) => name,
    key: ({ name }) => ({ name }),
    algs: () => [],
  };
  const generateOkp = ({ name }) => keyFormats.okp.pkcs8(name, keyFormats.okp.exportPkcs8(name, { d: random(32) }));
  const bitsOf = (n) => lengthIn(n) - (Math.clz32(n[0]) - 24);
  const RSA = {
    ...SIGNING,
    kty: 'RSA',
    words: 'an RSA',
    formats: keyFormats.rsa,
    curve: () => undefined,
    key: ({ name, hash }, { n, e }) => {
      return { name, modulusLength: bitsOf(n), publicExponent: e.slice(), hash: { name: hash } };
    },
    generate: generateRsa,
  };
  const hashNumber = ({ hash }) => HASHES[hash.name ?? hash][1];
  const PAIRS = {
    ECDSA: {
      ...SIGNING,
      ...EC,
      words: 'a ECDSA',
      algs: ({ namedCurve }) => [`ES${namedCurve.slice(2)}`],
    },
    ECDH: { ...AGREEING, ...EC, words: 'a ECDH', algs: () => [] },
    Ed25519: { ...SIGNING, ...OKP, words: 'an Ed25519', generate: generateOkp, algs: () => ['Ed25519', 'EdDSA'] },
    X25519: { ...AGREEING, ...OKP, words: 'an X25519', generate: generateOkp },
    'RSASSA-PKCS1-v1_5': { ...RSA, algs: (algorithm) => [`RS${hashNumber(algorithm)}`] },
    'RSA-PSS': { ...RSA, algs: (algorithm) => [`PS${hashNumber(algorithm)}`] },
    'RSA-OAEP': {
      ...RSA,
      use: 'enc',
      publicUsages: ['encrypt', 'wrapKey'],
      privateUsages: ['decrypt', 'unwrapKey'],
      algs: (algorithm) => [hashNumber(algorithm) === 1 ? 'RSA-OAEP' : `RSA-OAEP-${hashNumber(algorithm)}`],
    },
  };

  function importPair(kind, format, data, algorithm, extractable, usages) {
    const curve = kind.curve(algorithm);
    const isPrivate = format === 'pkcs8' || (format === 'jwk' && data.d !== undefined);
    if (format === 'jwk') {
      checkJwk(data, { kty: kind.kty, use: kind.use, alg: kind.algs(algorithm) }, extractable, usages);
      if (curve !== undefined && data.crv !== curve) {
        fail(
          'DataError',
          kind.kty === 'EC'
            ? 'JWK "crv" does not match the requested algorithm'
            : 'JWK "crv" Parameter and algorithm name mismatch',
        );
      }
    }
    checkUsages(usages, isPrivate ? kind.privateUsages : kind.publicUsages, kind.words);
    const read = kind.formats[format];
    if (read === undefined) fail('NotSupportedError', `Unable to import ${algorithm.name} key with format ${format}`);
    const material = read(curve, data) ?? invalidData();
    const type = isPrivate ? 'private' : 'public';
    return new CryptoKey(INSIDE, type, extractable, kind.key(algorithm, material), usages, material);
  }

  function generatePair(kind, algorithm, extractable, usages) {
    kind.curve(algorithm);
    checkUsages(usages, [...kind.publicUsages, ...kind.privateUsages], kind.words);
    const { d, p, q, ...open } = kind.generate(algorithm);
    const forPublic = usages.filter((usage) => kind.publicUsages.includes(usage));
    const forPrivate = usages.filter((usage) => kind.privateUsages.includes(usage));
    if (forPrivate.length === 0) fail('SyntaxError', 'Usages cannot be empty when creating a key.');
    const secret = p === undefined ? { ...open, d } : { ...open, d, p, q };
    const publicKey = new CryptoKey(INSIDE, 'public', true, kind.key(algorithm, open), forPublic, open);
    const privateKey = new CryptoKey(INSIDE, 'private', extractable, kind.key(algorithm, open), forPrivate, secret);
    return Object.assign(Object.create(null), { publicKey, privateKey });
  }

  // === all keys ===

  function importBytes(format, data, algorithm, extractable, usages) {
    const { name } = algorithm;
    const key = Object.hasOwn(SECRETS, name)
      ? importSecret(SECRETS[name], format, data, algorithm, extractable, usages)
      : importPair(PAIRS[name], format, data, algorithm, extractable, usages);
    const { type } = factsOf(key);
    if (type !== 'public' && usages.length === 0)
      fail('SyntaxError', `Usages cannot be empty when importing a ${type} key.`);
    return key;
  }

  function exportBytes(format, key) {
    const { type, extractable, algorithm, usages } = factsOf(key);
    if (!extractable) fail('InvalidAccessException', 'key is not extractable');
    const material = materialOf(key);
    const cannot = (words) => fail('InvalidAccessError', `Unable to export a raw ${algorithm.name} ${words} key`);
    if (type === 'secret') {
      const { alg } = SECRETS[algorithm.name];
      if (format === 'raw') return material.slice();
      if (format !== 'jwk') fail('NotSupportedError', `Unable to export a ${algorithm.name} key using ${format}`);
      const k = keyFormats.base64url(material);
      return { key_ops: [...usages], ext: true, kty: 'oct', k, alg: alg(algorithm) };
    }
    const kind = PAIRS[algorithm.name];
    const curve = kind.curve(algorithm);
    if (format === 'jwk') {
      const known = kind.formats.exportJwk(curve, material);
      if (kind.kty === 'RSA') [known.alg] = kind.algs(algorithm);
      return { key_ops: [...usages], ext: true, ...known };
    }
    const write = kind.formats[`export${format[0].toUpperCase()}${format.slice(1)}`];
    if (write === undefined || (format === 'pkcs8') !== (type === 'private')) cannot(type);
    return write(curve, material);
  }

  // === operations ===

  function digestOf(hash, data) {
    return new Uint8Array(native.digest(hash, data));
  }

  // Of randomness that natives draw by themselves.
  function noteRandom() {
    if (!native.invoked()) shared.noteRandom();
  }

  // The private key's numbers in the order of the natives.
  const rsaParts = ({ n, e, d, p, q }) => [n, e, d, p, q];
  const SIGNERS = {
    HMAC: {
      sign: ({ hash }, secret, data) => native.hmac(hash, secret, data),
      verify: ({ hash }, secret, signature, data) => native.timingSafeEqual(native.hmac(hash, secret, data), signature),
    },
    ECDSA: {
      sign: ({ curve, hash }, { d }, data) => native.ecSign(curve, d, digestOf(hash, data)),
      verify: ({ curve, hash }, { point }, signature, data) =>
        native.ecVerify(curve, point, digestOf(hash, data), signature),
    },
    Ed25519: {
      sign: (_, { d }, data) => native.edSign(d, data),
      verify: (_, { x }, signature, data) => native.edVerify(x, data, signature),
    },
    'RSASSA-PKCS1-v1_5': {
      sign: ({ hash }, key, data) => native.rsaSign('pkcs1', hash, digestOf(hash, data), 0, ...rsaParts(key)),
      verify: ({ hash }, { n, e }, signature, data) =>
        native.rsaVerify('pkcs1', hash, digestOf(hash, data), signature, 0, n, e),
    },
    'RSA-PSS': {
      sign({ hash, saltLength }, key, data) {
        if (saltLength > 0) noteRandom();
        return native.rsaSign('pss', hash, digestOf(hash, data), saltLength, ...rsaParts(key));
      },
      verify: ({ hash, saltLength }, { n, e }, signature, data) =>
        native.rsaVerify('pss', hash, digestOf(hash, data), signature, saltLength, n, e),
    },
  };

  // What the key is used for, checked; with what the key itself says of its algorithm.
  function prepared(algorithm, key, usage, words) {
    const own = factsOf(key);
    if (own.algorithm.name !== algorithm.name || !own.usages.includes(usage))
      fail('InvalidAccessError', words ?? `Unable to use this key to ${usage}`);
    const hash = algorithm.name === 'ECDSA' ? algorithm.hash : own.algorithm.hash?.name;
    return { ...algorithm, hash, curve: own.algorithm.namedCurve };
  }

  const BLOCK = 16;
  function checkBlock(name, bytes) {
    if (bytes.length !== BLOCK) fail('OperationError', `algorithm.${name} must contain exactly 16 bytes`);
  }

  const CIPHERS = {
    'AES-GCM'(isEncrypting, { iv, additionalData = NOTHING, tagLength = 128 }, secret, data) {
      if (![32, 64, 96, 104, 112, 120, 128].includes(Number(tagLength)))
        fail('OperationError', `${tagLength} is not a valid AES-GCM tag length`);
      if (!isEncrypting && data.length < tagLength / 8) fail('OperationError', 'The provided data is too small.');
      return native.aesGcm(isEncrypting, secret, iv, additionalData, tagLength / 8, data);
    },
    'AES-CBC'(isEncrypting, { iv }, secret, data) {
      checkBlock('iv', iv);
      return native.aesCbc(isEncrypting, secret, iv, data, true);
    },
    'AES-CTR'(isEncrypting, { counter, length }, secret, data) {
      checkBlock('counter', counter);
      if (!(length >= 1 && length <= 128)) fail('OperationError', 'AES-CTR algorithm.length must be between 1 and 128');
      return native.aesCtr(secret, counter, length, data);
    },
    'AES-KW': (isEncrypting, _, secret, data) => native.aesKw(isEncrypting, secret, data),
    'RSA-OAEP'(isEncrypting, { hash, label = NOTHING }, key, data) {
      if (!isEncrypting) return native.rsaDecrypt(hash, label, data, ...rsaParts(key));
      noteRandom();
      return native.rsaEncrypt(hash, label, data, key.n, key.e);
    },
  };

  function cipher(isEncrypting, algorithm, key, usage, data) {
    const whole = prepared(algorithm, key, usage);
    return bufferOf(CIPHERS[algorithm.name](isEncrypting, whole, materialOf(key), data));
  }

  // The secret that two keys have in common.
  function agreed({ name, public: other }, key) {
    if (!(other instanceof CryptoKey)) {
      const text = "'public' of 'EcdhKeyDeriveParams' (Failed to normalize algorithm) is not of type CryptoKey.";
      throw coded(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
    }
    const [ownFacts, otherFacts] = [factsOf(key), factsOf(other)];
    if (ownFacts.type !== 'private') fail('InvalidAccessError', 'baseKey must be a private key');
    if (otherFacts.type !== 'public') fail('InvalidAccessError', 'algorithm.public must be a public key');
    if (otherFacts.algorithm.name !== name) fail('InvalidAccessError', `algorithm.public must be an ${name} key`);
    const { namedCurve } = ownFacts.algorithm;
    if (otherFacts.algorithm.namedCurve !== namedCurve) fail('InvalidAccessError', 'Named curve mismatch');
    const [own, theirs] = [materialOf(key), materialOf(other)];
    if (name === 'ECDH') return native.ecDerive(namedCurve, own.d, theirs.point) ?? refuse();
    const secret = native.xDerive(own.d, theirs.x) ?? refuse();
    // Of a point of small order, the same for every key (RFC 7748, section 6.1).
    return secret.some((byte) => byte !== 0) ? secret : refuse();
  }

  function derived(algorithm, key, bits) {
    const { name, hash, salt, info, iterations } = algorithm;
    if (name === 'ECDH' || name === 'X25519') {
      const secret = agreed(algorithm, key);
      if (bits === null) return secret;
      const length = Math.ceil(bits / 8);
      if (secret.length < length) fail('OperationError', 'derived bit length is too small');
      const part = secret.slice(0, length);
      if (bits % 8 !== 0) part[length - 1] &= 0xff << (8 - (bits % 8));
      return part;
    }
    if (bits === null) fail('OperationError', 'length cannot be null');
    if (bits % 8 !== 0) fail('OperationError', 'length must be a multiple of 8');
    if (name === 'PBKDF2' && !(iterations >= 1)) fail('OperationError', 'iterations cannot be zero');
    if (bits === 0) return NOTHING;
    const secret = materialOf(key);
    if (name === 'HKDF') return native.hkdf(hash, secret, salt, info, bits / 8) ?? refuse();
    return native.pbkdf2(hash, secret, salt, iterations, bits / 8) ?? refuse();
  }

  function checkDeriving(algorithm, key, usage) {
    const own = factsOf(key);
    if (!own.usages.includes(usage)) fail('InvalidAccessError', `baseKey does not have ${usage} usage`);
    if (own.algorithm.name !== algorithm.name) fail('InvalidAccessError', 'Key algorithm mismatch');
  }

  // AES-KW takes 8 bytes at once: spaces change nothing of JSON.
  function jsonBytes(jwk, wrapping) {
    const text = JSON.stringify(jwk);
    return native.encode(wrapping === 'AES-KW' ? text.padEnd(Math.ceil(text.length / 8) * 8) : text);
  }

  class SubtleCrypto {
    constructor(mark) {
      if (mark !== INSIDE) throw coded(new TypeError('Illegal constructor'), 'ERR_ILLEGAL_CONSTRUCTOR');
    }

    async digest(algorithm, data) {
      checkCount('digest', arguments.length, 2);
      const bytes = bytesAt('digest', 1, data);
      return bufferOf(native.digest(normalize(algorithm, 'digest').name, bytes));
    }

    async importKey(format, data, algorithm, extractable, usages) {
      checkCount('importKey', arguments.length, 4);
      const how = formatAt('importKey', 0, format);
      if (how === 'jwk' && (data === null || typeof data !== 'object'))
        throw fault('importKey', 1, ' can not be converted to a dictionary');
      const keyData = how === 'jwk' ? data : bytesAt('importKey', 1, data);
      const wanted = usagesAt('importKey', 4, usages);
      return importBytes(how, keyData, normalize(algorithm, 'import'), extractable, wanted);
    }

    async exportKey(format, key) {
      checkCount('exportKey', arguments.length, 2);
      const how = formatAt('exportKey', 0, format);
      const exported = exportBytes(how, keyAt('exportKey', 1, key));
      return how === 'jwk' ? exported : bufferOf(exported);
    }

    async generateKey(algorithm, extractable, usages) {
      checkCount('generateKey', arguments.length, 3);
      const whole = normalize(algorithm, 'generate');
      const wanted = usagesAt('generateKey', 2, usages);
      if (Object.hasOwn(PAIRS, whole.name)) return generatePair(PAIRS[whole.name], whole, extractable, wanted);
      const made = generateSecret(SECRETS[whole.name], whole, extractable, wanted);
      if (wanted.length === 0) fail('SyntaxError', 'Usages cannot be empty when creating a key.');
      return made;
    }

    async sign(algorithm, key, data) {
      checkCount('sign', arguments.length, 3);
      const whole = normalize(algorithm, 'sign');
      const bytes = bytesAt('sign', 2, data);
      const ready = prepared(whole, keyAt('sign', 1, key), 'sign');
      return bufferOf(SIGNERS[whole.name].sign(ready, materialOf(key), bytes));
    }

    async verify(algorithm, key, signature, data) {
      checkCount('verify', arguments.length, 4);
      const whole = normalize(algorithm, 'sign');
      const [given, bytes] = [bytesAt('verify', 2, signature), bytesAt('verify', 3, data)];
      const ready = prepared(whole, keyAt('verify', 1, key), 'verify');
      return SIGNERS[whole.name].verify(ready, materialOf(key), given, bytes) ?? refuse();
    }

    async encrypt(algorithm, key, data) {
      checkCount('encrypt', arguments.length, 3);
      const whole = normalize(algorithm, 'encrypt');
      return cipher(true, whole, keyAt('encrypt', 1, key), 'encrypt', bytesAt('encrypt', 2, data));
    }

    async decrypt(algorithm, key, data) {
      checkCount('decrypt', arguments.length, 3);
      const whole = normalize(algorithm, 'encrypt');
      return cipher(false, whole, keyAt('decrypt', 1, key), 'decrypt', bytesAt('decrypt', 2, data));
    }

    async deriveBits(algorithm, key, length = null) {
      checkCount('deriveBits', arguments.length, 2);
      const whole = normalize(algorithm, 'derive');
      checkDeriving(whole, keyAt('deriveBits', 1, key), 'deriveBits');
      return bufferOf(derived(whole, key, length === null ? null : length >>> 0));
    }

    async deriveKey(algorithm, key, type, extractable, usages) {
      checkCount('deriveKey', arguments.length, 5);
      const whole = normalize(algorithm, 'derive');
      const made = normalize(type, 'import');
      const bits = SECRETS[made.name].bits(normalize(type, 'length'));
      const wanted = usagesAt('deriveKey', 4, usages);
      checkDeriving(whole, keyAt('deriveKey', 1, key), 'deriveKey');
      return importBytes('raw', derived(whole, key, bits).slice(), made, extractable, wanted);
    }

    async wrapKey(format, key, wrappingKey, algorithm) {
      checkCount('wrapKey', arguments.length, 4);
      const how = formatAt('wrapKey', 0, format);
      const whole = normalizeAny(algorithm, 'wrap', 'encrypt');
      const exported = exportBytes(how, keyAt('wrapKey', 1, key));
      const bytes = how === 'jwk' ? jsonBytes(exported, whole.name) : exported;
      return cipher(true, whole, keyAt('wrapKey', 2, wrappingKey), 'wrapKey', bytes);
    }

    async unwrapKey(format, wrapped, unwrappingKey, algorithm, keyAlgorithm, extractable, usages) {
      checkCount('unwrapKey', arguments.length, 7);
      const how = formatAt('unwrapKey', 0, format);
      const whole = normalizeAny(algorithm, 'wrap', 'encrypt');
      const made = normalize(keyAlgorithm, 'import');
      const wanted = usagesAt('unwrapKey', 6, usages);
      const bytes = bytesAt('unwrapKey', 1, wrapped);
      const clear = new Uint8Array(cipher(false, whole, keyAt('unwrapKey', 2, unwrappingKey), 'unwrapKey', bytes));
      if (how !== 'jwk') return importBytes(how, clear, made, extractable, wanted);
      let jwk;
      try {
        jwk = JSON.parse(new TextDecoder().decode(clear));
      } catch {
        fail('DataError', 'Invalid wrapped JWK key');
      }
      return importBytes(how, jwk, made, extractable, wanted);
    }
  }

  const subtle = new SubtleCrypto(INSIDE);
  const { getRandomValues, randomUUID } = globalThis.crypto;
  class Crypto {
    constructor(mark) {
      if (mark !== INSIDE) throw coded(new TypeError('Illegal constructor'), 'ERR_ILLEGAL_CONSTRUCTOR');
    }

    get subtle() {
      return subtle;
    }

    getRandomValues(array) {
      return getRandomValues(array);
    }

    randomUUID() {
      return randomUUID();
    }
  }
  shared.defineInterfaces({ Crypto, CryptoKey, SubtleCrypto });
  shared.define({ crypto: new Crypto(INSIDE) });
});
