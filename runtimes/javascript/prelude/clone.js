// structuredClone (https://html.spec.whatwg.org/multipage/structured-data.html), without transfers.
(function (native, shared) {
  'use strict';

  const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

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

  // What is not looked into; undefined for the rest.
  function whole(value, seen) {
    if (value instanceof Date) return new Date(value.getTime());
    if (value instanceof RegExp) return new RegExp(value.source, value.flags);
    if (value instanceof ArrayBuffer) return value.slice(0);
    if (ArrayBuffer.isView(value)) {
      const buffer = copyOf(value.buffer, seen);
      return value instanceof DataView
        ? new DataView(buffer, value.byteOffset, value.byteLength)
        : new value.constructor(buffer, value.byteOffset, value.length);
    }
    if (Error.isError?.(value) ?? value instanceof Error) return cloneError(value);
    if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt)
      return Object(value.valueOf());
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
    for (const key of Object.keys(value)) copy[key] = copyOf(value[key], seen);
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

  shared.define({
    structuredClone(value, options) {
      if (options?.transfer?.length > 0) throw new DOMException('transfers are not supported', 'DataCloneError');
      return copyOf(value, new Map());
    },
  });
});
