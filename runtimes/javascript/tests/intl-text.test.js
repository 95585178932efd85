// Tags of locales, sorting, plurals, lists and segments, beside those of Node.js: for the engine that knows languages.
//
// Where the results differ from those of Node.js 20 (ICU 78.2), and what they are here:
// - `usage: 'search'`: there are no rules for searching. German is searched as in phone books, other languages as they are sorted.
// - `ignorePunctuation: false` counts in Thai as well; Node.js does not heed it there.
// - `resolvedOptions().collation` of "zh-u-co-pinyin" and "zh-u-co-stroke" is "pinyin" and "stroke"; Node.js has "default".
// - Plurals of numbers of 10^18 and more: ICU looks at the last 18 digits alone.
// - Words in Japanese kana: the longest word counts, "ひらが¦な". Node.js looks for the likeliest words, "ひ¦ら¦が¦な".
// - Tags of languages with five to eight letters are not taken; there are none. Some texts of errors name less.
// - What ECMA-402 has got since: `variants`, `firstDayOfWeek` and methods such as `getCalendars` of Intl.Locale; `notation` and
//   rounding of Intl.PluralRules, which its `resolvedOptions` names.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest, LOCALES: DATA, skipTexts } = require('./intl.js');

// And some that have the data of another.
const LOCALES = [...DATA, 'en-US', 'no', 'pt-BR', 'zh-TW', 'zh-HK', 'de-LU', 'es-AR'];

const WORDS = (
  'a A á Á ä Ä à â å Å ã ā ą aa AA ae æ Æ b B c C č ć ç ch Ch cs d ď dz dž đ ð e é è ê ë ě ę f g ğ gy h i ı I İ í j k l ł ll lj m n ' +
  'ñ ň ng nj ny o ó ö ø ő ô œ p q r ř rr s š ś ş ß ss sz t ť ț th u ú ü ű ū v w x y ý ÿ z ž ź ż zs þ cote coté côte côté résumé ' +
  'resume Resume Résumé co-op coop CO-OP a-b ab a.b a_b 1 2 10 9 100 a1 a2 a10 A1 - _ . , ! ? @ # $ € % & * ( ~ + = < | а б в г ґ д ' +
  'е ё є ж з и і ї й к ђ љ њ ћ џ ў А Ё α ά β γ Α Ω ω ώ א ב ג ש ا أ إ آ ب ت ة ه ى ي ی ک گ پ अ आ क ख क्ष ज्ञ অ ক ক্ষ ৎ ก ข เก แก ไก ๆ ฯ ' +
  'กา กะ あ ア ｱ ァ が ガ か カー かあ 日 本 日本 中 国 國 東京 大阪 가 각 나 ㄱ 한국 漢 字 一 二 三 人 龍 龙 张 王 李 陈 阿 吧 😀 👍 🇩🇪 ☂ ｅ ① Ⅳ ﬁ ½ ǆ ไทย'
).split(' ');

// What a function gives for data, in Node.js and in the guest: objects of results by their names.
function both(work, data) {
  const source = `const work = ${work};\nmodule.exports = (data) => (void Intl, work(data));`;
  const guest = new Guest(source);
  assert.equal(guest.error, undefined);
  const { result, error } = guest.call(data);
  assert.equal(error, undefined);
  return { here: result, there: JSON.parse(JSON.stringify(work(JSON.parse(JSON.stringify(data))))) };
}

// The names of results that differ, but for those that a pattern knows. Says how many were compared.
function compare(t, work, data, known = /^$/) {
  const { here, there } = both(work, data);
  assert.deepEqual(Object.keys(here), Object.keys(there));
  const names = Object.keys(there).filter((name) => !known.test(name));
  assert.ok(names.length > 0);
  t.diagnostic(`${names.length} results, ${LOCALES.length} locales`);
  for (const name of names) assert.deepEqual(here[name], there[name], name);
}

