// names: MessageChannel MessageEvent MessagePort
// needs: events
// Channels within one sandbox (https://html.spec.whatwg.org/multipage/web-messaging.html): copies of values as tasks.
// Ports are not transferred.
(function (native, shared) {
  'use strict';

  const { DOMException, Event, EventTarget } = globalThis;
  const { checkCount, coded, invalidArgument } = shared;
  const INSIDE = Symbol('made by the prelude');

  class MessageEvent extends Event {
    #data;
    #origin;
    #lastEventId;
    #source;
    #ports;

    constructor(type, options = undefined, mark = undefined) {
      checkCount(arguments.length, 'type');
      super(type, options, mark);
      const { data = null, origin = '', lastEventId = '', source = null, ports = [] } = options ?? {};
      if (source !== null && !(source instanceof MessagePort))
        throw invalidArgument('init.source', 'an instance of MessagePort', source);
      this.#data = data;
      this.#origin = `${origin}`;
      this.#lastEventId = `${lastEventId}`;
      this.#source = source;
      this.#ports = Object.freeze([...ports]);
    }

    get data() {
      return this.#data;
    }

    get origin() {
      return this.#origin;
    }

    get lastEventId() {
      return this.#lastEventId;
    }

    get source() {
      return this.#source;
    }

    get ports() {
      return this.#ports;
    }
  }

  let entangle;
  class MessagePort extends EventTarget {
    // null: there is nobody to hear it.
    #other = null;
    #isStarted = false;
    #waiting = [];

    static {
      entangle = (one, other) => {
        one.#other = other;
        other.#other = one;
      };
    }

    constructor(mark = undefined) {
      if (mark !== INSIDE) throw coded(new TypeError('Constructor cannot be called'), 'ERR_CONSTRUCT_CALL_INVALID');
      super();
    }

    postMessage(message, options = undefined) {
      checkCount(arguments.length, 'message');
      const other = this.#other;
      const isList = typeof options?.[Symbol.iterator] === 'function';
      const data = shared.clone(message, isList ? options : options?.transfer);
      if (other === null) return;
      other.#waiting.push(data);
      if (other.#isStarted) shared.queueTask(() => other.#deliver());
    }

    #deliver() {
      if (this.#waiting.length > 0) shared.fire(this, MessageEvent, 'message', { data: this.#waiting.shift() });
    }

    start() {
      if (this.#isStarted) return;
      this.#isStarted = true;
      for (let n = 0; n < this.#waiting.length; n++) shared.queueTask(() => this.#deliver());
    }

    // What has been sent before still arrives.
    close() {
      const other = this.#other;
      if (other === null) return;
      this.#other = null;
      this.#waiting = [];
      other.#other = null;
      shared.queueTask(() => shared.fire(other, Event, 'close'));
    }
  }
  for (const type of ['message', 'messageerror', 'close']) shared.defineHandler(MessagePort.prototype, type);
  const { get, set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage');
  Object.defineProperty(MessagePort.prototype, 'onmessage', {
    configurable: true,
    enumerable: true,
    get,
    set(value) {
      Reflect.apply(set, this, [value]);
      this.start();
    },
  });

  class MessageChannel {
    #port1 = new MessagePort(INSIDE);
    #port2 = new MessagePort(INSIDE);

    constructor() {
      entangle(this.#port1, this.#port2);
    }

    get port1() {
      return this.#port1;
    }

    get port2() {
      return this.#port2;
    }

    get [shared.shownParts]() {
      return ['port1', 'port2'];
    }
  }

  shared.cloners.push((value) => {
    if (!(value instanceof MessagePort)) return undefined;
    const text = 'Object that needs transfer was found in message but not listed in transferList';
    throw new DOMException(text, 'DataCloneError');
  });
  shared.defineInterfaces({ MessageEvent, MessagePort, MessageChannel });
});
