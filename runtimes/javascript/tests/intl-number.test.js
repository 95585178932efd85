// Intl.NumberFormat, Intl.RelativeTimeFormat and toLocaleString of numbers and lists, beside those of Node.js: for the engine
// that knows languages.
//
// Where the texts differ from those of Node.js 20 (ICU 78.2), and what they are here:
// - `percent-per-day` with short or narrow names: Node.js leaves out "per day".
// - Names in French, Portuguese and others for 10^18 and more, and with negative exponents ("5E-1 mètres"): ICU looks at the
//   last 18 digits, or at the exponent alone. Here the number decides.
// - Exponents in digits beyond U+FFFF ("mathbold"): Node.js writes halves of surrogate pairs.
// - Norwegian and Chinese amounts of money in digits of other languages: CLDR's JSON lacks the patterns.
// - Sources in `formatRangeToParts` where a currency in letters stands before digits: Node.js is one letter off.
// - `resolvedOptions`: `currencySign` with `signDisplay: 'never'`, and `roundingPriority` with `stripIfInteger`, are what was
//   asked for; Node.js has "standard" and "auto". Digits behind the point may be 100, not 20.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest, LOCALES, skipTexts } = require('./intl.js');

const UNITS = (
  'acre bit byte celsius day degree fahrenheit fluid-ounce foot gallon gigabyte gram hectare hour inch kilogram kilometer liter ' +
  'meter mile mile-scandinavian millisecond minute month ounce percent petabyte pound second stone week yard year ' +
  'kilometer-per-hour liter-per-kilometer mile-per-gallon byte-per-second hectare-per-degree celsius-per-day'
).split(' ');
const MODES = ['ceil', 'floor', 'expand', 'trunc', 'halfCeil', 'halfFloor', 'halfExpand', 'halfTrunc', 'halfEven'];

const money = (currency, currencyDisplay, more) => ({ style: 'currency', currency, currencyDisplay, ...more });
const GROUPS = {
  decimals: [
    {},
    { style: 'percent' },
    { style: 'percent', maximumFractionDigits: 2, signDisplay: 'always' },
    { useGrouping: 'min2' },
    { useGrouping: 'always' },
    { useGrouping: false },
    ...['always', 'exceptZero', 'never', 'negative'].map((signDisplay) => ({ signDisplay })),
  ],
  money: [
    ...['USD', 'EUR', 'JPY', 'INR', 'CHF', 'BRL', 'TND', 'ABC', 'AED', 'PLN'].flatMap((currency) =>
      ['symbol', 'narrowSymbol', 'code', 'name'].map((display) => money(currency, display)),
    ),
    ...['auto', 'always', 'exceptZero', 'never'].map((signDisplay) =>
      money('USD', 'symbol', { currencySign: 'accounting', signDisplay }),
    ),
  ],
  units: UNITS.flatMap((unit) =>
    ['short', 'long', 'narrow'].map((unitDisplay) => ({ style: 'unit', unit, unitDisplay })),
  ),
  notations: [
    ...['short', 'long'].flatMap((compactDisplay) =>
      [
        {},
        { style: 'percent' },
        money('USD', 'symbol'),
        money('EUR', 'name'),
        { style: 'unit', unit: 'kilometer', unitDisplay: 'long' },
        { maximumFractionDigits: 2 },
        { useGrouping: true, minimumSignificantDigits: 3 },
      ].map((options) => ({ notation: 'compact', compactDisplay, ...options })),
    ),
    ...['scientific', 'engineering'].flatMap((notation) => [
      { notation },
      { notation, ...money('EUR', 'symbol') },
      { notation, maximumSignificantDigits: 2 },
    ]),
  ],
  systems: ['arab', 'arabext', 'deva', 'beng', 'thai', 'hanidec', 'fullwide'].flatMap((numberingSystem) => [
    { numberingSystem },
    { numberingSystem, style: 'percent' },
    { numberingSystem, notation: 'scientific' },
  ]),
};
const DIGITS = [
  ...MODES.flatMap((roundingMode) => [
    { roundingMode, maximumFractionDigits: 2 },
    { roundingMode, maximumSignificantDigits: 2 },
    { roundingMode, roundingIncrement: 5, maximumFractionDigits: 2, minimumFractionDigits: 2 },
  ]),
  ...[2, 10, 20, 25, 50, 250, 2500, 5000].flatMap((roundingIncrement) => [
    { roundingIncrement, maximumFractionDigits: 3, minimumFractionDigits: 3 },
    { roundingIncrement, maximumFractionDigits: 0 },
  ]),
  ...['auto', 'morePrecision', 'lessPrecision'].flatMap((roundingPriority) =>
    ['auto', 'stripIfInteger'].flatMap((trailingZeroDisplay) => [
      { roundingPriority, trailingZeroDisplay, minimumFractionDigits: 2, maximumSignificantDigits: 3 },
      {
        roundingPriority,
        trailingZeroDisplay,
        maximumFractionDigits: 1,
        minimumSignificantDigits: 3,
        minimumIntegerDigits: 4,
      },
    ]),
  ),
];