const TAGS = (
  'zh-Hant-US sr-Latn-HU en-XX es-XX nn-SE en-Latn-US en-Shaw zh-Latn ar-Latn hi-Latn-US de-DE-1996 zh-yue yue gsw ca-valencia ' +
  'sr-Cyrl-XX fil kk-KZ nb-SJ de-XX-x-foo x-foo i-klingon en-GB-oed art-lojban zh-min zh-min-nan sgn-BE-FR cel-gaulish ' +
  'de-u-co-phonebk de-u-ca en-t-fr en-t-fr-m0-true en-u-foo-bar-ca-gregory und root und-Latn de-DE-u-attr-co-phonebk-x-priv ' +
  'en-u-ca-islamicc en-u-kn-true en-u-kn en-u-ks-primary en-u-tz-cnckg ru-SU sh-ME mo-RO hy-arevela aa-saaho en-UK en-BU cmn no jw ' +
  'iw in ji tl de_DE e -en en--us en-USA abcdefghi EN-us ja-jp-u-ca-japanese th-TH-u-nu-thai en-u-rg-gbzzzz sl-nedis-rozaj ' +
  'sl-rozaj-nedis en-x-u-foo xx und-US mul aaaa cmn-CN zh-hakka zh-u-co-pinyin-kf-upper en-u-ca-ethiopic-amete-alem ar-u-nu-latn ' +
  'en-0-aaa de-t-und-cyrl und-fonipa und-150 und-u-kn-yes und-u-kb-yes de-u-kf und-Latn-t-und-hani-m0-names'
).split(' ');

test('tags have the canonical forms and the parts that Node.js gives them', (t) => {
  const work = (tags) => {
    const results = {};
    const tried = (what) => {
      try {
        return what();
      } catch (error) {
        return [error.name, error.message];
      }
    };
    for (const tag of tags) {
      results[`canonical ${tag}`] = tried(() => Intl.getCanonicalLocales(tag));
      results[`maximize ${tag}`] = tried(() => `${new Intl.Locale(tag).maximize()}`);
      results[`minimize ${tag}`] = tried(() => `${new Intl.Locale(tag).minimize()}`);
      results[`parts ${tag}`] = tried(() => {
        const {
          language,
          script,
          region,
          baseName,
          calendar,
          collation,
          caseFirst,
          hourCycle,
          numeric,
          numberingSystem,
        } = new Intl.Locale(tag);
        return [
          language,
          script,
          region,
          baseName,
          calendar,
          collation,
          caseFirst,
          hourCycle,
          numeric,
          numberingSystem,
        ];
      });
      const options = [
        { region: 'GB', calendar: 'buddhist', numeric: true },
        {
          language: 'ja',
          script: 'Latn',
          hourCycle: 'h11',
          caseFirst: 'false',
          numberingSystem: 'arab',
          numeric: false,
        },
      ];
      options.forEach((each, at) => (results[`options ${tag} ${at}`] = tried(() => `${new Intl.Locale(tag, each)}`)));
    }
    return results;
  };
  compare(t, work, TAGS);
});

test('locales have the calendars, hours, weeks and zones of their regions', { skip: skipTexts }, (t) => {
  const work = (locales) => {
    const results = {};
    const regions = [...'ABCDEFGHIJKLMNOPQRSTUVWXY'].flatMap((first) =>
      [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].map((second) => first + second),
    );
    const tags = [
      ...locales,
      'en-u-fw-tue',
      'ja-u-ca-japanese-nu-thai',
      'en-u-rg-gbzzzz',
      'fa-JP-u-sd-inka-rg-thzzzz',
      'fa-JP-u-sd-inka',
      ...regions.flatMap((region) => [`en-${region}`, `ar-${region}`]),
    ];
    for (const tag of tags)
      for (const name of [
        'calendars',
        'collations',
        'hourCycles',
        'numberingSystems',
        'textInfo',
        'timeZones',
        'weekInfo',
      ])
        results[`${name} ${tag}`] = new Intl.Locale(tag)[name];
    return results;
  };
  compare(t, work, LOCALES);
});

// What `resolvedOptions` of Intl.PluralRules has, and has not in Node.js 20.
const NEWER = ['notation', 'roundingIncrement', 'roundingMode', 'roundingPriority', 'trailingZeroDisplay'];

test('services know the locales that Node.js knows', (t) => {
  const work = ({ tags, newer }) => {
    const results = {};
    for (const name of ['Collator', 'PluralRules', 'ListFormat', 'Segmenter'])
      for (const tag of tags) {
        const options = new Intl[name](tag).resolvedOptions();
        if (name === 'PluralRules') for (const key of newer) delete options[key];
        results[`${name} ${tag}`] = options;
        results[`${name} of ${tag}`] = Intl[name].supportedLocalesOf([tag]);
      }
    return results;
  };
  const more =
    'en-NZ en-001 fr-BE zh-MO zh-SG zh-Hans-HK zh-Hant-US pt-AO es-US en-XX de-DE-1996 nb-NO iw-IL in sr-Cyrl-RS hr-BA ms-SG ar-EG xx';
  compare(t, work, { tags: [...LOCALES, ...more.split(' ')], newer: NEWER }, /^Segmenter (?:of )?nb-NO$/);
});

