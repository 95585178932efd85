// names: node:string_decoder 'string_decoder' 'string_decoder/'
// needs: buffer
// node:string_decoder (https://nodejs.org/docs/latest-v20.x/api/string_decoder.html): bytes that come in parts, of which some are only
// part of a character.
(function (native, shared) {
  'use strict';

  const { Buffer } = shared.nodeModules.buffer;
  const NAMES = { 'utf-8': 'utf8', 'utf-16le': 'utf16le', ucs2: 'utf16le', 'ucs-2': 'utf16le', binary: 'latin1' };

  // So many bytes at the end are the beginning of a character in UTF-8.
  function begunInUtf8(bytes) {
    for (let count = 1; count <= Math.min(3, bytes.length); count++) {
      const byte = bytes[bytes.length - count];
      if ((byte & 0xc0) === 0x80) continue;
      const size = byte >= 0xf5 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
      return size <= count ? 0 : count;
    }
    return 0;
  }

  function begunInUtf16(bytes) {
    const odd = bytes.length % 2;
    const high = bytes[bytes.length - odd - 1];
    return odd + (bytes.length - odd >= 2 && high >= 0xd8 && high <= 0xdb ? 2 : 0);
  }

  const BEGUN = {
    utf8: begunInUtf8,
    utf16le: begunInUtf16,
    base64: (bytes) => bytes.length % 3,
    base64url: (bytes) => bytes.length % 3,
  };

  class StringDecoder {
    #kept = Buffer.alloc(0);

    constructor(encoding = 'utf8') {
      const lower = `${encoding ?? 'utf8'}`.toLowerCase();
      if (!Buffer.isEncoding(lower)) {
        throw Object.assign(new TypeError(`Unknown encoding: ${encoding}`), { code: 'ERR_UNKNOWN_ENCODING' });
      }
      this.encoding = NAMES[lower] ?? lower;
    }

    write(data) {
      if (typeof data === 'string') return data;
      if (!ArrayBuffer.isView(data)) {
        const expected = 'an instance of Buffer, TypedArray, or DataView';
        throw shared.invalidArgument('buf', expected, data);
      }
      const bytes = Buffer.concat([this.#kept, shared.bytesOf(data)]);
      const whole = bytes.length - (BEGUN[this.encoding]?.(bytes) ?? 0);
      this.#kept = bytes.subarray(whole);
      return bytes.toString(this.encoding, 0, whole);
    }

    end(data) {
      const text = data === undefined ? '' : this.write(data);
      const rest = this.#kept.toString(this.encoding);
      this.#kept = Buffer.alloc(0);
      return text + rest;
    }

    text(data, offset) {
      this.#kept = Buffer.alloc(0);
      return this.write(data.slice(offset));
    }
  }

  shared.nodeModules.string_decoder = { StringDecoder };
});