// Runs here and in the guest.
function format({ locale, list, values, parts }) {
  const read = (text) =>
    text.endsWith('n') ? BigInt(text.slice(0, -1)) : text.startsWith('"') ? JSON.parse(text) : Number(text);
  const numbers = values.map(read);
  return list.map((options) => {
    const formatter = new Intl.NumberFormat(locale, options);
    return numbers.map((number) => (parts ? formatter.formatToParts(number) : formatter.format(number)));
  });
}

function ranges({ locale, list, pairs, parts }) {
  return list.map((options) => {
    const formatter = new Intl.NumberFormat(locale, options);
    return pairs.map(([start, end]) =>
      parts ? formatter.formatRangeToParts(start, end) : formatter.formatRange(start, end),
    );
  });
}

function relative({ locale, list, values, parts }) {
  const units = ['second', 'minute', 'hours', 'day', 'week', 'month', 'quarter', 'years'];
  return list.map((options) => {
    const formatter = new Intl.RelativeTimeFormat(locale, options);
    return units.map((unit) =>
      values.map((text) => (parts ? formatter.formatToParts(+text, unit) : formatter.format(+text, unit))),
    );
  });
}

const guest = new Guest(
  `
  const run = { ${format}, ${ranges}, ${relative} };
  module.exports = ({ name, ...params }) => run[name](params);
`.replace(/function (\w+)\(/g, '$1('),
);

function compare(run, params) {
  const { result, error } = guest.call({ name: run.name, ...params });
  assert.equal(error, undefined, JSON.stringify(error));
  const expected = JSON.parse(JSON.stringify(run(params)));
  result.forEach((texts, at) =>
    assert.deepEqual(texts, expected[at], `${params.locale} ${JSON.stringify(params.list[at])}`),
  );
}

const VALUES = [
  '0',
  '-0',
  'NaN',
  '-Infinity',
  '1',
  '-2',
  '5',
  '21',
  '999.995',
  '1234.5',
  '-9999',
  '10000',
  '999999',
  '2500000',
  '1e-6',
  '1e15',
];
const EXACT = ['1e21', '12345678901234567890n', '"123456789.12345678901234567890"', '"1e3"', '" -7 "', '"0x1F"', '"."'];
const FEW = ['0', '1', '-2', '3', '5', '1.5', '1000000'];

for (const [name, list] of Object.entries(GROUPS)) {
  test(`texts of ${name}`, { skip: skipTexts }, () => {
    // Of long lists each locale has a third.
    const isLong = list.length >= 20;
    const values = name === 'units' || name === 'money' ? FEW : VALUES;
    LOCALES.forEach((locale, turn) => {
      compare(format, { locale, list: isLong ? list.filter((_, at) => at % 3 === turn % 3) : list, values });
    });
  });
}

test('parts', { skip: skipTexts }, () => {
  const list = [
    {},
    { style: 'percent' },
    money('EUR', 'symbol'),
    money('USD', 'name'),
    { style: 'unit', unit: 'kilometer-per-hour', unitDisplay: 'long' },
    { style: 'unit', unit: 'percent' },
    { notation: 'compact' },
    { notation: 'scientific' },
    { notation: 'compact', ...money('CHF', 'code') },
    { signDisplay: 'exceptZero' },
  ];
  for (const locale of LOCALES)
    compare(format, { locale, list, values: ['-1234567.5', '0', 'NaN', 'Infinity', '1e-5'], parts: true });
});

test('digits and rounding', { skip: skipTexts }, () => {
  const values = [...VALUES, ...EXACT, '0.5', '-0.5', '2.345', '1.005', '-1.005', '0.125', '99.95'];
  for (const locale of ['en', 'hi', 'es', 'ar-u-nu-arab']) compare(format, { locale, list: DIGITS, values });
});

test('all digits of integers and of texts', () => {
  const long = '1234567890'.repeat(40);
  compare(format, {
    locale: 'en',
    list: [{}, { maximumFractionDigits: 20 }],
    values: [...EXACT, `${long}n`, `-${long}n`],
  });
});

test('ranges', { skip: skipTexts }, () => {
  const list = [
    {},
    { style: 'percent' },
    money('USD', 'symbol'),
    money('EUR', 'symbol'),
    money('USD', 'name'),
    { notation: 'scientific' },
    { style: 'unit', unit: 'kilometer' },
    { style: 'unit', unit: 'day', unitDisplay: 'long' },
    { notation: 'compact' },
    { notation: 'compact', compactDisplay: 'long' },
    money('CHF', 'code', { signDisplay: 'always' }),
  ];
  const pairs = [
    [1, 2],
    [3, 3],
    [-3, 3],
    [-5, -2],
    [0, 1],
    [1, 1.00001],
    [999, 1000],
    [1e6, 2e6],
    [1200, 1300],
  ];
  for (const locale of LOCALES) compare(ranges, { locale, list, pairs });
  const spaced = list.filter(({ currencyDisplay }) => currencyDisplay !== 'code');
  for (const locale of ['en', 'de', 'cs', 'el']) compare(ranges, { locale, list: spaced, pairs, parts: true });
});

test('relative times', { skip: skipTexts }, () => {
  const list = ['long', 'short', 'narrow'].flatMap((style) =>
    ['always', 'auto'].map((numeric) => ({ style, numeric })),
  );
  const values = ['0', '-0', '1', '-1', '2', '-2', '-3', '5', '1.5', '1234567.891', '0.001'];
  for (const locale of LOCALES) compare(relative, { locale, list, values });
  for (const locale of ['en', 'ar', 'sl']) compare(relative, { locale, list, values, parts: true });
});

// === behaviour ===

function run(body) {
  const { result, error } = new Guest(`
    const failed = (make) => { try { make(); } catch (error) { return \`\${error.name}: \${error.message}\`; } };
    module.exports = () => { ${body} };
  `).call();
  assert.equal(error, undefined, JSON.stringify(error));
  return result;
}

test('resolved options have the order and the values of the standard', () => {
  const result = run(`
    const entries = (options) => Object.entries(new Intl.NumberFormat('de', options).resolvedOptions()).map((entry) => entry.join('='));
    return [
      entries({ style: 'currency', currency: 'eur', notation: 'compact' }),
      entries({ style: 'unit', unit: 'liter', roundingPriority: 'lessPrecision', maximumSignificantDigits: 3 }),
      Object.keys(new Intl.RelativeTimeFormat('de').resolvedOptions()),
    ];
  `);
  assert.deepEqual(
    result[0]
      .join(' ')
      .split(' ')
      .map((entry) => entry.split('=')[0])
      .join(' '),
    'locale numberingSystem style currency currencyDisplay currencySign minimumIntegerDigits minimumSignificantDigits ' +
      'maximumSignificantDigits minimumFractionDigits maximumFractionDigits useGrouping notation compactDisplay signDisplay ' +
      'roundingMode roundingIncrement trailingZeroDisplay roundingPriority',
  );
  assert.ok(
    result[0].includes('currency=EUR') &&
      result[0].includes('useGrouping=min2') &&
      result[0].includes('roundingPriority=morePrecision'),
  );
  assert.deepEqual(result[1].slice(3, 9), [
    'unit=liter',
    'unitDisplay=short',
    'minimumIntegerDigits=1',
    'minimumSignificantDigits=1',
    'maximumSignificantDigits=3',
    'minimumFractionDigits=0',
  ]);
  assert.equal(result[1].at(-1), 'roundingPriority=lessPrecision');
  assert.deepEqual(result[2], ['locale', 'style', 'numeric', 'numberingSystem']);
});

test('options are read once each, in the order of the standard', () => {
  const result = run(`
    const seen = [];
    const watched = new Proxy({}, { get: (_, name) => { seen.push(name); } });
    new Intl.NumberFormat('en', watched);
    const numbers = seen.splice(0);
    new Intl.RelativeTimeFormat('en', watched);
    return [numbers.join(' '), seen.join(' ')];
  `);
  assert.deepEqual(result, [
    'localeMatcher numberingSystem style currency currencyDisplay currencySign unit unitDisplay notation minimumIntegerDigits ' +
      'minimumFractionDigits maximumFractionDigits minimumSignificantDigits maximumSignificantDigits roundingIncrement ' +
      'roundingMode roundingPriority trailingZeroDisplay compactDisplay useGrouping signDisplay',
    'localeMatcher numberingSystem style numeric',
  ]);
});

test('options that are none throw', () => {
  const cases = [
    [{ style: 'currency' }, 'TypeError: Currency code is required with currency style.'],
    [{ style: 'unit' }, "TypeError: Invalid unit argument for Intl.NumberFormat() ''"],
    [{ style: 'x' }, 'RangeError: Value x out of range for Intl.NumberFormat options property style'],
    [{ currency: 'XXXX' }, 'RangeError: Invalid currency code : XXXX'],
    [{ unit: 'foo' }, "RangeError: Invalid unit argument for Intl.NumberFormat() 'foo'"],
    [
      { unit: 'meter-per-meter-per-second' },
      "RangeError: Invalid unit argument for Intl.NumberFormat() 'meter-per-meter-per-second'",
    ],
    [
      { minimumFractionDigits: 5, maximumFractionDigits: 3 },
      'RangeError: maximumFractionDigits value is out of range.',
    ],
    [{ minimumIntegerDigits: 0 }, 'RangeError: minimumIntegerDigits value is out of range.'],
    [{ roundingIncrement: 3 }, 'RangeError: roundingIncrement value is out of range.'],
    [{ roundingIncrement: 5, maximumSignificantDigits: 3 }, 'TypeError: RoundingType is not fractionDigits'],
    [
      { roundingIncrement: 5, maximumFractionDigits: 3, minimumFractionDigits: 1 },
      'RangeError: maximumFractionDigits not equal to minimumFractionDigits',
    ],
    [{ numberingSystem: 'a' }, 'RangeError: Invalid numberingSystem : a'],
    [{ useGrouping: 'x' }, 'RangeError: Value x out of range for Intl.NumberFormat options property useGrouping'],
    [null, 'TypeError: Intl.NumberFormat called on null or undefined'],
  ];
  const result = run(
    `return ${JSON.stringify(cases.map(([options]) => options))}.map((options) => failed(() => new Intl.NumberFormat('en', options)))`,
  );
  assert.deepEqual(
    result,
    cases.map(([, text]) => text),
  );
});

test('arguments that are none throw', () => {
  const result = run(`
    const [numbers, times] = [new Intl.NumberFormat('en'), new Intl.RelativeTimeFormat('en')];
    return [
      () => numbers.format(Symbol()), () => numbers.formatRange(1), () => numbers.formatRange(NaN, 1),
      () => numbers.formatToParts.call({}, 1), () => times.format(1, 'foo'), () => times.format(Infinity, 'day'),
      () => times.format(1n, 'day'), () => times.formatToParts.call(numbers, 1, 'day'), () => Intl.RelativeTimeFormat(),
      () => Number.prototype.toLocaleString.call('1'), () => BigInt.prototype.toLocaleString.call(1),
      () => Array.prototype.toLocaleString.call(null), () => Uint8Array.prototype.toLocaleString.call([]),
    ].map(failed);
  `);
  assert.deepEqual(result, [
    'TypeError: Cannot convert a Symbol value to a number',
    'TypeError: Invalid end : undefined',
    'RangeError: Invalid start : NaN',
    'TypeError: Method Intl.NumberFormat.prototype.formatToParts called on incompatible receiver #<Object>',
    "RangeError: Invalid unit argument for Intl.RelativeTimeFormat.prototype.format() 'foo'",
    'RangeError: Value need to be finite number for Intl.RelativeTimeFormat.prototype.format()',
    'TypeError: Cannot convert a BigInt value to a number',
    'TypeError: Method Intl.RelativeTimeFormat.prototype.formatToParts called on incompatible receiver #<NumberFormat>',
    "TypeError: Constructor Intl.RelativeTimeFormat requires 'new'",
    "TypeError: Number.prototype.toLocaleString requires that 'this' be a Number",
    "TypeError: BigInt.prototype.toLocaleString requires that 'this' be a BigInt",
    'TypeError: Array.prototype.toLocaleString called on null or undefined',
    'TypeError: this is not a typed array.',
  ]);
});

test('toLocaleString of numbers and lists', () => {
  const result = run(`
    const circular = [1];
    circular.push(circular);
    return [
      (1234.5).toLocaleString('de'), (1234.5).toLocaleString(), Object(1e6).toLocaleString('en', { style: 'percent' }),
      12345678901234567890n.toLocaleString('de'), [1234.5, null, undefined, 'x', [1, 2]].toLocaleString('de', { minimumFractionDigits: 2 }),
      new Float64Array([1234.5, NaN]).toLocaleString('de'), new BigInt64Array([1234n]).toLocaleString('de'), circular.toLocaleString(),
      [(1).toLocaleString.length, 1n.toLocaleString.length, [].toLocaleString.length, 'prototype' in [].toLocaleString],
    ];
  `);
  assert.deepEqual(result, [
    '1.234,5',
    '1,234.5',
    '100,000,000%',
    '12.345.678.901.234.567.890',
    '1.234,50,,,x,1,00,2,00',
    '1.234,5,NaN',
    '1.234',
    '1,',
    [0, 0, 0, false],
  ]);
});

test('formats are bound, may be made without new, and may be extended', () => {
  const result = run(`
    class Own extends Intl.NumberFormat {}
    const { format } = new Intl.NumberFormat('de');
    const old = Intl.NumberFormat.call(Object.create(Intl.NumberFormat.prototype), 'de');
    return [
      [1.5, 2].map(format), format.name, format.length, Intl.NumberFormat('fr').format(0.5), new Own('de').format(0.5),
      new Own() instanceof Own, old.format(0.5), String(new Intl.NumberFormat()), Intl.NumberFormat.supportedLocalesOf(['de', 'xx']),
    ];
  `);
  assert.deepEqual(result, [['1,5', '2'], '', 1, '0,5', '0,5', true, '0,5', '[object Intl.NumberFormat]', ['de']]);
});

test('formats are made at deploy and used in calls', () => {
  const guest = new Guest(`
    const euros = new Intl.NumberFormat('de', { style: 'currency', currency: 'EUR' });
    module.exports = ({ amount }) => euros.format(amount);
  `);
  assert.equal(guest.call({ amount: 1234.5 }).result, '1.234,50\u00a0€');
  assert.equal(guest.call({ amount: -2 }).result, '-2,00\u00a0€');
});
