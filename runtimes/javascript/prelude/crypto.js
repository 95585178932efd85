// Randomness of the Web Cryptography API (https://www.w3.org/TR/WebCryptoAPI/), which many scripts need; subtle.js has the rest.
(function (native, shared) {
  'use strict';

  const RANDOM_BYTES_MAX = 65536;
  const INTEGERS = new Set(
    'Int8 Uint8 Uint8Clamped Int16 Uint16 Int32 Uint32 BigInt64 BigUint64'.split(' ').map((name) => `${name}Array`),
  );
  const kindOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;

  function randomFill(bytes) {
    if (!native.invoked()) shared.noteRandom();
    native.randomFill(bytes);
    return bytes;
  }

  function getRandomValues(array) {
    if (!INTEGERS.has(Reflect.apply(kindOf, array, [])))
      throw new DOMException('The data argument must be an integer-type TypedArray', 'TypeMismatchError');
    if (array.byteLength > RANDOM_BYTES_MAX)
      throw new DOMException('The requested length exceeds 65,536 bytes', 'QuotaExceededError');
    randomFill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return array;
  }

  function randomUUID() {
    const bytes = randomFill(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }

  shared.randomFill = randomFill;
  shared.define({ crypto: { getRandomValues, randomUUID } });
});
