// The Web Cryptography API, compared with that of Node.js: what one of them makes, the other one takes.
'use strict';

const assert = require('node:assert/strict');
const nodeCrypto = require('node:crypto');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// Node.js 18 has it, but not as a global.
globalThis.crypto ??= require('node:crypto').webcrypto;

// What both have: bytes as hexadecimal text, and what an operation gives or throws.
function helpers() {
  const { subtle } = globalThis.crypto;
  const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const utf8 = (text) => new TextEncoder().encode(text);
  const told = async (operation) => {
    try {
      const value = await operation();
      return value instanceof ArrayBuffer ? hex(value) : (value ?? null);
    } catch (error) {
      return [error.constructor.name, error.name, error.message, error.code];
    }
  };
  // The parts of a key, and of a pair.
  const shown = (key) =>
    key.publicKey
      ? { publicKey: shown(key.publicKey), privateKey: shown(key.privateKey) }
      : { type: key.type, extractable: key.extractable, usages: key.usages, algorithm: { ...key.algorithm } };
  return { subtle, hex, bytes, utf8, told, shown };
}

const source = (compute) =>
  `const helpers = ${helpers};\nconst compute = ${compute};\nmodule.exports = (params) => compute(helpers(), params);`;

async function here(compute, params) {
  return JSON.parse(JSON.stringify((await compute(helpers(), params)) ?? null));
}

function there(compute, params) {
  const reply = new Guest(source(compute)).call(params);
  assert.equal(reply.error, undefined, JSON.stringify(reply.error));
  return reply.result;
}

function same(name, compute, params = null) {
  test(name, async () => assert.deepEqual(there(compute, params), await here(compute, params)));
}

// What `make` gives here is given to `use` there, and the reverse; `use` says whether it is right.
function across(name, make, use, params = null) {
  test(name, async () => {
    assert.deepEqual(there(use, await here(make, params)), true, 'made by Node.js');
    assert.deepEqual(await here(use, there(make, params)), true, 'made by the guest');
  });
}

same('digest', async ({ subtle, utf8, told }) => {
  const names = ['SHA-1', 'sha-256', { name: 'SHA-384' }, 'SHA-512', 'MD5', {}, 5];
  const digests = await Promise.all(names.map((name) => told(() => subtle.digest(name, utf8('abc')))));
  return [...digests, await told(() => subtle.digest('SHA-1')), await told(() => subtle.digest('SHA-1', 'abc'))];
});

same('HMAC', async ({ subtle, utf8, told, shown, hex }) => {
  const all = [];
  for (const hash of ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']) {
    for (const length of [1, 64, 200]) {
      const key = await subtle.importKey('raw', new Uint8Array(length).fill(7), { name: 'hmac', hash }, true, [
        'verify',
        'sign',
      ]);
      const signature = await subtle.sign('HMAC', key, utf8('message'));
      const wrong = new Uint8Array(signature.slice(0));
      wrong[3] ^= 1;
      all.push(shown(key), hex(signature), await subtle.verify('HMAC', key, signature, utf8('message')));
      all.push(await subtle.verify('HMAC', key, wrong, utf8('message')), await subtle.exportKey('jwk', key));
      all.push(await subtle.verify('HMAC', key, signature.slice(1), utf8('message')));
      all.push(await told(() => subtle.exportKey('raw', key)));
    }
  }
  const made = await subtle.generateKey({ name: 'HMAC', hash: 'SHA-512' }, false, ['sign']);
  return [...all, shown(made)];
});

same('AES-GCM, AES-CBC and AES-CTR', async ({ subtle, bytes, utf8, told, hex, shown }) => {
  const all = [];
  for (const length of [16, 24, 32]) {
    for (const algorithm of [
      { name: 'AES-GCM', iv: bytes('000102030405060708090a0b') },
      { name: 'aes-gcm', iv: bytes('000102030405060708090a0b0c0d0e0f'), additionalData: utf8('with'), tagLength: 96 },
      { name: 'AES-CBC', iv: new Uint8Array(16).fill(3) },
      { name: 'AES-CTR', counter: new Uint8Array(16).fill(255), length: 8 },
      { name: 'AES-CTR', counter: new Uint8Array(16).fill(255), length: 128 },
    ]) {
      const key = await subtle.importKey('raw', new Uint8Array(length).fill(9), algorithm.name, true, [
        'decrypt',
        'encrypt',
      ]);
      all.push(shown(key), await subtle.exportKey('jwk', key));
      for (const text of ['', 'short', 'text of more than one block of sixteen bytes']) {
        const sealed = await subtle.encrypt(algorithm, key, utf8(text));
        all.push(hex(sealed), new TextDecoder().decode(await subtle.decrypt(algorithm, key, sealed)));
      }
    }
  }
  return all;
});

