// Events, signals, messages and what becomes of errors that nobody catches, compared with Node.js where it has them.
'use strict';

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// Runs the function here and in the guest, and compares what they give.
function same(name, compute) {
  test(name, async () => {
    const here = JSON.parse(JSON.stringify((await compute()) ?? null));
    const reply = new Guest(`module.exports = ${compute};`).call();
    assert.deepEqual(reply.result, here, JSON.stringify(reply.error));
  });
}

function run(source) {
  const guest = new Guest(source);
  assert.equal(guest.error, undefined);
  return { ...guest.call(), log: guest.log, guest };
}

same('events have the properties of their options', () => {
  const event = new Event('open', { bubbles: true, cancelable: 1, composed: 'yes' });
  const seen = [event.type, event.bubbles, event.cancelable, event.composed, event.target, event.currentTarget];
  seen.push(event.eventPhase, event.isTrusted, event.defaultPrevented, event.returnValue, event.cancelBubble);
  event.preventDefault();
  event.stopPropagation();
  seen.push(event.defaultPrevented, event.returnValue, event.cancelBubble, event.composedPath());
  const plain = new Event(5, null);
  plain.preventDefault();
  seen.push(plain.type, plain.defaultPrevented, typeof plain.timeStamp);
  seen.push(Event.AT_TARGET, Event.BUBBLING_PHASE, Object.keys(plain), JSON.stringify(plain));
  seen.push(
    Object.keys(Event.prototype)
      .sort()
      .filter((name) => !/PHASE|NONE|AT_TARGET/.test(name)),
  );
  seen.push(Object.prototype.toString.call(plain), Event.length, EventTarget.length);
  return seen;
});

same('listeners are called in order, once if they want, with their target as this', () => {
  const target = new EventTarget();
  const calls = [];
  function first(event) {
    calls.push(['first', this === target, event.target === target, event.currentTarget === target, event.eventPhase]);
    calls.push(event.composedPath().length);
  }
  const object = { handleEvent: (event) => calls.push(['object', event.type]) };
  target.addEventListener('x', first);
  target.addEventListener('x', first);
  target.addEventListener('x', object, { once: true });
  target.addEventListener('x', () => {
    calls.push('removes');
    target.removeEventListener('x', last);
  });
  const last = () => calls.push('removed meanwhile');
  target.addEventListener('x', last);
  const event = new Event('x');
  calls.push(target.dispatchEvent(event), event.target === target, event.currentTarget, event.eventPhase);
  target.removeEventListener('x', first);
  target.removeEventListener('y', first);
  calls.push(target.dispatchEvent(new Event('x')));
  return calls;
});

same('a listener can stop the others, and prevent what can be prevented', () => {
  const target = new EventTarget();
  const calls = [];
  const plain = target.dispatchEvent(new Event('x', { cancelable: true }));
  target.addEventListener('x', (event) => event.preventDefault());
  const prevented = target.dispatchEvent(new Event('x', { cancelable: true }));
  const cannot = target.dispatchEvent(new Event('x'));
  target.addEventListener('x', (event) => event.stopImmediatePropagation());
  target.addEventListener('x', () => calls.push('never'));
  return [plain, prevented, cannot, target.dispatchEvent(new Event('x')), calls];
});

same('listeners go with their signal', () => {
  const target = new EventTarget();
  const controller = new AbortController();
  const calls = [];
  target.addEventListener('x', () => calls.push('with a signal'), { signal: controller.signal });
  target.addEventListener('x', () => calls.push('too late'), { signal: AbortSignal.abort() });
  target.dispatchEvent(new Event('x'));
  controller.abort();
  target.dispatchEvent(new Event('x'));
  return calls;
});

