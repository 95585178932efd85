// names: reportError onerror onunhandledrejection onrejectionhandled
// needs: events
// Errors that nobody has caught (https://html.spec.whatwg.org/multipage/webappapis.html#runtime-script-errors):
// reportError, and the handlers of the global object. A handler that answers for an error (`onerror` by returning
// true, `onunhandledrejection` by `preventDefault`) keeps it from ending the invocation.
(function (native, shared) {
  'use strict';

  const { PromiseRejectionEvent, queueMicrotask } = globalThis;
  const TYPES = ['onerror', 'onunhandledrejection', 'onrejectionhandled'];

  const handlers = {};
  for (const name of TYPES) {
    handlers[name] = null;
    Object.defineProperty(globalThis, name, {
      configurable: true,
      enumerable: false,
      get: () => handlers[name],
      set(value) {
        handlers[name] = typeof value === 'function' ? value : null;
      },
    });
  }

  function run(handler, values) {
    try {
      return Reflect.apply(handler, globalThis, values);
    } catch (error) {
      if (shared.isInternal(error)) throw error;
      shared.logUncaught(error);
      return undefined;
    }
  }

  // Whether `onerror` answers for it.
  function isHandled(error) {
    if (handlers.onerror === null) return false;
    const told = shared.explain(error);
    const { line = 0, column = 0 } = shared.placeOf(error, shared.file);
    const message = `Uncaught ${shared.headOf(told.error, told.message)}`;
    return run(handlers.onerror, [message, shared.file, line, column, error]) === true;
  }

  function report(error) {
    if (!isHandled(error)) shared.logUncaught(error);
  }

  // === rejections ===

  // Those that were told, and that nobody has handled since.
  const reported = new WeakSet();

  shared.rejected = (promise, reason) => {
    if (handlers.onunhandledrejection === null) return false;
    reported.add(promise);
    const event = shared.event(PromiseRejectionEvent, 'unhandledrejection', { promise, reason, cancelable: true });
    run(handlers.onunhandledrejection, [event]);
    return event.defaultPrevented;
  };

  shared.rejectionHandled = (promise, reason) => {
    if (!reported.delete(promise)) return;
    shared.queueTask(() => {
      if (handlers.onrejectionhandled === null) return;
      run(handlers.onrejectionhandled, [shared.event(PromiseRejectionEvent, 'rejectionhandled', { promise, reason })]);
    });
  };

  shared.isHandled = isHandled;
  shared.report = report;
  shared.define({
    reportError(error) {
      shared.checkCount(arguments.length, 'error');
      report(error);
    },
    // An error in one is one that nobody catches.
    queueMicrotask(callback) {
      if (typeof callback !== 'function') throw shared.invalidArgument('callback', 'of type function', callback);
      queueMicrotask(() => {
        try {
          callback();
        } catch (error) {
          if (!isHandled(error)) throw error;
        }
      });
    },
  });
});