same('AES-KW', async ({ subtle, bytes, told, hex }) => {
  // RFC 3394, section 4.1.
  const wrapping = await subtle.importKey('raw', bytes('000102030405060708090a0b0c0d0e0f'), 'AES-KW', false, [
    'wrapKey',
    'unwrapKey',
  ]);
  const key = await subtle.importKey('raw', bytes('00112233445566778899aabbccddeeff'), 'AES-CBC', true, ['encrypt']);
  const wrapped = await subtle.wrapKey('raw', key, wrapping, 'AES-KW');
  const unwrapped = await subtle.unwrapKey('raw', wrapped, wrapping, 'AES-KW', 'AES-CBC', true, ['decrypt']);
  return [
    hex(wrapped),
    hex(await subtle.exportKey('raw', unwrapped)),
    await told(() => subtle.encrypt('AES-KW', wrapping, wrapped)),
  ];
});

same('keys wrapped as JSON', async ({ subtle, shown }) => {
  const algorithm = { name: 'AES-GCM', iv: new Uint8Array(12) };
  const wrapping = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['wrapKey', 'unwrapKey']);
  const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, ['sign', 'verify']);
  const wrapped = await subtle.wrapKey('jwk', pair.privateKey, wrapping, algorithm);
  const own = { name: 'ECDSA', namedCurve: 'P-384' };
  return shown(await subtle.unwrapKey('jwk', wrapped, wrapping, algorithm, own, false, ['sign']));
});

same('PBKDF2 and HKDF', async ({ subtle, utf8, hex, told, shown }) => {
  const all = [];
  for (const hash of ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']) {
    const ways = [
      { name: 'PBKDF2', hash, salt: utf8('salt'), iterations: 5 },
      { name: 'HKDF', hash, salt: utf8('salt'), info: utf8('info') },
    ];
    for (const way of ways) {
      const key = await subtle.importKey('raw', utf8('password'), way.name, false, ['deriveBits', 'deriveKey']);
      all.push(shown(key), hex(await subtle.deriveBits(way, key, 520)));
      for (const type of [
        { name: 'AES-GCM', length: 256 },
        { name: 'HMAC', hash: 'SHA-256' },
      ]) {
        const usages = type.name === 'HMAC' ? ['sign'] : ['encrypt'];
        const made = await subtle.deriveKey(way, key, type, true, usages);
        all.push(shown(made), hex(await subtle.exportKey('raw', made)));
      }
      for (const bits of [0, 7, null]) all.push(await told(() => subtle.deriveBits(way, key, bits)));
      all.push(await told(() => subtle.deriveBits({ ...way, iterations: 0 }, key, 8)));
      all.push(await told(() => subtle.exportKey('raw', key)));
    }
  }
  return all;
});

