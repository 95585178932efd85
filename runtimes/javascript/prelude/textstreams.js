// names: TextDecoderStream TextEncoderStream
// needs: interfaces streams
// TextEncoderStream and TextDecoderStream (https://encoding.spec.whatwg.org/#interface-textdecoderstream): what
// TextEncoder and TextDecoder do, in parts.
(function (native, shared) {
  'use strict';

  const { TextDecoder, TransformStream } = globalThis;

  const isLead = (code) => code >= 0xd800 && code <= 0xdbff;

  class TextEncoderStream {
    #transform;

    constructor() {
      // Half of a character, whose other half can come with the next chunk.
      let lead = '';
      this.#transform = new TransformStream({
        transform(chunk, controller) {
          let text = lead + `${chunk}`;
          lead = isLead(text.charCodeAt(text.length - 1)) ? text.at(-1) : '';
          if (lead !== '') text = text.slice(0, -1);
          if (text !== '') controller.enqueue(native.encode(text));
        },
        flush(controller) {
          if (lead !== '') controller.enqueue(native.encode('\ufffd'));
        },
      });
    }

    get encoding() {
      return this.#transform && 'utf-8';
    }

    get readable() {
      return this.#transform.readable;
    }

    get writable() {
      return this.#transform.writable;
    }

    get [shared.shownParts]() {
      return ['encoding', 'readable', 'writable'];
    }
  }

  class TextDecoderStream {
    #decoder;
    #transform;

    constructor(label = 'utf-8', options = undefined) {
      const decoder = new TextDecoder(label, options ?? {});
      const enqueue = (controller, text) => {
        if (text !== '') controller.enqueue(text);
      };
      this.#decoder = decoder;
      this.#transform = new TransformStream({
        transform(chunk, controller) {
          if (chunk === undefined) throw new TypeError('expected an ArrayBuffer or a view of one');
          enqueue(controller, decoder.decode(chunk, { stream: true }));
        },
        flush(controller) {
          enqueue(controller, decoder.decode());
        },
      });
    }

    get encoding() {
      return this.#decoder.encoding;
    }

    get fatal() {
      return this.#decoder.fatal;
    }

    get ignoreBOM() {
      return this.#decoder.ignoreBOM;
    }

    get readable() {
      return this.#transform.readable;
    }

    get writable() {
      return this.#transform.writable;
    }

    get [shared.shownParts]() {
      return ['encoding', 'fatal', 'ignoreBOM', 'readable', 'writable'];
    }
  }

  shared.defineInterfaces({ TextDecoderStream, TextEncoderStream });
});
