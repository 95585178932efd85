// names: Blob File blob
// needs: interfaces streams
// Blob and File (https://w3c.github.io/FileAPI/): bytes with a type, which nothing changes.
(function (native, shared) {
  'use strict';

  const { ReadableStream, TextDecoder } = globalThis;
  const { bytesOf, checkCount, checkOptions, coded, invalidArgument } = shared;

  function checkedType(type) {
    const text = `${type}`;
    return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : '';
  }

  // A part as it counts: a blob, bytes, or the text of whatever else it is.
  function converted(part) {
    return isBlob(part) || ArrayBuffer.isView(part) || part instanceof ArrayBuffer ? part : `${part}`.toWellFormed();
  }

  function bytesOfPart(part, isNative) {
    if (isBlob(part)) return blobBytes(part);
    if (typeof part !== 'string') return bytesOf(part);
    return native.encode(isNative ? part.replace(/\r\n?/g, '\n') : part);
  }

  function joined(pieces) {
    const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  // Converted one after the other, as they come.
  function checkedParts(parts) {
    const iterate = parts !== null && typeof parts === 'object' ? parts[Symbol.iterator] : undefined;
    if (typeof iterate !== 'function') throw invalidArgument('sources', 'a sequence', parts);
    return Array.from({ [Symbol.iterator]: () => Reflect.apply(iterate, parts, []) }, converted);
  }

  // As an integer that counts from one of the ends.
  function position(value, size) {
    const whole = Number.isNaN(Number(value)) ? 0 : Math.trunc(Number(value));
    return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
  }

  let isBlob;
  let blobBytes;
  let makeBlob;
  class Blob {
    #bytes;
    #type;

    static {
      isBlob = (value) => typeof value === 'object' && value !== null && #bytes in value;

      blobBytes = (blob) => {
        if (!isBlob(blob)) throw coded(new TypeError('Value of "this" must be of type Blob'), 'ERR_INVALID_THIS');
        return blob.#bytes;
      };

      makeBlob = (bytes, type = '') => {
        const blob = new Blob();
        blob.#bytes = bytes;
        blob.#type = checkedType(type);
        return blob;
      };
    }

    constructor(parts = [], options = undefined) {
      const all = checkedParts(parts);
      const { endings = 'transparent', type = '' } = checkOptions(options, 'a dictionary');
      if (`${endings}` !== 'transparent' && `${endings}` !== 'native') {
        const text = `The property 'options.endings' is invalid. Received ${shared.inspect(endings)}`;
        throw coded(new TypeError(text), 'ERR_INVALID_ARG_VALUE');
      }
      this.#bytes = joined(all.map((part) => bytesOfPart(part, `${endings}` === 'native')));
      this.#type = checkedType(type);
    }

    get type() {
      blobBytes(this);
      return this.#type;
    }

    get size() {
      return blobBytes(this).length;
    }

    slice(start = 0, end = this.size, type = '') {
      const bytes = blobBytes(this);
      const from = position(start, bytes.length);
      return makeBlob(bytes.subarray(from, Math.max(from, position(end, bytes.length))), type);
    }

    async arrayBuffer() {
      return blobBytes(this).slice().buffer;
    }

    async bytes() {
      return blobBytes(this).slice();
    }

    async text() {
      return new TextDecoder().decode(blobBytes(this));
    }

    stream() {
      const bytes = blobBytes(this);
      return new ReadableStream({
        type: 'bytes',
        start(controller) {
          if (bytes.length > 0) controller.enqueue(bytes.slice());
          controller.close();
        },
      });
    }

    get [shared.shownParts]() {
      return ['size', 'type'];
    }
  }

  class File extends Blob {
    #name;
    #lastModified;

    constructor(fileBits, fileName, options = undefined) {
      checkCount(arguments.length, 'fileBits', 'fileName');
      super(fileBits, options);
      const { lastModified } = options ?? {};
      this.#name = `${fileName}`.toWellFormed();
      this.#lastModified = lastModified === undefined ? native.now() : Math.trunc(Number(lastModified)) || 0;
    }

    get name() {
      return this.#name;
    }

    get lastModified() {
      return this.#lastModified;
    }

    get [shared.shownParts]() {
      return ['size', 'type', 'name', 'lastModified'];
    }
  }

  // A file with the bytes of a blob.
  function makeFile(blob, name) {
    const options = { type: blob.type, lastModified: blob instanceof File ? blob.lastModified : undefined };
    return new File([blob], name, options);
  }

  shared.isBlob = isBlob;
  // Not to be changed: they are shared.
  shared.blobBytes = blobBytes;
  shared.makeBlob = makeBlob;
  shared.isFile = (value) => value instanceof File;
  shared.makeFile = makeFile;
  shared.cloners.push((value) => {
    if (!isBlob(value)) return undefined;
    return value instanceof File ? makeFile(value, value.name) : makeBlob(blobBytes(value), value.type);
  });
  shared.defineInterfaces({ Blob, File });
});
