// names: ReadableStream ReadableStreamDefaultReader ReadableStreamBYOBReader ReadableStreamDefaultController
// names: ReadableByteStreamController ReadableStreamBYOBRequest WritableStream WritableStreamDefaultWriter
// names: WritableStreamDefaultController TransformStream TransformStreamDefaultController ByteLengthQueuingStrategy
// names: CountQueuingStrategy getReader pipeThrough pipeTo tee
// needs: interfaces readable writable
// The rest of the Streams standard (https://streams.spec.whatwg.org/): tees, pipes, transform streams and strategies.
// The last names above are what a script does with a body (fetch.js).
(function (native, shared) {
  'use strict';

  const all = shared.streams;
  const {
    INSIDE,
    NOTHING,
    isObject,
    then,
    resolved,
    quiet,
    deferred,
    attempt,
    dictionary,
    method,
    strategyOf,
    checkedMark,
    illegal,
    clear,
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
  } = all;

  // === tee ===

  function tee(stream) {
    const { isByte } = stream.controller;
    const branches = [];
    const gone = [false, false];
    const reasons = [];
    const cancelled = deferred();
    const finish = isByte ? closeBytes : closeController;
    let reader = attach(stream, false);
    let reading = false;
    let again = [false, false];

    const each = (act) => {
      for (const n of [0, 1]) act(branches[n], n);
    };
    const settle = () => {
      if (!gone[0] || !gone[1]) cancelled.resolve();
    };
    const failAll = (error) => {
      each((branch) => failController(branch, error));
      settle();
    };
    const watch = () => {
      const watched = reader;
      then(watched.closed.promise, undefined, (error) => {
        if (watched === reader) failAll(error);
      });
    };
    const use = (isByob) => {
      if (reader.isByob === isByob) return;
      release(reader);
      reader = attach(stream, isByob);
      watch();
    };
    const copied = (chunk) => {
      try {
        return new Uint8Array(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength));
      } catch (error) {
        each((branch) => failController(branch, error));
        cancelled.resolve(cancelReadable(stream, error));
        return undefined;
      }
    };
    const next = () => {
      reading = false;
      if (again[0]) pull(0);
      else if (again[1]) pull(1);
    };
    const error = () => {
      reading = false;
    };
    const readChunk = () => {
      use(false);
      read(reader, {
        chunk: (chunk) =>
          queueMicrotask(() => {
            again = [false, false];
            const second = isByte && !gone[0] && !gone[1] ? copied(chunk) : chunk;
            if (second === undefined && isByte) {
              reading = false;
              return;
            }
            each((branch, n) => {
              if (!gone[n]) (isByte ? enqueueBytes : enqueue)(branch, n === 0 ? chunk : second);
            });
            next();
          }),
        close: () => {
          reading = false;
          each((branch, n) => {
            if (!gone[n]) finish(branch);
            if (isByte && branch.pending.length > 0) respond(branch, 0);
          });
          settle();
        },
        error,
      });
    };
    const readView = (view, n) => {
      use(true);
      const [into, other] = [branches[n], branches[1 - n]];
      readInto(reader, view, 1, {
        chunk: (chunk) =>
          queueMicrotask(() => {
            again = [false, false];
            if (!gone[1 - n]) {
              const copy = copied(chunk);
              if (copy === undefined) {
                reading = false;
                return;
              }
              if (!gone[n]) respondWithView(into, chunk);
              enqueueBytes(other, copy);
            } else if (!gone[n]) {
              respondWithView(into, chunk);
            }
            next();
          }),
        close: (chunk) => {
          reading = false;
          if (!gone[n]) closeBytes(into);
          if (!gone[1 - n]) closeBytes(other);
          if (chunk !== undefined) {
            if (!gone[n]) respondWithView(into, chunk);
            if (!gone[1 - n] && other.pending.length > 0) respond(other, 0);
          }
          settle();
        },
        error,
      });
    };
    const pull = (n) => {
      if (reading) {
        again[isByte ? n : 0] = true;
        return resolved();
      }
      reading = true;
      const request = isByte ? requestOf(branches[n]) : null;
      if (request === null) readChunk();
      else readView(request.view, n);
      return resolved();
    };
    const streams = [0, 1].map((n) => {
      const cancel = (reason) => {
        gone[n] = true;
        reasons[n] = reason;
        if (gone[1 - n]) cancelled.resolve(cancelReadable(stream, reasons));
        return cancelled.promise;
      };
      const made = (isByte ? makeBytes : makeReadable)({ pull: () => pull(n), cancel });
      branches[n] = ofReadable(made).controller;
      return made;
    });
    watch();
    return streams;
  }

  // === pipes ===

  function pipe(source, target, { preventClose, preventAbort, preventCancel, signal }) {
    const reader = attach(source, false);
    const writer = attachWriter(target);
    source.disturbed = true;
    let stopping = false;
    let lastWrite = resolved();
    const ended = deferred();

    const written = () => {
      const last = lastWrite;
      return then(last, () => (last === lastWrite ? undefined : written()));
    };
    const end = (...error) => {
      releaseWriter(writer);
      release(reader);
      signal?.removeEventListener('abort', abort);
      if (error.length > 0) ended.reject(error[0]);
      else ended.resolve();
    };
    // With the error, if there is one, that the pipe ends with.
    const stop = (act, ...error) => {
      if (stopping) return;
      stopping = true;
      const last = () => {
        if (act === undefined) end(...error);
        else then(act(), () => end(...error), end);
      };
      if (target.state === 'writable' && !isEnding(target)) then(written(), last);
      else last();
    };
    const abort = () => {
      const { reason } = signal;
      stop(() => {
        const acts = [];
        if (!preventAbort) acts.push(target.state === 'writable' ? abortWritable(target, reason) : resolved());
        if (!preventCancel) acts.push(source.state === 'readable' ? cancelReadable(source, reason) : resolved());
        return Promise.all(acts);
      }, reason);
    };
    const whenFailed = (stream, { closed }, act) => {
      if (stream.state === 'errored') act(stream.error);
      else then(closed.promise, undefined, act);
    };

    if (signal !== undefined) {
      if (signal.aborted) {
        abort();
        return ended.promise;
      }
      signal.addEventListener('abort', abort);
    }
    whenFailed(source, reader, (error) => stop(preventAbort ? undefined : () => abortWritable(target, error), error));
    whenFailed(target, writer, (error) => stop(preventCancel ? undefined : () => cancelReadable(source, error), error));
    const close = () => stop(preventClose ? undefined : () => closeSoftly(writer));
    if (source.state === 'closed') close();
    else then(reader.closed.promise, close, NOTHING);
    if (isEnding(target) || target.state === 'closed') {
      const error = new TypeError('the stream that is written to closed before all was written');
      stop(preventCancel ? undefined : () => cancelReadable(source, error), error);
    }
    const step = () =>
      then(
        writer.ready.promise,
        () => {
          if (stopping) return;
          read(reader, {
            chunk: (chunk) => {
              lastWrite = then(write(writer, chunk), NOTHING, NOTHING);
              step();
            },
            close: NOTHING,
            error: NOTHING,
          });
        },
        NOTHING,
      );
    step();
    return ended.promise;
  }

  function pipeOptions(options) {
    const { preventAbort, preventCancel, preventClose, signal } = dictionary(options, 'the options');
    if (
      signal !== undefined &&
      !(isObject(signal) && 'aborted' in signal && typeof signal.addEventListener === 'function')
    )
      throw new TypeError('the signal is no AbortSignal');
    return { preventAbort, preventCancel, preventClose, signal };
  }

  Object.assign(all, { tee, pipe, pipeOptions, isWanted });

  // === transform streams ===

  function setBackpressure(stream, isFull) {
    stream.change?.resolve();
    stream.change = deferred();
    stream.isFull = isFull;
  }

  function unblock(stream) {
    if (stream.isFull) setBackpressure(stream, false);
  }

  function failWriting(stream, error) {
    clear(stream.controller);
    failSink(stream.sink, error);
    unblock(stream);
  }

  function failTransform(stream, error) {
    failController(stream.source, error);
    failWriting(stream, error);
  }

  function transformed(stream, chunk) {
    return then(stream.controller.transform(chunk), undefined, (error) => {
      failTransform(stream, error);
      throw error;
    });
  }

  // The end of one side, once: what the transformer makes of it, then the other side's.
  function endTransform(stream, act, other, succeed, failed) {
    if (stream.ending !== undefined) return stream.ending.promise;
    stream.ending = deferred();
    const { ending } = stream;
    const acted = act();
    clear(stream.controller);
    then(
      acted,
      () => {
        if (other.state === 'errored') {
          ending.reject(other.error);
        } else {
          succeed();
          ending.resolve();
        }
      },
      (error) => {
        failed(error);
        ending.reject(error);
      },
    );
    return ending.promise;
  }

  function transformPair(stream, started, [writableMark, writableSize], [readableMark, readableSize]) {
    const { controller } = stream;
    const start = () => then(started, NOTHING);
    const failSource = (error) => failController(stream.source, error);
    const failBoth = (error) => {
      failSink(stream.sink, error);
      unblock(stream);
    };
    const end = (act, succeed) => endTransform(stream, act, stream.source.stream, succeed, failSource);
    const write = (chunk) => {
      if (!stream.isFull) return transformed(stream, chunk);
      return then(stream.change.promise, () => {
        const { state, error } = stream.sink.stream;
        if (state === 'erroring') throw error;
        return transformed(stream, chunk);
      });
    };
    const abort = (reason) =>
      end(
        () => controller.cancel(reason),
        () => failSource(reason),
      );
    const close = () =>
      end(
        () => controller.flush(),
        () => closeController(stream.source),
      );
    stream.writable = makeWritable({ start, write, abort, close }, writableMark, writableSize);
    stream.sink = ofWritable(stream.writable).controller;
    const pull = () => {
      setBackpressure(stream, false);
      return stream.change.promise;
    };
    const cancel = (reason) =>
      endTransform(
        stream,
        () => controller.cancel(reason),
        stream.sink.stream,
        () => failBoth(reason),
        failBoth,
      );
    stream.readable = makeReadable({ start, pull, cancel }, readableMark, readableSize);
    stream.source = ofReadable(stream.readable).controller;
  }

  function transformEnqueue(stream, chunk) {
    const { source } = stream;
    if (!takesChunks(source)) throw new TypeError('the readable side is closed: it takes no chunks');
    try {
      enqueue(source, chunk);
    } catch (error) {
      failWriting(stream, error);
      throw source.stream.error;
    }
    const isFull = !wantsPull(source);
    if (isFull !== stream.isFull) setBackpressure(stream, true);
  }

  // Whether a transformer that makes more than one chunk of one should go on, once somebody wants the next.
  async function isWanted(controller) {
    const stream = ofTransform(controller);
    while (stream.isFull && takesChunks(stream.source)) await stream.change.promise;
    return takesChunks(stream.source);
  }

  let ofTransform;
  class TransformStreamDefaultController {
    #record;
    static {
      ofTransform = (controller) => controller.#record;
    }

    constructor(mark, record) {
      if (mark !== INSIDE) throw illegal();
      this.#record = record;
    }

    get desiredSize() {
      return desired(ofTransform(this).source);
    }

    enqueue(chunk = undefined) {
      transformEnqueue(ofTransform(this), chunk);
    }

    error(reason = undefined) {
      failTransform(ofTransform(this), reason);
    }

    terminate() {
      const stream = ofTransform(this);
      closeController(stream.source);
      failWriting(stream, new TypeError('the stream was terminated'));
    }
  }

  class TransformStream {
    #record;

    constructor(transformer = undefined, writableStrategy = undefined, readableStrategy = undefined) {
      const given = transformer === undefined ? {} : transformer;
      if (!isObject(given)) throw new TypeError('the transformer is no object');
      const [writable, readable] = [strategyOf(writableStrategy, 1), strategyOf(readableStrategy, 0)];
      const [cancel, flush] = ['cancel', 'flush'].map((name) => method(given, name));
      if (given.readableType !== undefined) throw new RangeError('a transformer has no readableType');
      const [start, transform] = ['start', 'transform'].map((name) => method(given, name));
      if (given.writableType !== undefined) throw new RangeError('a transformer has no writableType');
      const marks = [readable, writable].map(({ mark, size }) => [checkedMark(mark), size]);
      const stream = { controller: {}, isFull: undefined };
      const self = new TransformStreamDefaultController(INSIDE, stream);
      const started = deferred();
      Object.assign(stream.controller, {
        transform: (chunk) =>
          attempt(() => (transform === undefined ? transformEnqueue(stream, chunk) : transform(chunk, self))),
        flush: () => attempt(() => flush?.(self)),
        cancel: (reason) => new Promise((resolve) => resolve(cancel?.(reason))),
      });
      transformPair(stream, started.promise, marks[1], marks[0]);
      setBackpressure(stream, true);
      this.#record = stream;
      started.resolve(start?.(self));
    }

    get readable() {
      return this.#record.readable;
    }

    get writable() {
      return this.#record.writable;
    }

    get [shared.shownParts]() {
      const { readable, writable, isFull } = this.#record;
      return [
        ['readable', readable],
        ['writable', writable],
        ['backpressure', isFull],
      ];
    }
  }

  // === strategies ===

  const sizes = {
    ByteLengthQueuingStrategy: { size: (chunk) => chunk.byteLength }.size,
    CountQueuingStrategy: { size: () => 1 }.size,
  };

  class ByteLengthQueuingStrategy {
    #mark;

    constructor(init) {
      this.#mark = markOf(init);
    }

    get highWaterMark() {
      return this.#mark;
    }

    get size() {
      return this.#mark === undefined ? undefined : sizes.ByteLengthQueuingStrategy;
    }
  }

  class CountQueuingStrategy {
    #mark;

    constructor(init) {
      this.#mark = markOf(init);
    }

    get highWaterMark() {
      return this.#mark;
    }

    get size() {
      return this.#mark === undefined ? undefined : sizes.CountQueuingStrategy;
    }
  }

  function markOf(init) {
    if (!isObject(init) || init.highWaterMark === undefined) throw new TypeError('highWaterMark is missing');
    return Number(init.highWaterMark);
  }

  // === what other files use ===

  // A stream of bytes that `give` gives away, or a promise of them.
  shared.streamOf = (give) => {
    const end = (bytes) => {
      const { controller } = ofReadable(stream);
      if (bytes.length > 0) enqueueBytes(controller, bytes);
      closeBytes(controller);
      if (controller.pending.length > 0) respond(controller, 0);
    };
    const stream = makeBytes({ pull: () => then(attempt(give), end) });
    return stream;
  };
  shared.isStream = (value) => value instanceof ReadableStream;
  shared.isDisturbed = (stream) => ofReadable(stream).disturbed;
  // For whoever has taken the bytes elsewhere.
  shared.spend = (stream) => {
    attach(ofReadable(stream), false);
    quiet(cancelReadable(ofReadable(stream)));
  };

  shared.defineInterfaces({
    ByteLengthQueuingStrategy,
    CountQueuingStrategy,
    ReadableByteStreamController,
    ReadableStream,
    ReadableStreamBYOBReader,
    ReadableStreamBYOBRequest,
    ReadableStreamDefaultController,
    ReadableStreamDefaultReader,
    TransformStream,
    TransformStreamDefaultController,
    WritableStream,
    WritableStreamDefaultController,
    WritableStreamDefaultWriter,
  });
});
