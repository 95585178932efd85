// structuredClone (https://html.spec.whatwg.org/multipage/structured-data.html). Of what is transferred there are buffers only.
(function (native, shared) {
  'use strict';

  const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

  // Of other files of the prelude: each gives the copy of what is its own, undefined for what is not.
  const cloners = [];

  function refuse(value) {
    const shown = typeof value === 'object' ? `#<${value.constructor?.name}>` : String(value);
    throw new DOMException(`${shown} could not be cloned.`, 'DataCloneError');
  }

  function cloneError(value) {
    const copy = Object.create((ERRORS[value.name] ?? Error).prototype);
    const made = new (ERRORS[value.name] ?? Error)();
    Object.setPrototypeOf(made, Object.getPrototypeOf(copy));
    for (const name of ['message', 'stack', 'cause']) {
      if (Object.hasOwn(value, name) || name === 'stack') {
        Object.defineProperty(made, name, {
          value: value[name],
          writable: true,
          configurable: true,
          enumerable: false,
        });
      }
    }
    return made;
  }

  function refuseDetached() {
    throw new DOMException('An ArrayBuffer is detached and could not be cloned.', 'DataCloneError');
  }

  function copyOfBuffer(buffer) {
    if (buffer.detached) refuseDetached();
    if (!buffer.resizable) return buffer.slice(0);
    const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
    new Uint8Array(copy).set(new Uint8Array(buffer));
    return copy;
  }

  // What is not looked into; undefined for the rest.
  function whole(value, seen) {
    if (value instanceof Date) return new Date(value.getTime());
    if (value instanceof RegExp) return new RegExp(value.source, value.flags);
    if (value instanceof ArrayBuffer) return copyOfBuffer(value);
    if (ArrayBuffer.isView(value)) {
      const buffer = copyOf(value.buffer, seen);
      return value instanceof DataView
        ? new DataView(buffer, value.byteOffset, value.byteLength)
        : new globalThis[value[Symbol.toStringTag]](buffer, value.byteOffset, value.length);
    }
    if (Error.isError?.(value) ?? value instanceof Error) return cloneError(value);
    if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt)
      return Object(value.valueOf());
    for (const cloner of cloners) {
      const copy = cloner(value);
      if (copy !== undefined) return copy;
    }
    return undefined;
  }

  function copyOf(value, seen) {
    if (typeof value === 'symbol' || typeof value === 'function') refuse(value);
    if (typeof value !== 'object' || value === null) return value;
    const known = seen.get(value);
    if (known !== undefined) return known;
    const ready = whole(value, seen);
    if (ready !== undefined) {
      seen.set(value, ready);
      return ready;
    }
    if (value instanceof Map) return cloneMap(value, seen);
    if (value instanceof Set) return cloneSet(value, seen);
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef)
      refuse(value);
    const copy = Array.isArray(value) ? new Array(value.length) : {};
    seen.set(value, copy);
    for (const key of Object.keys(value)) {
      const part = copyOf(value[key], seen);
      // Set, it would be the prototype.
      if (key === '__proto__')
        Object.defineProperty(copy, key, { value: part, writable: true, enumerable: true, configurable: true });
      else copy[key] = part;
    }
    return copy;
  }

  function cloneMap(value, seen) {
    const copy = new Map();
    seen.set(value, copy);
    for (const [key, item] of [...value]) copy.set(copyOf(key, seen), copyOf(item, seen));
    return copy;
  }

  function cloneSet(value, seen) {
    const copy = new Set();
    seen.set(value, copy);
    for (const item of [...value]) copy.add(copyOf(item, seen));
    return copy;
  }

  function coded(error, code) {
    error.code = code;
    return error;
  }

  // The buffers of a list, each once.
  function checkedTransfer(list) {
    if (list === undefined || list === null) return [];
    if (typeof list[Symbol.iterator] !== 'function')
      throw coded(new TypeError('Optional transferList argument must be an iterable'), 'ERR_INVALID_ARG_TYPE');
    const buffers = [...list];
    for (const buffer of buffers) {
      if (!(buffer instanceof ArrayBuffer))
        throw new DOMException('Found invalid object in transferList', 'DataCloneError');
      if (buffer.detached) refuseDetached();
    }
    if (new Set(buffers).size < buffers.length)
      throw new DOMException('Transfer list contains duplicate ArrayBuffer', 'DataCloneError');
    return buffers;
  }

  // A copy; the buffers of the list are empty then, unless it fails.
  function clone(value, list) {
    const buffers = checkedTransfer(list);
    const copy = copyOf(value, new Map());
    for (const buffer of buffers) buffer.transfer(0);
    return copy;
  }

  shared.cloners = cloners;
  shared.clone = clone;
  shared.define({
    structuredClone(value, options) {
      if (arguments.length === 0) throw coded(new TypeError('The value argument must be specified'), 'ERR_MISSING_ARGS');
      if (options !== undefined && typeof options !== 'object' && typeof options !== 'function') {
        const text = 'The options argument must be either an object or undefined';
        throw coded(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
      }
      return clone(value, options?.transfer);
    },
  });
});
