// Dates beside those of Node.js: Intl.DateTimeFormat and the methods of Date that use it, for the engine that knows
// languages.
//
// Where the results differ from those of Node.js 20 (ICU 78.2, tz 2025c), and what they are here: KNOWN below, and
// - Calendars are gregory and iso8601; persian in Persian, buddhist in Thai. Others are not there.
// - iso8601 has the names of months; Node.js leaves them out.
// - `timeZone: '+05:30'` is taken, as newer versions of Node.js do. Zones that the IANA database does not name are not.
// - Styles with hours other than those of the tag, "en-u-hc-h23": "9:59 PM"; Node.js has "09:59 PM".
// - The time zone database is a newer one.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest, LOCALES, skipTexts } = require('./intl.js');

// Ones whose data are those of another.
const OTHERS = ['en-US', 'de-LU', 'pt-BR', 'zh-TW', 'no', 'ja-JP', 'ar-u-nu-arab'];
const ZONES = (
  'UTC Europe/Berlin America/New_York Asia/Kolkata Australia/Lord_Howe Asia/Kathmandu Africa/Casablanca America/Sao_Paulo ' +
  'Europe/London Europe/Dublin America/Los_Angeles Pacific/Apia America/Phoenix Asia/Shanghai Etc/GMT+5'
).split(' ');
// Those whose rules did not change in the database after that of Node.js.
const STEADY = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Asia/Kathmandu', 'Europe/London'];
const STYLES = ['full', 'long', 'medium', 'short'];
const TIMES = [
  0,
  Date.UTC(1999, 11, 31, 23, 59, 59, 999),
  Date.UTC(2024, 1, 29, 12),
  // The beginning of a summer, and an end of one.
  Date.UTC(2024, 2, 31, 0, 59, 59, 999),
  Date.UTC(2024, 2, 31, 1),
  Date.UTC(2024, 10, 3, 6, 30),
  Date.UTC(2024, 6, 5, 4, 3, 2, 1),
  Date.UTC(2050, 5, 1, 9, 9, 9, 9),
  // The years 1, before it, and 9999.
  -62135596800000,
  -1e15,
  Date.UTC(9999, 11, 30, 20, 30, 40, 50),
];
const RANGES = [5, 2000, 130e3, 3600e3, 5 * 3600e3, 30 * 3600e3, 40 * 86400e3, 400 * 86400e3].map((length) => {
  const start = Date.UTC(2024, 2, 5, 10, 20, 30, 400);
  return [start, start + length];
});

// Sets of options: all styles, and what is common of components.
function optionSets() {
  const sets = [{}];
  for (const dateStyle of [undefined, ...STYLES]) {
    for (const timeStyle of [undefined, ...STYLES]) if (dateStyle ?? timeStyle) sets.push({ dateStyle, timeStyle });
  }
  const years = [{}, { year: 'numeric' }, { year: '2-digit' }];
  const months = [{}, ...['numeric', '2-digit', 'short', 'long'].map((month) => ({ month }))];
  const days = [{}, { day: 'numeric' }];
  const weekdays = [{}, { weekday: 'short' }, { weekday: 'long' }];
  for (const weekday of weekdays)
    for (const year of years)
      for (const month of months) for (const day of days) sets.push({ ...weekday, ...year, ...month, ...day });
  const date = { year: 'numeric', month: 'short', day: 'numeric' };
  for (const era of ['short', 'long', 'narrow']) sets.push({ era, year: 'numeric' }, { era, ...date });
  const times = [
    { hour: 'numeric' },
    { hour: '2-digit' },
    { hour: 'numeric', minute: '2-digit' },
    { hour: '2-digit', minute: '2-digit', second: '2-digit' },
    { minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 },
    { hour: 'numeric', minute: 'numeric', second: 'numeric', fractionalSecondDigits: 1 },
  ];
  for (const time of times)
    sets.push(time, { ...time, ...date }, { ...time, weekday: 'long', month: 'long', day: 'numeric' });
  for (const dayPeriod of ['short', 'long', 'narrow']) sets.push({ hour: 'numeric', dayPeriod });
  for (const cycle of [
    { hour12: true },
    { hour12: false },
    ...['h11', 'h12', 'h23', 'h24'].map((hourCycle) => ({ hourCycle })),
  ])
    sets.push({ hour: 'numeric', minute: '2-digit', ...cycle }, { dateStyle: 'long', timeStyle: 'short', ...cycle });
  for (const timeZoneName of ['short', 'long', 'shortOffset', 'longOffset', 'shortGeneric', 'longGeneric'])
    sets.push({ timeZoneName, hour: 'numeric', minute: '2-digit' });
  return sets;
}

// What differs, and why.
const KNOWN = [
  // CLDR has the year of the week in one pattern; here it is the year.
  ({ locale, options }) => locale === 'de-CH' && options.era !== undefined && options.weekday !== undefined,
];