same('classes made from EventTarget and Event', () => {
  class Door extends EventTarget {
    open() {
      return this.dispatchEvent(new Opened());
    }
  }
  class Opened extends Event {
    constructor() {
      super('opened', { cancelable: true });
      this.by = 'nobody';
    }
  }
  const door = new Door();
  const seen = [];
  door.addEventListener('opened', (event) => seen.push(event.by, event instanceof Opened, event.target instanceof Door));
  seen.push(door.open());
  return seen;
});

same('custom events', () => [
  new CustomEvent('x').detail,
  new CustomEvent('x', { detail: { a: 1 }, bubbles: true }).detail,
  new CustomEvent('x', { detail: 0 }).detail,
  new CustomEvent('x') instanceof Event,
]);

same('what is refused of events and signals', () => {
  const told = (attempt) => {
    try {
      return [attempt()];
    } catch (error) {
      return [error.name, error.code, error.message];
    }
  };
  const target = new EventTarget();
  return [
    () => new Event(),
    () => new Event('a', 1),
    () => new Event(Symbol('s')),
    () => new CustomEvent(),
    () => target.addEventListener('a'),
    () => target.addEventListener('a', 1),
    () => target.addEventListener('a', 'text that is longer than others'),
    () => target.addEventListener('a', () => 1, 7),
    () => target.addEventListener('a', () => 1, { signal: null }),
    () => target.addEventListener('a', () => 1, { signal: {} }),
    () => target.removeEventListener('a'),
    () => target.dispatchEvent(),
    () => target.dispatchEvent({}),
    () => target.dispatchEvent('x'),
    () => EventTarget.prototype.addEventListener.call({}, 'a', () => 1),
    () => Event.prototype.type,
    () => new AbortSignal(),
    () => AbortSignal.timeout(),
    () => AbortSignal.timeout(-1),
    () => AbortSignal.timeout(1.5),
    () => AbortSignal.any(),
    () => AbortSignal.any([1]),
    () => AbortSignal.abort(new Error('mine')).throwIfAborted(),
    () => AbortSignal.abort().throwIfAborted(),
  ].map(told);
});

same('a signal is aborted once, with its reason', () => {
  const controller = new AbortController();
  const { signal } = controller;
  const seen = [signal.aborted, signal.reason, signal.throwIfAborted()];
  signal.onabort = (event) => seen.push(['onabort', event.type, event.isTrusted, event.target === signal]);
  signal.addEventListener('abort', function () {
    seen.push(['listener', this === signal, this.aborted]);
  });
  controller.abort('why');
  controller.abort('again');
  seen.push(signal.aborted, signal.reason, typeof signal.onabort);
  signal.onabort = null;
  seen.push(signal.onabort);
  const plain = new AbortController();
  plain.abort();
  seen.push(plain.signal.reason.name, plain.signal.reason.message, plain.signal.reason instanceof DOMException);
  seen.push(AbortSignal.abort().aborted, AbortSignal.abort(0).reason);
  seen.push(Object.keys(AbortController.prototype), String(signal), signal instanceof EventTarget);
  return seen;
});

same('signals that follow others', () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const either = AbortSignal.any([a.signal, b.signal]);
  const nested = AbortSignal.any([either, new AbortController().signal]);
  const seen = [either.aborted, AbortSignal.any([]).aborted];
  either.addEventListener('abort', () => seen.push(['either', either.reason]));
  nested.addEventListener('abort', () => seen.push(['nested', nested.reason]));
  b.abort(7);
  a.abort(8);
  seen.push(either.reason, AbortSignal.any([AbortSignal.abort(1), AbortSignal.abort(2)]).reason);
  return seen;
});

same('a signal with a timeout', async () => {
  const signal = AbortSignal.timeout(5);
  const before = signal.aborted;
  // In Node.js nothing else would wait.
  await new Promise((resolve) => setTimeout(resolve, 100));
  return [before, signal.aborted, signal.reason.name, signal.reason.message, signal.reason.code];
});