const SIGNATURES = [
  [
    { name: 'ECDSA', namedCurve: 'P-256' },
    { name: 'ECDSA', hash: 'SHA-256' },
  ],
  [
    { name: 'ECDSA', namedCurve: 'P-256' },
    { name: 'ECDSA', hash: 'SHA-512' },
  ],
  [
    { name: 'ECDSA', namedCurve: 'P-384' },
    { name: 'ECDSA', hash: 'SHA-384' },
  ],
  [
    { name: 'ECDSA', namedCurve: 'P-384' },
    { name: 'ECDSA', hash: 'SHA-1' },
  ],
  [{ name: 'Ed25519' }, 'Ed25519'],
  [{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024 }, 'RSASSA-PKCS1-v1_5'],
  [
    { name: 'RSA-PSS', hash: 'SHA-384', modulusLength: 1024 },
    { name: 'RSA-PSS', saltLength: 20 },
  ],
];
for (const [kind, algorithm] of SIGNATURES) {
  for (const secretFormat of ['pkcs8', 'jwk']) {
    across(
      `signatures and keys: ${JSON.stringify(kind)} as ${secretFormat}`,
      async ({ subtle, hex, utf8, shown }, { kind, algorithm, secretFormat }) => {
        const how = kind.modulusLength ? { ...kind, publicExponent: new Uint8Array([1, 0, 1]) } : kind;
        const pair = await subtle.generateKey(how, true, ['sign', 'verify']);
        const formats = kind.modulusLength ? ['spki'] : ['spki', 'raw'];
        const open = await Promise.all(formats.map(async (f) => [f, hex(await subtle.exportKey(f, pair.publicKey))]));
        const secret = await subtle.exportKey(secretFormat, pair.privateKey);
        return {
          kind,
          algorithm,
          secretFormat,
          shown: shown(pair),
          open,
          jwk: await subtle.exportKey('jwk', pair.publicKey),
          secret: secret instanceof ArrayBuffer ? hex(secret) : secret,
          signature: hex(await subtle.sign(algorithm, pair.privateKey, utf8('message'))),
        };
      },
      async ({ subtle, bytes, hex, utf8, shown }, made) => {
        const { kind, algorithm, secretFormat } = made;
        const keys = [await subtle.importKey('jwk', made.jwk, kind, true, ['verify'])];
        for (const [format, text] of made.open)
          keys.push(await subtle.importKey(format, bytes(text), kind, true, ['verify']));
        const secretData = secretFormat === 'jwk' ? made.secret : bytes(made.secret);
        const secret = await subtle.importKey(secretFormat, secretData, kind, true, ['sign']);
        const own = await subtle.sign(algorithm, secret, utf8('other'));
        for (const key of keys) {
          if (!(await subtle.verify(algorithm, key, bytes(made.signature), utf8('message')))) return 'not verified';
          if (await subtle.verify(algorithm, key, bytes(made.signature), utf8('messages')))
            return 'verified another text';
          // Of the other end, as OpenSSL lets a first byte of an RSA signature be missing that is 0.
          if (await subtle.verify(algorithm, key, bytes(made.signature).slice(0, -1), utf8('message')))
            return 'verified a part';
          if (!(await subtle.verify(algorithm, key, own, utf8('other')))) return 'own signature not verified';
          if (JSON.stringify(await subtle.exportKey('jwk', key)) !== JSON.stringify(made.jwk))
            return 'another key as JSON';
        }
        const exported = await subtle.exportKey(secretFormat, secret);
        const text = (value) =>
          typeof value === 'string' ? value : value instanceof ArrayBuffer ? hex(value) : JSON.stringify(value);
        if (text(exported) !== text(made.secret))
          return `another private key: ${text(exported)} for ${text(made.secret)}`;
        const parts = ({ algorithm: a, ...rest }) =>
          JSON.stringify([rest, Object.entries(a).map(([n, v]) => [n, { ...v }])]);
        return parts(shown(secret)) === parts(made.shown.privateKey) || [shown(secret), made.shown.privateKey];
      },
      { kind, algorithm, secretFormat },
    );
  }
}

for (const kind of [{ name: 'ECDH', namedCurve: 'P-256' }, { name: 'ECDH', namedCurve: 'P-384' }, { name: 'X25519' }]) {
  same(
    `key agreement: ${JSON.stringify(kind)}`,
    async ({ subtle, hex, told, shown }, { kind, pairs }) => {
      const [secret, other] = await Promise.all(
        pairs.map((pair) => subtle.importKey('jwk', pair.secret, kind, true, ['deriveBits', 'deriveKey'])),
      );
      const open = await subtle.importKey('jwk', pairs[1].open, kind, true, []);
      const way = { name: kind.name, public: open };
      const made = await subtle.deriveKey(way, secret, { name: 'AES-CBC', length: 128 }, true, ['encrypt']);
      const bits = await Promise.all(
        [null, 128, 256, 512].map((length) => told(() => subtle.deriveBits(way, secret, length))),
      );
      const wrong = await told(() => subtle.deriveBits({ ...way, public: other }, secret, 256));
      const forms = await Promise.all(['pkcs8', 'jwk'].map((format) => told(() => subtle.exportKey(format, secret))));
      const openForms = await Promise.all(
        ['spki', 'raw', 'jwk'].map((format) => told(() => subtle.exportKey(format, open))),
      );
      return [shown(secret), shown(open), hex(await subtle.exportKey('raw', made)), bits, wrong, forms, openForms];
    },
    { kind, pairs: pairsOf(kind) },
  );
}

