// names: Intl localeCompare toLocaleString toLocaleDateString toLocaleTimeString toLocaleUpperCase toLocaleLowerCase
// needs: intl
// Dates in a language: Intl.DateTimeFormat, and toLocaleString, toLocaleDateString and toLocaleTimeString of Date.
// Options are read in the order of ECMA-402; texts of errors are V8's.
(function (native, shared) {
  'use strict';

  const {
    call,
    canonicalizeLocaleList,
    chained,
    coerceOptions,
    define,
    getNumberOption,
    getOption,
    keep,
    methods,
    parts,
    resolvedFrom,
    resolveLocale,
    service,
    slotsOf,
    supportedValues,
    unwrapped,
  } = shared.intl;
  const { intlAsk } = native;
  const { apply } = Reflect;
  const SERVICE = 'Intl.DateTimeFormat';
  const MATCHERS = ['lookup', 'best fit'];
  const TYPE = /^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i;
  const CYCLES = ['h11', 'h12', 'h23', 'h24'];
  const STYLES = ['full', 'long', 'medium', 'short'];

  const [NAMES, NUMBERS] = [
    ['narrow', 'short', 'long'],
    ['2-digit', 'numeric'],
  ];
  const COMPONENTS = {
    weekday: NAMES,
    era: NAMES,
    year: NUMBERS,
    month: [...NUMBERS, ...NAMES],
    day: NUMBERS,
    dayPeriod: NAMES,
    hour: NUMBERS,
    minute: NUMBERS,
    second: NUMBERS,
    fractionalSecondDigits: undefined,
    timeZoneName: ['short', 'long', 'shortOffset', 'longOffset', 'shortGeneric', 'longGeneric'],
  };
  const DATE = ['weekday', 'year', 'month', 'day'];
  const TIME = ['dayPeriod', 'hour', 'minute', 'second', 'fractionalSecondDigits'];
  // What a format has if no option says: of the options that count, of what is then written.
  const NEEDS = {
    any: { counted: [...DATE, ...TIME], date: true, time: false },
    all: { counted: [...DATE, ...TIME], date: true, time: true },
    date: { counted: DATE, date: true, time: false },
    time: { counted: TIME, date: false, time: true },
  };

  function optionsOf(options) {
    if (options === null) throw new TypeError('Cannot convert undefined or null to object');
    return coerceOptions(options, SERVICE);
  }

  // === the locale ===

  const kept = new Map();
  const systems = intlAsk('number', 'systems', '')?.split(' ') ?? ['latn'];

  // A calendar of a country has names in its language only.
  const CALENDARS = { fa: ['persian', 'gregory', 'iso8601'], th: ['buddhist', 'gregory', 'iso8601'] };

  function valuesOf(key, dataLocale) {
    if (key === 'ca') return CALENDARS[dataLocale] ?? ['gregory', 'iso8601'];
    if (key === 'hc') return [null, ...CYCLES];
    return [intlAsk('date', 'numbers', dataLocale), ...systems];
  }

  function typeOption(options, name) {
    const value = getOption(options, name, 'string', undefined, undefined, SERVICE);
    if (value !== undefined && !TYPE.test(value)) throw new RangeError(`Invalid ${name} : ${value}`);
    return value;
  }

  function readLocale(requested, options) {
    const localeMatcher = getOption(options, 'localeMatcher', 'string', MATCHERS, 'best fit', SERVICE);
    const opt = { __proto__: null, localeMatcher };
    opt.ca = typeOption(options, 'calendar');
    opt.nu = typeOption(options, 'numberingSystem');
    const hour12 = getOption(options, 'hour12', 'boolean', undefined, undefined, SERVICE);
    const hourCycle = getOption(options, 'hourCycle', 'string', CYCLES, undefined, SERVICE);
    if (hour12 === undefined) opt.hc = hourCycle;
    const found = resolveLocale(requested, opt, ['ca', 'hc', 'nu'], valuesOf);
    return { ...found, hour12, requested, opt };
  }

  // === time zones ===

  const zones = new Map();
  Object.defineProperty(supportedValues, 'timeZone', { get: () => JSON.parse(intlAsk('zone', 'names', '')) });

  // The name of a time zone as V8 gives it.
  function readZone(options) {
    const { timeZone } = options;
    if (timeZone === undefined) return 'UTC';
    const name = `${timeZone}`;
    return keep(zones, name, () => {
      const known = intlAsk('zone', 'canonical', name);
      if (known === undefined) throw new RangeError(`Invalid time zone specified: ${name}`);
      return known;
    });
  }

  // === formats ===

  function readComponents(options) {
    const components = { __proto__: null };
    for (const name of Object.keys(COMPONENTS)) {
      components[name] =
        name === 'fractionalSecondDigits'
          ? getNumberOption(options, name, 1, 3, undefined)
          : getOption(options, name, 'string', COMPONENTS[name], undefined, SERVICE);
    }
    getOption(options, 'formatMatcher', 'string', ['basic', 'best fit'], 'best fit', SERVICE);
    return components;
  }

  // What is written if the options do not say.
  function addDefaults(components, { counted, date, time }) {
    if (counted.some((name) => components[name] !== undefined)) return;
    if (date) components.year = components.month = components.day = 'numeric';
    if (time) components.hour = components.minute = components.second = 'numeric';
  }

  function checkStyles(components, dateStyle, timeStyle, needs) {
    const style = dateStyle === undefined ? 'timeStyle' : 'dateStyle';
    for (const name of Object.keys(components))
      if (components[name] !== undefined) throw new TypeError(`Can't set option ${name} when ${style} is used`);
    if (needs === NEEDS.date && timeStyle !== undefined) throw new TypeError('Invalid option : timeStyle');
    if (needs === NEEDS.time && dateStyle !== undefined) throw new TypeError('Invalid option : dateStyle');
  }

  function made(requested, options, needs) {
    const { dataLocale, ca, nu, hc, hour12, opt, ...found } = readLocale(requested, options);
    const timeZone = readZone(options);
    const components = readComponents(options);
    const dateStyle = getOption(options, 'dateStyle', 'string', STYLES, undefined, SERVICE);
    const timeStyle = getOption(options, 'timeStyle', 'string', STYLES, undefined, SERVICE);
    if (dateStyle !== undefined || timeStyle !== undefined) checkStyles(components, dateStyle, timeStyle, needs);
    else addDefaults(components, needs);
    let { locale } = found;
    const [tag] = locale.split('-u-');
    const wanted = { tag, ca, nu, timeZone, hc: hc ?? undefined, hour12, ...components, dateStyle, timeStyle };
    const handle = service(kept, 'date', dataLocale, wanted);
    const resolved = resolvedOf(handle);
    // The hours of the tag are left out of it if others are used.
    if (hour12 !== undefined && resolved.hourCycle !== hc)
      ({ locale } = resolveLocale(requested, { ...opt, hc: null }, ['ca', 'hc', 'nu'], valuesOf));
    return {
      handle,
      bound: undefined,
      resolved: { locale, calendar: ca, numberingSystem: nu, timeZone, ...resolved, dateStyle, timeStyle },
    };
  }

  function resolvedOf(handle) {
    const resolved = { __proto__: null };
    const lines = call(handle, 'resolved');
    if (lines === '') return resolved;
    for (const line of lines.split('\n')) {
      const [name, value] = line.split('=');
      if (name === 'hour12') resolved[name] = value === 'true';
      else resolved[name] = name === 'fractionalSecondDigits' ? Number(value) : value;
    }
    return resolved;
  }

  // A time that a Date can have.
  function clipped(value) {
    const number = Number(value);
    if (!(Math.abs(number) <= 8.64e15)) throw new RangeError('Invalid time value');
    return Math.trunc(number) + 0;
  }

  const timeOf = (value) => clipped(value === undefined ? Date.now() : value);

  function ends(start, end) {
    if (start === undefined || end === undefined) throw new TypeError('Invalid time value');
    const [from, to] = [Number(start), Number(end)];
    return [clipped(from), clipped(to)];
  }

  // === Intl.DateTimeFormat ===

  const formats = new WeakMap();

  function DateTimeFormat() {
    const format = new.target === undefined ? Object.create(DateTimeFormat.prototype) : this;
    const [locales, options] = arguments;
    formats.set(format, made(canonicalizeLocaleList(locales), optionsOf(options), NEEDS.any));
    return new.target === undefined ? chained(DateTimeFormat, this, format) : format;
  }

  const slots = (format, name) => slotsOf(formats, format, `${SERVICE}.prototype.${name}`);

  methods(DateTimeFormat.prototype, {
    resolvedOptions() {
      const { resolved } = unwrapped(formats, DateTimeFormat, this, 'UnwrapDateTimeFormat');
      return resolvedFrom(resolved, Object.keys(resolved));
    },

    formatToParts(date) {
      const { handle } = slots(this, 'formatToParts');
      return parts(call(handle, 'parts', timeOf(date)));
    },

    get format() {
      const found = unwrapped(formats, DateTimeFormat, this, 'UnwrapDateTimeFormat');
      if (found.bound === undefined) {
        const { handle } = found;
        found.bound = (date) => call(handle, 'format', timeOf(date));
        Object.defineProperty(found.bound, 'name', { value: '' });
      }
      return found.bound;
    },

    formatRange(startDate, endDate) {
      const { handle } = slots(this, 'formatRange');
      const [from, to] = ends(startDate, endDate);
      return call(handle, 'range', from, to);
    },

    formatRangeToParts(startDate, endDate) {
      const { handle } = slots(this, 'formatRangeToParts');
      const [from, to] = ends(startDate, endDate);
      const flat = JSON.parse(call(handle, 'rangeParts', from, to));
      const list = [];
      for (let at = 0; at < flat.length; at += 3)
        list.push({ type: flat[at], value: flat[at + 1], source: flat[at + 2] });
      return list;
    },
  });
  define('DateTimeFormat', DateTimeFormat, SERVICE);

  // === Date ===

  // The formats without options, by locale and by what is written.
  const plain = new Map();

  function handleOf(locales, options, name) {
    const make = () => made(canonicalizeLocaleList(locales), optionsOf(options), NEEDS[name]).handle;
    const isPlain = options === undefined && (locales === undefined || typeof locales === 'string');
    return isPlain ? keep(plain, `${name} ${locales}`, make) : make();
  }

  const { getTime } = Date.prototype;
  // For the error of what is no Date.
  const NO_DATES = new WeakMap();

  function timeIn(date, method) {
    try {
      return apply(getTime, date, []);
    } catch {
      return slotsOf(NO_DATES, date, `Date.prototype.${method}`);
    }
  }

  function written(date, method, locales, options, name) {
    const time = timeIn(date, method);
    if (Number.isNaN(time)) return 'Invalid Date';
    return call(handleOf(locales, options, name), 'format', time);
  }

  methods(Date.prototype, {
    toLocaleString() {
      return written(this, 'toLocaleString', arguments[0], arguments[1], 'all');
    },
    toLocaleDateString() {
      return written(this, 'toLocaleDateString', arguments[0], arguments[1], 'date');
    },
    toLocaleTimeString() {
      return written(this, 'toLocaleTimeString', arguments[0], arguments[1], 'time');
    },
  });
});
