// names:
// needs: interfaces streambase
// Readable streams, of chunks and of bytes (https://streams.spec.whatwg.org/#rs). Each object of the standard has a
// record, which only the files about streams see: `of…` finds it.
(function (native, shared) {
  'use strict';

  const all = shared.streams;
  const {
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
    strategyOf,
    checkedMark,
    illegal,
    released,
    emptyQueue,
    put,
    takeOut,
    clear,
  } = all;

  // === readable streams ===

  function closeReadable(stream) {
    const { reader } = stream;
    stream.state = 'closed';
    if (reader === undefined) return;
    reader.closed.resolve();
    if (!reader.isByob) for (const request of reader.requests.splice(0)) request.close();
  }

  function failRequests(reader, error) {
    for (const request of reader.requests.splice(0)) request.error(error);
  }

  function failReadable(stream, error) {
    const { reader } = stream;
    stream.state = 'errored';
    stream.error = error;
    if (reader === undefined) return;
    fail(reader, 'closed', error);
    failRequests(reader, error);
  }

  function cancelReadable(stream, reason) {
    stream.disturbed = true;
    if (stream.state === 'closed') return resolved();
    if (stream.state === 'errored') return rejected(stream.error);
    const { reader } = stream;
    closeReadable(stream);
    if (reader?.isByob) for (const request of reader.requests.splice(0)) request.close();
    const { controller } = stream;
    if (controller.isByte) dropPending(controller);
    emptyQueue(controller);
    const cancelled = controller.cancel(reason);
    clear(controller);
    return then(cancelled, NOTHING);
  }

  const readableRecord = () => ({ state: 'readable', reader: undefined, error: undefined, disturbed: false });

  function desired({ stream, mark, total }) {
    if (stream.state === 'errored') return null;
    return stream.state === 'closed' ? 0 : mark - total;
  }

  const takesChunks = ({ stream, isClosing }) => stream.state === 'readable' && !isClosing;

  function wantsPull(controller) {
    if (!takesChunks(controller) || !controller.started) return false;
    return controller.stream.reader?.requests.length > 0 || desired(controller) > 0;
  }

  function pullIfWanted(controller) {
    if (!wantsPull(controller)) return;
    if (controller.pulling) {
      controller.pullsAgain = true;
      return;
    }
    controller.pulling = true;
    then(
      controller.pull(),
      () => {
        controller.pulling = false;
        if (!controller.pullsAgain) return;
        controller.pullsAgain = false;
        pullIfWanted(controller);
      },
      (error) => failController(controller, error),
    );
  }

  // Start is called when everything else is there.
  function setUp(stream, controller, algorithms, mark) {
    const { start = NOTHING, pull = resolved, cancel = resolved } = algorithms;
    Object.assign(controller, { stream, mark, pull: () => pull(), cancel: (reason) => cancel(reason) });
    Object.assign(controller, { started: false, isClosing: false, pulling: false, pullsAgain: false });
    emptyQueue(controller);
    stream.controller = controller;
    then(
      resolved(start(controller.self)),
      () => {
        controller.started = true;
        pullIfWanted(controller);
      },
      (error) => failController(controller, error),
    );
  }

  function failController(controller, error) {
    if (controller.stream.state !== 'readable') return;
    if (controller.isByte) dropPending(controller);
    emptyQueue(controller);
    clear(controller);
    failReadable(controller.stream, error);
  }

  // Closes what the last chunk has left.
  function drained(controller) {
    if (controller.isClosing && controller.queue.length === 0) {
      clear(controller);
      closeReadable(controller.stream);
    } else {
      pullIfWanted(controller);
    }
  }

  function closeController(controller) {
    if (!takesChunks(controller)) return;
    controller.isClosing = true;
    if (controller.queue.length > 0) return;
    clear(controller);
    closeReadable(controller.stream);
  }

  function enqueue(controller, chunk) {
    if (!takesChunks(controller)) return;
    const { reader } = controller.stream;
    if (reader?.requests.length > 0) {
      reader.requests.shift().chunk(chunk);
    } else {
      try {
        const { size } = controller;
        put(controller, chunk, size === undefined ? 1 : size(chunk));
      } catch (error) {
        failController(controller, error);
        throw error;
      }
    }
    pullIfWanted(controller);
  }

  function pullSteps(controller, request) {
    if (controller.isByte) {
      pullBytes(controller, request);
    } else if (controller.queue.length > 0) {
      const chunk = takeOut(controller);
      drained(controller);
      request.chunk(chunk);
    } else {
      controller.stream.reader.requests.push(request);
      pullIfWanted(controller);
    }
  }

  // A stream with chunks of any kind.
  function makeReadable(algorithms, mark = 1, size = undefined) {
    const stream = new ReadableStream(INSIDE);
    startReadable(ofReadable(stream), { __proto__: null, ...algorithms }, mark, size);
    return stream;
  }

  function startReadable(record, algorithms, mark, size) {
    const controller = { size };
    controller.self = new ReadableStreamDefaultController(INSIDE, controller);
    setUp(record, controller, algorithms, mark);
  }

  // === byte streams ===

  function dropRequest(controller) {
    const { request } = controller;
    if (request === null) return;
    request.controller = undefined;
    request.view = null;
    controller.request = null;
  }

  function dropPending(controller) {
    dropRequest(controller);
    controller.pending = [];
  }

  function startBytes(record, algorithms, mark, chunkSize) {
    const controller = { isByte: true, request: null, pending: [], chunkSize };
    controller.self = new ReadableByteStreamController(INSIDE, controller);
    setUp(record, controller, algorithms, mark);
  }

  function makeBytes(algorithms, mark = 0) {
    const stream = new ReadableStream(INSIDE);
    startBytes(ofReadable(stream), { __proto__: null, ...algorithms }, mark);
    return stream;
  }

  function enqueuePart(controller, buffer, offset, length) {
    controller.queue.push({ buffer, offset, length });
    controller.total += length;
  }

  function enqueueCopy(controller, buffer, offset, length) {
    let copy;
    try {
      copy = buffer.slice(offset, offset + length);
    } catch (error) {
      failController(controller, error);
      throw error;
    }
    enqueuePart(controller, copy, 0, length);
  }

  function enqueueFilled(controller, { buffer, offset, filled }) {
    if (filled > 0) enqueueCopy(controller, buffer, offset, filled);
    controller.pending.shift();
  }

  const viewOf = ({ buffer, kind, offset, filled, unit }) => new kind(buffer.transfer(), offset, filled / unit);

  // Gives a reader what it waits for.
  function deliver(stream, into) {
    const request = stream.reader.requests.shift();
    const view = viewOf(into);
    if (stream.state === 'closed') request.close(view);
    else request.chunk(view);
  }

  // Whether enough is there.
  function fill(controller, into) {
    let amount = Math.min(controller.total, into.length - into.filled);
    const most = into.filled + amount;
    const whole = most - (most % into.unit);
    const isReady = whole >= into.least;
    if (isReady) amount = whole - into.filled;
    const { queue } = controller;
    while (amount > 0) {
      const { first } = queue;
      const count = Math.min(amount, first.length);
      new Uint8Array(into.buffer, into.offset + into.filled, count).set(
        new Uint8Array(first.buffer, first.offset, count),
      );
      first.offset += count;
      first.length -= count;
      if (first.length === 0) queue.shift();
      controller.total -= count;
      into.filled += count;
      amount -= count;
    }
    return isReady;
  }

  function fillPending(controller) {
    const full = [];
    while (controller.pending.length > 0 && controller.total > 0) {
      if (!fill(controller, controller.pending[0])) continue;
      full.push(controller.pending.shift());
    }
    return full;
  }

  function deliverPending(controller) {
    for (const into of fillPending(controller)) deliver(controller.stream, into);
  }

  function giveFirst(controller, request) {
    const { buffer, offset, length } = controller.queue.shift();
    controller.total -= length;
    drained(controller);
    request.chunk(new Uint8Array(buffer, offset, length));
  }

  function pullBytes(controller, request) {
    if (controller.total > 0) {
      giveFirst(controller, request);
      return;
    }
    if (controller.chunkSize !== undefined) {
      let buffer;
      try {
        buffer = new ArrayBuffer(controller.chunkSize);
      } catch (error) {
        request.error(error);
        return;
      }
      const length = controller.chunkSize;
      const shape = { offset: 0, length, filled: 0, least: 1, unit: 1, kind: Uint8Array, isByob: false };
      controller.pending.push({ buffer, whole: length, ...shape });
    }
    controller.stream.reader.requests.push(request);
    pullIfWanted(controller);
  }

  function enqueueBytes(controller, chunk) {
    if (!takesChunks(controller)) return;
    const { buffer, byteOffset: offset, byteLength: length } = chunk;
    const moved = buffer.transfer();
    const { pending, stream } = controller;
    if (pending.length > 0) {
      const [first] = pending;
      if (first.buffer.detached) throw new TypeError('the buffer of the BYOB request has been detached');
      dropRequest(controller);
      first.buffer = first.buffer.transfer();
      if (first.isByob === undefined) enqueueFilled(controller, first);
    }
    const { reader } = stream;
    if (reader !== undefined && !reader.isByob) {
      while (reader.requests.length > 0 && controller.total > 0) giveFirst(controller, reader.requests.shift());
      if (reader.requests.length === 0) {
        enqueuePart(controller, moved, offset, length);
      } else {
        pending.shift();
        reader.requests.shift().chunk(new Uint8Array(moved, offset, length));
      }
    } else {
      enqueuePart(controller, moved, offset, length);
      if (reader !== undefined) deliverPending(controller);
    }
    pullIfWanted(controller);
  }

  function closeBytes(controller) {
    if (!takesChunks(controller)) return;
    if (controller.total > 0) {
      controller.isClosing = true;
      return;
    }
    const [first] = controller.pending;
    if (first !== undefined && first.filled % first.unit !== 0) {
      const error = new TypeError('too few bytes for the last element of the view');
      failController(controller, error);
      throw error;
    }
    clear(controller);
    closeReadable(controller.stream);
  }

  function requestOf(controller) {
    const [first] = controller.pending;
    if (controller.request === null && first !== undefined) {
      const view = new Uint8Array(first.buffer, first.offset + first.filled, first.length - first.filled);
      const request = { controller, view };
      request.self = new ReadableStreamBYOBRequest(INSIDE, request);
      controller.request = request;
    }
    return controller.request?.self ?? null;
  }

  // Checks that a request can be answered by so many bytes.
  function checkAnswer(controller, first, count) {
    if (controller.stream.state === 'closed') {
      if (count !== 0) throw new TypeError('a closed stream is answered by 0 bytes');
      return;
    }
    if (count === 0) throw new TypeError('an answer of 0 bytes is for a closed stream');
    if (first.filled + count > first.length) throw new RangeError('more bytes than there is room for');
  }

  function respond(controller, count) {
    const [first] = controller.pending;
    checkAnswer(controller, first, count);
    first.buffer = first.buffer.transfer();
    respondWith(controller, first, count);
  }

  function respondWithView(controller, view) {
    const [first] = controller.pending;
    const { byteLength } = view;
    checkAnswer(controller, { filled: 0, length: Infinity }, byteLength);
    if (first.offset + first.filled !== view.byteOffset || first.whole !== view.buffer.byteLength)
      throw new RangeError('the view is not of the region that was asked for');
    checkAnswer(controller, first, byteLength);
    first.buffer = view.buffer.transfer();
    respondWith(controller, first, byteLength);
  }

  function respondWith(controller, first, count) {
    const { stream } = controller;
    dropRequest(controller);
    if (stream.state === 'closed') {
      if (first.isByob === undefined) controller.pending.shift();
      if (stream.reader?.isByob) {
        const full = controller.pending.splice(0, stream.reader.requests.length);
        for (const into of full) deliver(stream, into);
      }
    } else {
      respondReadable(controller, first, count);
    }
    pullIfWanted(controller);
  }

  function respondReadable(controller, first, count) {
    first.filled += count;
    if (first.isByob === undefined) {
      enqueueFilled(controller, first);
      deliverPending(controller);
      return;
    }
    if (first.filled < first.least) return;
    controller.pending.shift();
    const rest = first.filled % first.unit;
    if (rest > 0) {
      const end = first.offset + first.filled;
      enqueueCopy(controller, first.buffer, end - rest, rest);
      first.filled -= rest;
    }
    const full = fillPending(controller);
    deliver(controller.stream, first);
    for (const into of full) deliver(controller.stream, into);
  }

  function pullInto(controller, view, least, request) {
    const { stream } = controller;
    const kind = view.constructor;
    const unit = kind.BYTES_PER_ELEMENT ?? 1;
    const { byteOffset: offset, byteLength: length } = view;
    let buffer;
    try {
      buffer = view.buffer.transfer();
    } catch (error) {
      request.error(error);
      return;
    }
    const shape = { offset, length, filled: 0, least: least * unit, unit, kind, isByob: true };
    const into = { buffer, whole: buffer.byteLength, ...shape };
    if (controller.pending.length > 0) {
      controller.pending.push(into);
      stream.reader.requests.push(request);
      return;
    }
    if (stream.state === 'closed') {
      request.close(new kind(buffer, offset, 0));
      return;
    }
    if (controller.total > 0) {
      if (fill(controller, into)) {
        const filled = viewOf(into);
        drained(controller);
        request.chunk(filled);
        return;
      }
      if (controller.isClosing) {
        const error = new TypeError('too few bytes for the last element of the view');
        failController(controller, error);
        request.error(error);
        return;
      }
    }
    controller.pending.push(into);
    stream.reader.requests.push(request);
    pullIfWanted(controller);
  }

  // === readers ===

  function attach(stream, isByob) {
    if (stream.reader !== undefined) throw new TypeError('the stream is locked: it already has a reader');
    if (isByob && !stream.controller.isByte) throw new TypeError('only byte streams have BYOB readers');
    const reader = { stream, isByob, requests: [], closed: deferred() };
    stream.reader = reader;
    if (stream.state === 'closed') reader.closed.resolve();
    if (stream.state === 'errored') fail(reader, 'closed', stream.error);
    return reader;
  }

  function release(reader) {
    const { stream } = reader;
    if (stream === undefined) return;
    fail(reader, 'closed', released());
    const { controller } = stream;
    if (controller.isByte && controller.pending.length > 0) {
      controller.pending.length = 1;
      controller.pending[0].isByob = undefined;
    }
    stream.reader = reader.stream = undefined;
    failRequests(reader, released());
  }

  function read(reader, request) {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === 'closed') request.close();
    else if (stream.state === 'errored') request.error(stream.error);
    else pullSteps(stream.controller, request);
  }

  function readInto(reader, view, least, request) {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === 'errored') request.error(stream.error);
    else pullInto(stream.controller, view, least, request);
  }

  // A read as a promise of { value, done }.
  function asked(run) {
    return new Promise((resolve, reject) => {
      run({
        chunk: (value) => resolve({ value, done: false }),
        close: (value) => resolve({ value, done: true }),
        error: reject,
      });
    });
  }

  // What readers of both kinds have.
  function addReaderMethods(kind, find) {
    const common = {
      get closed() {
        return attempt(() => find(this).closed.promise);
      },
      cancel(reason = undefined) {
        return attempt(() => {
          const { stream } = find(this);
          if (stream === undefined) throw released();
          return cancelReadable(stream, reason);
        });
      },
      releaseLock() {
        release(find(this));
      },
    };
    Object.defineProperties(kind.prototype, Object.getOwnPropertyDescriptors(common));
  }

  let ofReader;
  class ReadableStreamDefaultReader {
    #record;
    static {
      ofReader = (reader) => reader.#record;
    }

    constructor(stream) {
      this.#record = attach(ofReadable(stream), false);
    }

    read() {
      return attempt(() => {
        const reader = ofReader(this);
        if (reader.stream === undefined) throw released();
        return asked((request) => read(reader, request));
      });
    }
  }
  addReaderMethods(ReadableStreamDefaultReader, ofReader);

  function checkedView(view) {
    if (!ArrayBuffer.isView(view)) throw new TypeError('the view is none of an ArrayBuffer');
    if (view.buffer.detached) throw new TypeError("the view's buffer has been detached");
    if (view.byteLength === 0) throw new TypeError('the view has no bytes');
    return view;
  }

  let ofByobReader;
  class ReadableStreamBYOBReader {
    #record;
    static {
      ofByobReader = (reader) => reader.#record;
    }

    constructor(stream) {
      this.#record = attach(ofReadable(stream), true);
    }

    read(view, options = undefined) {
      return attempt(() => {
        const reader = ofByobReader(this);
        const { min = 1 } = dictionary(options, 'the second argument');
        const least = Math.trunc(Number(checkedView(view) && min));
        if (!(least > 0)) throw new TypeError('min is a number from 1 on');
        if (least > (view.length ?? view.byteLength)) throw new RangeError('min is more than the view has room for');
        if (reader.stream === undefined) throw released();
        return asked((request) => readInto(reader, view, least, request));
      });
    }
  }
  addReaderMethods(ReadableStreamBYOBReader, ofByobReader);

  // === controllers of readable streams ===

  let ofController;
  class ReadableStreamDefaultController {
    #record;
    static {
      ofController = (controller) => controller.#record;
    }

    constructor(mark, record) {
      if (mark !== INSIDE) throw illegal();
      this.#record = record;
    }

    get desiredSize() {
      return desired(ofController(this));
    }

    close() {
      const controller = ofController(this);
      if (!takesChunks(controller)) throw new TypeError('the stream is closed already');
      closeController(controller);
    }

    enqueue(chunk = undefined) {
      const controller = ofController(this);
      if (!takesChunks(controller)) throw new TypeError('the stream is closed: it takes no chunks');
      enqueue(controller, chunk);
    }

    error(reason = undefined) {
      failController(ofController(this), reason);
    }
  }

  let ofByteController;
  class ReadableByteStreamController {
    #record;
    static {
      ofByteController = (controller) => controller.#record;
    }

    constructor(mark, record) {
      if (mark !== INSIDE) throw illegal();
      this.#record = record;
    }

    get byobRequest() {
      return requestOf(ofByteController(this));
    }

    get desiredSize() {
      return desired(ofByteController(this));
    }

    close() {
      const controller = ofByteController(this);
      if (!takesChunks(controller)) throw new TypeError('the stream is closed already');
      closeBytes(controller);
    }

    enqueue(chunk) {
      const controller = ofByteController(this);
      checkedView(chunk);
      if (!takesChunks(controller)) throw new TypeError('the stream is closed: it takes no chunks');
      enqueueBytes(controller, chunk);
    }

    error(reason = undefined) {
      failController(ofByteController(this), reason);
    }
  }

  let ofRequest;
  class ReadableStreamBYOBRequest {
    #record;
    static {
      ofRequest = (request) => request.#record;
    }

    constructor(mark, record) {
      if (mark !== INSIDE) throw illegal();
      this.#record = record;
    }

    get view() {
      return ofRequest(this).view;
    }

    respond(count) {
      const { controller, view } = ofRequest(this);
      const number = Math.trunc(Number(count));
      if (!(number >= 0 && number <= Number.MAX_SAFE_INTEGER))
        throw new TypeError('bytesWritten is a number from 0 on');
      if (controller === undefined) throw new TypeError('the request has been answered');
      if (view.buffer.detached) throw new TypeError("the request's buffer has been detached");
      respond(controller, number);
    }

    respondWithNewView(view) {
      const { controller } = ofRequest(this);
      if (!ArrayBuffer.isView(view)) throw new TypeError('the view is none of an ArrayBuffer');
      if (controller === undefined) throw new TypeError('the request has been answered');
      if (view.buffer.detached) throw new TypeError("the view's buffer has been detached");
      respondWithView(controller, view);
    }
  }

  // === ReadableStream ===

  function algorithmsOf(source) {
    return { start: method(source, 'start'), pull: method(source, 'pull'), cancel: method(source, 'cancel') };
  }

  function startWith(record, self, source, strategy) {
    const given = source === undefined ? {} : source;
    if (!isObject(given)) throw new TypeError('the underlying source is no object');
    const { mark, size } = strategyOf(strategy);
    let { autoAllocateChunkSize: chunkSize, type } = given;
    const { start, pull, cancel } = algorithmsOf(given);
    if (type !== undefined && String(type) !== 'bytes') throw new TypeError(`${type} is no type of a stream`);
    const algorithms = { start };
    if (pull !== undefined) algorithms.pull = () => attempt(() => pull(record.controller.self));
    if (cancel !== undefined) algorithms.cancel = (reason) => attempt(() => cancel(reason));
    if (type === undefined) {
      startReadable(record, algorithms, checkedMark(mark ?? 1), size);
      return;
    }
    if (size !== undefined) throw new RangeError('the strategy of a byte stream has no size');
    if (chunkSize !== undefined) chunkSize = Math.trunc(Number(chunkSize));
    if (!(chunkSize === undefined || chunkSize > 0)) throw new TypeError('autoAllocateChunkSize is a number from 1 on');
    startBytes(record, algorithms, checkedMark(mark ?? 0), chunkSize);
  }

  let ofReadable;
  class ReadableStream {
    #record = readableRecord();
    static {
      ofReadable = (stream) => stream.#record;
    }

    constructor(source = undefined, strategy = undefined) {
      this.#record.self = this;
      if (source !== INSIDE) startWith(this.#record, this, source, strategy);
    }

    static from(iterable) {
      return streamFrom(iterable);
    }

    get locked() {
      return this.#record.reader !== undefined;
    }

    cancel(reason = undefined) {
      return attempt(() => {
        if (this.locked) throw new TypeError('a locked stream is cancelled by its reader');
        return cancelReadable(this.#record, reason);
      });
    }

    getReader(options = undefined) {
      const { mode } = dictionary(options, 'the options');
      if (mode === undefined) return new ReadableStreamDefaultReader(this);
      if (String(mode) !== 'byob') throw new TypeError(`${mode} is no mode of a reader`);
      return new ReadableStreamBYOBReader(this);
    }

    pipeThrough(transform, options = undefined) {
      const { readable } = transform;
      const source = ofReadable(readable) && ofReadable(this);
      const { writable } = transform;
      const target = all.ofWritable(writable);
      const checked = all.pipeOptions(options);
      if (this.locked || writable.locked) throw new TypeError('a locked stream is not piped');
      quiet(all.pipe(source, target, checked));
      return readable;
    }

    pipeTo(destination, options = undefined) {
      return attempt(() => {
        const [source, target] = [ofReadable(this), all.ofWritable(destination)];
        const checked = all.pipeOptions(options);
        if (source.reader !== undefined || target.writer !== undefined)
          throw new TypeError('a locked stream is not piped');
        return all.pipe(source, target, checked);
      });
    }

    tee() {
      return all.tee(this.#record);
    }

    values(options = undefined) {
      return iterate(this.#record, Boolean(dictionary(options, 'the options').preventCancel));
    }

    get [shared.shownParts]() {
      const { reader, state, controller } = this.#record;
      return [
        ['locked', reader !== undefined],
        ['state', state],
        ['supportsBYOB', controller.isByte === true],
      ];
    }
  }

  // === iterators ===

  function iterate(stream, isKept) {
    const reader = attach(stream, false);
    let ended = false;
    // What the next step waits for, and whose it is.
    let last;
    let turn;
    const inTurn = (run) => {
      const mine = {};
      turn = mine;
      const leave = () => {
        mine.isLeft = true;
        if (turn === mine) last = undefined;
      };
      const go = () => run(leave);
      const given = last === undefined ? go() : then(last, go, go);
      if (!mine.isLeft) last = given;
      return given;
    };
    const next = (leave) => {
      if (ended) return resolved({ value: undefined, done: true });
      const finish = (settle, value) => {
        leave();
        ended = true;
        release(reader);
        settle(value);
      };
      return new Promise((resolve, reject) => {
        read(reader, {
          chunk: (value) => {
            leave();
            resolve({ value, done: false });
          },
          close: () => finish(resolve, { value: undefined, done: true }),
          error: (error) => finish(reject, error),
        });
      });
    };
    const end = (value) => {
      if (ended) return resolved({ value, done: true });
      ended = true;
      const cancelled = isKept ? resolved() : cancelReadable(stream, value);
      release(reader);
      return then(cancelled, () => ({ value, done: true }));
    };
    const iterator = Object.create(iteratorPrototype);
    // The first read comes a moment later, as in Node.js.
    const first = () => {
      last ??= resolved();
      step = () => inTurn(next);
      return step();
    };
    let step = first;
    steps.set(iterator, { next: () => step(), return: (value) => inTurn(() => end(value)) });
    return iterator;
  }

  const steps = new WeakMap();
  const stepsOf = (iterator) => {
    if (!steps.has(iterator)) throw new TypeError('this is no iterator of a stream');
    return steps.get(iterator);
  };
  const asyncIterators = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}).prototype);
  const iteratorPrototype = Object.setPrototypeOf(
    {
      next() {
        return attempt(() => stepsOf(this).next());
      },
      return(value) {
        return attempt(() => stepsOf(this).return(value));
      },
    },
    asyncIterators,
  );

  function iteratorOf(iterable) {
    const asynchronous = iterable[Symbol.asyncIterator] ?? undefined;
    const make = asynchronous ?? iterable[Symbol.iterator];
    if (typeof make !== 'function') throw new TypeError('the value is not iterable');
    const iterator = make.call(iterable);
    if (!isObject(iterator)) throw new TypeError('the iterator is no object');
    const { next } = iterator;
    const step = (result) => {
      if (!isObject(result)) throw new TypeError('what an iterator gives is no object');
      return result;
    };
    return {
      next: () =>
        then(
          attempt(() => next.call(iterator)),
          step,
        ),
      settled: asynchronous === undefined ? (value) => resolved(value) : undefined,
      end: (reason) => {
        const { return: end } = iterator;
        return end === undefined || end === null
          ? undefined
          : then(
              attempt(() => end.call(iterator, reason)),
              step,
            );
      },
    };
  }

  function streamFrom(iterable) {
    if (iterable === undefined || iterable === null) throw new TypeError('the value is not iterable');
    const { next, settled, end } = iteratorOf(iterable);
    const stream = makeReadable(
      {
        pull: () =>
          then(next(), (result) => {
            const { controller } = ofReadable(stream);
            if (result.done) return closeController(controller);
            if (settled === undefined) return enqueue(controller, result.value);
            return then(settled(result.value), (value) => enqueue(controller, value));
          }),
        cancel: (reason) => attempt(() => end(reason)),
      },
      0,
    );
    return stream;
  }

  ReadableStream.prototype[Symbol.asyncIterator] = ReadableStream.prototype.values;
  Object.defineProperty(ReadableStream.prototype, Symbol.asyncIterator, { enumerable: false });
  Object.assign(all, {
    ReadableStream,
    ReadableStreamDefaultReader,
    ReadableStreamBYOBReader,
    ReadableStreamDefaultController,
    ReadableByteStreamController,
    ReadableStreamBYOBRequest,
    ofReadable,
    attach,
    release,
    read,
    readInto,
    failController,
    closeController,
    closeBytes,
    enqueue,
    enqueueBytes,
    respond,
    respondWithView,
    requestOf,
    cancelReadable,
    makeReadable,
    makeBytes,
    takesChunks,
    wantsPull,
    desired,
  });
});
