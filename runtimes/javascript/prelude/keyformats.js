// names:
// Keys as bytes and as JSON: DER (X.690) for PKCS #8 (RFC 5208) and SubjectPublicKeyInfo (RFC 5280), with the contents of RFC 5915,
// RFC 8017 and RFC 8410; JWK (RFC 7517, RFC 7518, RFC 8037). What is malformed gives undefined.
(function (native, shared) {
  'use strict';

  const SEQUENCE = 0x30;
  const INTEGER = 0x02;
  const BIT_STRING = 0x03;
  const OCTET_STRING = 0x04;
  const OBJECT_ID = 0x06;
  const NULL = [0x05, 0x00];
  const EC_KEY = '2a8648ce3d0201';
  const RSA_KEY = '2a864886f70d010101';
  const CURVES = { 'P-256': '2a8648ce3d030107', 'P-384': '2b81040022' };
  const OCTET_KEYS = { Ed25519: '2b6570', X25519: '2b656e' };

  const base64url = (bytes) => bytes.toBase64({ alphabet: 'base64url', omitPadding: true });
  // Of plain base64 as well, as in Node.js.
  function unbase64url(text) {
    if (typeof text !== 'string') return undefined;
    try {
      return Uint8Array.fromBase64(text.replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_'), {
        alphabet: 'base64url',
      });
    } catch {
      return undefined;
    }
  }

  function joined(...parts) {
    return Uint8Array.from(parts.flatMap((part) => [...part]));
  }

  function withoutZeros(bytes) {
    const at = bytes.findIndex((byte) => byte !== 0);
    return at < 0 ? bytes.subarray(-1) : bytes.subarray(at);
  }

  // === writing DER ===

  function element(tag, ...parts) {
    const content = joined(...parts);
    const { length } = content;
    if (length < 0x80) return joined([tag, length], content);
    const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
    return joined([tag], size, content);
  }

  const objectId = (hex) => element(OBJECT_ID, Uint8Array.fromHex(hex));
  const integer = (bytes) => {
    const least = withoutZeros(Uint8Array.from(bytes));
    return element(INTEGER, least[0] >= 0x80 ? [0] : [], least);
  };

  // === reading DER ===

  class Malformed extends Error {}

  // The elements of these bytes: [tag, content] of each.
  function elements(bytes) {
    const found = [];
    for (let at = 0; at < bytes.length;) {
      let length = bytes[at + 1];
      let begin = at + 2;
      if (length > 0x80) {
        begin += length - 0x80;
        length = bytes.subarray(at + 2, begin).reduce((all, byte) => all * 0x100 + byte, 0);
      } else if (length === 0x80) throw new Malformed();
      if (!(begin + length <= bytes.length)) throw new Malformed();
      found.push([bytes[at], bytes.subarray(begin, begin + length)]);
      at = begin + length;
    }
    return found;
  }

  function content(tag, item) {
    if (item?.[0] !== tag) throw new Malformed();
    return item[1];
  }

  function sequence(bytes) {
    const [first, ...more] = elements(bytes);
    if (more.length > 0) throw new Malformed();
    return elements(content(SEQUENCE, first));
  }

  function algorithmOf(item) {
    const [id, parameter] = elements(content(SEQUENCE, item));
    return [content(OBJECT_ID, id).toHex(), parameter?.[0] === OBJECT_ID ? parameter[1].toHex() : undefined];
  }

  function bitString(item) {
    const bits = content(BIT_STRING, item);
    if (bits[0] !== 0) throw new Malformed();
    return bits.subarray(1);
  }

  function integers(items, count) {
    const numbers = items.slice(0, count).map((item) => withoutZeros(content(INTEGER, item)));
    if (numbers.length < count) throw new Malformed();
    return numbers;
  }

  function attempt(read) {
    try {
      return read();
    } catch (error) {
      if (error instanceof Malformed) return undefined;
      throw error;
    }
  }

  // === keys of elliptic curves: { point }, and { point, d } ===

  const sizeOf = (curve) => (curve === 'P-256' ? 32 : 48);

  function padded(bytes, length) {
    const whole = new Uint8Array(length);
    const least = bytes.length > length ? withoutZeros(bytes) : bytes;
    if (least.length > length) return undefined;
    whole.set(least, length - least.length);
    return whole;
  }

  function ecPublic(curve, bytes) {
    const point = native.ecPoint(curve, bytes);
    return point && { point };
  }

  function ecPrivate(curve, scalar) {
    const d = padded(scalar, sizeOf(curve));
    const point = d && native.ecPublic(curve, d);
    return point && { point, d };
  }

  const ec = {
    raw: ecPublic,
    exportRaw: (curve, { point }) => point,
    spki: (curve, bytes) =>
      attempt(() => {
        const [algorithm, bits] = sequence(bytes);
        const [id, parameter] = algorithmOf(algorithm);
        return id === EC_KEY && parameter === CURVES[curve] ? ecPublic(curve, bitString(bits)) : undefined;
      }),
    exportSpki: (curve, { point }) =>
      element(SEQUENCE, element(SEQUENCE, objectId(EC_KEY), objectId(CURVES[curve])), element(BIT_STRING, [0], point)),
    pkcs8: (curve, bytes) =>
      attempt(() => {
        const [version, algorithm, octets] = sequence(bytes);
        content(INTEGER, version);
        const [id, parameter] = algorithmOf(algorithm);
        const scalar = content(OCTET_STRING, sequence(content(OCTET_STRING, octets))[1]);
        return id === EC_KEY && parameter === CURVES[curve] ? ecPrivate(curve, scalar) : undefined;
      }),
    exportPkcs8: (curve, { point, d }) => {
      const bits = element(0xa1, element(BIT_STRING, [0], point));
      const key = element(SEQUENCE, integer([1]), element(OCTET_STRING, d), bits);
      const algorithm = element(SEQUENCE, objectId(EC_KEY), objectId(CURVES[curve]));
      return element(SEQUENCE, integer([0]), algorithm, element(OCTET_STRING, key));
    },
    jwk: (curve, jwk) => {
      const [x, y] = [unbase64url(jwk.x), unbase64url(jwk.y)];
      const size = sizeOf(curve);
      if (x?.length !== size || y?.length !== size) return undefined;
      const key = ecPublic(curve, joined([4], x, y));
      if (key === undefined || jwk.d === undefined) return key;
      const scalar = unbase64url(jwk.d);
      const whole = scalar && ecPrivate(curve, scalar);
      return whole?.point.every((byte, at) => byte === key.point[at]) ? whole : undefined;
    },
    exportJwk: (curve, { point, d }) => {
      const size = sizeOf(curve);
      const known = { x: base64url(point.subarray(1, 1 + size)), y: base64url(point.subarray(1 + size)) };
      return { kty: 'EC', ...known, crv: curve, ...(d && { d: base64url(d) }) };
    },
  };

  // === Ed25519 and X25519: { x }, and { x, d } ===

  const BASE_POINT = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 9 : 0));
  const okpPublic = (x) => (x?.length === 32 ? { x: x.slice() } : undefined);
  function okpPrivate(curve, d) {
    if (d?.length !== 32) return undefined;
    return { x: curve === 'Ed25519' ? native.edPublic(d) : native.xDerive(d, BASE_POINT), d: d.slice() };
  }

  const okp = {
    raw: (curve, bytes) => okpPublic(bytes),
    exportRaw: (curve, { x }) => x,
    spki: (curve, bytes) =>
      attempt(() => {
        const [algorithm, bits] = sequence(bytes);
        return algorithmOf(algorithm)[0] === OCTET_KEYS[curve] ? okpPublic(bitString(bits)) : undefined;
      }),
    exportSpki: (curve, { x }) =>
      element(SEQUENCE, element(SEQUENCE, objectId(OCTET_KEYS[curve])), element(BIT_STRING, [0], x)),
    pkcs8: (curve, bytes) =>
      attempt(() => {
        const [, algorithm, octets] = sequence(bytes);
        const [inner] = elements(content(OCTET_STRING, octets));
        const isIt = algorithmOf(algorithm)[0] === OCTET_KEYS[curve];
        return isIt ? okpPrivate(curve, content(OCTET_STRING, inner)) : undefined;
      }),
    exportPkcs8: (curve, { d }) =>
      element(
        SEQUENCE,
        integer([0]),
        element(SEQUENCE, objectId(OCTET_KEYS[curve])),
        element(OCTET_STRING, element(OCTET_STRING, d)),
      ),
    jwk: (curve, jwk) => {
      const key = okpPublic(unbase64url(jwk.x));
      if (key === undefined || jwk.d === undefined) return key;
      const whole = okpPrivate(curve, unbase64url(jwk.d));
      return whole?.x.every((byte, at) => byte === key.x[at]) ? whole : undefined;
    },
    exportJwk: (curve, { x, d }) => ({
      crv: curve,
      ...(d && { d: base64url(d) }),
      x: base64url(x),
      kty: 'OKP',
      ...(curve === 'Ed25519' && { alg: 'Ed25519' }),
    }),
  };

  // === RSA: { n, e }, and { n, e, d, p, q } ===

  const numberOf = (bytes) => BigInt(`0x${bytes.toHex()}`);
  function bytesOf(number) {
    const hex = number.toString(16);
    return Uint8Array.fromHex(hex.padStart(hex.length + (hex.length % 2), '0'));
  }

  // With Euclid's algorithm.
  function inverse(number, modulus) {
    let [a, b, x, y] = [number % modulus, modulus, 1n, 0n];
    while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
    return ((x % modulus) + modulus) % modulus;
  }

  // Those that follow from the others: dP, dQ and qInv.
  function crt({ d, p, q }) {
    const [exponent, first, second] = [d, p, q].map(numberOf);
    return [exponent % (first - 1n), exponent % (second - 1n), inverse(second, first)].map(bytesOf);
  }

  const rsaAlgorithm = element(SEQUENCE, objectId(RSA_KEY), NULL);
  const rsa = {
    spki: (_, bytes) =>
      attempt(() => {
        const [algorithm, bits] = sequence(bytes);
        if (algorithmOf(algorithm)[0] !== RSA_KEY) return undefined;
        const [n, e] = integers(sequence(bitString(bits)), 2);
        return { n: n.slice(), e: e.slice() };
      }),
    exportSpki: (_, { n, e }) =>
      element(SEQUENCE, rsaAlgorithm, element(BIT_STRING, [0], element(SEQUENCE, integer(n), integer(e)))),
    pkcs8: (_, bytes) =>
      attempt(() => {
        const [, algorithm, octets] = sequence(bytes);
        if (algorithmOf(algorithm)[0] !== RSA_KEY) return undefined;
        const [, n, e, d, p, q] = integers(sequence(content(OCTET_STRING, octets)), 9).map((part) => part.slice());
        return { n, e, d, p, q };
      }),
    exportPkcs8: (_, key) => {
      const { n, e, d, p, q } = key;
      const numbers = [[0], n, e, d, p, q, ...crt(key)].map(integer);
      return element(SEQUENCE, integer([0]), rsaAlgorithm, element(OCTET_STRING, element(SEQUENCE, ...numbers)));
    },
    jwk: (_, jwk) => {
      const names = jwk.d === undefined ? ['n', 'e'] : ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'];
      const parts = names.map((name) => unbase64url(jwk[name]));
      if (parts.some((part) => part === undefined || part.length === 0)) return undefined;
      const [n, e, d, p, q] = parts.map(withoutZeros);
      return d === undefined ? { n, e } : { n, e, d, p, q };
    },
    exportJwk: (_, key) => {
      const { n, e, d, p, q } = key;
      const least = (bytes) => base64url(withoutZeros(bytes));
      const known = { kty: 'RSA', n: least(n), e: least(e) };
      if (d === undefined) return known;
      const [dp, dq, qi] = crt(key).map(base64url);
      return { ...known, d: least(d), p: least(p), q: least(q), dp, dq, qi };
    },
  };

  shared.keyFormats = { ec, okp, rsa, base64url, unbase64url };
});
