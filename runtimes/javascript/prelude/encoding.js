// TextEncoder and TextDecoder, for UTF-8 (https://encoding.spec.whatwg.org/).
(function (native, shared) {
  'use strict';

  const LABELS = new Set(['utf-8', 'utf8', 'unicode-1-1-utf-8', 'unicode11utf8', 'unicode20utf8', 'x-unicode20utf8']);
  const NOTHING = new Uint8Array(0);

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
      return native.encode(String(text).toWellFormed());
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

  class TextDecoder {
    #fatal;
    #ignoreBOM;
    #kept = NOTHING;
    #begun = false;

    constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
      if (!LABELS.has(String(label).trim().toLowerCase()))
        throw new RangeError(`the encoding "${label}" is not supported, only utf-8 is`);
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }

    get encoding() {
      return 'utf-8';
    }

    get fatal() {
      return this.#fatal;
    }

    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(source, { stream = false } = {}) {
      let bytes = bytesOf(source);
      if (this.#kept.length > 0) {
        const both = new Uint8Array(this.#kept.length + bytes.length);
        both.set(this.#kept);
        both.set(bytes, this.#kept.length);
        bytes = both;
      }
      const decoded = native.decode(bytes, this.#fatal, !stream);
      if (decoded === undefined) {
        this.#reset();
        throw new TypeError('the encoded data was not valid for encoding utf-8');
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

  shared.bytesOf = bytesOf;
  shared.define({ TextEncoder, TextDecoder });
});
