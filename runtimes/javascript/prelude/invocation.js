// What belongs to one invocation: its context, the function's variables, clocks, and calls of other functions.
(function (native, shared) {
  'use strict';

  const { stringify } = JSON;

  shared.adopt = (result) => (typeof result.then === 'function' ? Promise.resolve(result) : result);

  // === environment ===

  // Read when it is first asked for, in an invocation. At deploy there are the function's plain variables, which are part
  // of the version; secrets are not, and may not come into the snapshot.
  const variables = {};
  let secrets = new Set();
  let known = false;
  function environment() {
    if (!known && native.invoked()) {
      known = true;
      native.environment(variables);
    }
    return variables;
  }

  shared.setVariables = (plain, secret) => {
    Object.assign(variables, plain);
    secrets = new Set(secret);
  };

  function warnOfSecret(name) {
    if (native.invoked() || !secrets.has(name)) return;
    shared.warn(
      `the secret ${name} is read while the file is loaded, when no secret is there: it is undefined. Read it in the handler`,
    );
  }

  const lazily = {};
  for (const trap of ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor']) {
    lazily[trap] = (target, ...rest) => {
      environment();
      if (trap !== 'ownKeys') warnOfSecret(rest[0]);
      return Reflect[trap](target, ...rest);
    };
  }
  lazily.set = (target, name, value) => {
    environment();
    return Reflect.set(target, name, String(value));
  };
  const env = new Proxy(variables, lazily);
  shared.environment = env;

  // === context ===

  const told = (get) => ({ enumerable: true, configurable: true, get });
  shared.context = Object.create(Object.prototype, {
    invocation_id: told(() => environment().SERVERLEDGE_INVOCATION_ID ?? ''),
    function: told(() => (native.invoked() ? native.functionName() : '')),
    deadline_ms: told(() => Number(environment().SERVERLEDGE_DEADLINE_MS ?? 0)),
    memory_mb: told(() => Number(environment().SERVERLEDGE_MEMORY_MB ?? 0)),
    traceparent: told(() => environment().TRACEPARENT),
    tracestate: told(() => environment().TRACESTATE),
  });

  // === clocks ===

  // From the first look at it, so that an invocation that does not look pays nothing. Whole milliseconds.
  let origin;
  function sinceOrigin() {
    const now = native.elapsed();
    if (!native.invoked()) {
      shared.noteClock();
      return now;
    }
    origin ??= { elapsed: now, wall: native.now() };
    return now - origin.elapsed;
  }
  const performance = {
    now: () => sinceOrigin(),
    get timeOrigin() {
      sinceOrigin();
      return origin?.wall ?? 0;
    },
    toJSON() {
      return { timeOrigin: this.timeOrigin };
    },
  };
  Object.defineProperty(performance, Symbol.toStringTag, { value: 'Performance', configurable: true });

  // === calls ===

  // A call gave no result. Codes are stable, such as `function_unknown` or `call_would_deadlock`; messages are for
  // people.
  class CallError extends Error {
    constructor(code, message) {
      super(message);
      this.name = 'CallError';
      this.code = code;
    }
  }

  function written(args) {
    try {
      return stringify(args) ?? 'null';
    } catch (error) {
      throw new CallError('invalid_params', `the arguments cannot be written as JSON: ${error.message}`);
    }
  }

  // Runs the function of this name with these arguments; a promise of its result, or of a CallError. The sandbox
  // stands still meanwhile, so several calls run one after the other.
  function call(name, args = {}) {
    return new Promise((resolve, reject) => {
      if (!native.invoked())
        throw new CallError('call_refused', 'there is no invocation that could call: it has not begun');
      const [isError, reply] = native.call(String(name), written(args));
      if (isError) reject(new CallError(reply.error, reply.message));
      else resolve(reply);
    });
  }

  shared.call = call;
  shared.CallError = CallError;
  shared.define({ call, CallError, performance, process: { env } });
});
