// Timers: they run while an invocation waits for its handler's promise, and end with it.
(function (native, shared) {
  'use strict';

  const DELAY_MS_MAX = 2 ** 31 - 1;

  // By time, then by age.
  let waiting = [];
  let created = 0;

  class Timeout {
    constructor(callback, delay, repeats, values) {
      this.id = ++created;
      this.callback = callback;
      this.delay = delay;
      this.repeats = repeats;
      this.values = values;
      this.due = 0;
      this.waitedFor = true;
      // Of those that the top level starts, for the case that they are left over.
      this.place = native.invoked() ? undefined : shared.placeInFile();
    }

    ref() {
      this.waitedFor = true;
      return this;
    }

    unref() {
      this.waitedFor = false;
      return this;
    }

    hasRef() {
      return this.waitedFor;
    }

    refresh() {
      remove(this);
      insert(this);
      return this;
    }

    close() {
      remove(this);
    }

    [Symbol.toPrimitive]() {
      return this.id;
    }
  }

  function insert(timer) {
    timer.due = native.elapsed() + timer.delay;
    let at = waiting.length;
    while (at > 0 && waiting[at - 1].due > timer.due) at--;
    waiting.splice(at, 0, timer);
  }

  function remove(timer) {
    const at = waiting.indexOf(timer);
    if (at >= 0) waiting.splice(at, 1);
  }

  function start(callback, delay, repeats, values) {
    if (typeof callback !== 'function') throw new TypeError('the callback of a timer must be a function');
    const whole = Math.trunc(Number(delay));
    const timer = new Timeout(callback, whole >= 1 && whole <= DELAY_MS_MAX ? whole : 1, repeats, values);
    insert(timer);
    return timer;
  }

  function stop(timer) {
    if (timer instanceof Timeout) remove(timer);
    else if (timer !== undefined && timer !== null) remove(waiting.find((each) => each.id === Number(timer)));
  }

  // A task: it runs after the jobs that wait, and before timers that are not due yet. Nobody waits for it.
  shared.queueTask = (run) => insert(new Timeout(run, 0, false, []).unref());

  // Runs what is due next, after waiting for it. False if there is nothing.
  shared.runTimer = () => {
    if (waiting.length === 0) return false;
    const timer = waiting.shift();
    native.sleep(timer.due - native.elapsed());
    if (timer.repeats) insert(timer);
    try {
      timer.callback(...timer.values);
    } catch (error) {
      if (!shared.isHandled?.(error)) throw error;
    }
    return true;
  };
  let dropped;
  shared.dropTimers = () => {
    for (const timer of waiting.filter((each) => each.waitedFor)) {
      dropped ??= timer.place;
      shared.warn(
        'a timer that is started while the file is loaded has not ended then. It does not run in calls, and what waits ' +
          'for it there waits for ever: await it at the top level, or start it in the handler',
        timer.place,
      );
    }
    waiting = [];
  };
  shared.neverSettles = () => {
    const why = "the handler's promise can never settle: nothing that is under way could do it";
    return dropped === undefined ? why : `${why}; the timer that the top level started at ${dropped} does not run in calls`;
  };

  shared.define({
    setTimeout(callback, delay, ...values) {
      return start(callback, delay, false, values);
    },
    setInterval(callback, delay, ...values) {
      return start(callback, delay, true, values);
    },
    setImmediate(callback, ...values) {
      return start(callback, 0, false, values);
    },
    clearTimeout(timer) {
      stop(timer);
    },
    clearInterval(timer) {
      stop(timer);
    },
    clearImmediate(timer) {
      stop(timer);
    },
  });
});