// Keys made with the other interface of Node.js.
function pairsOf({ name, namedCurve }) {
  const { generateKeyPairSync } = require('node:crypto');
  return [1, 2].map(() => {
    const pair = name === 'ECDH' ? generateKeyPairSync('ec', { namedCurve }) : generateKeyPairSync('x25519');
    return { secret: pair.privateKey.export({ format: 'jwk' }), open: pair.publicKey.export({ format: 'jwk' }) };
  });
}

across(
  'RSA-OAEP',
  async ({ subtle, hex, utf8 }) => {
    const kind = { name: 'RSA-OAEP', hash: 'SHA-256' };
    const how = { ...kind, modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) };
    const pair = await subtle.generateKey(how, true, ['encrypt', 'decrypt']);
    const label = utf8('label');
    return {
      kind,
      secret: await subtle.exportKey('jwk', pair.privateKey),
      sealed: hex(await subtle.encrypt('RSA-OAEP', pair.publicKey, utf8('secret'))),
      labelled: hex(await subtle.encrypt({ name: 'RSA-OAEP', label }, pair.publicKey, utf8('secret'))),
    };
  },
  async ({ subtle, bytes, utf8 }, { kind, secret, sealed, labelled }) => {
    const key = await subtle.importKey('jwk', secret, kind, true, ['decrypt']);
    const open = async (algorithm, text) => new TextDecoder().decode(await subtle.decrypt(algorithm, key, bytes(text)));
    const texts = [await open('RSA-OAEP', sealed), await open({ name: 'RSA-OAEP', label: utf8('label') }, labelled)];
    const refused = await open('RSA-OAEP', labelled).catch((error) => error.name);
    return texts.join() === 'secret,secret' && refused === 'OperationError';
  },
);

same('numbers of RSA keys have no zeros before them', async ({ subtle }) => {
  const how = { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 1024, publicExponent: new Uint8Array([0, 1, 0, 1]) };
  const { publicKey } = await subtle.generateKey(how, true, ['sign', 'verify']);
  return (await subtle.exportKey('jwk', publicKey)).e;
});

same('what is refused, and how', async ({ subtle, told }) => {
  const raw = new Uint8Array(16);
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' };
  const oct = { kty: 'oct', k: 'AAAA' };
  const [signs, seals, blocks, counts] = await Promise.all([
    subtle.importKey('raw', raw, hmac, false, ['sign']),
    ...['AES-GCM', 'AES-CBC', 'AES-CTR'].map((name) =>
      subtle.importKey('raw', raw, name, true, ['encrypt', 'decrypt']),
    ),
  ]);
  const pair = await subtle.generateKey(ecdsa, true, ['sign', 'verify']);
  const all = [
    () => subtle.importKey('raw'),
    () => subtle.importKey('raw', raw, hmac, true, ['encrypt']),
    () => subtle.importKey('raw', raw, hmac, true, []),
    () => subtle.importKey('raw', raw, hmac, true, ['other']),
    () => subtle.importKey('other', raw, hmac, true, ['sign']),
    () => subtle.importKey('raw', raw, { name: 'HMAC' }, true, ['sign']),
    () => subtle.importKey('raw', raw, { name: 'HMAC', hash: 'MD5' }, true, ['sign']),
    () => subtle.importKey('raw', raw, { name: 'other' }, true, ['sign']),
    () => subtle.importKey('raw', new Uint8Array(0), hmac, true, ['sign']),
    () => subtle.importKey('raw', new Uint8Array(5), 'AES-GCM', true, ['encrypt']),
    () => subtle.importKey('raw', raw, 'AES-GCM', true, ['sign']),
    () => subtle.importKey('raw', raw, 'PBKDF2', true, ['deriveBits']),
    () => subtle.importKey('spki', raw, ecdsa, true, ['verify']),
    () => subtle.importKey('pkcs8', raw, ecdsa, true, ['sign']),
    () => subtle.importKey('raw', raw, ecdsa, true, ['verify']),
    () => subtle.importKey('raw', raw, { ...ecdsa, namedCurve: 'P-999' }, true, ['verify']),
    () => subtle.importKey('jwk', {}, hmac, true, ['sign']),
    () => subtle.importKey('jwk', 'text', hmac, true, ['sign']),
    () => subtle.importKey('jwk', { ...oct, alg: 'HS1' }, hmac, true, ['sign']),
    () => subtle.importKey('jwk', { ...oct, ext: false }, hmac, true, ['sign']),
    () => subtle.importKey('jwk', { ...oct, key_ops: ['verify'] }, hmac, true, ['sign']),
    () => subtle.importKey('jwk', { ...oct, use: 'enc' }, hmac, true, ['sign']),
    () => subtle.importKey('jwk', { kty: 'EC', crv: 'P-384', x: 'AA', y: 'AA' }, ecdsa, true, ['verify']),
    () => subtle.importKey('jwk', { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }, ecdsa, true, ['verify']),
    () => subtle.exportKey('raw', signs),
    () => subtle.exportKey('raw', pair.privateKey),
    () => subtle.verify('HMAC', signs, raw, raw),
    () => subtle.sign('ECDSA', signs, raw),
    () => subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, signs, raw),
    () => subtle.sign('HMAC', {}, raw),
    () => subtle.decrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, seals, new Uint8Array(20)),
    () => subtle.decrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, seals, new Uint8Array(4)),
    () => subtle.encrypt({ name: 'AES-GCM' }, seals, raw),
    () => subtle.encrypt({ name: 'AES-GCM', iv: raw, tagLength: 7 }, seals, raw),
    () => subtle.encrypt({ name: 'AES-CBC', iv: new Uint8Array(12) }, blocks, raw),
    () => subtle.decrypt({ name: 'AES-CBC', iv: raw }, blocks, new Uint8Array(20)),
    () => subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(12), length: 64 }, counts, raw),
    () => subtle.encrypt({ name: 'AES-CTR', counter: raw, length: 0 }, counts, raw),
    () => subtle.generateKey({ ...hmac, length: 0 }, true, ['sign']),
    () => subtle.generateKey({ name: 'AES-GCM', length: 100 }, true, ['encrypt']),
    () => subtle.generateKey(ecdsa, true, []),
    () => subtle.generateKey(ecdsa, true, ['verify']),
    () => new CryptoKey(),
    () => new Crypto(),
    () => new SubtleCrypto(),
    () => crypto.getRandomValues(new Float32Array(1)),
    () => crypto.getRandomValues(new Uint8Array(70000)).length,
  ];
  return Promise.all(all.map(async (each) => [String(each), await told(each)]));
});