test('a handler can wait for the timeout of a signal, and ends without waiting for it', () => {
  const waiting = run(`module.exports = async () => {
    const signal = AbortSignal.timeout(250);
    return new Promise((resolve) => { signal.onabort = () => resolve(signal.reason.name); });
  };`);
  assert.equal(waiting.result, 'TimeoutError');
  assert.equal(Math.round(waiting.guest.slept), 250);
  const ending = run('module.exports = async () => { AbortSignal.timeout(60_000); return 1; };');
  assert.equal(ending.result, 1);
  assert.equal(ending.guest.slept, 0);
  const long = run(`module.exports = async () => {
    const signal = AbortSignal.timeout(2 ** 31);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return signal.aborted;
  };`);
  assert.equal(long.result, false);
});

test('signals that follow others are aborted together', () => {
  const { result } = run(`module.exports = () => {
    const controller = new AbortController();
    const follows = AbortSignal.any([controller.signal]);
    const nested = AbortSignal.any([follows]);
    const seen = [];
    for (const each of [nested, follows, controller.signal])
      each.onabort = () => seen.push([controller.signal.aborted, follows.aborted, nested.aborted, nested.reason]);
    controller.abort(5);
    controller.signal.onabort = 'no function';
    return [...seen, controller.signal.onabort];
  };`);
  const all = [true, true, true, 5];
  assert.deepEqual(result, [all, all, all, null]);
});

test('a signal of the top level leaves no note and no timer', () => {
  const guest = new Guest('const signal = AbortSignal.timeout(5); module.exports = () => signal.aborted;');
  assert.deepEqual(guest.warnings, []);
  assert.equal(guest.call().result, false);
});

test('an error in a listener is in the log, and stops nothing', () => {
  const { result, log } = run(`module.exports = () => {
    const target = new EventTarget(), calls = [];
    target.addEventListener('x', () => { throw new TypeError('bad'); });
    target.addEventListener('x', { handleEvent: 5 });
    target.addEventListener('x', () => calls.push('next'));
    calls.push(target.dispatchEvent(new Event('x')));
    return calls;
  };`);
  assert.deepEqual(result, ['next', true]);
  assert.match(log, /^not caught: TypeError: bad\n {4}at <anonymous> \(index\.js:3:\d+\)/);
  assert.match(log, /not caught: TypeError: .*handleEvent/);
});

test('an event is not dispatched within itself', () => {
  const { result } = run(`module.exports = () => {
    const target = new EventTarget(), event = new Event('x'), told = [];
    target.addEventListener('x', () => { try { target.dispatchEvent(event); } catch (error) { told.push(error.name, error.message); } });
    target.dispatchEvent(event);
    event.initEvent('y', true);
    return [...told, event.type, event.bubbles, target.dispatchEvent(event)];
  };`);
  assert.deepEqual(result, ['InvalidStateError', 'The event "x" is already being dispatched', 'y', true, true]);
});

// Where Node.js 20 does not keep to the standard.
test('listeners that capture come first, new ones the next time, and passive ones prevent nothing', () => {
  const { result } = run(`module.exports = () => {
    const target = new EventTarget(), calls = [];
    target.addEventListener('y', null);
    target.addEventListener('y', (event) => {
      event.preventDefault();
      target.addEventListener('y', () => calls.push('added'));
    }, { passive: true, once: true });
    calls.push(target.dispatchEvent(new Event('y', { cancelable: true })), target.dispatchEvent(new Event('y')));
    const both = () => calls.push('both');
    target.addEventListener('x', both);
    target.addEventListener('x', () => calls.push('captures'), true);
    target.addEventListener('x', both, { capture: true });
    target.removeEventListener('x', both, true);
    target.dispatchEvent(new Event('x'));
    return calls;
  };`);
  assert.deepEqual(result, ['added', true, true, 'captures', 'both']);
});

