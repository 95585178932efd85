// names: performance Performance PerformanceEntry PerformanceMark PerformanceMeasure
// needs: interfaces
// Marks and measures (https://w3c.github.io/user-timing/, https://w3c.github.io/performance-timeline/). The clock is that of
// invocation.js.
(function (native, shared) {
  'use strict';

  const INSIDE = Symbol('made by the prelude');
  const { DOMException, EventTarget, performance: clock } = globalThis;
  const { checkCount, checkOptions, coded } = shared;

  function illegal() {
    return coded(new TypeError('Illegal constructor'), 'ERR_ILLEGAL_CONSTRUCTOR');
  }

  function checkedTime(time) {
    const number = Number(time);
    if (number >= 0) return number;
    throw coded(new TypeError(`${time} is not a valid timestamp`), 'ERR_PERFORMANCE_INVALID_TIMESTAMP');
  }

  function copied(detail) {
    return detail === undefined || detail === null ? null : shared.clone(detail);
  }

  class PerformanceEntry {
    #name;
    #entryType;
    #startTime;
    #duration;

    constructor(mark = undefined, name, entryType, startTime, duration) {
      if (mark !== INSIDE) throw illegal();
      this.#name = name;
      this.#entryType = entryType;
      this.#startTime = startTime;
      this.#duration = duration;
    }

    get name() {
      return this.#name;
    }

    get entryType() {
      return this.#entryType;
    }

    get startTime() {
      return this.#startTime;
    }

    get duration() {
      return this.#duration;
    }

    toJSON() {
      const { name, entryType, startTime, duration } = this;
      return { name, entryType, startTime, duration };
    }

    get [shared.shownParts]() {
      return Object.keys(this.toJSON());
    }
  }

  class PerformanceMark extends PerformanceEntry {
    #detail;

    constructor(name, options = undefined) {
      checkCount(arguments.length, 'name');
      const { startTime, detail } = checkOptions(options);
      super(INSIDE, `${name}`, 'mark', startTime === undefined ? clock.now() : checkedTime(startTime), 0);
      this.#detail = copied(detail);
    }

    get detail() {
      return this.#detail;
    }

    toJSON() {
      return { ...super.toJSON(), detail: this.#detail };
    }
  }

  class PerformanceMeasure extends PerformanceEntry {
    #detail;

    constructor(mark = undefined, name, startTime, duration, detail) {
      super(mark, name, 'measure', startTime, duration);
      this.#detail = copied(detail);
    }

    get detail() {
      return this.#detail;
    }

    toJSON() {
      return { ...super.toJSON(), detail: this.#detail };
    }
  }

  // By their beginnings, then by age.
  let entries = [];
  // Of each name, when its last mark was.
  const marked = new Map();

  function add(entry) {
    let at = entries.length;
    while (at > 0 && entries[at - 1].startTime > entry.startTime) at--;
    entries.splice(at, 0, entry);
    return entry;
  }

  // A time, or that of the last mark of a name.
  function timeOf(mark) {
    if (typeof mark === 'number') return checkedTime(mark);
    const time = marked.get(`${mark}`);
    if (time === undefined) throw new DOMException(`The "${mark}" performance mark has not been set`, 'SyntaxError');
    return time;
  }

  function badOptions(text) {
    return coded(new TypeError(text), 'ERR_PERFORMANCE_MEASURE_INVALID_OPTIONS');
  }

  function checkedMeasure(options, endMark) {
    const { start, end, duration, detail } = options;
    if ([start, end, duration, detail].every((part) => part === undefined)) return;
    if (endMark !== undefined) throw badOptions('endMark must not be specified');
    if (start === undefined && end === undefined) throw badOptions('One of options.start or options.end is required');
    if (start !== undefined && end !== undefined && duration !== undefined)
      throw badOptions('Must not have options.start, options.end, and options.duration specified');
  }

  function clear(entryType, name) {
    entries = entries.filter((entry) => entry.entryType !== entryType || (name !== undefined && entry.name !== `${name}`));
  }

  class Performance extends (EventTarget ?? Object) {
    constructor(mark = undefined) {
      if (mark !== INSIDE) throw illegal();
      super();
    }

    now() {
      return clock.now();
    }

    get timeOrigin() {
      return clock.timeOrigin;
    }

    toJSON() {
      return { timeOrigin: this.timeOrigin };
    }

    mark(name, options = undefined) {
      checkCount(arguments.length, 'name');
      const mark = add(new PerformanceMark(name, options));
      marked.set(mark.name, mark.startTime);
      return mark;
    }

    measure(name, startOrOptions = undefined, endMark = undefined) {
      checkCount(arguments.length, 'name');
      const hasOptions = typeof startOrOptions === 'object' && startOrOptions !== null;
      const options = hasOptions ? startOrOptions : { start: startOrOptions ?? undefined };
      if (hasOptions) checkedMeasure(options, endMark);
      const { detail, duration } = options;
      const last = endMark ?? options.end;
      let end = last === undefined ? undefined : timeOf(last);
      if (end === undefined && options.start !== undefined && duration !== undefined)
        end = timeOf(options.start) + checkedTime(duration);
      end ??= clock.now();
      let start = 0;
      if (options.start !== undefined) start = timeOf(options.start);
      else if (duration !== undefined && last !== undefined) start = end - checkedTime(duration);
      return add(new PerformanceMeasure(INSIDE, `${name}`, start, end - start, detail));
    }

    clearMarks(name = undefined) {
      if (name === undefined) marked.clear();
      else marked.delete(`${name}`);
      clear('mark', name);
    }

    clearMeasures(name = undefined) {
      clear('measure', name);
    }

    getEntries() {
      return [...entries];
    }

    getEntriesByType(type) {
      checkCount(arguments.length, 'type');
      return entries.filter((entry) => entry.entryType === `${type}`);
    }

    getEntriesByName(name, type = undefined) {
      checkCount(arguments.length, 'name');
      return entries.filter((entry) => entry.name === `${name}` && (type === undefined || entry.entryType === `${type}`));
    }

    get [shared.shownParts]() {
      return ['timeOrigin'];
    }
  }

  shared.defineInterfaces({ PerformanceEntry, PerformanceMark, PerformanceMeasure, Performance });
  shared.define({ performance: new Performance(INSIDE) });
});
