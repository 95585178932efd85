// TextEncoder and TextDecoder (https://encoding.spec.whatwg.org/), here for UTF-8; encodings.js has other encodings.
(function (native, shared) {
  'use strict';

  const LABELS = new Set(['utf-8', 'utf8', 'unicode-1-1-utf-8', 'unicode11utf8', 'unicode20utf8', 'x-unicode20utf8']);
  const NOTHING = new Uint8Array(0);

  // The text without the characters at both ends of whose codes this is true. A regular expression would look at each run of
  // them from all of its places.
  function trimmed(text, isOut) {
    let [begin, end] = [0, text.length];
    while (begin < end && isOut(text.charCodeAt(begin))) begin++;
    while (begin < end && isOut(text.charCodeAt(end - 1))) end--;
    return text.slice(begin, end);
  }

  // A view of the same bytes, of whatever kind of view or buffer.
  function bytesOf(source) {
    if (source === undefined) return NOTHING;
    if (ArrayBuffer.isView(source)) {
      return source.constructor === Uint8Array
        ? source
        : new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    }
    if (source instanceof ArrayBuffer) return new Uint8Array(source);
    throw new TypeError('expected an ArrayBuffer or a view of one');
  }

  class TextEncoder {
    get encoding() {
      return 'utf-8';
    }

    encode(text = '') {
      return native.encode(String(text));
    }

    encodeInto(text, into) {
      const whole = String(text).toWellFormed();
      let read = 0;
      let written = 0;
      for (const character of whole) {
        const code = character.codePointAt(0);
        const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        if (written + size > into.length) break;
        read += character.length;
        written += size;
      }
      into.set(native.encode(whole.slice(0, read)));
      return { read, written };
    }
  }

  const utf8 = { name: 'utf-8', decode: native.decode };
  function encodingOf(label) {
    const name = trimmed(`${label}`, (code) => code === 0x20 || (code >= 9 && code <= 13 && code !== 11)).toLowerCase();
    const found = LABELS.has(name) ? utf8 : shared.otherEncoding?.(name);
    if (found !== undefined) return found;
    throw Object.assign(new RangeError(`The "${label}" encoding is not supported`), { code: 'ERR_ENCODING_NOT_SUPPORTED' });
  }

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    #kept = NOTHING;
    #begun = false;

    constructor(label = 'utf-8', options = undefined) {
      const { fatal, ignoreBOM } = options ?? {};
      this.#encoding = encodingOf(label);
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }

    get encoding() {
      return this.#encoding.name;
    }

    get fatal() {
      return this.#fatal;
    }

    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(source, options = undefined) {
      const stream = Boolean(options?.stream);
      let bytes = bytesOf(source);
      if (this.#kept.length > 0) {
        const both = new Uint8Array(this.#kept.length + bytes.length);
        both.set(this.#kept);
        both.set(bytes, this.#kept.length);
        bytes = both;
      }
      const decoded = this.#encoding.decode(bytes, this.#fatal, !stream);
      if (decoded === undefined) {
        this.#reset();
        const error = new TypeError(`The encoded data was not valid for encoding ${this.encoding}`);
        throw Object.assign(error, { code: 'ERR_ENCODING_INVALID_ENCODED_DATA' });
      }
      let [text, read] = decoded;
      if (!this.#begun && text !== '') {
        this.#begun = true;
        if (!this.#ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      }
      if (stream) this.#kept = bytes.slice(read);
      else this.#reset();
      return text;
    }

    #reset() {
      this.#kept = NOTHING;
      this.#begun = false;
    }
  }

  shared.trimmed = trimmed;
  shared.isHttpSpace = (code) => code === 0x20 || code === 9 || code === 10 || code === 13;
  shared.bytesOf = bytesOf;
  shared.define({ TextEncoder, TextDecoder });
});
