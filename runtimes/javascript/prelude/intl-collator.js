// names: Intl localeCompare toLocaleString toLocaleDateString toLocaleTimeString toLocaleUpperCase toLocaleLowerCase
// needs: intl
// Sorting by the rules of a language: Intl.Collator and String.prototype.localeCompare; and toLocaleUpperCase and LowerCase.
(function (native, shared) {
  'use strict';

  const { canonicalizeLocaleList, coerceOptions, define, getOption, methods, resolveLocale, service, slotsOf } =
    shared.intl;
  const { intlAsk, intlCall } = native;
  const { toLowerCase, toUpperCase } = String.prototype;
  const { apply } = Reflect;
  const NAME = 'Intl.Collator';
  // Collations besides the ones for all languages.
  const COLLATIONS = {
    ar: ['compat'],
    bn: ['trad'],
    de: ['phonebk'],
    es: ['trad'],
    fi: ['trad'],
    ja: ['unihan'],
    ko: ['unihan'],
    sv: ['trad'],
    vi: ['trad'],
    zh: ['pinyin', 'stroke', 'unihan', 'zhuyin'],
  };

  const services = new Map();
  const collators = new WeakMap();

  // Options of a locale: without others, the collation that it has; upper case is first in Danish.
  function valuesOf(key, dataLocale) {
    if (key === 'kn') return ['false', 'true'];
    if (key === 'kf') return dataLocale === 'da' ? ['upper', 'lower', 'false'] : ['false', 'lower', 'upper'];
    return [null, 'emoji', 'eor', ...(COLLATIONS[dataLocale.split('-', 1)[0]] ?? [])];
  }

  // The slots of a collator, of which `compare` is made when it is asked for.
  function slotsFor(locales, given) {
    const requested = canonicalizeLocaleList(locales);
    const options = coerceOptions(given, NAME);
    const usage = getOption(options, 'usage', 'string', ['sort', 'search'], 'sort', NAME);
    const opt = { __proto__: null };
    opt.localeMatcher = getOption(options, 'localeMatcher', 'string', ['lookup', 'best fit'], 'best fit', NAME);
    const collation = getOption(options, 'collation', 'string', undefined, undefined, NAME);
    if (collation !== undefined && !/^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i.test(collation))
      throw new RangeError(`Invalid collation : ${collation}`);
    opt.co = collation;
    const numeric = getOption(options, 'numeric', 'boolean', undefined, undefined, NAME);
    opt.kn = numeric === undefined ? undefined : `${numeric}`;
    opt.kf = getOption(options, 'caseFirst', 'string', ['upper', 'lower', 'false'], undefined, NAME);
    const { locale, dataLocale, co, kn, kf } = resolveLocale(
      requested,
      opt,
      ['co', 'kf', 'kn'],
      valuesOf,
      'resolve-collator',
    );
    const sensitivity = getOption(
      options,
      'sensitivity',
      'string',
      ['base', 'accent', 'case', 'variant'],
      'variant',
      NAME,
    );
    const ignorePunctuation = getOption(options, 'ignorePunctuation', 'boolean', undefined, dataLocale === 'th', NAME);
    const handle = service(services, 'collator', locale.split('-u-', 1)[0], {
      sensitivity,
      ignorePunctuation,
      numeric: kn,
      caseFirst: kf,
      // German is searched as it is sorted in phone books; for other languages there are no rules of searching.
      collation: (usage === 'sort' ? co : dataLocale.startsWith('de') ? 'phonebk' : undefined) ?? undefined,
    });
    const resolved = {
      locale,
      usage,
      sensitivity,
      ignorePunctuation,
      collation: usage === 'sort' ? (co ?? 'default') : 'default',
      numeric: kn === 'true',
      caseFirst: kf,
    };
    return { handle, resolved, compare: undefined };
  }

  function order(handle, left, right) {
    return left === right ? 0 : intlCall(handle, 'compare', left, right);
  }

  function Collator() {
    const own = new.target === undefined ? Object.create(Collator.prototype) : this;
    collators.set(own, slotsFor(arguments[0], arguments[1]));
    return own;
  }

  methods(Collator.prototype, {
    resolvedOptions() {
      return { ...slotsOf(collators, this, 'Intl.Collator.prototype.resolvedOptions').resolved };
    },
    get compare() {
      const slots = slotsOf(collators, this, 'get Intl.Collator.prototype.compare');
      if (slots.compare === undefined) {
        const { handle } = slots;
        slots.compare = (left, right) => order(handle, `${left}`, `${right}`);
        Object.defineProperty(slots.compare, 'name', { value: '' });
      }
      return slots.compare;
    },
  });
  define('Collator', Collator, NAME, 'resolve-collator');
  shared.intl.supportedValues.collation = [
    'compat',
    'emoji',
    'eor',
    'phonebk',
    'pinyin',
    'stroke',
    'trad',
    'unihan',
    'zhuyin',
  ];

  // === methods of strings ===

  // Collators of calls without options, by the tag that was given.
  const simple = new Map();

  function collatorFor(locales, options) {
    const isSimple = options === undefined && (locales === undefined || typeof locales === 'string');
    let slots = isSimple ? simple.get(locales) : undefined;
    if (slots !== undefined) return slots;
    slots = slotsFor(locales, options);
    if (isSimple) {
      if (simple.size >= 16) simple.clear();
      simple.set(locales, slots);
    }
    return slots;
  }

  function textOf(value, method) {
    if (value === undefined || value === null)
      throw new TypeError(`String.prototype.${method} called on null or undefined`);
    return `${value}`;
  }

  // Languages with rules of their own, as V8 has them.
  const CASED = ['az', 'el', 'lt', 'tr'];

  function changed(text, locales, how, otherwise) {
    const tag = locales === undefined ? undefined : canonicalizeLocaleList(locales)[0];
    const language = tag?.split('-', 1)[0];
    if (!CASED.includes(language)) return apply(otherwise, text, []);
    // Lone surrogates stay what they are.
    if (text.isWellFormed()) return intlAsk('case', `${how}-${language}`, text);
    return text.replace(/[^\p{Cs}]+/gu, (part) => intlAsk('case', `${how}-${language}`, part));
  }

  methods(String.prototype, {
    localeCompare(that) {
      const [left, right] = [textOf(this, 'localeCompare'), `${that}`];
      return order(collatorFor(arguments[1], arguments[2]).handle, left, right);
    },
    toLocaleUpperCase() {
      return changed(textOf(this, 'toLocaleUpperCase'), arguments[0], 'upper', toUpperCase);
    },
    toLocaleLowerCase() {
      return changed(textOf(this, 'toLocaleLowerCase'), arguments[0], 'lower', toLowerCase);
    },
  });
});