same('the interfaces', () => {
  const { subtle } = crypto;
  const names = [Crypto, CryptoKey, SubtleCrypto].map(({ name, prototype }) => [name, Object.keys(prototype).sort()]);
  return [
    names,
    crypto instanceof Crypto,
    subtle instanceof SubtleCrypto,
    String(crypto),
    String(subtle),
    typeof crypto.subtle,
  ];
});

test('only scripts that name subtle have it', () => {
  const lengths = (text) => new Guest(`module.exports = () => [${text}, crypto.randomUUID().length];`).call().result;
  assert.deepEqual(lengths('Object.keys(crypto).join()'), ['getRandomValues,randomUUID', 36]);
  assert.deepEqual(lengths('typeof crypto.subtle'), ['object', 36]);
});

// === numbers, copies and what is wrong ===

same('numbers of algorithms are converted', async ({ subtle, told, hex }) => {
  const raw = (name, usages) => subtle.importKey('raw', new Uint8Array(16), name, false, usages);
  const [gcm, ctr, pbkdf2] = [
    await raw('AES-GCM', ['encrypt']),
    await raw('AES-CTR', ['encrypt']),
    await raw('PBKDF2', ['deriveBits']),
  ];
  const one = new Uint8Array(1);
  const length = (name, length) => subtle.generateKey({ name, hash: 'SHA-256', length }, true, name === 'HMAC' ? ['sign'] : ['encrypt']);
  const imported = (length) => subtle.importKey('raw', new Uint8Array(3), { name: 'HMAC', hash: 'SHA-256', length }, true, ['sign']);
  const all = [];
  for (const number of ['128', 128.9, 64, 24, 25, 20, 17, 9, 1, 0, -0.5, -1, 255, 256, 384, 65664, 2 ** 32, NaN, Infinity, 'x', null]) {
    for (const run of [
      () => subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12), tagLength: number }, gcm, one),
      () => subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: number }, ctr, one),
      () => subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: one, iterations: number }, pbkdf2, 64),
      async () => (await length('AES-GCM', number)).algorithm.length,
      async () => (await length('HMAC', number)).algorithm.length,
      async () => (await imported(number)).algorithm.length,
    ]) {
      // Some would take long.
      if (!(String(run).includes('PBKDF2') && number > 1000 && number < 2 ** 32)) all.push([String(number), await told(run)]);
    }
  }
  return [all, hex(one)];
});

