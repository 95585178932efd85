// names: AbortController AbortSignal CustomEvent ErrorEvent Event EventTarget PromiseRejectionEvent signal
// needs: interfaces
// Events and signals (https://dom.spec.whatwg.org/), ErrorEvent and PromiseRejectionEvent
// (https://html.spec.whatwg.org/multipage/webappapis.html).
(function (native, shared) {
  'use strict';

  const INSIDE = Symbol('made by the prelude');
  const [NONE, CAPTURING_PHASE, AT_TARGET, BUBBLING_PHASE] = [0, 1, 2, 3];
  const DELAY_MS_MAX = 2 ** 32 - 1;
  const TIMER_MS_MAX = 2 ** 31 - 1;
  const { performance, setTimeout, DOMException } = globalThis;
  const { checkCount, checkOptions, coded, invalidArgument } = shared;

  // An error that nobody can catch.
  function report(thrown) {
    if (shared.isInternal(thrown)) throw thrown;
    (shared.report ?? shared.logUncaught)(thrown);
  }

  function badThis(name) {
    return coded(new TypeError(`Value of "this" must be of type ${name}`), 'ERR_INVALID_THIS');
  }

  // === events ===

  // Sends an event to the listeners of one target: targets here have no parents.
  let dispatch;
  let parts;
  class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #isTrusted;
    #timeStamp = native.invoked() ? performance.now() : 0;
    #target = null;
    #isDispatched = false;
    #isPassive = false;
    #isCanceled = false;
    #isStopped = false;
    #isStoppedNow = false;

    static {
      parts = (event) => {
        if (event === null || typeof event !== 'object' || !(#type in event)) throw badThis('Event');
        return event;
      };

      dispatch = (target, event, listeners) => {
        event.#target = target;
        event.#isDispatched = true;
        for (const listener of listeners) {
          if (listener.isRemoved) continue;
          if (listener.once) listener.remove();
          event.#isPassive = listener.passive;
          const { callback } = listener;
          try {
            if (typeof callback === 'function') Reflect.apply(callback, target, [event]);
            else callback.handleEvent(event);
          } catch (error) {
            report(error);
          }
          event.#isPassive = false;
          if (event.#isStoppedNow) break;
        }
        event.#isDispatched = false;
        event.#isStopped = false;
        event.#isStoppedNow = false;
        return !event.#isCanceled;
      };
    }

    constructor(type, options = undefined, mark = undefined) {
      checkCount(arguments.length, 'type');
      const { bubbles, cancelable, composed } = checkOptions(options);
      this.#type = `${type}`;
      this.#bubbles = Boolean(bubbles);
      this.#cancelable = Boolean(cancelable);
      this.#composed = Boolean(composed);
      this.#isTrusted = mark === INSIDE;
    }

    get type() {
      return parts(this).#type;
    }

    get target() {
      return parts(this).#target;
    }

    get srcElement() {
      return parts(this).#target;
    }

    get currentTarget() {
      return parts(this).#isDispatched ? this.#target : null;
    }

    composedPath() {
      return parts(this).#isDispatched ? [this.#target] : [];
    }

    get eventPhase() {
      return parts(this).#isDispatched ? AT_TARGET : NONE;
    }

    stopPropagation() {
      parts(this).#isStopped = true;
    }

    get cancelBubble() {
      return parts(this).#isStopped;
    }

    set cancelBubble(value) {
      if (value) this.stopPropagation();
    }

    stopImmediatePropagation() {
      this.stopPropagation();
      this.#isStoppedNow = true;
    }

    get bubbles() {
      return parts(this).#bubbles;
    }

    get cancelable() {
      return parts(this).#cancelable;
    }

    get returnValue() {
      return !parts(this).#isCanceled;
    }

    set returnValue(value) {
      if (!value) this.preventDefault();
    }

    preventDefault() {
      if (parts(this).#cancelable && !this.#isPassive) this.#isCanceled = true;
    }

    get defaultPrevented() {
      return parts(this).#isCanceled;
    }

    get composed() {
      return parts(this).#composed;
    }

    get isTrusted() {
      return parts(this).#isTrusted;
    }

    get timeStamp() {
      return parts(this).#timeStamp;
    }

    initEvent(type, bubbles = false, cancelable = false) {
      checkCount(arguments.length, 'type');
      if (parts(this).#isDispatched) return;
      this.#isStopped = false;
      this.#isStoppedNow = false;
      this.#isCanceled = false;
      this.#isTrusted = false;
      this.#target = null;
      this.#type = `${type}`;
      this.#bubbles = Boolean(bubbles);
      this.#cancelable = Boolean(cancelable);
    }

    get [shared.shownParts]() {
      return ['type', 'defaultPrevented', 'cancelable', 'timeStamp'];
    }
  }
  for (const [name, value] of Object.entries({ NONE, CAPTURING_PHASE, AT_TARGET, BUBBLING_PHASE })) {
    for (const on of [Event, Event.prototype]) Object.defineProperty(on, name, { value, enumerable: true });
  }

  class CustomEvent extends Event {
    #detail;

    constructor(type, options = undefined) {
      checkCount(arguments.length, 'type');
      super(type, options);
      this.#detail = options?.detail ?? null;
    }

    get detail() {
      return this.#detail;
    }

    initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
      if (this.eventPhase !== NONE) return;
      this.initEvent(type, bubbles, cancelable);
      this.#detail = detail;
    }
  }

  class ErrorEvent extends Event {
    #message;
    #filename;
    #lineno;
    #colno;
    #error;

    constructor(type, options = undefined) {
      checkCount(arguments.length, 'type');
      super(type, options);
      const { message = '', filename = '', lineno = 0, colno = 0, error } = options ?? {};
      this.#message = `${message}`;
      this.#filename = `${filename}`;
      this.#lineno = lineno >>> 0;
      this.#colno = colno >>> 0;
      this.#error = error;
    }

    get message() {
      return this.#message;
    }

    get filename() {
      return this.#filename;
    }

    get lineno() {
      return this.#lineno;
    }

    get colno() {
      return this.#colno;
    }

    get error() {
      return this.#error;
    }
  }

  class PromiseRejectionEvent extends Event {
    #promise;
    #reason;

    constructor(type, options, mark = undefined) {
      checkCount(arguments.length, 'type', 'options');
      super(type, options, mark);
      const { promise, reason } = options ?? {};
      if (promise === undefined) throw invalidArgument('options.promise', 'an instance of Promise', promise);
      this.#promise = promise;
      this.#reason = reason;
    }

    get promise() {
      return this.#promise;
    }

    get reason() {
      return this.#reason;
    }
  }

  // === targets ===

  class Listener {
    isRemoved = false;

    constructor(list, callback, { capture, once, passive }) {
      this.list = list;
      this.callback = callback;
      this.capture = Boolean(capture);
      this.once = Boolean(once);
      this.passive = Boolean(passive);
    }

    remove() {
      this.isRemoved = true;
      const at = this.list.indexOf(this);
      if (at >= 0) this.list.splice(at, 1);
    }
  }

  function listenerOptions(options) {
    if (typeof options === 'boolean') return { capture: options };
    const { capture, once, passive, signal } = checkOptions(options);
    return { capture, once, passive, signal };
  }

  function capturesBy(options) {
    return typeof options === 'boolean' ? options : checkOptions(options).capture;
  }

  let listenersOf;
  class EventTarget {
    // By type, in the order in which they were added.
    #listeners = new Map();

    static {
      listenersOf = (target, type) => {
        if (target === null || typeof target !== 'object' || !(#listeners in target)) throw badThis('EventTarget');
        let list = target.#listeners.get(type);
        if (list === undefined) target.#listeners.set(type, (list = []));
        return list;
      };
    }

    addEventListener(type, listener, options = undefined) {
      checkCount(arguments.length, 'type', 'listener');
      const list = listenersOf(this, `${type}`);
      const all = listenerOptions(options);
      const { signal } = all;
      if (signal !== undefined && !isSignal(signal))
        throw invalidArgument('options.signal', 'an instance of AbortSignal', signal);
      if (listener === null || listener === undefined) return;
      if (typeof listener !== 'function' && typeof listener !== 'object')
        throw invalidArgument('listener', 'an instance of EventListener', listener);
      if (signal?.aborted || find(list, listener, all.capture) !== undefined) return;
      const added = new Listener(list, listener, all);
      list.push(added);
      if (signal !== undefined) atAbort(signal, () => added.remove());
    }

    removeEventListener(type, listener, options = undefined) {
      checkCount(arguments.length, 'type', 'listener');
      find(listenersOf(this, `${type}`), listener, capturesBy(options))?.remove();
    }

    get [shared.shownParts]() {
      return [];
    }

    dispatchEvent(event) {
      listenersOf(this, '');
      checkCount(arguments.length, 'event');
      if (!(event instanceof Event)) throw invalidArgument('event', 'an instance of Event', event);
      if (event.eventPhase !== NONE) {
        const text = `The event "${event.type}" is already being dispatched`;
        throw new DOMException(text, 'InvalidStateError');
      }
      return fire(this, event);
    }
  }

  function find(list, callback, capture) {
    return list.find((each) => each.callback === callback && each.capture === Boolean(capture));
  }

  // Listeners that are added meanwhile are not called. Those that capture come first.
  function fire(target, event) {
    const list = listenersOf(target, event.type);
    return dispatch(target, event, [...list.filter((each) => each.capture), ...list.filter((each) => !each.capture)]);
  }

  // An attribute such as `onabort`: one listener, which keeps its place when it is replaced.
  function defineHandler(prototype, type) {
    const handlers = new WeakMap();
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      get() {
        return handlers.get(this)?.current ?? null;
      },
      set(value) {
        const isHandler = typeof value === 'function' || (typeof value === 'object' && value !== null);
        let handler = handlers.get(this);
        if (!isHandler) {
          handler?.listener.remove();
          handlers.delete(this);
          return;
        }
        if (handler !== undefined) {
          handler.current = value;
          return;
        }
        handler = { current: value };
        const target = this;
        const callback = (event) => {
          if (typeof handler.current === 'function' && Reflect.apply(handler.current, target, [event]) === false)
            event.preventDefault();
        };
        const list = listenersOf(this, type);
        handler.listener = new Listener(list, callback, {});
        list.push(handler.listener);
        handlers.set(this, handler);
      },
    });
  }

  // === signals ===

  let isSignal;
  let abort;
  let atAbort;
  let follow;
  class AbortSignal extends EventTarget {
    #isAborted = false;
    #reason = undefined;
    #steps = [];
    // Of a signal that follows others: those, and of the others: the signals that follow them.
    #sources = null;
    #followers = [];

    static {
      isSignal = (value) => typeof value === 'object' && value !== null && #isAborted in value;

      atAbort = (signal, step) => {
        signal.#steps.push(step);
      };

      // All have their reasons before any of their listeners runs.
      abort = (signal, reason) => {
        if (signal.#isAborted) return;
        const all = [signal, ...signal.#followers.filter((each) => !each.#isAborted)];
        for (const each of all) {
          each.#isAborted = true;
          each.#reason = reason;
        }
        for (const each of all) {
          for (const step of each.#steps.splice(0)) step();
          fire(each, shared.event(Event, 'abort'));
        }
      };

      follow = (signals) => {
        const made = new AbortSignal(INSIDE);
        const aborted = signals.find((each) => each.#isAborted);
        if (aborted !== undefined) {
          made.#isAborted = true;
          made.#reason = aborted.#reason;
          return made;
        }
        made.#sources = new Set(signals.flatMap((each) => (each.#sources === null ? [each] : [...each.#sources])));
        for (const source of made.#sources) source.#followers.push(made);
        return made;
      };
    }

    constructor(mark = undefined) {
      if (mark !== INSIDE) throw coded(new TypeError('Illegal constructor'), 'ERR_ILLEGAL_CONSTRUCTOR');
      super();
    }

    static abort(reason = new DOMException('This operation was aborted', 'AbortError')) {
      const signal = new AbortSignal(INSIDE);
      abort(signal, reason);
      return signal;
    }

    static any(signals) {
      if (signals === null || typeof signals !== 'object' || typeof signals[Symbol.iterator] !== 'function')
        throw invalidArgument('signals', 'an instance of Array', signals);
      const all = [...signals];
      all.forEach((each, at) => {
        if (!isSignal(each)) throw invalidArgument(`signals[${at}]`, 'an instance of AbortSignal', each);
      });
      return follow(all);
    }

    // By a timer that nobody waits for.
    static timeout(delay) {
      if (typeof delay !== 'number') throw invalidArgument('delay', 'of type number', delay);
      const isWhole = Number.isInteger(delay);
      if (!isWhole || delay < 0 || delay > DELAY_MS_MAX) {
        const range = isWhole ? `>= 0 && <= ${DELAY_MS_MAX}` : 'an integer';
        const text = `The value of "delay" is out of range. It must be ${range}. Received ${delay}`;
        throw coded(new RangeError(text), 'ERR_OUT_OF_RANGE');
      }
      const signal = new AbortSignal(INSIDE);
      const end = () => abort(signal, new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
      setTimeout(end, Math.min(delay, TIMER_MS_MAX)).unref();
      return signal;
    }

    get aborted() {
      if (!isSignal(this)) throw badThis('AbortSignal');
      return this.#isAborted;
    }

    get reason() {
      if (!isSignal(this)) throw badThis('AbortSignal');
      return this.#reason;
    }

    throwIfAborted() {
      if (this.aborted) throw this.#reason;
    }

    get [shared.shownParts]() {
      return ['aborted'];
    }
  }
  defineHandler(AbortSignal.prototype, 'abort');

  class AbortController {
    #signal = new AbortSignal(INSIDE);

    get signal() {
      return this.#signal;
    }

    abort(reason = new DOMException('This operation was aborted', 'AbortError')) {
      abort(this.#signal, reason);
    }

    get [shared.shownParts]() {
      return ['signal'];
    }
  }

  // For other files of the prelude: an event that the runtime makes, and steps at an abort, before the listeners.
  shared.event = (kind, type, options = undefined) => new kind(type, options, INSIDE);
  shared.fire = (target, ...parts) => fire(target, shared.event(...parts));
  shared.defineHandler = defineHandler;
  shared.isSignal = isSignal;
  shared.atAbort = atAbort;
  shared.defineInterfaces({
    Event,
    CustomEvent,
    ErrorEvent,
    PromiseRejectionEvent,
    EventTarget,
    AbortSignal,
    AbortController,
  });
});
