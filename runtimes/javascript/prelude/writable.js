// names:
// needs: interfaces streambase
// Writable streams (https://streams.spec.whatwg.org/#ws).
(function (native, shared) {
  'use strict';

  const { AbortController } = globalThis;
  const {
    INSIDE,
    NOTHING,
    isObject,
    then,
    resolved,
    rejected,
    deferred,
    fail,
    attempt,
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
  } = shared.streams;

  // === writable streams ===

  const isEnding = (stream) => stream.closing !== undefined || stream.closeInFlight !== undefined;
  const isGone = (stream) => stream.state === 'closed' || stream.state === 'errored';

  function abortWritable(stream, given) {
    if (isGone(stream)) return resolved();
    stream.controller.signal?.abort(given);
    if (isGone(stream)) return resolved();
    if (stream.aborting !== undefined) return stream.aborting.promise;
    const wasErroring = stream.state === 'erroring';
    const reason = wasErroring ? undefined : given;
    stream.aborting = Object.assign(deferred(), { reason, wasErroring });
    const { promise } = stream.aborting;
    if (!wasErroring) startErroring(stream, reason);
    return promise;
  }

  function closeWritable(stream) {
    if (isGone(stream)) return rejected(new TypeError(`the stream is ${stream.state}`));
    stream.closing = deferred();
    const { promise } = stream.closing;
    if (stream.writer !== undefined && stream.backpressure && stream.state === 'writable')
      stream.writer.ready.resolve();
    put(stream.controller, INSIDE, 0);
    advance(stream.controller);
    return promise;
  }

  function startErroring(stream, reason) {
    stream.state = 'erroring';
    stream.error = reason;
    if (stream.writer !== undefined) fail(stream.writer, 'ready', reason);
    if (stream.inFlight === undefined && stream.closeInFlight === undefined && stream.controller.started)
      finishErroring(stream);
  }

  function rejectClose(stream) {
    stream.closing?.reject(stream.error);
    stream.closing = undefined;
    if (stream.writer !== undefined) fail(stream.writer, 'closed', stream.error);
  }

  function finishErroring(stream) {
    const { controller, aborting, error } = stream;
    stream.state = 'errored';
    emptyQueue(controller);
    for (const request of stream.requests.splice(0)) request.reject(error);
    stream.aborting = undefined;
    if (aborting === undefined || aborting.wasErroring) {
      aborting?.reject(error);
      rejectClose(stream);
      return;
    }
    const aborted = controller.abort(aborting.reason);
    clear(controller);
    then(
      aborted,
      () => {
        aborting.resolve();
        rejectClose(stream);
      },
      (reason) => {
        aborting.reject(reason);
        rejectClose(stream);
      },
    );
  }

  function writableFailed(stream, error) {
    if (stream.state === 'writable') startErroring(stream, error);
    else finishErroring(stream);
  }

  function failSink(controller, error) {
    if (controller.stream.state !== 'writable') return;
    clear(controller);
    startErroring(controller.stream, error);
  }

  function updateBackpressure(stream) {
    const isFull = stream.controller.mark - stream.controller.total <= 0;
    if (stream.writer !== undefined && isFull !== stream.backpressure) {
      if (isFull) stream.writer.ready = deferred();
      else stream.writer.ready.resolve();
    }
    stream.backpressure = isFull;
  }

  function advance(controller) {
    const { stream } = controller;
    if (!controller.started || stream.inFlight !== undefined) return;
    if (stream.state === 'erroring') {
      finishErroring(stream);
      return;
    }
    if (controller.queue.length === 0) return;
    const { value } = controller.queue.first;
    if (value === INSIDE) finishSink(controller);
    else writeSink(controller, value);
  }

  function finishSink(controller) {
    const { stream } = controller;
    stream.closeInFlight = stream.closing;
    stream.closing = undefined;
    takeOut(controller);
    const closed = controller.close();
    clear(controller);
    const settle = (name, value) => {
      stream.closeInFlight[name](value);
      stream.closeInFlight = undefined;
    };
    then(
      closed,
      () => {
        settle('resolve');
        if (stream.state === 'erroring') {
          stream.error = undefined;
          stream.aborting?.resolve();
          stream.aborting = undefined;
        }
        stream.state = 'closed';
        stream.writer?.closed.resolve();
      },
      (error) => {
        settle('reject', error);
        stream.aborting?.reject(error);
        stream.aborting = undefined;
        writableFailed(stream, error);
      },
    );
  }

  function writeSink(controller, chunk) {
    const { stream } = controller;
    stream.inFlight = stream.requests.shift();
    const settle = (name, value) => {
      stream.inFlight[name](value);
      stream.inFlight = undefined;
    };
    then(
      controller.write(chunk),
      () => {
        settle('resolve');
        takeOut(controller);
        if (!isEnding(stream) && stream.state === 'writable') updateBackpressure(stream);
        advance(controller);
      },
      (error) => {
        if (stream.state === 'writable') clear(controller);
        settle('reject', error);
        writableFailed(stream, error);
      },
    );
  }

  function makeWritable(algorithms, mark = 1, size = undefined) {
    const stream = new WritableStream(INSIDE);
    startWritable(ofWritable(stream), algorithms, mark, size);
    return stream;
  }

  function startWritable(
    stream,
    { start = NOTHING, write = resolved, close = resolved, abort = resolved },
    mark,
    size,
  ) {
    const controller = { stream, mark, size, started: false, write: (chunk) => write(chunk), close: () => close() };
    controller.abort = (reason) => abort(reason);
    // Only a script that has AbortController can look at it.
    if (AbortController !== undefined) controller.signal = new AbortController();
    controller.self = new WritableStreamDefaultController(INSIDE, controller);
    emptyQueue(controller);
    stream.controller = controller;
    updateBackpressure(stream);
    then(
      resolved(start(controller.self)),
      () => {
        controller.started = true;
        advance(controller);
      },
      (error) => {
        controller.started = true;
        writableFailed(stream, error);
      },
    );
  }

  // === writers ===

  function attachWriter(stream) {
    if (stream.writer !== undefined) throw new TypeError('the stream is locked: it already has a writer');
    const writer = { stream, ready: deferred(), closed: deferred() };
    stream.writer = writer;
    const { state, error } = stream;
    if (state === 'erroring' || state === 'errored') fail(writer, 'ready', error);
    else if (state === 'closed' || isEnding(stream) || !stream.backpressure) writer.ready.resolve();
    if (state === 'errored') fail(writer, 'closed', error);
    else if (state === 'closed') writer.closed.resolve();
    return writer;
  }

  function releaseWriter(writer) {
    const { stream } = writer;
    if (stream === undefined) return;
    const error = released();
    fail(writer, 'ready', error);
    fail(writer, 'closed', error);
    stream.writer = writer.stream = undefined;
  }

  function sizeOf(controller, chunk) {
    if (controller.size === undefined) return 1;
    try {
      const { size } = controller;
      return size(chunk);
    } catch (error) {
      failSink(controller, error);
      return 1;
    }
  }

  function write(writer, chunk) {
    const { stream } = writer;
    const { controller } = stream;
    const size = sizeOf(controller, chunk);
    if (writer.stream !== stream) return rejected(released());
    if (stream.state === 'errored') return rejected(stream.error);
    if (isEnding(stream) || stream.state === 'closed') return rejected(new TypeError('the stream is closed'));
    if (stream.state === 'erroring') return rejected(stream.error);
    const request = deferred();
    stream.requests.push(request);
    try {
      put(controller, chunk, size);
    } catch (error) {
      failSink(controller, error);
      return request.promise;
    }
    if (!isEnding(stream) && stream.state === 'writable') updateBackpressure(stream);
    advance(controller);
    return request.promise;
  }

  function closeSoftly({ stream }) {
    if (isEnding(stream) || stream.state === 'closed') return resolved();
    return stream.state === 'errored' ? rejected(stream.error) : closeWritable(stream);
  }

  let ofWriter;
  class WritableStreamDefaultWriter {
    #record;
    static {
      ofWriter = (writer) => writer.#record;
    }

    constructor(stream) {
      this.#record = attachWriter(ofWritable(stream));
    }

    get closed() {
      return attempt(() => ofWriter(this).closed.promise);
    }

    get desiredSize() {
      const { stream } = ofWriter(this);
      if (stream === undefined) throw released();
      return room(stream);
    }

    get ready() {
      return attempt(() => ofWriter(this).ready.promise);
    }

    abort(reason = undefined) {
      return attempt(() => abortWritable(streamOf(this), reason));
    }

    close() {
      return attempt(() => {
        const stream = streamOf(this);
        if (isEnding(stream)) throw new TypeError('the stream is being closed already');
        return closeWritable(stream);
      });
    }

    releaseLock() {
      releaseWriter(ofWriter(this));
    }

    write(chunk = undefined) {
      return attempt(() => streamOf(this) && write(ofWriter(this), chunk));
    }
  }

  function streamOf(writer) {
    const { stream } = ofWriter(writer);
    if (stream === undefined) throw released();
    return stream;
  }

  function room(stream) {
    if (stream.state === 'errored' || stream.state === 'erroring') return null;
    return stream.state === 'closed' ? 0 : stream.controller.mark - stream.controller.total;
  }

  let ofSink;
  class WritableStreamDefaultController {
    #record;
    static {
      ofSink = (controller) => controller.#record;
    }

    constructor(mark, record) {
      if (mark !== INSIDE) throw illegal();
      this.#record = record;
    }

    get signal() {
      return ofSink(this).signal?.signal;
    }

    error(reason = undefined) {
      failSink(ofSink(this), reason);
    }
  }

  let ofWritable;
  class WritableStream {
    #record = { state: 'writable', writer: undefined, error: undefined, requests: [], backpressure: false };
    static {
      ofWritable = (stream) => stream.#record;
    }

    constructor(sink = undefined, strategy = undefined) {
      if (sink === INSIDE) return;
      const given = sink === undefined ? {} : sink;
      if (!isObject(given)) throw new TypeError('the underlying sink is no object');
      const { mark, size } = strategyOf(strategy, 1);
      const [abort, close, start] = ['abort', 'close', 'start'].map((name) => method(given, name));
      if (given.type !== undefined) throw new RangeError('an underlying sink has no type');
      const write = method(given, 'write');
      const record = this.#record;
      const algorithms = { start, close: promised(close), abort: promised(abort) };
      if (write !== undefined) algorithms.write = (chunk) => attempt(() => write(chunk, record.controller.self));
      startWritable(record, algorithms, checkedMark(mark), size);
    }

    get locked() {
      return this.#record.writer !== undefined;
    }

    abort(reason = undefined) {
      return attempt(() => {
        if (this.locked) throw new TypeError('a locked stream is aborted by its writer');
        return abortWritable(this.#record, reason);
      });
    }

    close() {
      return attempt(() => {
        if (this.locked) throw new TypeError('a locked stream is closed by its writer');
        if (isEnding(this.#record)) throw new TypeError('the stream is being closed already');
        return closeWritable(this.#record);
      });
    }

    getWriter() {
      return new WritableStreamDefaultWriter(this);
    }

    get [shared.shownParts]() {
      return [
        ['locked', this.locked],
        ['state', this.#record.state],
      ];
    }
  }

  Object.assign(shared.streams, {
    WritableStream,
    WritableStreamDefaultWriter,
    WritableStreamDefaultController,
    ofWritable,
    abortWritable,
    isEnding,
    attachWriter,
    releaseWriter,
    write,
    closeSoftly,
    makeWritable,
    failSink,
  });
});