same('a salt of PSS that has no place in the key', async ({ subtle, told }, [spki, pkcs8]) => {
  const bytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
  const how = { name: 'RSA-PSS', hash: 'SHA-256' };
  const privateKey = await subtle.importKey('pkcs8', bytes(pkcs8), how, false, ['sign']);
  const publicKey = await subtle.importKey('spki', bytes(spki), how, false, ['verify']);
  const all = [];
  for (const saltLength of ['0', 32, 94, 95, 1000, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -1, null]) {
    const algorithm = { name: 'RSA-PSS', saltLength };
    all.push(await told(async () => (await subtle.sign(algorithm, privateKey, bytes('00'))).byteLength));
    all.push(await told(() => subtle.verify(algorithm, publicKey, new Uint8Array(128), bytes('00'))));
  }
  return all;
}, rsaPair(1024));

function rsaPair(modulusLength) {
  const { publicKey, privateKey } = nodeCrypto.generateKeyPairSync('rsa', { modulusLength });
  return [publicKey.export({ type: 'spki', format: 'der' }), privateKey.export({ type: 'pkcs8', format: 'der' })].map((der) => der.toString('hex'));
}

same('exponents of new RSA keys', async ({ subtle, told }) => {
  const all = [];
  for (const exponent of [[3], [0, 0, 0, 1, 0, 1], [1], [0], [2], [], [1, 0, 0, 0, 0, 1]]) {
    const how = { name: 'RSA-PSS', modulusLength: 512, publicExponent: new Uint8Array(exponent), hash: 'SHA-1' };
    all.push(await told(async () => (await subtle.generateKey(how, true, ['sign', 'verify'])).publicKey.algorithm.publicExponent.length > 0));
  }
  return all;
});