test('events of errors and of rejections', () => {
  const { result } = run(`module.exports = () => {
    const error = new ErrorEvent('error', { message: 'm', filename: 'f', lineno: 3, colno: -1, error: 5 });
    const promise = Promise.resolve();
    const rejection = new PromiseRejectionEvent('unhandledrejection', { promise, reason: 'r', cancelable: true });
    const refused = [() => new PromiseRejectionEvent('x'), () => new PromiseRejectionEvent('x', {})].map((attempt) => {
      try { return attempt(); } catch (thrown) { return thrown.name; }
    });
    return [error.message, error.filename, error.lineno, error.colno, error.error, new ErrorEvent('error').error === undefined,
      rejection.promise === promise, rejection.reason, rejection.cancelable, refused];
  };`);
  assert.deepEqual(result, ['m', 'f', 3, 4294967295, 5, true, true, 'r', true, ['TypeError', 'TypeError']]);
});

test('the console shows signals and events as Node.js does', () => {
  const values = `[AbortSignal.abort(), new AbortController(), new EventTarget(), new Event('x', { cancelable: true })]`;
  const { log } = run(`module.exports = () => { for (const value of ${values}) console.log(value); };`);
  const here = eval(values).map((value) => inspect(value));
  const steady = (text) => text.replace(/timeStamp: [\d.]+/, 'timeStamp: 0');
  assert.equal(steady(log), steady(`${here.join('\n')}\n`));
});

// === messages ===

same('messages are copies, which arrive as tasks', async () => {
  const { port1, port2 } = new MessageChannel();
  const seen = [];
  const value = { a: [1, new Date(5)] };
  const buffer = new ArrayBuffer(8);
  await new Promise((resolve) => {
    port2.onmessage = (event) => {
      seen.push([event.data, event.type, event.origin, event.ports.length, event instanceof MessageEvent]);
      if (event.data === 'end') resolve();
    };
    port1.postMessage(value);
    value.a = 'changed';
    port1.postMessage(buffer, [buffer]);
    port1.postMessage('end');
    seen.push(buffer.byteLength);
    Promise.resolve().then(() => seen.push('jobs come before'));
  });
  port1.close();
  return seen;
});

