// names: node:assert 'assert' 'assert/strict' 'assert/'
// needs: node-util
// node:assert (https://nodejs.org/docs/latest-v20.x/api/assert.html). Messages that Node.js makes of the differences of two values are
// shorter here.
(function (native, shared) {
  'use strict';

  const { inspect, isDeepEqual, invalidArgument } = shared;

  class AssertionError extends Error {
    constructor({ message, actual, expected, operator, isGenerated = message === undefined }) {
      super(message === undefined ? `${inspect(actual)} ${operator} ${inspect(expected)}` : String(message));
      this.generatedMessage = isGenerated;
      this.code = 'ERR_ASSERTION';
      this.actual = actual;
      this.expected = expected;
      this.operator = operator;
    }

    get name() {
      return 'AssertionError';
    }

    set name(value) {
      Object.defineProperty(this, 'name', { value, writable: true, configurable: true });
    }

    toString() {
      return `${this.name} [${this.code}]: ${this.message}`;
    }
  }

  function refuse(message, generated, parts) {
    if (message instanceof Error) throw message;
    const isGenerated = message === undefined;
    throw new AssertionError({ ...parts, message: isGenerated ? generated : message, isGenerated });
  }

  function ok(...values) {
    const [value, message] = values;
    if (value) return;
    const generated =
      values.length === 0 ? 'No value argument passed to `assert.ok()`' : 'The expression evaluated to a falsy value';
    refuse(message, generated, { actual: value, expected: true, operator: '==' });
  }

  // Two values and what is wrong with them if the test fails.
  function comparison(operator, test, words) {
    return (actual, expected, message) => {
      if (test(actual, expected)) return;
      const [one, other] = [actual, expected].map((value) => inspect(value));
      const isShort = [actual, expected].every((value) => typeof value !== 'object' || value === null);
      if (typeof message === 'string' && isShort && /^(?:deepS|s)trict/.test(operator))
        throw new AssertionError({ message: `${message}\n\n${one} !== ${other}\n`, actual, expected, operator });
      refuse(message, words(one, other), { actual, expected, operator });
    };
  }

  const differ = (words) => (one, other) =>
    `${words}\n\n${one}\n\nshould ${/not/i.test(words) ? 'not ' : ''}equal\n\n${other}`;
  const single = (one) => !one.includes('\n');
  const strictly = (one, other) =>
    single(one) && single(other)
      ? `Expected values to be strictly equal:\n\n${one} !== ${other}\n`
      : `Expected values to be strictly equal:\n\n${one}\n\n!==\n\n${other}\n`;
  const loosely = (one, other) => one == other || (Number.isNaN(one) && Number.isNaN(other));

  const equal = comparison('==', loosely, (one, other) => `${one} == ${other}`);
  const notEqual = comparison(
    '!=',
    (one, other) => !loosely(one, other),
    (one, other) => `${one} != ${other}`,
  );
  const strictEqual = comparison('strictEqual', Object.is, strictly);
  const notStrictEqual = comparison(
    'notStrictEqual',
    (one, other) => !Object.is(one, other),
    (one) => `Expected "actual" to be strictly unequal to: ${one}`,
  );
  const deepEqual = comparison(
    'deepEqual',
    (one, other) => isDeepEqual(one, other, false),
    differ('Expected values to be loosely deep-equal:'),
  );
  const notDeepEqual = comparison(
    'notDeepEqual',
    (one, other) => !isDeepEqual(one, other, false),
    (one) => `Expected "actual" not to be loosely deep-equal to: ${one}`,
  );
  const deepStrictEqual = comparison(
    'deepStrictEqual',
    (one, other) => isDeepEqual(one, other, true),
    differ('Expected values to be strictly deep-equal:'),
  );
  const notDeepStrictEqual = comparison(
    'notDeepStrictEqual',
    (one, other) => !isDeepEqual(one, other, true),
    (one) => `Expected "actual" not to be strictly deep-equal to: ${one}`,
  );

  // === what is thrown ===

  const isKind = (expected) => typeof expected === 'function' && expected.prototype !== undefined;

  function checkThrown(error, expected, message, operator) {
    const parts = { actual: error, expected, operator };
    if (expected === undefined) return;
    if (expected instanceof RegExp) {
      if (expected.test(String(error))) return;
      refuse(
        message,
        `The input did not match the regular expression ${expected}. Input:\n\n${inspect(String(error))}\n`,
        parts,
      );
    }
    if (typeof expected === 'function') {
      if (isKind(expected) && error instanceof expected) return;
      if (expected === Error || Object.prototype.isPrototypeOf.call(Error, expected)) {
        const text = `The error is expected to be an instance of "${expected.name}". Received "${error?.constructor?.name}"\n\nError message:\n\n${error?.message}`;
        refuse(message, text, parts);
      }
      if (Reflect.apply(expected, {}, [error]) === true) return;
      refuse(
        message,
        `The validation function is expected to return "true". Received false\n\nCaught error:\n\n${inspect(error)}`,
        parts,
      );
    }
    const keys = Object.keys(expected);
    if (expected instanceof Error) keys.push('name', 'message');
    for (const key of keys) {
      const [own, wanted] = [error?.[key], expected[key]];
      if (wanted instanceof RegExp && typeof own === 'string' ? wanted.test(own) : isDeepEqual(own, wanted, true))
        continue;
      refuse(
        message,
        `Expected values to be strictly deep-equal:\n\n${inspect(own)} !== ${inspect(wanted)} (${key})`,
        parts,
      );
    }
  }

  function expectation(expected, message) {
    return typeof expected === 'string' ? [undefined, expected] : [expected, message];
  }

  function missing(kind, expected, message, operator) {
    const name = typeof expected === 'function' && expected.name ? ` (${expected.name})` : '';
    const words = typeof message === 'string' ? `: ${message}` : '.';
    refuse(message instanceof Error ? message : undefined, `Missing expected ${kind}${name}${words}`, {
      expected,
      operator,
    });
  }

  function throws(run, given, text) {
    if (typeof run !== 'function') throw invalidArgument('fn', 'of type function', run);
    const [expected, message] = expectation(given, text);
    let error;
    try {
      run();
    } catch (thrown) {
      error = { thrown };
    }
    if (error === undefined) missing('exception', expected, message, 'throws');
    checkThrown(error.thrown, expected, message, 'throws');
  }

  async function settled(promised) {
    const promise = typeof promised === 'function' ? promised() : promised;
    if (typeof promise?.then !== 'function')
      throw invalidArgument('promiseFn', 'of type function or an instance of Promise', promised);
    try {
      await promise;
      return undefined;
    } catch (thrown) {
      return { thrown };
    }
  }

  async function rejects(promised, given, text) {
    const [expected, message] = expectation(given, text);
    const error = await settled(promised);
    if (error === undefined) missing('rejection', expected, message, 'rejects');
    checkThrown(error.thrown, expected, message, 'rejects');
  }

  function unwanted(kind, thrown, given, text, operator) {
    const [expected, message] = expectation(given, text);
    if (typeof expected === 'function' && !(thrown instanceof expected)) throw thrown;
    const words = message ? `: ${message}` : '.';
    refuse(undefined, `Got unwanted ${kind}${words}\nActual message: "${thrown?.message}"`, {
      actual: thrown,
      expected,
      operator,
    });
  }

  function doesNotThrow(run, expected, message) {
    if (typeof run !== 'function') throw invalidArgument('fn', 'of type function', run);
    try {
      run();
    } catch (thrown) {
      unwanted('exception', thrown, expected, message, 'doesNotThrow');
    }
  }

  async function doesNotReject(promised, expected, message) {
    const error = await settled(promised);
    if (error !== undefined) unwanted('rejection', error.thrown, expected, message, 'doesNotReject');
  }

  function matching(operator, wanted, words) {
    return (text, pattern, message) => {
      if (!(pattern instanceof RegExp)) throw invalidArgument('regexp', 'an instance of RegExp', pattern);
      if (typeof text === 'string' && pattern.test(text) === wanted) return;
      const generated =
        typeof text === 'string'
          ? `The input ${words} the regular expression ${pattern}. Input:\n\n${inspect(text)}\n`
          : `The "string" argument must be of type string. Received ${inspect(text)}`;
      refuse(message, generated, { actual: text, expected: pattern, operator });
    };
  }

  function fail(message = 'Failed') {
    if (message instanceof Error) throw message;
    const error = new AssertionError({ message, operator: 'fail', actual: undefined, expected: undefined });
    error.generatedMessage = message === 'Failed';
    throw error;
  }

  function ifError(value) {
    if (value === null || value === undefined) return;
    const words = value instanceof Error ? value.message || value.constructor.name : inspect(value);
    const text = `ifError got unwanted exception: ${words}`;
    refuse(undefined, text, { actual: value, expected: null, operator: 'ifError' });
  }

  const assert = (...values) => ok(...values);
  const strict = (...values) => ok(...values);
  const common = {
    fail,
    AssertionError,
    ok,
    deepStrictEqual,
    notDeepStrictEqual,
    strictEqual,
    notStrictEqual,
    throws,
    rejects,
    doesNotThrow,
    doesNotReject,
    ifError,
    match: matching('match', true, 'did not match'),
    doesNotMatch: matching('doesNotMatch', false, 'was expected to not match'),
  };
  Object.assign(assert, { ...common, equal, notEqual, deepEqual, notDeepEqual, strict });
  Object.assign(strict, {
    ...common,
    equal: strictEqual,
    notEqual: notStrictEqual,
    deepEqual: deepStrictEqual,
    notDeepEqual: notDeepStrictEqual,
    strict,
  });
  shared.nodeModules.assert = assert;
  shared.nodeModules['assert/strict'] = strict;
});
