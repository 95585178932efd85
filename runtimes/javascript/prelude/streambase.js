// names:
// What the files about streams have in common: promises, arguments, and queues with sizes.
(function (native, shared) {
  'use strict';

  const INSIDE = Symbol('made by the prelude');
  const NOTHING = () => {};
  const { Promise } = globalThis;
  const { then: promisesThen } = Promise.prototype;
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

  // === promises ===

  const then = (promise, done, failed) => promisesThen.call(promise, done, failed);
  const resolved = (value) => Promise.resolve(value);
  const rejected = (reason) => Promise.reject(reason);
  const quiet = (promise) => {
    then(promise, NOTHING, NOTHING);
    return promise;
  };

  // A promise with its ends, that knows whether it waits. It is no part of a circle, so that it is freed at once.
  class Deferred {
    waits = true;

    constructor() {
      this.promise = new Promise((resolve, reject) => {
        this.fulfilled = resolve;
        this.rejected = reject;
      });
    }

    resolve(value) {
      this.waits = false;
      this.fulfilled(value);
    }

    reject(reason) {
      this.waits = false;
      this.rejected(reason);
    }
  }

  const deferred = () => new Deferred();

  // Rejects a promise that waits, or puts a rejected one into its place. Nobody has to handle it.
  function fail(owner, name, reason) {
    if (!owner[name]?.waits) owner[name] = deferred();
    owner[name].reject(reason);
    quiet(owner[name].promise);
  }

  // What a function gives, as a promise.
  function attempt(run) {
    try {
      return resolved(run());
    } catch (error) {
      return rejected(error);
    }
  }

  // === arguments ===

  function dictionary(value, what) {
    if (value === undefined || value === null) return {};
    if (!isObject(value)) throw new TypeError(`${what} is no object`);
    return value;
  }

  function method(owner, name) {
    const value = owner[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'function') throw new TypeError(`${name} is no function`);
    return (...values) => Reflect.apply(value, owner, values);
  }

  const promised = (run) => run && ((...values) => attempt(() => run(...values)));

  function strategyOf(value, usual) {
    const { highWaterMark, size } = dictionary(value, 'the strategy');
    const mark = highWaterMark === undefined ? usual : Number(highWaterMark);
    if (size !== undefined && typeof size !== 'function') throw new TypeError('size is no function');
    return { mark, size };
  }

  function checkedMark(mark) {
    if (Number.isNaN(mark) || mark < 0) throw new RangeError(`highWaterMark is a number from 0 on, not ${mark}`);
    return mark;
  }

  const illegal = () => new TypeError('Illegal constructor');
  const released = () => new TypeError('the reader or the writer has been released');

  // === queues with sizes ===

  // First in, first out; an array would move all of its items for each that goes.
  class Queue {
    items = [];
    at = 0;

    get length() {
      return this.items.length - this.at;
    }

    get first() {
      return this.items[this.at];
    }

    push(item) {
      this.items.push(item);
    }

    shift() {
      const item = this.first;
      this.items[this.at++] = undefined;
      if (this.at * 2 > this.items.length) {
        this.items.splice(0, this.at);
        this.at = 0;
      }
      return item;
    }
  }

  function emptyQueue(controller) {
    controller.queue = new Queue();
    controller.total = 0;
  }

  function put(controller, value, size) {
    const number = Number(size);
    if (!(number >= 0) || number === Infinity)
      throw new RangeError(`the size of a chunk is a finite number from 0 on, not ${number}`);
    controller.queue.push({ value, size: number });
    controller.total += number;
  }

  function takeOut(controller) {
    const { value, size } = controller.queue.shift();
    controller.total = Math.max(controller.total - size, 0);
    return value;
  }

  function clear(controller) {
    controller.pull = controller.cancel = controller.size = undefined;
    controller.write = controller.close = controller.abort = undefined;
    controller.transform = controller.flush = undefined;
  }

  shared.streams = {
    INSIDE,
    NOTHING,
    isObject,
    then,
    resolved,
    rejected,
    quiet,
    deferred,
    fail,
    attempt,
    dictionary,
    method,
    promised,
    strategyOf,
    checkedMark,
    illegal,
    released,
    emptyQueue,
    put,
    takeOut,
    clear,
  };
});
