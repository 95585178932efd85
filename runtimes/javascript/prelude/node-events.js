// names: node:events 'events' 'events/'
// needs: interfaces
// node:events (https://nodejs.org/docs/latest-v20.x/api/events.html), with the texts of errors as in Node.js.
(function (native, shared) {
  'use strict';

  const { coded, invalidArgument } = shared;
  const errorMonitor = Symbol('events.errorMonitor');
  const captureRejectionSymbol = Symbol.for('nodejs.rejection');
  let defaultMaxListeners = 10;

  function checkListener(listener) {
    if (typeof listener !== 'function') throw invalidArgument('listener', 'of type function', listener);
  }

  // A function, so that others can inherit from it without being classes.
  function EventEmitter(options) {
    EventEmitter.init.call(this, options);
  }

  EventEmitter.init = function init() {
    if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
      this._events = Object.create(null);
      this._eventsCount = 0;
    }
    this._maxListeners = this._maxListeners || undefined;
  };

  const listOf = (emitter, type) => {
    const held = emitter._events?.[type];
    return held === undefined ? [] : typeof held === 'function' ? [held] : held;
  };

  function warnOfMany(emitter, type, list) {
    const most = emitter.getMaxListeners();
    if (most <= 0 || list.length <= most || list.warned) return;
    list.warned = true;
    const name = emitter.constructor?.name ?? 'EventEmitter';
    const text = `Possible EventEmitter memory leak detected. ${list.length} ${String(type)} listeners added to ${shared.inspect(emitter, -1)}. MaxListeners is ${most}. Use emitter.setMaxListeners() to increase limit`;
    console.error(`MaxListenersExceededWarning: ${text.replace('[Object]', `[${name}]`)}`);
  }

  function add(emitter, type, listener, atFront) {
    checkListener(listener);
    if (emitter._events === undefined) EventEmitter.init.call(emitter);
    if (emitter._events.newListener !== undefined) emitter.emit('newListener', type, listener.listener ?? listener);
    const held = emitter._events[type];
    if (held === undefined) {
      emitter._events[type] = listener;
      emitter._eventsCount += 1;
      return emitter;
    }
    const list = typeof held === 'function' ? [held] : held;
    if (atFront) list.unshift(listener);
    else list.push(listener);
    emitter._events[type] = list;
    warnOfMany(emitter, type, list);
    return emitter;
  }

  function onceOnly(emitter, type, listener) {
    checkListener(listener);
    let fired = false;
    const wrapped = function (...values) {
      if (fired) return undefined;
      fired = true;
      emitter.removeListener(type, wrapped);
      return Reflect.apply(listener, emitter, values);
    };
    wrapped.listener = listener;
    return wrapped;
  }

  function drop(emitter, type) {
    emitter._eventsCount -= 1;
    if (emitter._eventsCount === 0) emitter._events = Object.create(null);
    else delete emitter._events[type];
  }

  function throwUnhandled(value) {
    if (value instanceof Error) throw value;
    const error = coded(
      new Error(`Unhandled error. (${typeof value === 'string' ? `'${value}'` : shared.inspect(value)})`),
      'ERR_UNHANDLED_ERROR',
    );
    error.context = value;
    throw error;
  }

  Object.assign(EventEmitter.prototype, {
    _events: undefined,
    _eventsCount: 0,
    _maxListeners: undefined,
    setMaxListeners(count) {
      if (typeof count !== 'number') throw invalidArgument('setMaxListeners', 'of type number', count);
      this._maxListeners = count;
      return this;
    },
    getMaxListeners() {
      return this._maxListeners ?? defaultMaxListeners;
    },
    emit(type, ...values) {
      if (type === 'error') {
        if (this._events?.[errorMonitor] !== undefined) this.emit(errorMonitor, ...values);
        if (this._events?.error === undefined) throwUnhandled(values[0]);
      }
      const held = this._events?.[type];
      if (held === undefined) return false;
      for (const listener of typeof held === 'function' ? [held] : [...held]) Reflect.apply(listener, this, values);
      return true;
    },
    addListener(type, listener) {
      return add(this, type, listener, false);
    },
    on(type, listener) {
      return add(this, type, listener, false);
    },
    prependListener(type, listener) {
      return add(this, type, listener, true);
    },
    once(type, listener) {
      return this.on(type, onceOnly(this, type, listener));
    },
    prependOnceListener(type, listener) {
      return this.prependListener(type, onceOnly(this, type, listener));
    },
    removeListener(type, listener) {
      checkListener(listener);
      const list = listOf(this, type);
      const at = list.findLastIndex((each) => each === listener || each.listener === listener);
      if (at < 0) return this;
      if (list.length === 1) drop(this, type);
      else this._events[type] = list.length === 2 ? list[1 - at] : list.toSpliced(at, 1);
      if (this._events.removeListener !== undefined) this.emit('removeListener', type, list[at].listener ?? listener);
      return this;
    },
    off(type, listener) {
      return this.removeListener(type, listener);
    },
    removeAllListeners(...types) {
      if (this._events === undefined) return this;
      const all =
        types.length > 0 ? [types[0]] : Reflect.ownKeys(this._events).filter((type) => type !== 'removeListener');
      if (this._events.removeListener !== undefined) {
        for (const type of all)
          for (const listener of [...listOf(this, type)].reverse()) this.removeListener(type, listener);
      } else for (const type of all) if (this._events[type] !== undefined) drop(this, type);
      if (types.length === 0) EventEmitter.prototype.removeAllListeners.call(this, 'removeListener');
      return this;
    },
    listeners(type) {
      return listOf(this, type).map((each) => each.listener ?? each);
    },
    rawListeners(type) {
      return [...listOf(this, type)];
    },
    listenerCount(type, listener) {
      const list = listOf(this, type);
      return listener ? list.filter((each) => each === listener || each.listener === listener).length : list.length;
    },
    eventNames() {
      return this._eventsCount > 0 ? Reflect.ownKeys(this._events) : [];
    },
  });

  // === promises and iterators of events ===

  function aborted(signal) {
    const error = coded(new Error('The operation was aborted', { cause: signal.reason }), 'ABORT_ERR');
    error.name = 'AbortError';
    return error;
  }

  function listen(emitter, type, listener, flags) {
    if (typeof emitter.on === 'function') {
      if (flags?.once) emitter.once(type, listener);
      else emitter.on(type, listener);
    } else if (typeof emitter.addEventListener === 'function') emitter.addEventListener(type, listener, flags);
    else throw invalidArgument('emitter', 'an instance of EventEmitter', emitter);
  }

  function unlisten(emitter, type, listener) {
    if (typeof emitter.removeListener === 'function') emitter.removeListener(type, listener);
    else emitter.removeEventListener(type, listener);
  }

  function once(emitter, type, options) {
    return new Promise((resolve, reject) => {
      const signal = options?.signal;
      if (signal?.aborted) {
        reject(aborted(signal));
        return;
      }
      const end = () => {
        unlisten(emitter, type, succeed);
        if (type !== 'error' && typeof emitter.once === 'function') unlisten(emitter, 'error', failed);
        signal?.removeEventListener('abort', abort);
      };
      const succeed = (...values) => {
        end();
        resolve(values);
      };
      const failed = (error) => {
        end();
        reject(error);
      };
      const abort = () => failed(aborted(signal));
      listen(emitter, type, succeed, { once: true });
      if (type !== 'error' && typeof emitter.once === 'function') emitter.once('error', failed);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  // An asynchronous iterator of the values of events.
  function on(emitter, type, options) {
    const signal = options?.signal;
    if (signal?.aborted) throw aborted(signal);
    const values = [];
    const waiting = [];
    let failure;
    let ended = false;
    const take = (...args) =>
      waiting.length > 0 ? waiting.shift().resolve({ value: args, done: false }) : values.push(args);
    const end = () => {
      ended = true;
      unlisten(emitter, type, take);
      if (typeof emitter.on === 'function' && type !== 'error') unlisten(emitter, 'error', fail);
      for (const each of waiting.splice(0)) each.resolve({ value: undefined, done: true });
      return Promise.resolve({ value: undefined, done: true });
    };
    const fail = (error) => {
      if (waiting.length > 0) waiting.shift().reject(error);
      else failure = { error };
      end();
    };
    listen(emitter, type, take);
    if (type !== 'error' && typeof emitter.on === 'function') emitter.on('error', fail);
    signal?.addEventListener('abort', () => fail(aborted(signal)), { once: true });
    for (const close of options?.close ?? []) listen(emitter, close, end);
    const iterator = {
      next() {
        if (values.length > 0) return Promise.resolve({ value: values.shift(), done: false });
        if (failure) {
          const { error } = failure;
          failure = undefined;
          return Promise.reject(error);
        }
        if (ended) return Promise.resolve({ value: undefined, done: true });
        return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
      },
      return: end,
      throw(error) {
        fail(error);
        return end();
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  Object.assign(EventEmitter, {
    addAbortListener(signal, listener) {
      if (signal.aborted) queueMicrotask(() => listener());
      else signal.addEventListener('abort', listener, { once: true });
      return { [Symbol.dispose ?? Symbol.for('dispose')]: () => signal.removeEventListener('abort', listener) };
    },
    once,
    on,
    getEventListeners: (emitter, type) => emitter.listeners(type),
    getMaxListeners: (emitter) => emitter.getMaxListeners(),
    EventEmitter,
    captureRejectionSymbol,
    captureRejections: false,
    errorMonitor,
    setMaxListeners(count = defaultMaxListeners, ...emitters) {
      if (emitters.length === 0) defaultMaxListeners = count;
      for (const emitter of emitters) emitter.setMaxListeners?.(count);
    },
    listenerCount: (emitter, type) => emitter.listenerCount(type),
  });
  Object.defineProperty(EventEmitter, 'defaultMaxListeners', {
    enumerable: true,
    get: () => defaultMaxListeners,
    set(count) {
      if (typeof count !== 'number') throw invalidArgument('defaultMaxListeners', 'of type number', count);
      defaultMaxListeners = count;
    },
  });
  shared.nodeModules.events = EventEmitter;
});