const SORTS = {
  plain: {},
  numeric: { numeric: true },
  upper: { caseFirst: 'upper' },
  lower: { caseFirst: 'lower' },
  punctuation: { ignorePunctuation: true },
  accent: { sensitivity: 'accent' },
  base: { sensitivity: 'base' },
  case: { sensitivity: 'case' },
};

test('each language sorts as it does in Node.js', { skip: skipTexts }, (t) => {
  const work = ({ locales, words, sorts }) => {
    const results = {};
    for (const locale of locales)
      for (const [name, options] of Object.entries(sorts)) {
        const collator = new Intl.Collator(locale, options);
        results[`${name} ${locale}`] = words.toSorted(collator.compare).join(' ');
        // Which are equal shows in every third pair.
        if (name === 'accent' || name === 'base' || name === 'case')
          results[`equal ${name} ${locale}`] = words
            .flatMap((word, at) =>
              words.filter((other, place) => (at + place) % 3 === 0 && collator.compare(word, other) === 0),
            )
            .join(' ');
        results[`options ${name} ${locale}`] = collator.resolvedOptions();
      }
    return results;
  };
  compare(t, work, { locales: LOCALES, words: WORDS, sorts: SORTS });
});

test('collations that a tag names sort as they do in Node.js', { skip: skipTexts }, (t) => {
  const work = ({ tags, words }) => {
    const results = {};
    for (const tag of tags) {
      results[`order ${tag}`] = words.toSorted(new Intl.Collator(tag).compare).join(' ');
      results[`options ${tag}`] = new Intl.Collator(tag).resolvedOptions();
    }
    return results;
  };
  const tags =
    'de-u-co-phonebk es-u-co-trad sv-u-co-trad fi-u-co-trad vi-u-co-trad zh-u-co-pinyin zh-u-co-stroke zh-u-co-zhuyin zh-u-co-unihan ' +
    'zh-TW-u-co-pinyin ja-u-co-unihan ko-u-co-unihan ar-u-co-compat en-u-co-emoji de-u-co-eor bn-u-co-trad en-u-kn de-u-kf-upper-kn';
  compare(t, work, { tags: tags.split(' '), words: WORDS }, /^options zh-u-co-(?:pinyin|stroke)$/);
});

test('methods of strings know languages', (t) => {
  const work = () => {
    const tried = (what) => {
      try {
        return what();
      } catch (error) {
        return error.name;
      }
    };
    return {
      compare: [
        'a'.localeCompare('b'),
        'a'.localeCompare('á', 'de', { sensitivity: 'base' }),
        'ä'.localeCompare('z', 'sv'),
        'ä'.localeCompare('z', 'de'),
      ],
      same: [
        'résumé'.localeCompare('resume'),
        'a'.localeCompare('a'),
        'a\u0301'.localeCompare('á'),
        'undefined'.localeCompare(),
      ],
      turkish: [
        'i'.toLocaleUpperCase('tr'),
        'I'.toLocaleLowerCase('tr'),
        'I\u0307'.toLocaleLowerCase('az'),
        'i\ud800'.toLocaleUpperCase('tr'),
      ],
      others: [
        'ÎÌ'.toLocaleLowerCase('lt'),
        'i\u0307'.toLocaleUpperCase('lt'),
        'άλφα ΐ'.toLocaleUpperCase('el'),
        'straße'.toLocaleUpperCase('de'),
      ],
      lists: [
        'i'.toLocaleUpperCase(['en', 'tr']),
        'i'.toLocaleUpperCase(['tr', 'en']),
        'i'.toLocaleUpperCase(undefined),
      ],
      errors: [
        tried(() => 'i'.toLocaleUpperCase(null)),
        tried(() => 'i'.localeCompare('i', 'x_x')),
        tried(() => String.prototype.localeCompare.call(null)),
      ],
    };
  };
  compare(t, work, {});
});