// Runs in the guest and here: what formats of a locale give.
function results({ locale, sets, zones, steady, times, ranges }) {
  const lines = [];
  const said = (parts) => parts.map(({ type, value, source = '' }) => `${type}=${value}${source}`).join('|');
  sets.forEach((options, at) => {
    const zone = zones[at % zones.length];
    const format = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
    const of = { at, zone };
    const own = times.filter((time, index) => (index + at) % 3 === 0 && (time < 1.76e12 || steady.includes(zone)));
    for (const time of own) lines.push({ ...of, text: format.format(time) });
    lines.push({ ...of, text: JSON.stringify(format.resolvedOptions()) });
    if (at % 5 === 0 || options.timeZoneName !== undefined)
      lines.push({ ...of, text: said(format.formatToParts(times[6])) });
    if (at % 6 === 0) for (const [start, end] of ranges) lines.push({ ...of, text: format.formatRange(start, end) });
    if (at % 12 === 0) lines.push({ ...of, text: said(format.formatRangeToParts(...ranges[4])) });
  });
  const date = new Date(times[1]);
  for (const text of [date.toLocaleString(locale), date.toLocaleDateString(locale), date.toLocaleTimeString(locale)])
    lines.push({ at: 'Date', text });
  return lines;
}

test('dates are as in Node.js, in all locales', { skip: skipTexts }, (t) => {
  const guest = new Guest(`export default (job) => (${results})(job);`);
  const sets = optionSets();
  let [count, other] = [0, []];
  for (const [index, locale] of [...LOCALES, ...OTHERS].entries()) {
    // The zones turn with the locales.
    const zones = ZONES.slice(index % ZONES.length).concat(ZONES.slice(0, index % ZONES.length));
    const job = JSON.parse(JSON.stringify({ locale, sets, zones, steady: STEADY, times: TIMES, ranges: RANGES }));
    const { result, error } = guest.call(job);
    assert.equal(error, undefined, `${locale}: ${JSON.stringify(error)}`);
    const expected = results(job);
    assert.equal(result.length, expected.length);
    expected.forEach(({ at, zone, text }, place) => {
      count++;
      if (result[place].text === text) return;
      const options = sets[at] ?? {};
      if (!KNOWN.some((known) => known({ locale, options, zone })))
        other.push({ locale, zone, options, own: result[place].text, node: text });
    });
  }
  t.diagnostic(`${count} texts, ${LOCALES.length + OTHERS.length} locales`);
  assert.ok(count > 50_000, `${count} texts were compared`);
  assert.deepEqual(other.slice(0, 20), [], `${other.length} of ${count} differ`);
});

