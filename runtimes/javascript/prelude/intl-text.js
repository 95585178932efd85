// names: Intl localeCompare toLocaleString toLocaleDateString toLocaleTimeString toLocaleUpperCase toLocaleLowerCase
// needs: intl intl-number
// Intl.PluralRules, Intl.ListFormat and Intl.Segmenter.
(function (native, shared) {
  'use strict';

  const {
    canonicalizeLocaleList,
    coerceOptions,
    define,
    getOption,
    getOptionsObject,
    readDigits,
  } = shared.intl;
  const { methods, resolvedFrom, resolveLocale, service, slotsOf, toNumber } = shared.intl;
  const { intlCall } = native;
  const MATCHERS = ['lookup', 'best fit'];
  const none = () => [null];

  const services = new Map();

  function requireNew(target, name) {
    if (target === undefined) throw new TypeError(`Constructor ${name} requires 'new'`);
  }

  // === Intl.PluralRules ===

  const rules = new WeakMap();
  const SERVICE = 'Intl.PluralRules';

  const NOTATIONS = ['standard', 'compact', 'scientific', 'engineering'];
  const RESOLVED = (
    'locale type notation compactDisplay minimumIntegerDigits minimumFractionDigits maximumFractionDigits ' +
    'minimumSignificantDigits maximumSignificantDigits pluralCategories roundingIncrement roundingMode ' +
    'roundingPriority trailingZeroDisplay'
  ).split(' ');

  // Whether numbers are written without an exponent and rounded as they are without options.
  const isPlain = ({ notation, roundingIncrement, roundingMode, roundingPriority, trailingZeroDisplay }) =>
    notation === 'standard' &&
    roundingIncrement === 1 &&
    roundingMode === 'halfExpand' &&
    roundingPriority === 'auto' &&
    trailingZeroDisplay === 'auto';

  function PluralRules() {
    requireNew(new.target, SERVICE);
    const requested = canonicalizeLocaleList(arguments[0]);
    const options = coerceOptions(arguments[1], SERVICE);
    const option = (name, values, fallback) => getOption(options, name, 'string', values, fallback, SERVICE);
    option('localeMatcher', MATCHERS, 'best fit');
    const slots = { __proto__: null, type: option('type', ['cardinal', 'ordinal'], 'cardinal') };
    slots.notation = option('notation', NOTATIONS, 'standard');
    const compactDisplay = option('compactDisplay', ['short', 'long'], 'short');
    if (slots.notation === 'compact') slots.compactDisplay = compactDisplay;
    readDigits(options, slots, 0, 3, slots.notation);
    const { locale, dataLocale } = resolveLocale(requested, {}, [], none, 'resolve-plurals');
    const handle = service(services, 'plurals', locale, slots);
    // Other numbers are looked at by what writes them in NumberFormat.
    const written = isPlain(slots) ? undefined : service(services, 'number', dataLocale, slots);
    rules.set(this, { ...slots, locale, handle, written });
  }

  const ofRange = (value, name) => {
    const number = toNumber(value);
    if (Number.isNaN(number)) throw new RangeError(`Invalid ${name} : NaN`);
    return number;
  };

  methods(PluralRules.prototype, {
    resolvedOptions() {
      const slots = slotsOf(rules, this, 'Intl.PluralRules.prototype.resolvedOptions');
      const pluralCategories = intlCall(slots.handle, 'categories').split(' ');
      return resolvedFrom({ __proto__: null, ...slots, pluralCategories }, RESOLVED);
    },
    select(value) {
      const { handle, written } = slotsOf(rules, this, 'Intl.PluralRules.prototype.select');
      const number = toNumber(value);
      return written === undefined ? intlCall(handle, 'select', number) : intlCall(written, 'plural', number);
    },
    selectRange(start, end) {
      const { handle, written } = slotsOf(rules, this, 'Intl.PluralRules.prototype.selectRange');
      if (start === undefined) throw new TypeError('Invalid startRange : undefined');
      if (end === undefined) throw new TypeError('Invalid endRange : undefined');
      const [first, last] = [ofRange(start, 'startRange'), ofRange(end, 'endRange')];
      if (written !== undefined) return intlCall(written, 'pluralRange', first, last);
      return intlCall(handle, 'selectRange', first, last);
    },
  });
  define('PluralRules', PluralRules, SERVICE, 'resolve-plurals');

  // === Intl.ListFormat ===

  const formats = new WeakMap();

  function ListFormat() {
    requireNew(new.target, 'Intl.ListFormat');
    const requested = canonicalizeLocaleList(arguments[0]);
    const options = getOptionsObject(arguments[1]);
    getOption(options, 'localeMatcher', 'string', MATCHERS, 'best fit', 'Intl.ListFormat');
    const { locale, dataLocale } = resolveLocale(requested, {}, [], none);
    const type = getOption(
      options,
      'type',
      'string',
      ['conjunction', 'disjunction', 'unit'],
      'conjunction',
      'Intl.ListFormat',
    );
    const style = getOption(options, 'style', 'string', ['long', 'short', 'narrow'], 'long', 'Intl.ListFormat');
    formats.set(this, {
      handle: service(services, 'lists', dataLocale, { type, style }),
      resolved: { locale, type, style },
    });
  }

  function textsOf(list) {
    if (list === undefined) return [];
    const texts = [];
    for (const text of list) {
      if (typeof text !== 'string') throw new TypeError(`Iterable yielded ${String(text)} which is not a string`);
      texts.push(text);
    }
    return texts;
  }

  // The texts around the elements: one more than there are elements.
  function between(handle, texts) {
    if (texts.length === 0) return [''];
    return JSON.parse(intlCall(handle, 'between', texts.map((text) => text.replaceAll('\0', ' ')).join('\0')));
  }

  methods(ListFormat.prototype, {
    resolvedOptions() {
      return { ...slotsOf(formats, this, 'Intl.ListFormat.prototype.resolvedOptions').resolved };
    },
    format(list) {
      const { handle } = slotsOf(formats, this, 'Intl.ListFormat.prototype.format');
      const texts = textsOf(list);
      return String.raw({ raw: between(handle, texts) }, ...texts);
    },
    formatToParts(list) {
      const { handle } = slotsOf(formats, this, 'Intl.ListFormat.prototype.formatToParts');
      const texts = textsOf(list);
      const parts = [];
      // Nothing is no part, and what stands around it is one text.
      const push = (type, value) => {
        if (value === '') return;
        const last = parts.at(-1);
        if (type === 'literal' && last?.type === 'literal') last.value += value;
        else parts.push({ type, value });
      };
      between(handle, texts).forEach((text, at) => {
        push('literal', text);
        if (at < texts.length) push('element', texts[at]);
      });
      return parts;
    },
  });
  define('ListFormat', ListFormat);

  // === Intl.Segmenter ===

  const segmenters = new WeakMap();
  const cut = new WeakMap();
  const iterators = new WeakMap();

  function Segmenter() {
    requireNew(new.target, 'Intl.Segmenter');
    const requested = canonicalizeLocaleList(arguments[0]);
    const options = getOptionsObject(arguments[1]);
    getOption(options, 'localeMatcher', 'string', MATCHERS, 'best fit', 'Intl.Segmenter');
    const { locale, dataLocale } = resolveLocale(requested, {}, [], none, 'resolve-segments');
    const granularity = getOption(
      options,
      'granularity',
      'string',
      ['grapheme', 'word', 'sentence'],
      'grapheme',
      'Intl.Segmenter',
    );
    segmenters.set(this, {
      handle: service(services, 'segments', dataLocale, { granularity }),
      resolved: { locale, granularity },
    });
  }

  // Where the segments begin, and which are like words: found when the first is asked for.
  function found(slots) {
    if (slots.starts === undefined) {
      const lengths = JSON.parse(intlCall(slots.handle, 'lengths', slots.text));
      let at = 0;
      slots.starts = lengths.map((length) => {
        const start = at;
        at += Math.abs(length);
        return start;
      });
      slots.words = slots.isWords ? lengths.map((length) => length < 0) : undefined;
    }
    return slots;
  }

  function segmentAt({ starts, words, text }, number) {
    const index = starts[number];
    const data = { segment: text.slice(index, starts[number + 1]), index, input: text };
    if (words !== undefined) data.isWordLike = words[number];
    return data;
  }

  const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  const SegmentIterator = Object.create(IteratorPrototype);
  methods(SegmentIterator, {
    next() {
      const state = slotsOf(iterators, this, '%SegmentIterator.prototype%.next');
      const { starts } = found(state.slots);
      if (state.at >= starts.length) return { value: undefined, done: true };
      return { value: segmentAt(state.slots, state.at++), done: false };
    },
  });
  Object.defineProperty(SegmentIterator, Symbol.toStringTag, {
    value: 'Segmenter String Iterator',
    configurable: true,
  });

  const SegmentsPrototype = {};
  methods(SegmentsPrototype, {
    containing(position) {
      const slots = slotsOf(cut, this, '%SegmentsPrototype%.containing');
      const index = Math.trunc(toNumber(position)) || 0;
      if (index < 0 || index >= slots.text.length) return undefined;
      const { starts } = found(slots);
      let [low, high] = [0, starts.length];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (starts[middle] <= index) low = middle;
        else high = middle;
      }
      return segmentAt(slots, low);
    },
    [Symbol.iterator]() {
      const slots = slotsOf(cut, this, '%SegmentsPrototype%[Symbol.iterator]');
      const iterator = Object.create(SegmentIterator);
      iterators.set(iterator, { slots, at: 0 });
      return iterator;
    },
  });

  methods(Segmenter.prototype, {
    resolvedOptions() {
      return { ...slotsOf(segmenters, this, 'Intl.Segmenter.prototype.resolvedOptions').resolved };
    },
    segment(text) {
      const { handle, resolved } = slotsOf(segmenters, this, 'Intl.Segmenter.prototype.segment');
      const segments = Object.create(SegmentsPrototype);
      cut.set(segments, { handle, text: `${text}`, isWords: resolved.granularity === 'word' });
      return segments;
    },
  });
  define('Segmenter', Segmenter, 'Intl.Segmenter', 'resolve-segments');
});