const NUMBERS = [
  ...Array(33).keys(),
  42,
  50,
  70,
  80,
  81,
  82,
  90,
  92,
  99,
  100,
  101,
  102,
  103,
  104,
  105,
  110,
  111,
  112,
  119,
  200,
  201,
  1000,
  1001,
  10000,
  1e5,
  1e6,
  1000001,
  2e6,
  1e7,
  1e15,
  0.1,
  0.2,
  0.5,
  0.9,
  1.1,
  1.2,
  1.5,
  1.9,
  2.1,
  2.5,
  10.1,
  0.01,
  1.01,
  1.0049,
  1.00049,
  1e-7,
  -1,
  -1.5,
  1.9996,
  0.9996,
  1234.5,
];
const DIGITS = [
  {},
  { minimumFractionDigits: 1 },
  { maximumFractionDigits: 0 },
  { minimumFractionDigits: 2, maximumFractionDigits: 2 },
  { minimumSignificantDigits: 2 },
  { maximumSignificantDigits: 1 },
  { minimumSignificantDigits: 3, maximumSignificantDigits: 3 },
];

test('numbers and ranges have the plurals that they have in Node.js', { skip: skipTexts }, (t) => {
  const work = ({ locales, numbers, digits, newer }) => {
    const results = {};
    for (const locale of locales)
      for (const type of ['cardinal', 'ordinal'])
        digits.forEach((options, at) => {
          const rules = new Intl.PluralRules(locale, { type, ...options });
          results[`${type} ${locale} ${at}`] = [...numbers, NaN, Infinity, -0]
            .map((number) => rules.select(number))
            .join(' ');
          const resolved = rules.resolvedOptions();
          for (const key of newer) delete resolved[key];
          results[`options ${type} ${locale} ${at}`] = resolved;
          if (at > 0) return;
          const pairs = numbers.flatMap((start, from) =>
            numbers.filter((_, to) => (from + to) % 5 === 0).map((end) => [start, end]),
          );
          results[`range ${type} ${locale}`] = pairs.map(([start, end]) => rules.selectRange(start, end)).join(' ');
        });
    return results;
  };
  compare(t, work, { locales: LOCALES, numbers: NUMBERS, digits: DIGITS, newer: NEWER });
});

// What a script of the second engine gives for a list of expressions.
function values(expressions) {
  const guest = new Guest(`module.exports = () => (void Intl, [${expressions.join(',\n')}]);`);
  assert.equal(guest.error, undefined);
  const { result, error } = guest.call();
  assert.equal(error, undefined);
  return result;
}

test('plurals heed the notation and the rounding', () => {
  const [select, selectRange] = ['select', 'selectRange'].map(
    (name) => (options, ...numbers) => `new Intl.PluralRules(...${JSON.stringify(options)}).${name}(${numbers})`,
  );
  const found = values([
    select(['fr', {}], 1.5e6),
    select(['fr', { notation: 'compact' }], 1.5e6),
    select(['fr', { notation: 'scientific' }], 1e6),
    selectRange(['fr', { notation: 'compact' }], 0, 1.5),
    selectRange(['pl', { notation: 'compact' }], 1, 22),
    select(['en', { notation: 'compact', type: 'ordinal' }], 22),
    select(['en', { maximumFractionDigits: 0 }], 0.4),
    select(['en', { maximumFractionDigits: 0, roundingMode: 'ceil' }], 0.4),
    select(['en', { minimumFractionDigits: 1 }], 1),
    select(['en', { minimumFractionDigits: 1, trailingZeroDisplay: 'stripIfInteger' }], 1),
    select(['en', { notation: 'compact' }], NaN),
  ]);
  const expected = ['other', 'many', 'many', 'one', 'few', 'two', 'other', 'one', 'other', 'one', 'other'];
  assert.deepEqual(found, expected);
  const [plain, compact] = values([
    "new Intl.PluralRules('de').resolvedOptions()",
    "new Intl.PluralRules('de', { notation: 'compact', roundingMode: 'floor' }).resolvedOptions()",
  ]);
  const rounding = { roundingIncrement: 1, roundingMode: 'halfExpand', roundingPriority: 'auto', trailingZeroDisplay: 'auto' };
  const digits = { minimumIntegerDigits: 1, minimumFractionDigits: 0, maximumFractionDigits: 3 };
  const common = { locale: 'de', type: 'cardinal', pluralCategories: ['one', 'other'], ...rounding, ...digits };
  assert.deepEqual(plain, { ...common, notation: 'standard' });
  assert.deepEqual(compact, {
    ...common,
    notation: 'compact',
    compactDisplay: 'short',
    maximumFractionDigits: 0,
    minimumSignificantDigits: 1,
    maximumSignificantDigits: 2,
    roundingMode: 'floor',
    roundingPriority: 'morePrecision',
  });
});

