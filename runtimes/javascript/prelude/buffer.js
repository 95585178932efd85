// names: Buffer node:buffer 'buffer' 'buffer/'
// needs: interfaces
// Buffer and node:buffer (https://nodejs.org/docs/latest-v20.x/api/buffer.html), with the texts of errors as in Node.js.
(function (native, shared) {
  'use strict';

  const { coded, invalidArgument } = shared;
  const LENGTH_MAX = 2 ** 32;
  const UNITS_AT_ONCE = 4096;
  const INSPECTED_MAX = 50;
  const plain = Uint8Array.prototype;

  // === errors ===

  function outOfRange(name, range, value) {
    const separated = (text) => text.replace(/\B(?=(\d{3})+$)/g, '_');
    let shown;
    if (typeof value === 'bigint')
      shown = `${value > 2n ** 32n || value < -(2n ** 32n) ? separated(String(value)) : value}n`;
    else if (Number.isInteger(value) && Math.abs(value) > 2 ** 32) shown = separated(String(value));
    else shown = shared.inspect(value);
    const text = `The value of "${name}" is out of range. It must be ${range}. Received ${shown}`;
    return coded(new RangeError(text), 'ERR_OUT_OF_RANGE');
  }

  function outOfBounds(name) {
    const text =
      name === undefined ? 'Attempt to access memory outside buffer bounds' : `"${name}" is outside of buffer bounds`;
    return coded(new RangeError(text), 'ERR_BUFFER_OUT_OF_BOUNDS');
  }

  function checkNumber(name, value, least = 0, most = LENGTH_MAX) {
    if (typeof value !== 'number') throw invalidArgument(name, 'of type number', value);
    if (!(value >= least && value <= most)) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  }

  function checkInteger(name, value, least, most) {
    if (typeof value !== 'number') throw invalidArgument(name, 'of type number', value);
    if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
    if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  }

  const isBytes = (value) => value instanceof Uint8Array;
  function checkBytes(name, value, expected = 'an instance of Buffer or Uint8Array') {
    if (!isBytes(value)) throw invalidArgument(name, expected, value);
  }

  // === encodings ===

  function textOf(units) {
    let text = '';
    for (let at = 0; at < units.length; at += UNITS_AT_ONCE)
      text += String.fromCharCode(...plain.subarray.call(units, at, at + UNITS_AT_ONCE));
    return text;
  }

  function unitsOf(text) {
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
    return bytes;
  }

  function base64Of(text) {
    const clean = text
      .replace(/=[^]*/, '')
      .replace(/[^\w+/-]/g, '')
      .replaceAll('-', '+')
      .replaceAll('_', '/');
    return Uint8Array.fromBase64(clean.length % 4 === 1 ? clean.slice(0, -1) : clean);
  }

  // As long as the text would be with nothing but digits in it.
  const lengthOfBase64 = (text) => (text.replace(/={1,2}$/, '').length * 3) >>> 2;

  const view = (bytes) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const base64url = { alphabet: 'base64url', omitPadding: true };
  const utf8 = {
    name: 'utf8',
    encode: (text) => native.encode(text),
    decode: (bytes) => native.decode(bytes, false, true)[0],
  };
  const latin1 = { name: 'latin1', unit: 1, encode: unitsOf, decode: textOf };
  const ENCODINGS = {
    utf8,
    latin1,
    ascii: { name: 'ascii', unit: 1, encode: unitsOf, decode: (bytes) => textOf(bytes.map((byte) => byte & 0x7f)) },
    utf16le: {
      name: 'utf16le',
      unit: 2,
      encode(text) {
        const bytes = new Uint8Array(2 * text.length);
        for (let at = 0; at < text.length; at++) {
          const unit = text.charCodeAt(at);
          bytes[2 * at] = unit & 0xff;
          bytes[2 * at + 1] = unit >> 8;
        }
        return bytes;
      },
      decode(bytes) {
        let text = '';
        for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
        return text;
      },
    },
    hex: {
      name: 'hex',
      lengthOf: (text) => text.length >>> 1,
      encode: (text) => Uint8Array.fromHex(/^(?:[\da-f]{2})*/i.exec(text)[0]),
      decode: (bytes) => bytes.toHex(),
    },
    base64: { name: 'base64', encode: base64Of, decode: (bytes) => bytes.toBase64(), lengthOf: lengthOfBase64 },
    base64url: {
      name: 'base64url',
      encode: base64Of,
      decode: (bytes) => bytes.toBase64(base64url),
      lengthOf: lengthOfBase64,
    },
  };
  const OTHER_NAMES = { 'utf-8': 'utf8', binary: 'latin1', ucs2: 'utf16le', 'ucs-2': 'utf16le', 'utf-16le': 'utf16le' };

  function encodingNamed(name) {
    const lower = `${name}`.toLowerCase();
    return Object.hasOwn(ENCODINGS, lower) ? ENCODINGS[lower] : ENCODINGS[OTHER_NAMES[lower]];
  }

  function encodingOf(name) {
    if (name === undefined || name === null || name === '') return utf8;
    const found = encodingNamed(name);
    if (found === undefined) throw coded(new TypeError(`Unknown encoding: ${name}`), 'ERR_UNKNOWN_ENCODING');
    return found;
  }

  const encoded = (text, encoding) => encodingOf(typeof encoding === 'string' ? encoding : undefined).encode(text);

  // === making them ===

  class FastBuffer extends Uint8Array {}

  // In old programs it is called without `new`, and with it.
  function Buffer(value, encodingOrOffset, length) {
    if (typeof value !== 'number') return Buffer.from(value, encodingOrOffset, length);
    if (typeof encodingOrOffset === 'string') throw invalidArgument('string', 'of type string', value);
    return Buffer.alloc(value);
  }
  Object.setPrototypeOf(Buffer, Uint8Array);
  Buffer.prototype = FastBuffer.prototype;
  Object.defineProperty(Buffer.prototype, 'constructor', { value: Buffer, writable: true, configurable: true });
  Object.defineProperty(Buffer, Symbol.species, { get: () => FastBuffer, configurable: true });

  const bufferOf = (bytes) => new FastBuffer(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const zeros = (size) => new FastBuffer(size);
  const isBuffer = (value) => value instanceof Buffer;

  function fromArrayBuffer(buffer, byteOffset = 0, length = undefined) {
    const offset = Number.isNaN(+byteOffset) ? 0 : +byteOffset;
    const rest = buffer.byteLength - offset;
    if (rest < 0) throw outOfBounds('offset');
    if (length === undefined) return new FastBuffer(buffer, offset, rest);
    const wanted = +length > 0 ? +length : 0;
    if (wanted > rest) throw outOfBounds('length');
    return new FastBuffer(buffer, offset, wanted);
  }

  function fromList(list) {
    if (Array.isArray(list) || ArrayBuffer.isView(list)) return bufferOf(new Uint8Array(list));
    return bufferOf(Uint8Array.from({ length: list.length > 0 ? list.length : 0 }, (_, at) => list[at]));
  }

  function fromObject(value) {
    if (value.length !== undefined || value.buffer instanceof ArrayBuffer)
      return typeof value.length === 'number' ? fromList(value) : zeros(0);
    if (value.type === 'Buffer' && Array.isArray(value.data)) return fromList(value.data);
    return undefined;
  }

  function from(value, encodingOrOffset, length) {
    if (typeof value === 'string') return bufferOf(encoded(value, encodingOrOffset));
    if (typeof value === 'object' && value !== null) {
      if (value instanceof ArrayBuffer) return fromArrayBuffer(value, encodingOrOffset, length);
      const inner = value.valueOf?.();
      if (
        inner !== undefined &&
        inner !== null &&
        inner !== value &&
        (typeof inner === 'string' || typeof inner === 'object')
      )
        return from(inner, encodingOrOffset, length);
      const made = fromObject(value);
      if (made !== undefined) return made;
      if (typeof value[Symbol.toPrimitive] === 'function') {
        const primitive = value[Symbol.toPrimitive]('string');
        if (typeof primitive === 'string') return bufferOf(encoded(primitive, encodingOrOffset));
      }
    }
    const expected = 'of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object';
    // Node.js says "first argument" of it.
    const error = invalidArgument('first', expected, value);
    error.message = error.message.replace('"first" argument', 'first argument');
    throw error;
  }

  function alloc(size, fill, encoding) {
    checkNumber('size', size);
    const made = zeros(size);
    return fill === undefined || fill === 0 || size === 0
      ? made
      : made.fill(fill, typeof encoding === 'string' ? encoding : undefined);
  }

  function allocUnsafe(size) {
    checkNumber('size', size);
    return zeros(size);
  }

  function byteLength(text, encoding) {
    if (typeof text !== 'string') {
      if (ArrayBuffer.isView(text) || text instanceof ArrayBuffer) return text.byteLength;
      throw invalidArgument('string', 'of type string or an instance of Buffer or ArrayBuffer', text);
    }
    const known = encodingNamed(encoding ?? 'utf8') ?? utf8;
    return known.lengthOf?.(text) ?? known.encode(text).length;
  }

  function order(one, other) {
    const length = Math.min(one.length, other.length);
    for (let at = 0; at < length; at++) if (one[at] !== other[at]) return one[at] < other[at] ? -1 : 1;
    return Math.sign(one.length - other.length);
  }

  function concat(list, length) {
    if (!Array.isArray(list)) throw invalidArgument('list', 'an instance of Array', list);
    list.forEach((each, at) => checkBytes(`list[${at}]`, each));
    if (length !== undefined) checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER);
    const whole = zeros(length ?? list.reduce((sum, each) => sum + each.length, 0));
    let at = 0;
    for (const each of list) {
      if (at >= whole.length) break;
      const part = each.length > whole.length - at ? each.subarray(0, whole.length - at) : each;
      plain.set.call(whole, part, at);
      at += part.length;
    }
    return whole;
  }

  Object.assign(Buffer, {
    poolSize: 8192,
    from,
    copyBytesFrom(source, offset = 0, length = undefined) {
      if (!ArrayBuffer.isView(source) || source instanceof DataView)
        throw invalidArgument('view', 'an instance of TypedArray', source);
      const part = source.slice(offset, length === undefined ? undefined : offset + length);
      return new FastBuffer(part.buffer);
    },
    of: (...items) => bufferOf(Uint8Array.from(items)),
    alloc,
    allocUnsafe,
    allocUnsafeSlow: allocUnsafe,
    isBuffer,
    compare(one, other) {
      checkBytes('buf1', one);
      checkBytes('buf2', other);
      return order(one, other);
    },
    isEncoding: (name) => typeof name === 'string' && name.length > 0 && encodingNamed(name) !== undefined,
    concat,
    byteLength,
  });

  // === reading and writing numbers ===

  const dataOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

  function checkOffset(bytes, offset, size) {
    if (typeof offset !== 'number') throw invalidArgument('offset', 'of type number', offset);
    const last = bytes.length - size;
    if (Number.isInteger(offset) && offset >= 0 && offset <= last) return;
    if (!Number.isInteger(offset)) throw outOfRange('offset', 'an integer', offset);
    if (last < 0) throw outOfBounds();
    throw outOfRange('offset', `>= 0 and <= ${last}`, offset);
  }

  function checkValue(value, size, isSigned) {
    const isBig = typeof value === 'bigint';
    const [two, bits] = isBig ? [2n, BigInt(8 * size)] : [2, 8 * size];
    const [one, n] = isBig ? [1n, 'n'] : [1, ''];
    const most = two ** (isSigned ? bits - one : bits) - one;
    const least = isSigned ? -most - one : most - most;
    if (!(value > most || value < least)) return;
    let range = `>= ${least}${n} and <= ${most}${n}`;
    if (size > 4) {
      const power = `2${n} ** ${8 * size - (isSigned ? 1 : 0)}${n}`;
      range = isSigned ? `>= -(${power}) and < ${power}` : `>= 0${n} and < ${power}`;
    }
    throw outOfRange('value', range, value);
  }

  const methods = {};
  function addNumber(name, size, type, kind) {
    for (const isLittle of size === 1 ? [true] : [true, false]) {
      const end = size === 1 ? '' : isLittle ? 'LE' : 'BE';
      const read = function (offset = 0) {
        checkOffset(this, offset, size);
        return dataOf(this)[`get${type}`](offset, isLittle);
      };
      const write = function (value, offset = 0) {
        const number = kind === 'big' ? value : +value;
        if (kind === 'big' && typeof value !== 'bigint')
          throw new TypeError(`Cannot mix BigInt and other types, use explicit conversions`);
        if (kind !== 'float') checkValue(number, size, !type.includes('Uint'));
        checkOffset(this, offset, size);
        dataOf(this)[`set${type}`](offset, number, isLittle);
        return offset + size;
      };
      for (const alias of new Set([name, name.replace('UInt', 'Uint')])) {
        methods[`read${alias}${end}`] = read;
        methods[`write${alias}${end}`] = write;
      }
    }
  }
  for (const bits of [8, 16, 32]) {
    addNumber(`UInt${bits}`, bits / 8, `Uint${bits}`);
    addNumber(`Int${bits}`, bits / 8, `Int${bits}`);
  }
  addNumber('BigUInt64', 8, 'BigUint64', 'big');
  addNumber('BigInt64', 8, 'BigInt64', 'big');
  addNumber('Float', 4, 'Float32', 'float');
  addNumber('Double', 8, 'Float64', 'float');

  function checkSize(size) {
    if (size === undefined) throw invalidArgument('byteLength', 'of type number', size);
    checkIntegerRange('byteLength', size, 1, 6);
  }
  function checkIntegerRange(name, value, least, most) {
    if (typeof value !== 'number') throw invalidArgument(name, 'of type number', value);
    if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
    if (value < least || value > most) throw outOfRange(name, `>= ${least} and <= ${most}`, value);
  }

  for (const isSigned of [false, true]) {
    for (const isLittle of [true, false]) {
      const place = (size, at) => 2 ** (8 * (isLittle ? at : size - 1 - at));
      const read = function (offset, size) {
        if (offset === undefined) throw invalidArgument('offset', 'of type number', offset);
        checkSize(size);
        checkOffset(this, offset, size);
        let value = 0;
        for (let at = 0; at < size; at++) value += this[offset + at] * place(size, at);
        return isSigned && value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
      };
      const write = function (value, offset, size) {
        checkSize(size);
        const number = +value;
        checkValue(number, size, isSigned);
        checkOffset(this, offset, size);
        const positive = number < 0 ? Math.trunc(number) + 2 ** (8 * size) : Math.trunc(number);
        for (let at = 0; at < size; at++) this[offset + at] = Math.floor(positive / place(size, at)) % 0x100;
        return offset + size;
      };
      for (const name of isSigned ? ['Int'] : ['UInt', 'Uint']) {
        methods[`read${name}${isLittle ? 'LE' : 'BE'}`] = read;
        methods[`write${name}${isLittle ? 'LE' : 'BE'}`] = write;
      }
    }
  }

  // === searching ===

  function findBytes(bytes, wanted, from, step, unit) {
    const last = bytes.length - wanted.length;
    for (let at = from; at >= 0 && at <= last; at += step) {
      if (unit === 2 && at % 2 !== 0) continue;
      let n = 0;
      while (n < wanted.length && bytes[at + n] === wanted[n]) n++;
      if (n === wanted.length) return at;
    }
    return -1;
  }

  function find(bytes, value, byteOffset, encoding, isForward) {
    let [offset, name] = typeof byteOffset === 'string' ? [undefined, byteOffset] : [byteOffset, encoding];
    offset = offset === undefined ? NaN : Math.trunc(+offset);
    if (Number.isNaN(offset)) offset = isForward ? 0 : bytes.length;
    if (offset < 0) offset += bytes.length;
    if (offset < 0) {
      if (!isForward) return -1;
      offset = 0;
    }
    if (typeof value === 'number') {
      const byte = value & 0xff;
      return isForward ? plain.indexOf.call(bytes, byte, offset) : plain.lastIndexOf.call(bytes, byte, offset);
    }
    const known = encodingOf(name);
    let wanted = value;
    if (typeof value === 'string') wanted = known.encode(value);
    else if (!isBytes(value))
      throw invalidArgument('value', 'one of type number or string or an instance of Buffer or Uint8Array', value);
    const last = bytes.length - wanted.length;
    if (wanted.length === 0) return Math.min(offset, bytes.length);
    if (last < 0) return -1;
    return findBytes(bytes, wanted, isForward ? offset : Math.min(offset, last), isForward ? 1 : -1, known.unit);
  }

  // === other methods ===

  function clamped(value, length) {
    const number = Math.trunc(+value) || 0;
    return number < 0 ? Math.max(0, number + length) : Math.min(number, length);
  }

  function part(bytes, begin = 0, end = bytes.length) {
    const from = clamped(begin, bytes.length);
    return new FastBuffer(bytes.buffer, bytes.byteOffset + from, Math.max(0, clamped(end, bytes.length) - from));
  }

  function swap(bytes, size) {
    if (bytes.length % size !== 0)
      throw coded(new RangeError(`Buffer size must be a multiple of ${8 * size}-bits`), 'ERR_INVALID_BUFFER_SIZE');
    for (let at = 0; at < bytes.length; at += size) plain.reverse.call(view(bytes).subarray(at, at + size));
    return bytes;
  }

  function write(bytes, text, offset, length, name) {
    if (typeof text !== 'string') throw coded(new TypeError('argument must be a string'), 'ERR_INVALID_ARG_TYPE');
    const known = encodingOf(name);
    const room = Math.min(length ?? Infinity, bytes.length - offset);
    let data = known.encode(text);
    if (data.length > room) {
      let end = room - (known.unit === 2 ? room % 2 : 0);
      // No part of a character.
      if (known === utf8) while (end > 0 && (data[end] & 0xc0) === 0x80) end--;
      data = data.subarray(0, end);
    }
    plain.set.call(bytes, data, offset);
    return data.length;
  }

  Object.assign(methods, {
    toString(encoding, start, end) {
      const begin = start <= 0 || start === undefined ? 0 : Math.trunc(start) || 0;
      const until = end === undefined || end > this.length ? this.length : Math.trunc(end) || 0;
      if (begin >= this.length || until <= begin) {
        if (encoding !== undefined) encodingOf(encoding);
        return '';
      }
      return encodingOf(encoding).decode(view(this).subarray(begin, until));
    },
    toLocaleString(encoding, start, end) {
      return methods.toString.call(this, encoding, start, end);
    },
    toJSON() {
      return { type: 'Buffer', data: Array.from(this) };
    },
    equals(other) {
      checkBytes('otherBuffer', other);
      return this === other || (this.length === other.length && order(this, other) === 0);
    },
    compare(target, targetStart = 0, targetEnd = undefined, sourceStart = 0, sourceEnd = undefined) {
      checkBytes('target', target);
      checkInteger('targetStart', targetStart, 0, Number.MAX_SAFE_INTEGER);
      checkInteger('sourceStart', sourceStart, 0, Number.MAX_SAFE_INTEGER);
      if (targetEnd !== undefined) checkInteger('targetEnd', targetEnd, 0, target.length);
      if (sourceEnd !== undefined) checkInteger('sourceEnd', sourceEnd, 0, this.length);
      return order(view(this).subarray(sourceStart, sourceEnd), view(target).subarray(targetStart, targetEnd));
    },
    indexOf(value, byteOffset, encoding) {
      return find(this, value, byteOffset, encoding, true);
    },
    lastIndexOf(value, byteOffset, encoding) {
      return find(this, value, byteOffset, encoding, false);
    },
    includes(value, byteOffset, encoding) {
      return find(this, value, byteOffset, encoding, true) !== -1;
    },
    fill(value, offset = 0, end = this.length, encoding = undefined) {
      let [begin, until, name] = [offset, end, encoding];
      if (typeof offset === 'string') [begin, until, name] = [0, this.length, offset];
      else if (typeof end === 'string') [until, name] = [this.length, end];
      checkInteger('offset', begin, 0, Number.MAX_SAFE_INTEGER);
      if (until !== this.length || begin > until) checkInteger('end', until, 0, this.length);
      if (typeof value !== 'string' && !ArrayBuffer.isView(value)) {
        plain.fill.call(this, typeof value === 'boolean' ? +value : value & 0xff, begin, until);
        return this;
      }
      if (value === '') {
        plain.fill.call(this, 0, begin, until);
        return this;
      }
      const bytes = typeof value === 'string' ? encodingOf(name).encode(value) : view(value);
      if (bytes.length === 0) {
        const shown = typeof value === 'string' ? `'${value}'` : shared.inspect(value);
        throw coded(new TypeError(`The argument 'value' is invalid. Received ${shown}`), 'ERR_INVALID_ARG_VALUE');
      }
      for (let at = begin; at < until; at++) this[at] = bytes[(at - begin) % bytes.length];
      return this;
    },
    write(text, offset, length, encoding) {
      if (offset === undefined) return write(this, text, 0);
      if (length === undefined && typeof offset === 'string') return write(this, text, 0, undefined, offset);
      checkInteger('offset', offset, 0, this.length);
      if (length === undefined) return write(this, text, offset, undefined, encoding);
      if (typeof length === 'string') return write(this, text, offset, undefined, length);
      checkInteger('length', length, 0, this.length);
      return write(this, text, offset, length, encoding);
    },
    copy(target, targetStart = 0, sourceStart = 0, sourceEnd = this.length) {
      checkBytes('target', target);
      const begin = Math.trunc(+targetStart) || 0;
      const from = Math.trunc(+sourceStart) || 0;
      const end = Math.trunc(+sourceEnd) || 0;
      if (begin < 0) throw outOfRange('targetStart', '>= 0', begin);
      if (from < 0 || from > this.length) throw outOfRange('sourceStart', `>= 0 && <= ${this.length}`, from);
      if (end < 0) throw outOfRange('sourceEnd', '>= 0', end);
      if (begin >= target.length || from >= end) return 0;
      const bytes = view(this).subarray(from, Math.min(end, from + target.length - begin));
      plain.set.call(target, bytes, begin);
      return bytes.length;
    },
    subarray(begin, end) {
      return part(this, begin, end);
    },
    slice(begin, end) {
      return part(this, begin, end);
    },
    swap16() {
      return swap(this, 2);
    },
    swap32() {
      return swap(this, 4);
    },
    swap64() {
      return swap(this, 8);
    },
    inspect() {
      const shown = view(this)
        .subarray(0, INSPECTED_MAX)
        .toHex()
        .replace(/..(?=.)/g, '$& ');
      const more = this.length - INSPECTED_MAX;
      return `<Buffer ${shown}${more > 0 ? ` ... ${more} more byte${more > 1 ? 's' : ''}` : ''}>`;
    },
  });
  for (const [name, { decode }] of Object.entries(ENCODINGS)) {
    const short = name === 'utf16le' ? 'ucs2' : name;
    methods[`${short}Slice`] = function (begin = 0, end = this.length) {
      return decode(view(this).subarray(begin, end));
    };
    methods[`${short}Write`] = function (text, offset = 0, length = undefined) {
      return write(this, text, offset, length, name);
    };
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(Buffer.prototype, name, { value, writable: true, configurable: true, enumerable: true });
  }
  for (const [name, held] of [
    ['parent', 'buffer'],
    ['offset', 'byteOffset'],
  ]) {
    Object.defineProperty(Buffer.prototype, name, {
      configurable: true,
      enumerable: true,
      get() {
        return isBuffer(this) ? this[held] : undefined;
      },
    });
  }
  Object.defineProperty(Buffer.prototype, Symbol.for('nodejs.util.inspect.custom'), {
    value: methods.inspect,
    writable: true,
    configurable: true,
  });

  // === node:buffer ===

  // Where such bytes are only part of a character they are not valid.
  const isUtf8 = (input) => native.decode(shared.bytesOf(input), true, true) !== undefined;
  const isAscii = (input) => shared.bytesOf(input).every((byte) => byte < 0x80);

  function transcode(source, fromEncoding, toEncoding) {
    checkBytes('source', source);
    const target = encodingOf(toEncoding);
    const text = encodingOf(fromEncoding).decode(view(source));
    return bufferOf(target.encode(target.unit === 1 ? text.replace(/[^\x00-\xff]/gu, '?') : text));
  }

  const SIZES = { MAX_LENGTH: LENGTH_MAX, MAX_STRING_LENGTH: 2 ** 29 - 24 };
  const { atob, btoa } = globalThis;
  const module = {
    Buffer,
    SlowBuffer: allocUnsafe,
    transcode,
    isUtf8,
    isAscii,
    kMaxLength: SIZES.MAX_LENGTH,
    kStringMaxLength: SIZES.MAX_STRING_LENGTH,
    btoa,
    atob,
    constants: SIZES,
    INSPECT_MAX_BYTES: INSPECTED_MAX,
  };
  // They are there if the script names them.
  for (const name of ['Blob', 'File']) if (name in globalThis) module[name] = globalThis[name];
  shared.bufferOf = bufferOf;
  shared.nodeModules.buffer = module;
  shared.define({ Buffer });
});
