// names:
// What interfaces of the Web have in common (https://webidl.spec.whatwg.org/), with the texts of errors as in
// Node.js. This runs only for files of the prelude that need it.
(function (native, shared) {
  'use strict';

  // As Node.js says it of an argument: `an instance of Object`, `type number (1)`.
  const TEXT_CHARS_MAX = 25;
  function received(value) {
    if (value === null || value === undefined) return String(value);
    if (typeof value === 'function') return `function ${value.name}`;
    if (typeof value === 'object') {
      const name = value.constructor?.name;
      return name ? `an instance of ${name}` : shared.inspect(value, -1);
    }
    const shorten = (text) => (text.length > TEXT_CHARS_MAX + 3 ? `${text.slice(0, TEXT_CHARS_MAX)}...` : text);
    const shown = typeof value === 'string' ? shared.inspect(shorten(value)) : shorten(shared.inspect(value));
    return `type ${typeof value} (${shown})`;
  }

  // An error with a code, as Node.js has them.
  function coded(error, code) {
    error.code = code;
    return error;
  }

  function quoted(names) {
    const all = names.map((name) => `"${name}"`);
    return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
  }

  shared.coded = coded;
  shared.invalidArgument = (name, expected, value) => {
    const kind = name.includes('.') ? 'property' : 'argument';
    const text = `The "${name}" ${kind} must be ${expected}. Received ${received(value)}`;
    return coded(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
  };
  // Throws if there are fewer arguments than names.
  shared.checkCount = (count, ...names) => {
    if (count >= names.length) return;
    const text = `The ${quoted(names)} argument${names.length > 1 ? 's' : ''} must be specified`;
    throw coded(new TypeError(text), 'ERR_MISSING_ARGS');
  };
  // An object, or nothing: undefined and null are the empty one.
  shared.checkOptions = (value, expected = 'of type object') => {
    if (value === undefined || value === null) return {};
    if (typeof value !== 'object' && typeof value !== 'function') throw shared.invalidArgument('options', expected, value);
    return value;
  };
  // Members of the prototype are listed, as those of interfaces are; the object's class is its tag.
  shared.asInterface = (kind) => {
    for (const of of [kind.prototype, kind]) {
      for (const [name, member] of Object.entries(Object.getOwnPropertyDescriptors(of))) {
        if (['constructor', 'prototype', 'name', 'length'].includes(name)) continue;
        Object.defineProperty(of, name, { ...member, enumerable: true });
      }
    }
    Object.defineProperty(kind.prototype, Symbol.toStringTag, { value: kind.name, configurable: true });
    return kind;
  };
  // Interfaces as globals.
  shared.defineInterfaces = (kinds) => {
    Object.values(kinds).forEach(shared.asInterface);
    shared.define(kinds);
  };
});