test('locales have variants, first days of the week and methods for what is known of them', () => {
  const found = values([
    "new Intl.Locale('de-1996-fonipa').variants",
    "new Intl.Locale('de').variants ?? null",
    "`${new Intl.Locale('en-scouse', { variants: 'spanglis-oxendict' })}`",
    "`${new Intl.Locale('cel', { variants: 'gaulish' })}`",
    "`${new Intl.Locale('en', { firstDayOfWeek: 0 })} ${new Intl.Locale('en-u-fw-wed', { firstDayOfWeek: 'length' })}`",
    "new Intl.Locale('en-u-fw-mon').firstDayOfWeek",
    "new Intl.Locale('en', { firstDayOfWeek: 1 }).getWeekInfo()",
    "new Intl.Locale('de').weekInfo",
    "new Intl.Locale('th').getCalendars()",
    "new Intl.Locale('en-u-sd-gbeng').getHourCycles()",
    "new Intl.Locale('sv').getCollations()",
    "new Intl.Locale('fa').getNumberingSystems()",
    "new Intl.Locale('he').getTextInfo()",
    "new Intl.Locale('de-AT').getTimeZones()",
    "new Intl.Locale('de').getTimeZones() ?? null",
    "[Intl.Locale.prototype.getCalendars.name, Intl.Locale.prototype.getCalendars.length]",
  ]);
  assert.deepEqual(found, [
    '1996-fonipa',
    null,
    'en-oxendict-spanglis',
    'xtg',
    'en-u-fw-sun en-u-fw-length',
    'mon',
    { firstDay: 1, weekend: [6, 7] },
    { firstDay: 1, weekend: [6, 7], minimalDays: 4 },
    ['buddhist', 'gregory'],
    ['h23'],
    ['emoji', 'eor', 'trad'],
    ['arabext'],
    { direction: 'rtl' },
    ['Europe/Vienna'],
    null,
    ['getCalendars', 0],
  ]);
  for (const option of ["variants: 'fonipa-Fonipa'", "variants: 'abc'", "firstDayOfWeek: 'mo'"]) {
    const guest = new Guest(`module.exports = () => new Intl.Locale('en', { ${option} });`);
    assert.equal(guest.call().error.error, 'RangeError', option);
  }
});

test('what a script does to prototypes does not reach into Intl', () => {
  const guest = new Guest(`const NAMES = (
    'locale dataLocale localeMatcher ca co hc kf kn nu style numeric type notation weekday dayPeriod hour second handle bound'
  ).split(' ');
  const SERVICES = 'Collator DateTimeFormat ListFormat NumberFormat PluralRules RelativeTimeFormat Segmenter'.split(' ');
  const { indexOf, join, push, slice, sort } = Array.prototype;
  module.exports = () => {
    const set = () => { throw new Error('reached'); };
    for (const name of NAMES) Object.defineProperty(Object.prototype, name, { set, configurable: true });
    Object.defineProperty(Array.prototype, '0', { set, configurable: true });
    Object.assign(Array.prototype, { indexOf: set, join: set, push: set, slice: set, sort: set });
    Object.defineProperty(Intl.NumberFormat, Symbol.hasInstance, { get: set });
    try {
      const made = SERVICES.map((name) => {
        const service = new Intl[name](['de-DE-x-foo', 'de']);
        return [service.resolvedOptions().locale, Intl[name].supportedLocalesOf(['xx', 'de', 'de'])[0]];
      });
      return [made, Intl.NumberFormat('de').format(1.5), Intl.getCanonicalLocales(['de-X-Foo', 'EN'])[1]];
    } finally {
      for (const name of NAMES) delete Object.prototype[name];
      delete Array.prototype[0];
      Object.assign(Array.prototype, { indexOf, join, push, slice, sort });
    }
  };`);
  const { result, error } = guest.call();
  assert.equal(error, undefined);
  const [made, text, tag] = result;
  const locales = ['de', 'de-DE', 'de-DE', 'de-DE', 'de', 'de-DE', 'de-DE'];
  assert.deepEqual(made, locales.map((locale) => [locale, 'de']));
  assert.deepEqual([text, tag], ['1,5', 'en']);
});