same('messages wait until the port is started', async () => {
  const { port1, port2 } = new MessageChannel();
  const seen = [];
  port1.postMessage(1);
  port1.postMessage(2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await new Promise((resolve) => {
    port2.addEventListener('message', ({ data }) => {
      seen.push(data);
      if (data === 2) resolve();
    });
    port2.start();
  });
  const answered = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
  port2.postMessage('back');
  seen.push(await answered);
  port2.close();
  return seen;
});

test('what is refused of messages', () => {
  const { result } = run(`module.exports = () => {
    const told = (attempt) => { try { return [attempt()]; } catch (error) { return [error.name, error.code]; } };
    const { port1, port2 } = new MessageChannel();
    port2.close();
    return [() => new MessagePort(), () => port1.postMessage(), () => port1.postMessage(() => 1), () => port1.postMessage(1),
      () => port1.postMessage(port2), () => port1.postMessage(port2, [port2]), () => structuredClone(port1),
      () => new MessageEvent('x', { source: 1 })].map(told);
  };`);
  const cannot = ['DataCloneError', 25];
  const missing = ['TypeError', 'ERR_MISSING_ARGS'];
  assert.deepEqual(result, [
    ['TypeError', 'ERR_CONSTRUCT_CALL_INVALID'],
    missing,
    cannot,
    [null],
    cannot,
    cannot,
    cannot,
    ['TypeError', 'ERR_INVALID_ARG_TYPE'],
  ]);
});

test('who is left is told that the other port is closed', () => {
  const { result } = run(`module.exports = async () => {
    const { port1, port2 } = new MessageChannel();
    const closed = new Promise((resolve) => port2.addEventListener('close', (event) => resolve(event.type)));
    port1.close();
    port1.close();
    return closed;
  };`);
  assert.equal(result, 'close');
});

// === errors that nobody catches ===

test('onerror answers for errors, or they end the invocation', () => {
  const source = (answer) => `
    onerror = (message, file, line, column, error) => { seen.push([message, file, line, error.message]); return ${answer}; };
    let seen = [];
    module.exports = async () => {
      setTimeout(() => { throw new RangeError('late'); }, 1);
      queueMicrotask(() => { throw new Error('soon'); });
      await new Promise((resolve) => setTimeout(resolve, 10));
      return seen;
    };`;
  const { result } = run(source('true'));
  assert.deepEqual(result, [
    ['Uncaught Error: soon', 'index.js', 6, 'soon'],
    ['Uncaught RangeError: late', 'index.js', 5, 'late'],
  ]);
  assert.equal(run(source('undefined')).error.message, 'soon');
});

test('reportError tells the log, or onerror', () => {
  assert.match(run("module.exports = () => reportError(new Error('mine'));").log, /^not caught: Error: mine\n {4}at/);
  const { result, log } = run(`let told;
    globalThis.onerror = (message) => { told = message; return true; };
    module.exports = () => { reportError('text'); return told; };`);
  assert.equal(result, 'Uncaught string: text');
  assert.equal(log, '');
  assert.equal(run('module.exports = () => reportError();').error.error, 'TypeError');
});

test('an error in a listener goes to onerror', () => {
  const { result, log } = run(`module.exports = () => {
    const seen = [], target = new EventTarget();
    onerror = (message) => { seen.push(message); return true; };
    target.addEventListener('x', () => { throw new Error('bad'); });
    target.dispatchEvent(new Event('x'));
    onerror = () => { throw new Error('worse'); };
    target.dispatchEvent(new Event('x'));
    onerror = 5;
    return [seen, onerror];
  };`);
  assert.deepEqual(result, [['Uncaught Error: bad'], null]);
  assert.match(log, /not caught: Error: worse[^]*not caught: Error: bad/);
});

test('onunhandledrejection answers for rejections that nobody handles, or they end the invocation', () => {
  const source = (answer) => `let seen = [];
    globalThis.onunhandledrejection = (event) => {
      seen.push([event.type, event.reason.message, event.promise instanceof Promise, event.cancelable]);
      ${answer};
    };
    globalThis.onrejectionhandled = (event) => seen.push([event.type, event.reason.message]);
    module.exports = async () => {
      const rejected = Promise.reject(new Error('nobody'));
      await new Promise((resolve) => setTimeout(resolve, 5));
      rejected.catch(() => seen.push('caught'));
      await new Promise((resolve) => setTimeout(resolve, 5));
      return seen;
    };`;
  assert.deepEqual(run(source('event.preventDefault()')).result, [
    ['unhandledrejection', 'nobody', true, true],
    'caught',
    ['rejectionhandled', 'nobody'],
  ]);
  assert.equal(run(source('')).error.message, 'nobody');
});

test('without handlers, an error that nobody catches ends the invocation as before', () => {
  const timer = run(`module.exports = async () => {
    setTimeout(() => { throw new Error('late'); }, 1);
    await new Promise((resolve) => setTimeout(resolve, 10));
  };`);
  assert.equal(timer.error.message, 'late');
});

// === what it costs ===

test('a file that names none of this does not have it, and pays nothing', () => {
  const names = `['Event', 'EventTarget', 'AbortController', 'MessageChannel', 'onerror', 'reportError', 'navigator', 'Blob']`;
  const hidden = names.replace(/'(\w)(\w+)'/g, "'$1' + '$2'");
  const { result, guest } = run(`module.exports = () => ${hidden}.filter((name) => name in globalThis);`);
  assert.deepEqual(result, []);
  const small = guest.snapshot.length;
  const named = new Guest(`module.exports = () => ${names}.filter((name) => name in globalThis);`);
  assert.equal(named.call().result.length, 8);
  assert.ok(named.snapshot.length >= small);
});