across(
  'an OAEP label of any bytes',
  async ({ subtle, hex }) => {
    const how = { name: 'RSA-OAEP', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
    const pair = await subtle.generateKey(how, true, ['encrypt', 'decrypt']);
    const label = new Uint8Array([255, 0, 128]);
    const sealed = await subtle.encrypt({ name: 'RSA-OAEP', label }, pair.publicKey, new Uint8Array([1, 2, 3]));
    return [hex(await subtle.exportKey('pkcs8', pair.privateKey)), hex(sealed)];
  },
  async ({ subtle, hex, bytes }, [pkcs8, sealed]) => {
    const key = await subtle.importKey('pkcs8', bytes(pkcs8), { name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['decrypt']);
    const open = (label) => subtle.decrypt({ name: 'RSA-OAEP', label }, key, bytes(sealed));
    const isRefused = await open(new Uint8Array([255, 0, 129])).catch((error) => error.name);
    return hex(await open(new Uint8Array([255, 0, 128]))) === '010203' && isRefused === 'OperationError';
  },
);

// p and q as they are given; BigInts.
function jwkOf(p, q) {
  const text = (number) => {
    const hex = number.toString(16);
    return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
  };
  const inverse = (number, modulus) => {
    let [a, b, x, y] = [number % modulus, modulus, 1n, 0n];
    while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
    return ((x % modulus) + modulus) % modulus;
  };
  const d = inverse(65537n, (p - 1n) * (q - 1n));
  const numbers = { n: p * q, e: 65537n, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
  return { kty: 'RSA', ...Object.fromEntries(Object.entries(numbers).map(([name, number]) => [name, text(number)])) };
}

const signing = async ({ subtle, told }, jwk) => {
  const key = await subtle.importKey('jwk', jwk, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, true, ['sign']);
  return told(() => subtle.sign('RSASSA-PKCS1-v1_5', key, new Uint8Array(3)));
};
const prime = (bits) => nodeCrypto.generatePrimeSync(bits, { bigint: true, add: 65537n * 2n, rem: 3n });

test('the primes of an RSA key in any order', async () => {
  for (const [first, second] of [[512, 512], [512, 480], [480, 512]]) {
    const jwk = jwkOf(prime(first), prime(second));
    assert.deepEqual(there(signing, jwk), await here(signing, jwk), `${first} and ${second} bits`);
  }
});

test('primes of very different lengths are no key', () => {
  for (const [first, second] of [[900, 124], [124, 900]]) {
    assert.deepEqual(there(signing, jwkOf(prime(first), prime(second))).slice(1, 3), ['OperationError', 'The operation failed for an operation-specific reason']);
  }
});

same('secrets as JSON, in either base64', async ({ subtle, told, hex }) => {
  const all = [];
  for (const k of ['-_8', '+/8=', '+/8', '+-8', 'A A A A']) {
    all.push(await told(async () => hex(await subtle.exportKey('raw', await subtle.importKey('jwk', { kty: 'oct', k }, { name: 'HMAC', hash: 'SHA-256' }, true, ['sign'])))));
  }
  return all;
});

same('keys as JSON are wrapped with AES-KW', async ({ subtle, told, hex }) => {
  const wrapping = await subtle.importKey('raw', new Uint8Array(16), 'AES-KW', false, ['wrapKey', 'unwrapKey']);
  const all = [];
  for (let length = 1; length <= 16; length++) {
    const key = await subtle.importKey('raw', new Uint8Array(length).fill(9), { name: 'HMAC', hash: 'SHA-256' }, true, ['sign']);
    const wrapped = await subtle.wrapKey('jwk', key, wrapping, 'AES-KW');
    const again = await subtle.unwrapKey('jwk', wrapped, wrapping, 'AES-KW', { name: 'HMAC', hash: 'SHA-256' }, true, ['sign']);
    all.push(hex(wrapped), hex(await subtle.exportKey('raw', again)));
  }
  const hkdf = await subtle.importKey('raw', new Uint8Array(4), 'HKDF', false, ['deriveBits', 'deriveKey']);
  const how = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(1), info: new Uint8Array(0) };
  all.push(await told(() => subtle.deriveBits(how, hkdf, 255 * 32 * 8 + 8)));
  all.push(await told(() => subtle.deriveKey(how, hkdf, { name: 'HMAC', hash: 'SHA-256', length: 255 * 32 * 8 + 8 }, true, ['sign'])));
  return all;
});

test('what a key may be used for is changed by nobody', () => {
  const results = there(async ({ subtle, told }) => {
    const key = await subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, ['encrypt']);
    key.usages.push('decrypt');
    key.algorithm.name = 'AES-CBC';
    Object.defineProperty(key, 'extractable', { value: true });
    const iv = new Uint8Array(12);
    const hmac = await subtle.importKey('raw', new Uint8Array(16), { name: 'HMAC', hash: 'SHA-256' }, true, ['sign']);
    hmac.algorithm.hash.name = 'SHA-1';
    return [
      key.usages === key.usages && key.algorithm === key.algorithm,
      (await told(() => subtle.decrypt({ name: 'AES-GCM', iv }, key, new Uint8Array(16))))[1],
      (await told(() => subtle.exportKey('raw', key)))[2],
      (await subtle.encrypt({ name: 'AES-GCM', iv }, key, new Uint8Array(1))).byteLength,
      (await subtle.sign('HMAC', hmac, new Uint8Array(1))).byteLength,
    ];
  }, null);
  assert.deepEqual(results, [true, 'InvalidAccessError', 'key is not extractable', 17, 32]);
});

test('randomness while the file is loaded', () => {
  const loaded = (text) => new Guest(`let told = 'done'; const run = async () => { ${text} };
    run().catch((error) => { told = error.message; }); module.exports = () => told;`);
  const generated = loaded(`await crypto.subtle.generateKey({ name: 'RSA-PSS', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }, true, ['sign', 'verify']);`);
  assert.match(generated.call().result, /RSA key pair is generated while the file is loaded.*Generate it in the handler/);
  const [spki] = rsaPair(1024);
  const sealed = loaded(`const bytes = Uint8Array.from('${spki}'.match(/../g), (pair) => parseInt(pair, 16));
    const key = await crypto.subtle.importKey('spki', bytes, { name: 'RSA-OAEP', hash: 'SHA-1' }, false, ['encrypt']);
    await crypto.subtle.encrypt('RSA-OAEP', key, new Uint8Array(1));`);
  assert.equal(sealed.call().result, 'done');
  assert.match(sealed.warnings.join(), /a random value is drawn while the file is loaded/);
  const form = loaded(`const form = new FormData(); form.append('a', 'b'); await new Response(form).text();`);
  assert.match(form.warnings.join(), /a random value is drawn while the file is loaded/);
});