const LISTS = [
  [],
  ['a'],
  ['a', 'b'],
  ['a', 'b', 'c'],
  ['a', 'b', 'c', 'd', 'e'],
  ['agua', 'iglesia'],
  ['agua', 'hielo', 'oro'],
  ['siete', 'ocho'],
  ['x', '11'],
  ['x', 'y', 'iglesia'],
  ['x', '8'],
  ['a\0b', 'c'],
  ['\ud800', 'x'],
  ['', ''],
  ['a', '', 'b'],
  ['כלב', 'חתול'],
  ['x', 'אבא'],
  ['שלום', 'world'],
];

test('lists read as they do in Node.js', { skip: skipTexts }, (t) => {
  const work = ({ locales, lists }) => {
    const results = {};
    for (const locale of locales)
      for (const type of ['conjunction', 'disjunction', 'unit'])
        for (const style of ['long', 'short', 'narrow']) {
          const format = new Intl.ListFormat(locale, { type, style });
          results[`${type} ${style} ${locale}`] = lists.map((list) => format.format(list));
          results[`parts ${type} ${style} ${locale}`] = lists.map((list) => format.formatToParts(list));
          results[`options ${type} ${style} ${locale}`] = format.resolvedOptions();
        }
    return results;
  };
  compare(t, work, { locales: LOCALES, lists: LISTS });
});

const TEXTS = [
  '',
  "Hello, world! It's 3.14 o'clock — don't you think?",
  'The quick ("brown") fox can\'t jump 32.3 feet, right?',
  'Mr. Smith went to Washington. He arrived at 5 p.m. on Jan. 5th, 2020. "Really?" she asked.\nNew line.\r\nAnd e.g. this!',
  '👩‍👩‍👧‍👦🇩🇪🇫🇷👍🏽e\u0301a\u0308\r\n\u200d각힣नमस्ते क्षि',
  'ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำ',
  '東京都の大学。私の名前は田中です。',
  '我们在北京大学学习计算机科学。今天天气很好！',
  '中文（繁體）測試：臺灣大學位於臺北市。',
  '안녕하세요 세계! 한국어 문장입니다. IT회사 5월',
  'Это предложение. А это другое? Да!',
  'مرحبا بالعالم. كيف حالك؟',
  'שלום עולם! מה שלומך?',
  'hello_world foo.bar a1b2 1,234.56 user@example.com',
  'k:n EU:n tjänst 12:30',
  'Τι κάνεις; Καλά. Εσύ;',
  'emoji 😀😃 text\ud800x',
  'a\tb  c\u00a0d\u2003e',
  'ພາສາລາວ',
  'ភាសាខ្មែរ',
  'မြန်မာဘာသာ',
  'हिन्दी में पाठ। दूसरा वाक्य।',
  "can’t l'été aujourd'hui",
  'U.S.A. is big. Dr. Who? Yes.',
  '1.5 2,5 3:4 5/6 $9.99 50% #tag',
  'அரசு தமிழ்',
];

test('texts fall into the segments of Node.js', { skip: skipTexts }, (t) => {
  const work = ({ locales, texts }) => {
    const results = {};
    for (const locale of locales)
      for (const granularity of ['grapheme', 'word', 'sentence']) {
        const segmenter = new Intl.Segmenter(locale, { granularity });
        results[`options ${granularity} ${locale}`] = segmenter.resolvedOptions();
        texts.forEach((text, at) => {
          const segments = segmenter.segment(text);
          results[`${granularity} ${locale} ${at}`] = [...segments].map(({ segment, index, isWordLike }) => [
            segment,
            index,
            isWordLike,
          ]);
          results[`containing ${granularity} ${locale} ${at}`] = [0, 1, 5, 1.7, -1, 100, 'x', undefined].map((index) =>
            segments.containing(index),
          );
        });
      }
    return results;
  };
  compare(t, work, {
    locales: LOCALES.filter((_, at) => at % 3 === 0).concat('fi', 'sv', 'el', 'ja', 'th'),
    texts: TEXTS,
  });
});

