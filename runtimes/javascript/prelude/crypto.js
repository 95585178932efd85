// Randomness and digests of the Web Cryptography API.
(function (native, shared) {
  'use strict';

  const RANDOM_BYTES_MAX = 65536;
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

  async function digest(algorithm, data) {
    const name = String(typeof algorithm === 'object' ? algorithm?.name : algorithm);
    const result = native.digest(name.toUpperCase(), shared.bytesOf(data));
    if (result === undefined)
      throw new DOMException(
        `the digest "${name}" is not supported: SHA-1, SHA-256, SHA-384 and SHA-512 are`,
        'NotSupportedError',
      );
    return result;
  }

  shared.define({ crypto: { getRandomValues, randomUUID, subtle: { digest } } });
});
