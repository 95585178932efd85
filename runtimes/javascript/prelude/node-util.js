// names: node:util 'util' 'util/' 'util/types'
// needs: interfaces
// node:util (https://nodejs.org/docs/latest-v20.x/api/util.html).
(function (native, shared) {
  'use strict';

  const { coded, inspect: show, invalidArgument } = shared;
  const PROMISIFIED = Symbol.for('nodejs.util.promisify.custom');
  const CUSTOM = Symbol.for('nodejs.util.inspect.custom');

  function checkFunction(name, value) {
    if (typeof value !== 'function') throw invalidArgument(name, 'of type function', value);
  }

  // === kinds of values ===

  const tagOf = (value) => Object.prototype.toString.call(value).slice(8, -1);
  const kindOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
  const isObject = (value) => value !== null && typeof value === 'object';
  // Whether a getter or a method of the kind takes the value as its own.
  function answers(method) {
    return (value) => {
      try {
        Reflect.apply(method, value, []);
        return true;
      } catch {
        return false;
      }
    };
  }
  const getter = (kind, name) => Object.getOwnPropertyDescriptor(kind.prototype, name).get;
  const ofKind = (name) => (value) => isObject(value) && Reflect.apply(kindOf, value, []) === name;
  const functionOf =
    (...tags) =>
    (value) =>
      typeof value === 'function' && tags.includes(tagOf(value));
  const boxed = {
    isNumberObject: answers(Number.prototype.valueOf),
    isStringObject: answers(String.prototype.valueOf),
    isBooleanObject: answers(Boolean.prototype.valueOf),
    isBigIntObject: answers(BigInt.prototype.valueOf),
    isSymbolObject: answers(Symbol.prototype.valueOf),
  };
  const types = {
    isExternal: () => false,
    isDate: answers(Date.prototype.getTime),
    isArgumentsObject: (value) => isObject(value) && !(Symbol.toStringTag in value) && tagOf(value) === 'Arguments',
    isNativeError: (value) => Error.isError?.(value) ?? value instanceof Error,
    isRegExp: (value) => isObject(value) && answers(getter(RegExp, 'source'))(value) && value !== RegExp.prototype,
    isAsyncFunction: functionOf('AsyncFunction', 'AsyncGeneratorFunction'),
    isGeneratorFunction: functionOf('GeneratorFunction', 'AsyncGeneratorFunction'),
    isGeneratorObject: (value) => isObject(value) && tagOf(value) === 'Generator',
    isPromise: (value) => value instanceof Promise,
    isMap: answers(getter(Map, 'size')),
    isSet: answers(getter(Set, 'size')),
    isMapIterator: (value) => isObject(value) && tagOf(value) === 'Map Iterator',
    isSetIterator: (value) => isObject(value) && tagOf(value) === 'Set Iterator',
    isWeakMap: (value) => value instanceof WeakMap,
    isWeakSet: (value) => value instanceof WeakSet,
    isArrayBuffer: answers(getter(ArrayBuffer, 'byteLength')),
    isDataView: (value) => ArrayBuffer.isView(value) && Reflect.apply(kindOf, value, []) === undefined,
    isSharedArrayBuffer: () => false,
    isProxy: () => false,
    isModuleNamespaceObject: (value) => isObject(value) && tagOf(value) === 'Module',
    isAnyArrayBuffer: answers(getter(ArrayBuffer, 'byteLength')),
    isCryptoKey: (value) => typeof CryptoKey === 'function' && value instanceof CryptoKey,
    isKeyObject: () => false,
    isArrayBufferView: ArrayBuffer.isView,
    isTypedArray: (value) => isObject(value) && Reflect.apply(kindOf, value, []) !== undefined,
    ...Object.fromEntries(
      Object.entries(boxed).map(([name, test]) => [name, (value) => isObject(value) && test(value)]),
    ),
    isBoxedPrimitive: (value) => isObject(value) && Object.values(boxed).some((test) => test(value)),
  };
  for (const name of 'Int8 Uint8 Uint8Clamped Int16 Uint16 Int32 Uint32 Float32 Float64 BigInt64 BigUint64'.split(' '))
    types[`is${name}Array`] = ofKind(`${name}Array`);

  // === equality ===

  const ownKeys = (value) => [
    ...Object.keys(value),
    ...Object.getOwnPropertySymbols(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key)),
  ];

  // What is inside of a value beside its properties; undefined for what has nothing inside.
  function insideOf(value) {
    if (types.isDate(value)) return value.getTime();
    if (types.isRegExp(value)) return `${RegExp.prototype.toString.call(value)} ${value.lastIndex}`;
    return types.isBoxedPrimitive(value) ? value.valueOf() : undefined;
  }

  function equalParts(one, other, strict, above) {
    if (types.isNativeError(one) || types.isNativeError(other)) {
      if (!(types.isNativeError(one) && types.isNativeError(other))) return false;
      if (one.message !== other.message || one.name !== other.name) return false;
      for (const name of ['cause', 'errors'])
        if (Object.hasOwn(one, name) !== Object.hasOwn(other, name) || !equal(one[name], other[name], strict, above))
          return false;
    }
    const [first, second] = [insideOf(one), insideOf(other)];
    if (!Object.is(first, second)) return false;
    if (ArrayBuffer.isView(one) || types.isArrayBuffer(one)) {
      const [a, b] = [shared.bytesOf(one), shared.bytesOf(other)];
      if (types.isTypedArray(one) && /^Float/.test(tagOf(one)) && !strict)
        return one.length === other.length && one.every((x, at) => x === other[at]);
      if (a.length !== b.length || a.some((byte, at) => byte !== b[at])) return false;
    }
    if (types.isSet(one)) return equalSets(one, other, strict, above);
    if (types.isMap(one)) return equalMaps(one, other, strict, above);
    return true;
  }

  function equalSets(one, other, strict, above) {
    if (one.size !== other.size) return false;
    const rest = new Set(other);
    for (const item of one) {
      if (rest.delete(item)) continue;
      if (!isObject(item) && strict) return false;
      const found = [...rest].find((each) => equal(item, each, strict, above));
      if (found === undefined || !rest.delete(found)) return false;
    }
    return true;
  }

  function equalMaps(one, other, strict, above) {
    if (one.size !== other.size) return false;
    const rest = new Map(other);
    for (const [key, value] of one) {
      if (rest.has(key) && equal(value, rest.get(key), strict, above)) {
        rest.delete(key);
        continue;
      }
      if (!isObject(key) && strict) return false;
      const found = [...rest].find(
        ([each, its]) => equal(key, each, strict, above) && equal(value, its, strict, above),
      );
      if (found === undefined) return false;
      rest.delete(found[0]);
    }
    return true;
  }

  function equalObjects(one, other, strict, above) {
    if (strict && Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false;
    if (tagOf(one) !== tagOf(other) || Array.isArray(one) !== Array.isArray(other)) return false;
    if (Array.isArray(one) && one.length !== other.length) return false;
    if (above.some(([a, b]) => a === one && b === other)) return true;
    const inner = [...above, [one, other]];
    if (!equalParts(one, other, strict, inner)) return false;
    if (types.isTypedArray(one)) return true;
    const [keys, others] = strict ? [ownKeys(one), ownKeys(other)] : [Object.keys(one), Object.keys(other)];
    if (keys.length !== others.length) return false;
    return keys.every(
      (key) => Object.prototype.propertyIsEnumerable.call(other, key) && equal(one[key], other[key], strict, inner),
    );
  }

  function equal(one, other, strict, above = []) {
    if (one === other) return one !== 0 || !strict || Object.is(one, other);
    if (isObject(one) && isObject(other)) return equalObjects(one, other, strict, above);
    if (strict || isObject(one) || isObject(other)) return Number.isNaN(one) && Number.isNaN(other);
    return one == other || (Number.isNaN(one) && Number.isNaN(other));
  }
  shared.isDeepEqual = equal;

  // === showing ===

  function inspect(value, options, depth) {
    const chosen = typeof options === 'object' && options !== null ? options.depth : depth;
    return show(value, chosen === null ? Infinity : chosen);
  }
  Object.assign(inspect, {
    custom: CUSTOM,
    defaultOptions: {
      showHidden: false,
      depth: 2,
      colors: false,
      customInspect: true,
      showProxy: false,
      maxArrayLength: 100,
      maxStringLength: 10000,
      breakLength: 128,
      compact: 3,
      sorted: false,
      getters: false,
      numericSeparator: false,
    },
    colors: Object.create(null),
    styles: Object.create(null),
  });

  const format = (...values) => shared.format(values);

  // === functions ===

  function promisify(original) {
    checkFunction('original', original);
    if (original[PROMISIFIED]) {
      checkFunction('util.promisify.custom', original[PROMISIFIED]);
      return Object.defineProperty(original[PROMISIFIED], PROMISIFIED, {
        value: original[PROMISIFIED],
        configurable: true,
      });
    }
    function promised(...values) {
      return new Promise((resolve, reject) => {
        Reflect.apply(original, this, [...values, (error, value) => (error ? reject(error) : resolve(value))]);
      });
    }
    Object.setPrototypeOf(promised, Object.getPrototypeOf(original));
    Object.defineProperty(promised, PROMISIFIED, { value: promised, configurable: true });
    return Object.defineProperties(promised, Object.getOwnPropertyDescriptors(original));
  }
  promisify.custom = PROMISIFIED;
  // As Node.js has it for its own.
  Object.defineProperty(globalThis.setTimeout, PROMISIFIED, {
    configurable: true,
    value: (delay, value) => new Promise((resolve) => setTimeout(resolve, delay, value)),
  });

  function callbackify(original) {
    checkFunction('original', original);
    function called(...values) {
      const callback = values.pop();
      checkFunction('last argument', callback);
      const rejected = (reason) => {
        const text = 'Promise was rejected with falsy value';
        const error = reason || Object.assign(coded(new Error(text), 'ERR_FALSY_VALUE_REJECTION'), { reason });
        setTimeout(() => Reflect.apply(callback, this, [error]), 0);
      };
      Reflect.apply(original, this, values).then(
        (value) => setTimeout(() => Reflect.apply(callback, this, [null, value]), 0),
        rejected,
      );
    }
    return Object.defineProperty(called, 'name', { value: `${original.name}Callbackified`, configurable: true });
  }

  function inherits(kind, parent) {
    if (kind === undefined || kind === null) checkFunction('ctor', kind);
    if (parent === undefined || parent === null) checkFunction('superCtor', parent);
    if (parent.prototype === undefined)
      throw invalidArgument('superCtor.prototype', 'of type object', parent.prototype);
    Object.defineProperty(kind, 'super_', { value: parent, writable: true, configurable: true });
    Object.setPrototypeOf(kind.prototype, parent.prototype);
  }

  function deprecate(original, message, code) {
    let told = false;
    const replaced = function (...values) {
      if (!told) console.error(`${code ? `[${code}] ` : ''}DeprecationWarning: ${message}`);
      told = true;
      return new.target ? Reflect.construct(original, values, new.target) : Reflect.apply(original, this, values);
    };
    Object.setPrototypeOf(replaced, original);
    if (original.prototype) replaced.prototype = original.prototype;
    return replaced;
  }

  // What NODE_DEBUG names is logged.
  function debuglog(section) {
    const isOn = () => `${process.env.NODE_DEBUG ?? ''}`.toUpperCase().split(',').includes(`${section}`.toUpperCase());
    const log = (...values) => {
      if (isOn()) console.error(`${`${section}`.toUpperCase()}: ${format(...values)}`);
    };
    return Object.defineProperty(log, 'enabled', { get: isOn, configurable: true });
  }

  const isPrimitive = (value) => !isObject(value) && typeof value !== 'function';
  const util = {
    callbackify,
    debug: debuglog,
    debuglog,
    deprecate,
    format,
    formatWithOptions: (options, ...values) => format(...values),
    inherits,
    inspect,
    isArray: Array.isArray,
    isBoolean: (value) => typeof value === 'boolean',
    isBuffer: (value) => shared.nodeModules.buffer?.Buffer.isBuffer(value) ?? false,
    isDeepStrictEqual: (one, other) => equal(one, other, true),
    isNull: (value) => value === null,
    isNullOrUndefined: (value) => value === null || value === undefined,
    isNumber: (value) => typeof value === 'number',
    isString: (value) => typeof value === 'string',
    isSymbol: (value) => typeof value === 'symbol',
    isUndefined: (value) => value === undefined,
    isRegExp: types.isRegExp,
    isObject,
    isDate: types.isDate,
    isError: (value) => types.isNativeError(value) || value instanceof Error,
    isFunction: (value) => typeof value === 'function',
    isPrimitive,
    log: (...values) => console.log(...values),
    promisify,
    stripVTControlCharacters: (text) =>
      text.replace(/[\u001b\u009b][[\]()#;?]*(?:\d{1,4}(?:[;:]\d{0,4})*)?[\dA-PR-TZcf-nq-uy=><~]/g, ''),
    toUSVString: (text) => `${text}`.toWellFormed(),
    types,
    TextDecoder,
    TextEncoder,
    _extend: (target, source) => (isObject(source) ? Object.assign(target, source) : target),
  };
  shared.nodeModules.util = util;
  shared.nodeModules['util/types'] = types;
});