test('objects have the form that the standard gives them', (t) => {
  const work = () => {
    const results = {};
    const shape = (object) =>
      Reflect.ownKeys(object)
        .filter((key) => !['arguments', 'caller'].includes(key))
        .map((key) => {
          const { value, get, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(object, key);
          const of = value ?? get;
          return [
            String(key),
            typeof value,
            writable,
            enumerable,
            configurable,
            typeof of === 'function' ? [of.name, of.length] : null,
          ];
        })
        .sort(([left], [right]) => (left < right ? -1 : 1));
    const failing = (what) => {
      try {
        return what();
      } catch (error) {
        return [error.name, error.message];
      }
    };
    for (const name of ['Collator', 'PluralRules', 'ListFormat', 'Segmenter', 'Locale']) {
      results[`${name} static`] = shape(Intl[name]).filter(
        ([key]) => key !== 'prototype' && key !== 'name' && key !== 'length',
      );
      results[`${name} prototype`] = shape(Intl[name].prototype).filter(
        ([key]) => name !== 'Locale' || !/^(?:firstDayOfWeek|variants|get[A-Z]\w+)$/.test(key),
      );
      results[`${name} tag`] = Object.prototype.toString.call(Intl[name].prototype);
      results[`${name} length`] = Intl[name].length;
      for (const key of ['resolvedOptions', 'format', 'segment', 'select', 'maximize'])
        if (key in Intl[name].prototype)
          results[`${name} ${key} elsewhere`] = failing(() => Intl[name].prototype[key].call(5));
    }
    results.called = ['PluralRules', 'ListFormat', 'Segmenter', 'Locale'].map((name) =>
      failing(() => Intl[name]('en')),
    );
    results.options = [
      ['Collator', { usage: 'x' }],
      ['Collator', null],
      ['Collator', { sensitivity: 1 }],
      ['PluralRules', { type: 'x' }],
      ['ListFormat', 5],
      ['PluralRules', { minimumFractionDigits: 101 }],
      ['PluralRules', { minimumSignificantDigits: 0 }],
      ['ListFormat', { style: 'x' }],
      ['PluralRules', { maximumFractionDigits: 1, minimumFractionDigits: 2 }],
      ['Segmenter', { granularity: 'x' }],
      ['Segmenter', 'x'],
    ].map(([name, options]) => failing(() => typeof new Intl[name]('en', options)));
    const order = [];
    const watched = new Proxy({}, { get: (_, name) => void order.push(name) });
    for (const name of ['Collator', 'ListFormat', 'Segmenter']) new Intl[name]('en', watched);
    results.order = order;
    class Own extends Intl.Collator {}
    results.extended = [
      new Own() instanceof Own,
      ['b', 'a'].sort(new Own().compare),
      Intl.Collator('de') instanceof Intl.Collator,
    ];
    results.elements = [
      failing(() => new Intl.ListFormat('en').format([5])),
      new Intl.ListFormat('en').format('abc'),
      new Intl.ListFormat('en').format(),
    ];
    results.ranges = [
      failing(() => new Intl.PluralRules().selectRange(1)),
      failing(() => new Intl.PluralRules().selectRange(NaN, 1)),
      failing(() => new Intl.PluralRules().select(1n)),
      failing(() => new Intl.Segmenter().segment('ab').containing(1n)),
      Object.getPrototypeOf(new Intl.Segmenter().segment('ab')).containing.length,
      Intl.Segmenter.supportedLocalesOf(['sr-Thai-RS', 'de', 'zh-CN']),
    ];
    results.intl = [
      Object.prototype.toString.call(Intl),
      failing(() => Intl.supportedValuesOf('x')),
      failing(() => Intl.getCanonicalLocales(null)),
    ];
    return results;
  };
  compare(t, work, {});
});

test('a collator made at deploy sorts in each call, and no page more is written for it', () => {
  const guest = new Guest(
    'const { compare } = new Intl.Collator("sv");\nmodule.exports = ({ list }) => list.sort(compare);',
  );
  assert.deepEqual(guest.call({ list: ['z', 'ö', 'ä', 'a', 'Z'] }).result, ['a', 'z', 'Z', 'ä', 'ö']);
  assert.ok(guest.pagesChanged() <= 40, `${guest.pagesChanged()} pages`);
});

test('scripts that name nothing of languages do not pay for them', () => {
  const guest = new Guest('module.exports = ({ a, b }) => a + b;');
  assert.equal(guest.call({ a: 1, b: 2 }).result, 3);
  assert.ok(guest.pagesChanged() <= 30, `${guest.pagesChanged()} pages`);
});
