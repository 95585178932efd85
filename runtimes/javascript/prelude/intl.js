// names: Intl localeCompare toLocaleString toLocaleDateString toLocaleTimeString toLocaleUpperCase toLocaleLowerCase
// Languages, the second engine's: the object Intl, tags of locales, and for the files behind it the operations of ECMA-402,
// under their names there. Texts of errors are V8's.
(function (native, shared) {
  'use strict';

  const DEFAULT = { locale: 'en-US', dataLocale: 'en' };
  const { intlAsk, intlCall, intlMake } = native;
  const { apply } = Reflect;
  // Without regard to what a script makes of `instanceof`.
  const isInstance = Function.prototype[Symbol.hasInstance];
  const { replace: replaceText, split: splitText, toLowerCase } = String.prototype;
  // Services that a file keeps, by their kind, locale and options.
  const KEPT_MAX = 64;

  const Intl = {};
  Object.defineProperty(Intl, Symbol.toStringTag, { value: 'Intl', configurable: true });
  Object.defineProperty(globalThis, 'Intl', { value: Intl, writable: true, enumerable: false, configurable: true });

  const invalid = () => new RangeError('Incorrect locale information provided');

  // === options ===

  function coerceOptions(options, service) {
    if (options === undefined) return Object.create(null);
    if (options === null)
      throw new TypeError(
        service === undefined ? 'Cannot convert undefined or null to object' : `${service} called on null or undefined`,
      );
    return Object(options);
  }

  function getOptionsObject(options) {
    if (options === undefined) return Object.create(null);
    if (options === null || (typeof options !== 'object' && typeof options !== 'function'))
      throw new TypeError('invalid_argument');
    return options;
  }

  const outOfRange = (value, service, property) =>
    new RangeError(`Value ${value} out of range for ${service} options property ${property}`);

  function getOption(options, property, type, values, fallback, service = 'Intl') {
    let value = options[property];
    if (value === undefined) return fallback;
    value = type === 'boolean' ? Boolean(value) : `${value}`;
    if (values !== undefined && !values.includes(value)) throw outOfRange(value, service, property);
    return value;
  }

  function getBooleanOrStringNumberFormatOption(
    options,
    property,
    stringValues,
    fallback,
    service = 'Intl.NumberFormat',
  ) {
    const value = options[property];
    if (value === undefined) return fallback;
    if (value === true) return true;
    if (!value) return false;
    const text = `${value}`;
    if (!stringValues.includes(text)) throw outOfRange(text, service, property);
    return text;
  }

  function defaultNumberOption(value, min, max, fallback, property) {
    if (value === undefined) return fallback;
    const number = Number(value);
    if (!(number >= min && number <= max)) throw new RangeError(`${property} value is out of range.`);
    return Math.floor(number);
  }

  function getNumberOption(options, property, min, max, fallback) {
    return defaultNumberOption(options[property], min, max, fallback, property);
  }

  // === tags ===

  // The canonical form of a tag.
  function canonicalTag(tag) {
    const canonical = intlAsk('locale', 'canonicalize', tag);
    if (canonical === undefined) throw invalid();
    return canonical;
  }

  const locales = new WeakMap();

  function tagOf(value) {
    if (typeof value !== 'string' && (typeof value !== 'object' || value === null) && typeof value !== 'function')
      throw new TypeError('Language ID should be string or object.');
    return locales.get(value) ?? canonicalTag(`${value}`);
  }

  function canonicalizeLocaleList(list) {
    if (list === undefined) return [];
    if (typeof list === 'string' || locales.has(list)) return [tagOf(list)];
    if (list === null) throw new TypeError('Cannot convert undefined or null to object');
    const given = Object(list);
    // Lists and objects of options are made so that nothing on Array.prototype and Object.prototype is called.
    let tags = [];
    const length = Math.min(Math.max(Math.trunc(Number(given.length)) || 0, 0), Number.MAX_SAFE_INTEGER);
    for (let at = 0; at < length; at++) {
      if (!(at in given)) continue;
      const tag = tagOf(given[at]);
      if (!tags.includes(tag)) tags = [...tags, tag];
    }
    return tags;
  }

  // A canonical tag in three parts: the language, the keywords of its Unicode extension as a Map, and what is behind it.
  // The extension's attributes are of no use.
  function partsOfTag(tag) {
    const keywords = new Map();
    const subtags = apply(splitText, tag, ['-']);
    let language = subtags[0];
    let [others, singleton] = ['', ''];
    let key;
    for (let at = 1; at < subtags.length; at++) {
      const subtag = subtags[at];
      if (subtag.length === 1 && singleton !== 'x') {
        singleton = subtag;
        key = undefined;
        if (singleton === 'u') continue;
      }
      if (singleton === '') language += `-${subtag}`;
      else if (singleton !== 'u') others += others === '' ? subtag : `-${subtag}`;
      else if (subtag.length === 2) keywords.set((key = subtag), '');
      else if (key !== undefined)
        keywords.set(key, keywords.get(key) === '' ? subtag : `${keywords.get(key)}-${subtag}`);
    }
    return { language, keywords, others };
  }

  // The value of a keyword as it is canonical: `ca` of "islamicc" is "islamic-civil".
  function canonicalValue(key, value) {
    const lower = apply(toLowerCase, value, []);
    const tag = intlAsk('locale', 'canonicalize', `und-u-${key}-${lower}`);
    return tag === undefined ? lower : (partsOfTag(tag).keywords.get(key) ?? lower) || 'true';
  }

  // === locales ===

  // The locale that is there for a canonical tag and the one of its data; undefined if there is none. `table` is "resolve",
  // or "resolve-…" for a service that distinguishes fewer locales.
  function bestAvailable(table, tag) {
    const found = intlAsk('locale', table, partsOfTag(tag).language);
    if (found === undefined) return undefined;
    const [locale, dataLocale] = apply(splitText, found, [' ']);
    return { locale, dataLocale };
  }

  // The keys are sorted.
  function resolveLocale(requestedLocales, opt, relevantExtensionKeys, valuesOf, table = 'resolve') {
    let [found, keywords] = [DEFAULT, new Map()];
    for (const tag of requestedLocales) {
      const available = bestAvailable(table, tag);
      if (available === undefined) continue;
      found = available;
      keywords = partsOfTag(tag).keywords;
      break;
    }
    const { locale, dataLocale } = found;
    const result = { __proto__: null, locale, dataLocale };
    let extension = '';
    for (const key of relevantExtensionKeys) {
      const values = valuesOf(key, dataLocale);
      let value = values[0];
      let supported = '';
      if (keywords.has(key)) {
        const requested = keywords.get(key);
        if (requested !== '' && values.includes(requested)) {
          value = requested;
          supported = `-${key}-${value}`;
        } else if (requested === '' && values.includes('true')) {
          value = 'true';
          supported = `-${key}`;
        }
      }
      let option = opt[key];
      if (typeof option === 'string') {
        if (!values.includes(option)) option = canonicalValue(key, option);
        if (option === '') option = 'true';
      }
      if (option !== undefined && option !== value && values.includes(option)) {
        value = option;
        supported = '';
      }
      result[key] = value;
      extension += supported;
    }
    if (extension !== '') result.locale = `${locale}-u${extension}`;
    return result;
  }

  function supportedLocales(requested, options, service, table) {
    const { localeMatcher } = coerceOptions(options, service);
    if (localeMatcher !== undefined)
      getOption({ localeMatcher }, 'localeMatcher', 'string', ['lookup', 'best fit'], undefined, service);
    return requested.filter((tag) => bestAvailable(table, tag) !== undefined);
  }

  const supportedLocalesOf = (list, options) =>
    supportedLocales(canonicalizeLocaleList(list), options, 'Intl', 'resolve');

  // === what the other files share ===

  // Options for `intlMake`: what is undefined is left out.
  function textOfOptions(object) {
    let text = '';
    for (const name of Object.keys(object)) if (object[name] !== undefined) text += `${name}=${object[name]}\n`;
    return text;
  }

  // The parts that stand in JSON one behind the other as types and values.
  function parts(json) {
    const flat = JSON.parse(json);
    const list = [];
    for (let at = 0; at < flat.length; at += 2) list.push({ type: flat[at], value: flat[at + 1] });
    return list;
  }

  // A service, kept for the next that wants the same. `kept` is the Map of the file that asks.
  function service(kept, kind, locale, options) {
    const text = typeof options === 'string' ? options : textOfOptions(options);
    return keep(kept, `${kind} ${locale} ${text}`, () => {
      const made = intlMake(kind, locale, text);
      if (made === undefined) throw new RangeError('Internal error. Icu error.');
      return made;
    });
  }

  // What is kept for a key; made now, if nothing is.
  function keep(kept, key, make) {
    let made = kept.get(key);
    if (made === undefined) {
      made = make();
      if (kept.size >= KEPT_MAX) kept.clear();
      kept.set(key, made);
    }
    return made;
  }

  function receiverText(value) {
    if (typeof value !== 'object' || value === null) return typeof value === 'string' ? value : `${String(value)}`;
    const { constructor } = value;
    return Array.isArray(value)
      ? '[object Array]'
      : `#<${typeof constructor === 'function' ? constructor.name || 'Object' : 'Object'}>`;
  }

  // What an object has in a WeakMap, for a method that is named in the error.
  function slotsOf(map, value, method) {
    const slots = typeof value === 'object' && value !== null ? map.get(value) : undefined;
    if (slots === undefined)
      throw new TypeError(`Method ${method} called on incompatible receiver ${receiverText(value)}`);
    return slots;
  }

  // What resolvedOptions gives: those slots of the names that are set.
  function resolvedFrom(slots, names) {
    const options = { __proto__: null };
    for (const name of names) if (slots[name] !== undefined) options[name] = slots[name];
    return { ...options };
  }

  // ToNumber
  function toNumber(value) {
    if (typeof value === 'bigint' || typeof value === 'symbol')
      throw new TypeError(`Cannot convert a ${typeof value === 'bigint' ? 'BigInt' : 'Symbol'} value to a number`);
    return Number(value);
  }

  // === constructors that are functions as well ===

  const fallbackSymbol = Symbol('IntlLegacyConstructedSymbol');

  // ChainNumberFormat, ChainDateTimeFormat: an object of before there were classes is given what was made.
  function chained(constructor, receiver, made) {
    if (!apply(isInstance, constructor, [receiver])) return made;
    Object.defineProperty(receiver, fallbackSymbol, { __proto__: null, value: made });
    return receiver;
  }

  // UnwrapNumberFormat, UnwrapDateTimeFormat: the slots of what was made.
  function unwrapped(map, constructor, value, method) {
    const isWrapped = !map.has(value) && apply(isInstance, constructor, [value]);
    return slotsOf(map, isWrapped ? value[fallbackSymbol] : value, method);
  }

  // === constructors ===

  const hide = (object) => {
    for (const name of Reflect.ownKeys(object)) {
      const descriptor = Object.getOwnPropertyDescriptor(object, name);
      if (descriptor.configurable) Object.defineProperty(object, name, { ...descriptor, enumerable: false });
    }
  };

  // Puts a constructor on Intl.
  function define(name, constructor, tag = `Intl.${name}`, table = 'resolve') {
    hide(constructor.prototype);
    Object.defineProperty(constructor.prototype, Symbol.toStringTag, { value: tag, configurable: true });
    Object.defineProperty(constructor, 'prototype', { writable: false });
    if (table !== undefined && table !== null) {
      const { supportedLocalesOf: method } = {
        supportedLocalesOf(list) {
          return supportedLocales(canonicalizeLocaleList(list), arguments[1], `Intl.${name}.supportedLocalesOf`, table);
        },
      };
      Object.defineProperty(constructor, 'supportedLocalesOf', { value: method, writable: true, configurable: true });
    }
    Object.defineProperty(Intl, name, { value: constructor, writable: true, configurable: true });
  }

  // Methods of a prototype or constructor, from an object literal.
  function methods(object, literal) {
    for (const name of Reflect.ownKeys(literal))
      Object.defineProperty(object, name, { ...Object.getOwnPropertyDescriptor(literal, name), enumerable: false });
  }

  // Lists for Intl.supportedValuesOf; the files with the data set them.
  const supportedValues = {
    calendar: ['gregory', 'iso8601'],
    collation: [],
    currency: [],
    numberingSystem: [],
    timeZone: ['UTC'],
    unit: [],
  };

  methods(Intl, {
    getCanonicalLocales(list) {
      return canonicalizeLocaleList(list);
    },
    supportedValuesOf(key) {
      const name = `${key}`;
      if (!Object.hasOwn(supportedValues, name)) throw new RangeError(`Invalid key : ${name}`);
      return [...supportedValues[name]];
    },
  });

  // === Intl.Locale ===

  const LANGUAGE = /^(?:[a-z]{2,3}|[a-z]{5,8})$/i;
  const SCRIPT = /^[a-z]{4}$/i;
  const REGION = /^(?:[a-z]{2}|\d{3})$/i;
  const VARIANTS = /^(?:[a-z0-9]{5,8}|\d[a-z0-9]{3})(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*$/i;
  const TYPE = /^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i;
  const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
  const KEYWORDS = [
    ['calendar', 'ca'],
    ['collation', 'co'],
    ['firstDayOfWeek', 'fw'],
    ['hourCycle', 'hc', ['h11', 'h12', 'h23', 'h24']],
    ['caseFirst', 'kf', ['upper', 'lower', 'false']],
    ['numeric', 'kn'],
    ['numberingSystem', 'nu'],
  ];

  // The language, script, region and variants of a canonical tag's beginning.
  function subtagsOf(language) {
    const subtags = apply(splitText, language, ['-']);
    const [first] = subtags;
    let at = 1;
    const script = SCRIPT.test(subtags[at] ?? '') ? subtags[at++] : undefined;
    const region = REGION.test(subtags[at] ?? '') ? subtags[at++] : undefined;
    return { language: first, script, region, variants: subtags.slice(at) };
  }

  function subtagOption(options, name, pattern) {
    const value = getOption(options, name, 'string', undefined, undefined, 'locale');
    if (value !== undefined && !pattern.test(value)) throw invalid();
    return value;
  }

  // A tag with other subtags, where options name them.
  function withSubtags(tag, options) {
    const language = subtagOption(options, 'language', LANGUAGE);
    const script = subtagOption(options, 'script', SCRIPT);
    const region = subtagOption(options, 'region', REGION);
    const variants = subtagOption(options, 'variants', VARIANTS);
    if ((language ?? script ?? region ?? variants) === undefined) return tag;
    const { language: beginning } = partsOfTag(tag);
    const own = subtagsOf(beginning);
    const more = variants === undefined ? own.variants : [variants];
    const subtags = [language ?? own.language, script ?? own.script, region ?? own.region, ...more];
    return canonicalTag(subtags.filter((subtag) => subtag !== undefined).join('-') + tag.slice(beginning.length));
  }

  // A tag with other keywords, where options name them.
  function withKeywords(tag, options) {
    const given = [];
    for (const [name, key, values] of KEYWORDS) {
      let value = getOption(options, name, key === 'kn' ? 'boolean' : 'string', values, undefined, 'locale');
      if (value === undefined) continue;
      if (key === 'fw' && /^[0-7]$/.test(value)) value = DAYS[value];
      if (key !== 'kn' && values === undefined && !TYPE.test(value)) throw invalid();
      given.push([key, `${value}`]);
    }
    if (given.length === 0) return tag;
    const { language, keywords, others } = partsOfTag(tag);
    for (const [key, value] of given) keywords.set(key, value);
    let extension = '';
    for (const [key, value] of keywords) extension += value === '' ? `-${key}` : `-${key}-${value}`;
    const attributes = /-u((?:-[a-z0-9]{3,8})+)/.exec(apply(replaceText, tag, [/-x-.*$/, '']))?.[1] ?? '';
    return canonicalTag(`${language}-u${attributes}${extension}${others === '' ? '' : `-${others}`}`);
  }

  const tagIn = (locale, name) => slotsOf(locales, locale, `Intl.Locale.prototype.${name}`);

  function made(tag) {
    return new Locale(tag);
  }

  function Locale(tag) {
    if (new.target === undefined) throw new TypeError("Constructor Intl.Locale requires 'new'");
    if (typeof tag !== 'string' && (typeof tag !== 'object' || tag === null) && typeof tag !== 'function')
      throw new TypeError("First argument to Intl.Locale constructor can't be empty or missing");
    const options = coerceOptions(arguments[1], 'Intl.Locale');
    const given = locales.get(tag) ?? `${tag}`;
    if (given === '') throw new RangeError("First argument to Intl.Locale constructor can't be empty or missing");
    locales.set(this, withKeywords(withSubtags(canonicalTag(given), options), options));
  }

  const keywordIn = (locale, name, key) => {
    const value = partsOfTag(tagIn(locale, name)).keywords.get(key);
    return value === '' ? 'true' : value;
  };

  // What is known of a locale's region and language: each a list or an object in JSON.
  function informed(tag, name) {
    return JSON.parse(intlAsk('locale', name, tag) ?? 'null') ?? undefined;
  }

  methods(Locale.prototype, {
    toString() {
      return tagIn(this, 'toString');
    },
    maximize() {
      return made(intlAsk('locale', 'maximize', tagIn(this, 'maximize')));
    },
    minimize() {
      return made(intlAsk('locale', 'minimize', tagIn(this, 'minimize')));
    },
    get language() {
      const { language } = subtagsOf(partsOfTag(tagIn(this, 'language')).language);
      return language === 'und' ? undefined : language;
    },
    get script() {
      return subtagsOf(partsOfTag(tagIn(this, 'script')).language).script;
    },
    get region() {
      return subtagsOf(partsOfTag(tagIn(this, 'region')).language).region;
    },
    get variants() {
      return subtagsOf(partsOfTag(tagIn(this, 'variants')).language).variants.join('-') || undefined;
    },
    get baseName() {
      return partsOfTag(tagIn(this, 'baseName')).language;
    },
    get calendar() {
      return keywordIn(this, 'calendar', 'ca');
    },
    get caseFirst() {
      return partsOfTag(tagIn(this, 'caseFirst')).keywords.get('kf');
    },
    get collation() {
      return keywordIn(this, 'collation', 'co');
    },
    get firstDayOfWeek() {
      return partsOfTag(tagIn(this, 'firstDayOfWeek')).keywords.get('fw');
    },
    get hourCycle() {
      return keywordIn(this, 'hourCycle', 'hc');
    },
    get numeric() {
      return keywordIn(this, 'numeric', 'kn') === 'true';
    },
    get numberingSystem() {
      return keywordIn(this, 'numberingSystem', 'nu');
    },
  });

  // Getters as Node.js 20 has them, and the methods that ECMA-402 made of them.
  const INFORMATION = 'calendars collations hourCycles numberingSystems textInfo timeZones weekInfo'.split(' ');
  for (const name of INFORMATION) {
    const method = `get${name[0].toUpperCase()}${name.slice(1)}`;
    methods(Locale.prototype, {
      get [name]() {
        return informed(tagIn(this, name), name);
      },
      [method]() {
        const told = informed(tagIn(this, method), name);
        if (name === 'weekInfo') delete told.minimalDays;
        return told;
      },
    });
  }
  define('Locale', Locale, 'Intl.Locale', null);

  shared.intl = {
    bestAvailable,
    call: intlCall,
    canonicalizeLocaleList,
    chained,
    coerceOptions,
    define,
    defaultNumberOption,
    getBooleanOrStringNumberFormatOption,
    getNumberOption,
    getOption,
    getOptionsObject,
    keep,
    methods,
    parts,
    partsOfTag,
    resolvedFrom,
    resolveLocale,
    service,
    slotsOf,
    supportedLocalesOf,
    supportedValues,
    textOfOptions,
    toNumber,
    unwrapped,
  };
});
