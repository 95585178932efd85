// names: Intl localeCompare toLocaleString toLocaleDateString toLocaleTimeString toLocaleUpperCase toLocaleLowerCase
// needs: intl
// Numbers in a language: Intl.NumberFormat, Intl.RelativeTimeFormat and the methods toLocaleString that use them.
// Options are read in the order of ECMA-402; texts of errors are V8's.
(function (native, shared) {
  'use strict';

  const {
    call,
    canonicalizeLocaleList,
    chained,
    coerceOptions,
    define,
    defaultNumberOption,
    getBooleanOrStringNumberFormatOption,
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
    toNumber,
    unwrapped,
  } = shared.intl;
  const { intlAsk } = native;
  const { apply } = Reflect;
  const SERVICE = 'Intl.NumberFormat';
  const MATCHERS = ['lookup', 'best fit'];
  const SYSTEM = /^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i;
  const INCREMENTS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000];
  const MODES = ['ceil', 'floor', 'expand', 'trunc', 'halfCeil', 'halfFloor', 'halfExpand', 'halfTrunc', 'halfEven'];
  // The units that ECMA-402 sanctions.
  const UNITS = (
    'acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit gigabyte gram hectare hour inch ' +
    'kilobit kilobyte kilogram kilometer liter megabit megabyte meter microsecond mile mile-scandinavian milliliter ' +
    'millimeter millisecond minute month nanosecond ounce percent petabyte pound second stone terabit terabyte week yard year'
  ).split(' ');
  const TIMES = ['second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year'];

  const kept = new Map();
  // The numbering systems, those with ten digits.
  const systems = intlAsk('number', 'systems', '').split(' ');
  supportedValues.numberingSystem = systems;
  supportedValues.unit = UNITS;
  Object.defineProperty(supportedValues, 'currency', { get: () => intlAsk('number', 'currencies', '').split(' ') });

  // What a question gave, by its argument: texts of a few locales and currencies.
  function remembered(what) {
    const answers = new Map();
    return (argument) => {
      let answer = answers.get(argument);
      if (answer === undefined) answers.set(argument, (answer = intlAsk('number', what, argument)));
      return answer;
    };
  }

  const systemOf = remembered('system');
  const currencyDigits = remembered('currencyDigits');
  const valuesOf = (key, dataLocale) => [systemOf(dataLocale), ...systems];

  // === options ===

  // The options that NumberFormat and RelativeTimeFormat have in common.
  function readLocale(requested, options, name) {
    const localeMatcher = getOption(options, 'localeMatcher', 'string', MATCHERS, 'best fit', name);
    const opt = { __proto__: null, localeMatcher };
    opt.nu = getOption(options, 'numberingSystem', 'string', undefined, undefined, name);
    if (opt.nu !== undefined && !SYSTEM.test(opt.nu)) throw new RangeError(`Invalid numberingSystem : ${opt.nu}`);
    const { locale, dataLocale, nu } = resolveLocale(requested, opt, ['nu'], valuesOf);
    return { __proto__: null, locale, dataLocale, numberingSystem: nu };
  }

  function isUnit(unit) {
    const at = unit.indexOf('-per-');
    return UNITS.includes(unit) || (at > 0 && UNITS.includes(unit.slice(0, at)) && UNITS.includes(unit.slice(at + 5)));
  }

  // Three letters. Regular expressions take longer than all the rest.
  function isCode(text) {
    if (text.length !== 3) return false;
    for (let at = 0; at < 3; at++) {
      const letter = text.charCodeAt(at) | 0x20;
      if (letter < 97 || letter > 122 || text.charCodeAt(at) > 122) return false;
    }
    return true;
  }

  function readUnit(options, slots) {
    const option = (name, values, fallback) => getOption(options, name, 'string', values, fallback, SERVICE);
    const style = option('style', ['decimal', 'percent', 'currency', 'unit'], 'decimal');
    const currency = option('currency');
    if (currency === undefined && style === 'currency')
      throw new TypeError('Currency code is required with currency style.');
    if (currency !== undefined && !isCode(currency)) throw new RangeError(`Invalid currency code : ${currency}`);
    const currencyDisplay = option('currencyDisplay', ['code', 'symbol', 'narrowSymbol', 'name'], 'symbol');
    const currencySign = option('currencySign', ['standard', 'accounting'], 'standard');
    const unit = option('unit');
    if (unit === undefined && style === 'unit') throw new TypeError(`Invalid unit argument for ${SERVICE}() ''`);
    if (unit !== undefined && !isUnit(unit)) throw new RangeError(`Invalid unit argument for ${SERVICE}() '${unit}'`);
    const unitDisplay = option('unitDisplay', ['short', 'narrow', 'long'], 'short');
    slots.style = style;
    if (style === 'currency') Object.assign(slots, { currency: currency.toUpperCase(), currencyDisplay, currencySign });
    if (style === 'unit') Object.assign(slots, { unit, unitDisplay });
  }

  function readFraction(least, most, leastDefault, mostDefault) {
    const minimum = defaultNumberOption(least, 0, 100, undefined, 'minimumFractionDigits');
    const maximum = defaultNumberOption(most, 0, 100, undefined, 'maximumFractionDigits');
    if (minimum === undefined && maximum === undefined) return [leastDefault, mostDefault];
    if (minimum === undefined) return [Math.min(leastDefault, maximum), maximum];
    if (maximum === undefined) return [minimum, Math.max(mostDefault, minimum)];
    if (minimum > maximum) throw new RangeError('maximumFractionDigits value is out of range.');
    return [minimum, maximum];
  }

  // SetNumberFormatDigitOptions
  function readDigits(options, slots, fractionDefault, mostDefault, notation) {
    const option = (name, values, fallback) => getOption(options, name, 'string', values, fallback, SERVICE);
    const whole = getNumberOption(options, 'minimumIntegerDigits', 1, 21, 1);
    const { minimumFractionDigits: leastFraction, maximumFractionDigits: mostFraction } = options;
    const { minimumSignificantDigits: leastDigits, maximumSignificantDigits: mostDigits } = options;
    const increment = getNumberOption(options, 'roundingIncrement', 1, 5000, 1);
    if (!INCREMENTS.includes(increment)) throw new RangeError('roundingIncrement value is out of range.');
    const mode = option('roundingMode', MODES, 'halfExpand');
    const priority = option('roundingPriority', ['auto', 'morePrecision', 'lessPrecision'], 'auto');
    const zeros = option('trailingZeroDisplay', ['auto', 'stripIfInteger'], 'auto');
    const hasDigits = leastDigits !== undefined || mostDigits !== undefined;
    const hasFraction = leastFraction !== undefined || mostFraction !== undefined;
    const needsDigits = priority !== 'auto' || hasDigits;
    const needsFraction = priority !== 'auto' || !(hasDigits || (!hasFraction && notation === 'compact'));
    slots.minimumIntegerDigits = whole;
    if (needsDigits) {
      slots.minimumSignificantDigits = defaultNumberOption(leastDigits, 1, 21, 1, 'minimumSignificantDigits');
      slots.maximumSignificantDigits = defaultNumberOption(
        mostDigits,
        slots.minimumSignificantDigits,
        21,
        21,
        'maximumSignificantDigits',
      );
    }
    if (needsFraction) {
      const most = increment === 1 ? mostDefault : fractionDefault;
      [slots.minimumFractionDigits, slots.maximumFractionDigits] = readFraction(
        leastFraction,
        mostFraction,
        fractionDefault,
        most,
      );
    }
    slots.roundingPriority = priority;
    slots.roundingType = priority;
    if (!needsDigits && !needsFraction) {
      Object.assign(slots, { minimumSignificantDigits: 1, maximumSignificantDigits: 2 });
      Object.assign(slots, { minimumFractionDigits: 0, maximumFractionDigits: 0 });
      slots.roundingPriority = slots.roundingType = 'morePrecision';
    } else if (priority === 'auto') slots.roundingType = hasDigits ? 'significantDigits' : 'fractionDigits';
    if (increment !== 1) {
      if (slots.roundingType !== 'fractionDigits') throw new TypeError('RoundingType is not fractionDigits');
      if (slots.maximumFractionDigits !== slots.minimumFractionDigits)
        throw new RangeError('maximumFractionDigits not equal to minimumFractionDigits');
    }
    Object.assign(slots, { roundingIncrement: increment, roundingMode: mode, trailingZeroDisplay: zeros });
  }

  function readGrouping(options, fallback) {
    const value = getBooleanOrStringNumberFormatOption(
      options,
      'useGrouping',
      ['min2', 'auto', 'always', 'true', 'false'],
      fallback,
      SERVICE,
    );
    if (value === true) return 'always';
    return value === 'true' || value === 'false' ? fallback : value;
  }

  function makeSlots(locales, given) {
    const requested = canonicalizeLocaleList(locales);
    const options = coerceOptions(given, SERVICE);
    const slots = readLocale(requested, options, SERVICE);
    readUnit(options, slots);
    const { style } = slots;
    const option = (name, values, fallback) => getOption(options, name, 'string', values, fallback, SERVICE);
    slots.notation = option('notation', ['standard', 'scientific', 'engineering', 'compact'], 'standard');
    const isMoney = style === 'currency';
    const fraction = isMoney ? currencyDigits(slots.currency) : 0;
    readDigits(options, slots, fraction, isMoney ? fraction : style === 'percent' ? 0 : 3, slots.notation);
    const isCompact = slots.notation === 'compact';
    const compactDisplay = option('compactDisplay', ['short', 'long'], 'short');
    if (isCompact) slots.compactDisplay = compactDisplay;
    slots.useGrouping = readGrouping(options, isCompact ? 'min2' : 'auto');
    slots.signDisplay = option('signDisplay', ['auto', 'never', 'always', 'exceptZero', 'negative'], 'auto');
    const { locale, dataLocale, roundingPriority, ...rest } = slots;
    slots.handle = service(kept, 'number', dataLocale, rest);
    return slots;
  }

  // === numbers ===

  // ToPrimitive with the hint "number".
  function primitiveOf(value) {
    if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return value;
    const isPrimitive = (given) => (typeof given !== 'object' || given === null) && typeof given !== 'function';
    const exotic = value[Symbol.toPrimitive];
    if (exotic !== undefined && exotic !== null) {
      const primitive = apply(exotic, value, ['number']);
      if (isPrimitive(primitive)) return primitive;
    } else {
      for (const name of ['valueOf', 'toString']) {
        const method = value[name];
        const primitive = typeof method === 'function' ? apply(method, value, []) : value;
        if (isPrimitive(primitive)) return primitive;
      }
    }
    throw new TypeError('Cannot convert object to primitive value');
  }

  // ToIntlMathematicalValue: a number, or the exact number as a literal in decimals.
  function mathematicalValue(value) {
    const primitive = primitiveOf(value);
    if (typeof primitive === 'number') return primitive;
    if (typeof primitive === 'bigint') return `${primitive}`;
    const number = toNumber(primitive);
    if (typeof primitive !== 'string' || number === 0 || !Number.isFinite(number)) return number;
    const text = primitive.trim();
    return /^0[box]/i.test(text) ? `${BigInt(text)}` : text;
  }

  function ask(slots, what, value, other) {
    const answer = call(slots.handle, what, value, other);
    if (answer === undefined) throw new RangeError('A number in Intl.NumberFormat has at most 32,767 digits');
    return answer;
  }

  function rangeOf(slots, what, start, end) {
    if (start === undefined) throw new TypeError('Invalid start : undefined');
    if (end === undefined) throw new TypeError('Invalid end : undefined');
    const [first, last] = [mathematicalValue(start), mathematicalValue(end)];
    if (Number.isNaN(first)) throw new RangeError(`Invalid start : ${start}`);
    if (Number.isNaN(last)) throw new RangeError(`Invalid end : ${end}`);
    return ask(slots, what, first, last);
  }

  // === Intl.NumberFormat ===

  const formats = new WeakMap();

  function NumberFormat() {
    const made = new.target === undefined ? Object.create(NumberFormat.prototype) : this;
    formats.set(made, makeSlots(arguments[0], arguments[1]));
    return new.target === undefined ? chained(NumberFormat, this, made) : made;
  }

  const RESOLVED = (
    'locale numberingSystem style currency currencyDisplay currencySign unit unitDisplay minimumIntegerDigits ' +
    'minimumSignificantDigits maximumSignificantDigits minimumFractionDigits maximumFractionDigits useGrouping notation ' +
    'compactDisplay signDisplay roundingMode roundingIncrement trailingZeroDisplay roundingPriority'
  ).split(' ');

  methods(NumberFormat.prototype, {
    resolvedOptions() {
      const slots = unwrapped(formats, NumberFormat, this, `${SERVICE}.prototype.resolvedOptions`);
      return resolvedFrom(slots, RESOLVED);
    },
    formatToParts(value) {
      const slots = slotsOf(formats, this, `${SERVICE}.prototype.formatToParts`);
      return parts(ask(slots, 'parts', mathematicalValue(value)));
    },
    get format() {
      const slots = unwrapped(formats, NumberFormat, this, 'get Intl.NumberFormat.prototype.format');
      slots.format ??= Object.defineProperty((value) => ask(slots, 'format', mathematicalValue(value)), 'name', {
        value: '',
      });
      return slots.format;
    },
    formatRange(start, end) {
      const slots = slotsOf(formats, this, `${SERVICE}.prototype.formatRange`);
      return rangeOf(slots, 'range', start, end);
    },
    formatRangeToParts(start, end) {
      const slots = slotsOf(formats, this, `${SERVICE}.prototype.formatRangeToParts`);
      const flat = JSON.parse(rangeOf(slots, 'rangeParts', start, end));
      const list = [];
      for (let at = 0; at < flat.length; at += 3)
        list.push({ type: flat[at], value: flat[at + 1], source: flat[at + 2] });
      return list;
    },
  });
  define('NumberFormat', NumberFormat);
  shared.intl.readDigits = readDigits;

  // === Intl.RelativeTimeFormat ===

  const relatives = new WeakMap();
  const RELATIVE = 'Intl.RelativeTimeFormat';

  function relative(format, what, value, unit) {
    const method = `${RELATIVE}.prototype.${what === 'parts' ? 'formatToParts' : 'format'}`;
    const slots = slotsOf(relatives, format, method);
    const number = toNumber(primitiveOf(value));
    const text = `${unit}`;
    const single = text.endsWith('s') ? text.slice(0, -1) : text;
    if (!Number.isFinite(number)) throw new RangeError(`Value need to be finite number for ${method}()`);
    if (!TIMES.includes(single)) throw new RangeError(`Invalid unit argument for ${method}() '${text}'`);
    return { answer: ask(slots, what, number, single), single };
  }

  function RelativeTimeFormat() {
    if (new.target === undefined) throw new TypeError(`Constructor ${RELATIVE} requires 'new'`);
    const requested = canonicalizeLocaleList(arguments[0]);
    const options = coerceOptions(arguments[1], RELATIVE);
    const slots = readLocale(requested, options, RELATIVE);
    slots.style = getOption(options, 'style', 'string', ['long', 'short', 'narrow'], 'long', RELATIVE);
    slots.numeric = getOption(options, 'numeric', 'string', ['always', 'auto'], 'always', RELATIVE);
    const { dataLocale, numberingSystem, style, numeric } = slots;
    slots.handle = service(kept, 'relative', dataLocale, { numberingSystem, style, numeric });
    relatives.set(this, slots);
  }

  methods(RelativeTimeFormat.prototype, {
    resolvedOptions() {
      const slots = slotsOf(relatives, this, `${RELATIVE}.prototype.resolvedOptions`);
      return resolvedFrom(slots, ['locale', 'style', 'numeric', 'numberingSystem']);
    },
    format(value, unit) {
      return relative(this, 'format', value, unit).answer;
    },
    formatToParts(value, unit) {
      const { answer, single } = relative(this, 'parts', value, unit);
      return parts(answer).map((part) => (part.type === 'literal' ? part : { ...part, unit: single }));
    },
  });
  define('RelativeTimeFormat', RelativeTimeFormat);

  // === toLocaleString ===

  // The formats of locales without options, by their tags: `x.toLocaleString('de')` in a loop makes one.
  const plain = new Map();

  function slotsFor(locales, options) {
    if (options !== undefined || (locales !== undefined && typeof locales !== 'string'))
      return makeSlots(locales, options);
    return keep(plain, locales, () => makeSlots(locales, undefined));
  }

  function checked(value, kind, type) {
    if (typeof value === type) return value;
    try {
      return apply(kind.prototype.valueOf, value, []);
    } catch {
      throw new TypeError(`${kind.name}.prototype.toLocaleString requires that 'this' be a ${kind.name}`);
    }
  }

  methods(Number.prototype, {
    toLocaleString() {
      const number = checked(this, Number, 'number');
      return ask(slotsFor(arguments[0], arguments[1]), 'format', number);
    },
  });

  methods(BigInt.prototype, {
    toLocaleString() {
      const integer = checked(this, BigInt, 'bigint');
      return ask(slotsFor(arguments[0], arguments[1]), 'format', `${integer}`);
    },
  });

  // The lists in which an element is being written: one in itself is empty there, as with `join`.
  const writing = [];

  function listed(list, length, locales, options) {
    if (writing.includes(list)) return '';
    writing.push(list);
    try {
      let text = '';
      for (let at = 0; at < length; at++) {
        const element = list[at];
        if (at > 0) text += ',';
        if (element !== undefined && element !== null) text += `${element.toLocaleString(locales, options)}`;
      }
      return text;
    } finally {
      writing.pop();
    }
  }

  methods(Array.prototype, {
    toLocaleString() {
      if (this === undefined || this === null)
        throw new TypeError('Array.prototype.toLocaleString called on null or undefined');
      const list = Object(this);
      const length = Math.min(Math.max(Math.trunc(Number(list.length)) || 0, 0), Number.MAX_SAFE_INTEGER);
      return listed(list, length, arguments[0], arguments[1]);
    },
  });

  const TypedArray = Object.getPrototypeOf(Uint8Array);
  const lengthOf = Object.getOwnPropertyDescriptor(TypedArray.prototype, 'length').get;
  methods(TypedArray.prototype, {
    toLocaleString() {
      if (!ArrayBuffer.isView(this) || this instanceof DataView) throw new TypeError('this is not a typed array.');
      return listed(this, apply(lengthOf, this, []), arguments[0], arguments[1]);
    },
  });
});
