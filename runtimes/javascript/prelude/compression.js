// names: CompressionStream DecompressionStream
// needs: interfaces streams
// CompressionStream and DecompressionStream (https://compression.spec.whatwg.org/).
(function (native, shared) {
  'use strict';

  const FORMATS = ['deflate', 'deflate-raw', 'gzip'];
  const { TransformStream } = globalThis;
  const NOTHING = new Uint8Array(0);
  const PIECE_BYTES = 65536;

  function checkedFormat(format) {
    if (FORMATS.includes(`${format}`)) return `${format}`;
    const text = `The argument 'format' is invalid. Received ${shared.inspect(format)}`;
    throw shared.coded(new TypeError(text), 'ERR_INVALID_ARG_VALUE');
  }

  // What goes through one of the host's compressors; it throws for bytes that are none of the format. Of what is more than a
  // piece the rest is made when somebody wants it: a few bytes can stand for very many.
  function through(worker, limit) {
    const push = async (controller, bytes, isLast) => {
      let out = native.push(worker, bytes, isLast, limit);
      for (;;) {
        if (out.length > 0) controller.enqueue(out);
        if (out.length !== limit || !(await shared.streams.isWanted(controller))) return;
        out = native.push(worker, NOTHING, isLast, limit);
      }
    };
    return new TransformStream({
      transform(chunk, controller) {
        if (chunk === undefined) throw new TypeError('expected an ArrayBuffer or a view of one');
        return push(controller, shared.bytesOf(chunk), false);
      },
      flush(controller) {
        return push(controller, NOTHING, true);
      },
    });
  }

  class CompressionStream {
    #transform;

    constructor(format) {
      this.#transform = through(native.compressor(checkedFormat(format)));
    }

    get readable() {
      return this.#transform.readable;
    }

    get writable() {
      return this.#transform.writable;
    }

    get [shared.shownParts]() {
      return ['readable', 'writable'];
    }
  }

  class DecompressionStream {
    #transform;

    constructor(format) {
      this.#transform = through(native.decompressor(checkedFormat(format)), PIECE_BYTES);
    }

    get readable() {
      return this.#transform.readable;
    }

    get writable() {
      return this.#transform.writable;
    }

    get [shared.shownParts]() {
      return ['readable', 'writable'];
    }
  }

  shared.defineInterfaces({ CompressionStream, DecompressionStream });
});