test('formats behave as in Node.js', () => {
  const source = `
    const outcome = (work) => {
      try {
        return work();
      } catch (error) {
        return \`\${error.name}: \${error.message}\`;
      }
    };
    module.exports = (lines) => (void Intl, lines.map((line) => outcome(new Function(\`return \${line}\`))));
  `;
  const lines = `
    new Intl.DateTimeFormat('en', { dateStyle: 'full', weekday: 'long' })
    new Intl.DateTimeFormat('en', { timeStyle: 'full', hour: 'numeric' })
    new Intl.DateTimeFormat('en', { dateStyle: 'x' })
    new Intl.DateTimeFormat('en', { month: 'x' })
    new Intl.DateTimeFormat('en', { timeZone: 'x/y' })
    new Intl.DateTimeFormat('en', { timeZone: null })
    new Intl.DateTimeFormat('en', { calendar: 'a' })
    new Intl.DateTimeFormat('en', { numberingSystem: 'a' })
    new Intl.DateTimeFormat('en', { fractionalSecondDigits: 9 })
    new Intl.DateTimeFormat('en', { formatMatcher: 'a' })
    new Intl.DateTimeFormat('en', null)
    new Intl.DateTimeFormat('en_US')
    new Date(0).toLocaleDateString('en', { timeStyle: 'short' })
    new Date(0).toLocaleTimeString('en', { dateStyle: 'short' })
    new Date(0).toLocaleTimeString('en', { month: 'long' })
    new Date(0).toLocaleDateString('en', { hour: 'numeric' })
    new Date(0).toLocaleString('en', { era: 'short', timeZoneName: 'short' })
    new Date(0).toLocaleString('en', null)
    new Date(0).toLocaleString(['xx', 'de'], { timeZone: 'america/NEW_YORK' })
    new Date(NaN).toLocaleString()
    Date.prototype.toLocaleString.call({})
    new Intl.DateTimeFormat('en').format(NaN)
    new Intl.DateTimeFormat('en').format('x')
    new Intl.DateTimeFormat('en').format(8.64e15 + 1)
    new Intl.DateTimeFormat('en').format(8.64e15)
    new Intl.DateTimeFormat('en').format(-8.64e15)
    new Intl.DateTimeFormat('en').format(-0.9)
    new Intl.DateTimeFormat('en').formatToParts(1e20)
    new Intl.DateTimeFormat('en').formatRange(1)
    new Intl.DateTimeFormat('en').formatRange(undefined, 1)
    new Intl.DateTimeFormat('en').formatRange(NaN, 1)
    new Intl.DateTimeFormat('en').formatRange(5e12, 1)
    Intl.DateTimeFormat.prototype.format
    Intl.DateTimeFormat.prototype.formatToParts.call({})
    Intl.DateTimeFormat('de').format(0)
    ((object) => [Intl.DateTimeFormat.call(object, 'de') === object, object.format(0), object.resolvedOptions().locale, Object.getOwnPropertySymbols(object).map(String)])(Object.create(Intl.DateTimeFormat.prototype))
    [0, 864e5].map(new Intl.DateTimeFormat('de').format)
    ((format) => format.format === format.format && format.format.name + format.format.length)(new Intl.DateTimeFormat())
    [Intl.DateTimeFormat.length, Intl.DateTimeFormat.name, String(new Intl.DateTimeFormat())]
    Object.getOwnPropertyNames(Intl.DateTimeFormat.prototype).sort()
    Object.values(Object.getOwnPropertyDescriptors(Intl.DateTimeFormat.prototype)).map((of) => [of.enumerable, of.writable, of.value?.length, of.get?.name])
    ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString'].map((name) => [Date.prototype[name].length, Date.prototype[name].name])
    Object.keys(new Intl.DateTimeFormat('de', { dateStyle: 'full', timeStyle: 'short' }).resolvedOptions())
    Object.keys(new Intl.DateTimeFormat('de', { hour: 'numeric', month: 'long', fractionalSecondDigits: 2, timeZoneName: 'long' }).resolvedOptions())
    new Intl.DateTimeFormat('en-u-hc-h23', { hour: 'numeric', hour12: true }).resolvedOptions()
    new Intl.DateTimeFormat('en-u-hc-h23-nu-arab', { hour: 'numeric' }).resolvedOptions()
    new Intl.DateTimeFormat('en-u-hc-h23', { hour: 'numeric', hourCycle: 'h12' }).resolvedOptions()
    new Intl.DateTimeFormat('en-u-ca-iso8601', { calendar: 'gregory' }).resolvedOptions()
    new Intl.DateTimeFormat('de', { calendar: 'iso8601' }).format(0)
    new Intl.DateTimeFormat('hi', { numberingSystem: 'deva', dateStyle: 'short' }).format(0)
    new Intl.DateTimeFormat('fa', { calendar: 'gregory' }).format(0)
    Intl.DateTimeFormat.supportedLocalesOf(['de', 'xx', 'fr-FR'])
    ['', 'Europe/Kyiv', 'EST', 'US/Pacific', 'asia/kathmandu', 'GMT', 'etc/gmt0', 'CET', 'PST8PDT', 'Zulu', 'Factory', 'NZ-CHAT'].map((timeZone) => { try { return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone; } catch ({ message }) { return message; } })
  `
    .trim()
    .split(/\n */);
  const guest = new Guest(source);
  const { result, error } = guest.call(lines);
  assert.equal(error, undefined);
  const module = { exports: undefined };
  new Function('module', source)(module);
  const expected = JSON.parse(JSON.stringify(module.exports(lines).map((value) => value ?? null)));
  const found = lines.map((line, at) => [line, result[at]]);
  assert.deepEqual(
    found,
    lines.map((line, at) => [line, expected[at]]),
  );
});

test('the names of time zones have those of whole hours', () => {
  const guest = new Guest("module.exports = () => Intl.supportedValuesOf('timeZone').filter((name) => /^(?:Etc|UTC|GMT)/.test(name));");
  const { result } = guest.call();
  const hours = (sign, most) => Array.from({ length: most }, (_, at) => `Etc/GMT${sign}${at + 1}`);
  assert.deepEqual(result, [...hours('+', 12), ...hours('-', 14), 'UTC'].sort());
});

test('offsets are time zones', () => {
  const guest = new Guest(`module.exports = (timeZone) => {
    const format = new Intl.DateTimeFormat('en', { dateStyle: 'short', timeStyle: 'long', timeZone });
    return [format.resolvedOptions().timeZone, format.format(0)];
  };`);
  assert.deepEqual(guest.call('+0530').result, ['+05:30', '1/1/70, 5:30:00 AM GMT+5:30']);
  assert.deepEqual(guest.call('-03').result, ['-03:00', '12/31/69, 9:00:00 PM GMT-3']);
  assert.match(guest.call('+24:00').error.message, /Invalid time zone specified: \+24:00/);
});

test('options are read once, in the order of the standard', () => {
  const guest = new Guest(`module.exports = () => {
    const names = [];
    new Intl.DateTimeFormat('en', new Proxy({}, { get: (_, name) => void names.push(name) }));
    return names.join(' ');
  };`);
  const order =
    'localeMatcher calendar numberingSystem hour12 hourCycle timeZone weekday era year month day dayPeriod hour minute second ' +
    'fractionalSecondDigits timeZoneName formatMatcher dateStyle timeStyle';
  assert.equal(guest.call().result, order);
});
