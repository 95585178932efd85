// Makes dates.bin: date patterns, names of months, days, eras and time zones, from CLDR's JSON.
//
//     npm install cldr-core@48.0.0 cldr-dates-full@48.0.0 cldr-numbers-full@48.0.0 cldr-localenames-full@48.0.0 \
//       cldr-bcp47@48.2.0 cldr-cal-persian-full@46.1.0 cldr-cal-buddhist-full@39.0.0 --legacy-peer-deps
//     node make-dates.mjs FOLDER_WITH_NODE_MODULES > dates.bin
//
// The file: the length of its list (32 bits, least byte first); the list, a line "name offset length inflated" for
// each piece; then the pieces, raw DEFLATE of text. A line of a piece is a key, a tab and a value.
//
// Names of calendars other than the Gregorian are those of older versions of CLDR: newer ones are not published.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { deflateRawSync } from 'node:zlib';

const folder = path.join(process.argv[2], 'node_modules');
const read = (...parts) => JSON.parse(readFileSync(path.join(folder, ...parts), 'utf8'));
// Those of ../src/locales.rs.
const LOCALES = (
  'en en-AU en-CA en-GB en-IN de de-AT de-CH fr fr-CA fr-CH es es-MX es-419 it pt pt-PT nl sv da nb fi pl cs sk hu ro bg ' +
  'hr sr sl el uk ru tr he ar fa hi bn th vi id ms ja ko zh zh-Hant zh-Hant-HK ca et lt lv'
).split(' ');

// === fields of patterns, as UTS #35 has them ===

const [NARROW, SHORTER, SHORT, LONG, NUMERIC, STEP] = [-0x101, -0x102, -0x103, -0x104, 0x100, 0x10];
const widths = (letter, field, less) => [
  [letter, field, SHORT - less * STEP, 3],
  [letter, field, LONG - less * STEP, 4],
  [letter, field, NARROW - less * STEP, 5],
];
// Letter, field, type, least length.
const TYPES = [
  ['G', 0, SHORT, 1],
  ['G', 0, LONG, 4],
  ['G', 0, NARROW, 5],
  ['y', 1, NUMERIC, 1],
  ['Y', 1, NUMERIC + STEP, 1],
  ['u', 1, NUMERIC + 2 * STEP, 1],
  ['r', 1, NUMERIC + 3 * STEP, 1],
  ['U', 1, SHORT, 1],
  ['U', 1, LONG, 4],
  ['U', 1, NARROW, 5],
  ['Q', 2, NUMERIC, 1],
  ...widths('Q', 2, 0),
  ['q', 2, NUMERIC + STEP, 1],
  ...widths('q', 2, 1),
  ['M', 3, NUMERIC, 1],
  ...widths('M', 3, 0),
  ['L', 3, NUMERIC + STEP, 1],
  ...widths('L', 3, 1),
  ['w', 4, NUMERIC, 1],
  ['W', 5, NUMERIC, 1],
  ['E', 6, SHORT, 1],
  ['E', 6, LONG, 4],
  ['E', 6, NARROW, 5],
  ['E', 6, SHORTER, 6],
  ['c', 6, NUMERIC + 2 * STEP, 1],
  ...widths('c', 6, 2),
  ['c', 6, SHORTER - 2 * STEP, 6],
  ['e', 6, NUMERIC + STEP, 1],
  ...widths('e', 6, 1),
  ['e', 6, SHORTER - STEP, 6],
  ['D', 7, NUMERIC, 1],
  ['F', 8, NUMERIC, 1],
  ['d', 9, NUMERIC, 1],
  ['g', 9, NUMERIC + STEP, 1],
  ['a', 10, SHORT, 1],
  ['a', 10, LONG, 4],
  ['a', 10, NARROW, 5],
  ['b', 10, SHORT - STEP, 1],
  ['b', 10, LONG - STEP, 4],
  ['b', 10, NARROW - STEP, 5],
  ['B', 10, SHORT - 3 * STEP, 1],
  ['B', 10, LONG - 3 * STEP, 4],
  ['B', 10, NARROW - 3 * STEP, 5],
  ['H', 11, NUMERIC + 10 * STEP, 1],
  ['k', 11, NUMERIC + 11 * STEP, 1],
  ['h', 11, NUMERIC, 1],
  ['K', 11, NUMERIC + STEP, 1],
  ['m', 12, NUMERIC, 1],
  ['s', 13, NUMERIC, 1],
  ['A', 13, NUMERIC + STEP, 1],
  ['S', 14, NUMERIC, 1],
  ['v', 15, SHORT - 2 * STEP, 1],
  ['v', 15, LONG - 2 * STEP, 4],
  ['z', 15, SHORT, 1],
  ['z', 15, LONG, 4],
  ['Z', 15, NARROW - STEP, 1],
  ['Z', 15, LONG - STEP, 4],
  ['Z', 15, SHORT - STEP, 5],
  ['O', 15, SHORT - STEP, 1],
  ['O', 15, LONG - STEP, 4],
];
const CANONICAL = 'GyQMwWEDFdaHmsSv';
// Of each field: the key of appendItems, and its name among the fields.
const APPENDED = [
  ['Era', 'era'],
  ['Year', 'year'],
  ['Quarter', 'quarter'],
  ['Month', 'month'],
  ['Week', 'week'],
  ['', 'weekOfMonth'],
  ['Day-Of-Week', 'weekday'],
  ['', 'dayOfYear'],
  ['', 'weekdayOfMonth'],
  ['Day', 'day'],
  ['', 'dayperiod'],
  ['Hour', 'hour'],
  ['Minute', 'minute'],
  ['Second', 'second'],
  ['', ''],
  ['Timezone', 'zone'],
];

function typeOf(letters) {
  return (
    TYPES.findLast(([letter, , , least]) => letter === letters[0] && least <= letters.length) ??
    TYPES.find(([letter]) => letter === letters[0])
  );
}

function skeletonOf(pattern) {
  const skeleton = { letters: Array(16).fill(''), base: Array(16).fill(''), types: Array(16).fill(0) };
  const set = (field, letters, [letter, , type, least]) => {
    skeleton.letters[field] = letters;
    skeleton.base[field] = letter.repeat(least);
    skeleton.types[field] = type > 0 ? type + letters.length : type;
  };
  for (const [letters] of pattern.replace(/'[^']*'/g, ' ').matchAll(/([a-zA-Z])\1*/g)) {
    const type = typeOf(letters);
    if (type) set(type[1], letters, type);
  }
  const { letters } = skeleton;
  if (letters[12] && letters[14] && !letters[13]) set(13, 's', ['s', 13, NUMERIC, 1]);
  if (/^[hK]/.test(letters[11]) && !letters[10]) set(10, 'a', ['a', 10, SHORT, 1]);
  else if (/^[Hk]/.test(letters[11])) [skeleton.letters[10], skeleton.base[10], skeleton.types[10]] = ['', '', 0];
  return skeleton;
}

// The patterns with their skeletons, in the order in which they are tried. The canonical ones come first in it, then
// those of the styles, then the available ones, each if it does not give way to another.
function patternList(styles, available, order) {
  const entries = [];
  function add(pattern, skeletonText) {
    const skeleton = skeletonOf(skeletonText ?? pattern);
    const base = skeleton.base.join('');
    const whole = skeleton.letters.join('');
    const sameBase = entries.find((entry) => entry.base === base);
    if (sameBase && !sameBase.specified && skeletonText === undefined) return;
    const same = entries.find((entry) => entry.skeleton === whole);
    if (same && (skeletonText === undefined || same.specified)) return;
    const types = skeleton.types.join();
    const before = entries.find((entry) => entry.base === base && entry.types === types);
    const specified = skeletonText !== undefined;
    // The old skeleton stays.
    if (before) Object.assign(before, { pattern, specified });
    else entries.push({ base, types, skeleton: whole, pattern, specified });
  }
  for (const letter of CANONICAL) add(letter);
  for (const { date, time, short } of styles) {
    add(date);
    add(time);
    if (short) {
      const minutes = /(m+)((?:'[^']*'|[^a-zA-Z'])*)(s+)/.exec(time);
      if (minutes) add(minutes[0]);
    }
  }
  for (const key of order) add(available[key], key);
  return entries.toSorted((a, b) => a.base.charCodeAt(0) - b.base.charCodeAt(0));
}

// === pieces ===

const text = (value) => (typeof value === 'string' ? value : value._value);
const list = (values) => {
  if (values.some((value) => value.includes('|'))) throw new Error(`a bar in ${values}`);
  return values.join('|');
};

function lines(pairs) {
  return pairs
    .map(([key, value]) => {
      if (/[\t\n]/.test(key + value)) throw new Error(`a tab in ${key} ${value}`);
      return `${key}\t${value}\n`;
    })
    .join('');
}

// Without the variants that CLDR has for other programs.
function usable(formats) {
  const kept = Object.entries(formats)
    .filter(([key]) => !/-alt-|-count-(?!other)/.test(key))
    .map(([key, value]) => [key.replace(/-count-other/, ''), text(value)]);
  return Object.fromEntries(kept);
}

// The keys of formats: first those that a locale does not have from its parent, then those that the parent does not
// have from its own, and so on, as ICU meets them.
function ordered(available, parents) {
  const level = (key) => {
    const at = parents.findIndex((parent) => parent[key] !== available[key]);
    return at < 0 ? parents.length : at;
  };
  return Object.keys(available).toSorted((a, b) => level(a) - level(b) || (a < b ? -1 : 1));
}

function parentsOf(locale, file) {
  const { parentLocale } = read('cldr-core', 'supplemental', 'parentLocales.json').supplemental.parentLocales;
  const parents = [];
  for (let of = locale; of !== 'und';) {
    of = parentLocale[of] ?? (of.includes('-') ? of.replace(/-[^-]+$/, '') : 'und');
    if (of === 'root') of = 'und';
    parents.push(usable(calendarOf('cldr-dates-full', file, of).dateTimeFormats.availableFormats));
  }
  return parents;
}

const STYLES = ['full', 'long', 'medium', 'short'];
const WIDTHS = { abbreviated: 3, wide: 4, narrow: 5 };

function formatsOf(calendar, fields, parents) {
  const { dateTimeFormats } = calendar;
  const pairs = [];
  const glue = calendar['dateTimeFormats-atTime']?.standard ?? dateTimeFormats;
  for (const style of STYLES) {
    pairs.push([`date-${style}`, text(calendar.dateFormats[style])]);
    pairs.push([`time-${style}`, text(calendar.timeFormats[style])]);
    // CLDR 48.1 has spaces in Traditional Chinese, a thin one in the short pattern.
    pairs.push([`glue-${style}`, text(glue[style]).replace('}{', style === 'short' ? '}\u2009{' : '} {')]);
  }
  pairs.push(['glue-range', text(dateTimeFormats.medium).replace('}{', '} {')]);
  const styles = STYLES.map((style) => ({
    date: text(calendar.dateFormats[style]),
    time: text(calendar.timeFormats[style]),
    short: style === 'short',
  }));
  const available = usable(dateTimeFormats.availableFormats);
  for (const { skeleton, pattern, specified } of patternList(styles, available, ordered(available, parents)))
    pairs.push([`${specified ? 'P' : 'p'}${skeleton}`, pattern]);
  APPENDED.forEach(([key, field], at) => {
    const format = dateTimeFormats.appendItems[key] ?? '{0} \u251c{2}: {1}\u2524';
    const name = fields[field]?.displayName ?? `F${at}`;
    pairs.push([`append-${at}`, format.replace('{2}', `'${name}'`)]);
  });
  for (const [skeleton, patterns] of Object.entries(dateTimeFormats.intervalFormats)) {
    if (typeof patterns === 'string') {
      if (skeleton === 'intervalFormatFallback') pairs.push(['interval', text(patterns)]);
      continue;
    }
    if (/-alt-/.test(skeleton)) continue;
    for (const [difference, pattern] of Object.entries(patterns))
      if (!/-alt-/.test(difference)) pairs.push([`i${skeleton} ${difference}`, text(pattern)]);
  }
  return pairs;
}

function namesOf({ months, days, dayPeriods, eras }) {
  const pairs = [];
  for (const [context, letter] of [
    ['format', 'f'],
    ['stand-alone', 's'],
  ]) {
    for (const [width, count] of Object.entries(WIDTHS)) {
      if (months) pairs.push([`month-${letter}${count}`, list(Object.values(months[context][width]))]);
      if (days) pairs.push([`day-${letter}${count}`, list(Object.values(days[context][width]))]);
    }
    if (days) pairs.push([`day-${letter}6`, list(Object.values(days[context].short))]);
  }
  if (dayPeriods) {
    for (const [width, count] of Object.entries(WIDTHS)) {
      for (const [period, name] of Object.entries(dayPeriods.format[width]))
        if (!/-alt-/.test(period)) pairs.push([`period${count}-${period}`, name]);
    }
  }
  for (const [kind, count] of [
    ['eraAbbr', 3],
    ['eraNames', 4],
    ['eraNarrow', 5],
  ])
    pairs.push([
      `era-${count}`,
      list(
        Object.entries(eras[kind])
          .filter(([key]) => !/-alt-/.test(key))
          .map(([, name]) => name),
      ),
    ]);
  return pairs;
}

function rulesOf(locale) {
  const { dayPeriodRuleSet } = read('cldr-core', 'supplemental', 'dayPeriods.json').supplemental;
  const parents = [locale];
  while (parents.at(-1).includes('-')) parents.push(parents.at(-1).replace(/-[^-]+$/, ''));
  const rules = parents.map((tag) => dayPeriodRuleSet[tag === 'nb' ? 'no' : tag]).find(Boolean);
  if (!rules) return [];
  const hour = (time) => Number(time.slice(0, 2));
  const hours = Array(24).fill('');
  const pairs = [];
  for (const [period, { _from: from, _before: before, _at: at }] of Object.entries(rules)) {
    // ICU does not use that of midnight.
    if (at && period === 'noon') pairs.push(['at-noon', '']);
    else if (!at) for (let of = hour(from); of !== hour(before) % 24; of = (of + 1) % 24) hours[of] = period;
  }
  return [...pairs, ['hours', list(hours)]];
}

const { likelySubtags } = read('cldr-core', 'supplemental', 'likelySubtags.json').supplemental;
const folderOf = (locale) => (locale === 'nb' ? 'no' : locale);

function regionOf(locale) {
  const own = /-([A-Z]{2}|\d{3})$/.exec(locale)?.[1];
  return own ?? likelySubtags[locale].split('-').at(-1);
}

function numbersOf(locale) {
  const { numbers } = read('cldr-numbers-full', 'main', folderOf(locale), 'numbers.json').main[folderOf(locale)];
  const pairs = [['numbers', numbers.defaultNumberingSystem]];
  for (const [key, symbols] of Object.entries(numbers)) {
    const system = /^symbols-numberSystem-(\w+)$/.exec(key)?.[1];
    if (system) pairs.push([`decimal-${system}`, symbols.decimal], [`minus-${system}`, symbols.minusSign]);
  }
  return pairs;
}

const calendarOf = (kind, file, locale) =>
  read(kind, 'main', locale, `ca-${file}.json`).main[locale].dates.calendars[file];
const fieldsOf = (locale) => read('cldr-dates-full', 'main', locale, 'dateFields.json').main[locale].dates.fields;

function localePiece(locale) {
  const name = folderOf(locale);
  const gregorian = calendarOf('cldr-dates-full', 'gregorian', name);
  return lines([
    ['region', regionOf(locale)],
    ...numbersOf(locale),
    ...rulesOf(locale),
    ...namesOf(gregorian),
    ...formatsOf(gregorian, fieldsOf(name), parentsOf(name, 'gregorian')),
  ]);
}

// Of a later version than the package.
const NEWER = { buddhist: { GyMd: 'd/M/G y', GyMEd: 'E ที่ d/M/G y' } };

// What a calendar has of its own: the rest is in the locale's piece.
function calendarPiece(kind, file, locale) {
  const name = folderOf(locale);
  const own = calendarOf(kind, file, name);
  const generic = calendarOf('cldr-dates-full', 'generic', name);
  const gregorian = calendarOf('cldr-dates-full', 'gregorian', name);
  // The patterns of times are newer in the others.
  const older = (of, not) =>
    Object.fromEntries(Object.entries(own.dateTimeFormats[of]).filter(([key]) => !not.test(key)));
  const formats = {
    timeFormats: gregorian.timeFormats,
    dateFormats: own.dateFormats,
    'dateTimeFormats-atTime': gregorian['dateTimeFormats-atTime'],
    dateTimeFormats: {
      ...generic.dateTimeFormats,
      medium: gregorian.dateTimeFormats.medium,
      appendItems: gregorian.dateTimeFormats.appendItems,
      availableFormats: {
        ...generic.dateTimeFormats.availableFormats,
        ...older('availableFormats', /[hHms]/),
        ...NEWER[file],
      },
      intervalFormats: { ...generic.dateTimeFormats.intervalFormats, ...older('intervalFormats', /[hB]/) },
    },
  };
  const names = { eras: own.eras, months: file === 'persian' ? own.months : undefined };
  return lines([...namesOf(names), ...formatsOf(formats, fieldsOf(name), parentsOf(name, 'generic'))]);
}

// === time zones ===

const { metaZones } = read('cldr-core', 'supplemental', 'metaZones.json').supplemental;
const { primaryZones } = read('cldr-core', 'supplemental', 'primaryZones.json').supplemental;
const { tz: zoneKeys } = read('cldr-bcp47', 'bcp47', 'timezone.json').keyword.u;

// Of each zone, under the name that CLDR gives it: its other names, its country and whether that has no other.
function zoneList() {
  const zones = [];
  for (const [key, { _alias: names, _deprecated: deprecated }] of Object.entries(zoneKeys)) {
    if (!names || deprecated || key === 'unk') continue;
    const [name, ...others] = names.split(' ');
    const country = /^(utc|gmt)/.test(key) ? '' : key.slice(0, 2).toUpperCase();
    zones.push({ name, others, country });
  }
  for (const zone of zones) {
    const alone = zones.filter(({ country }) => country === zone.country).length === 1;
    zone.primary = zone.country !== '' && (alone || primaryZones[zone.country] === zone.name);
  }
  return zones.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

const ZONES = zoneList();
const metazones = [...new Set(metaZones.metazones.map(({ mapZone }) => mapZone._other))].toSorted();

function usesOf(name) {
  const found = name.split('/').reduce((node, part) => node?.[part], metaZones.metazoneInfo.timezone);
  if (!Array.isArray(found)) return '';
  const minutes = (time) => (time ? Date.parse(`${time.replace(' ', 'T')}Z`) / 60_000 : '');
  return found
    .map(({ usesMetazone: { _mzone: metazone, _from: from, _to: to } }) =>
      [metazones.indexOf(metazone), minutes(from), minutes(to)].join(','),
    )
    .join(';');
}

function zonesPiece() {
  const pairs = [];
  for (const { name, others, country, primary } of ZONES)
    pairs.push([`Z${name}`, [country, primary ? '1' : '', usesOf(name), others.join(' ')].join('|')]);
  metazones.forEach((metazone, at) => {
    const golden = metaZones.metazones
      .map(({ mapZone }) => mapZone)
      .filter(({ _other: other }) => other === metazone)
      .map(({ _territory: territory, _type: zone }) => `${territory}:${zone}`);
    pairs.push([`M${at}`, golden.join(' ')]);
  });
  return lines(pairs);
}

function zoneNamesPiece(locale) {
  const name = folderOf(locale);
  const names = read('cldr-dates-full', 'main', name, 'timeZoneNames.json').main[name].dates.timeZoneNames;
  const { territories } = read('cldr-localenames-full', 'main', name, 'territories.json').main[name].localeDisplayNames;
  const six = (of) =>
    ['long', 'short'].flatMap((width) =>
      ['generic', 'standard', 'daylight'].map((kind) => {
        const found = of?.[width]?.[kind] ?? '';
        return found === '∅∅∅' ? '' : found;
      }),
    );
  const pairs = [
    ['gmt', names.gmtFormat],
    ['hours', names.hourFormat],
    ['region', names.regionFormat],
    ['fallback', names.fallbackFormat],
  ];
  metazones.forEach((metazone, at) => {
    const of = six(names.metazone[metazone]);
    if (of.some(Boolean)) pairs.push([`M${at}`, list(of)]);
  });
  for (const { name: zone } of ZONES) {
    const found = zone.split('/').reduce((node, part) => node?.[part], names.zone);
    const city = found?.exemplarCity ?? '';
    const of = six(found);
    if (city || of.some(Boolean)) pairs.push([`Z${zone}`, list([city, ...of]).replace(/\|+$/, '')]);
  }
  const countries = new Set(ZONES.filter(({ primary }) => primary).map(({ country }) => country));
  const golden = metaZones.metazones.map(({ mapZone }) => mapZone._territory).filter((code) => /^[A-Z]{2}$/.test(code));
  for (const code of [...new Set([...countries, ...golden])].toSorted()) pairs.push([`C${code}`, territories[code]]);
  return lines(pairs);
}

// === what is of no locale ===

function sharedPiece() {
  const { timeData } = read('cldr-core', 'supplemental', 'timeData.json').supplemental;
  const byCycle = {};
  for (const [region, { _preferred: letter }] of Object.entries(timeData))
    (byCycle[letter] ??= []).push(region.replace('_', '-'));
  const { numberingSystems } = read('cldr-core', 'supplemental', 'numberingSystems.json').supplemental;
  const digits = Object.entries(numberingSystems)
    .filter(([, { _type: type }]) => type === 'numeric')
    .map(([system, { _digits: of }]) => [`digits-${system}`, of]);
  const cycles = Object.entries(byCycle).map(([letter, regions]) => [`cycle-${letter}`, regions.join(' ')]);
  return lines([...cycles, ...digits]);
}

// The patterns of dates of ISO 8601 are the same in all languages.
function isoPiece() {
  const formats = { full: 'y MMMM d, EEEE', long: 'y MMMM d', medium: 'y MMM d', short: 'y-MM-dd' };
  const available = {
    E: 'ccc',
    Ed: 'd, E',
    Gy: 'G y',
    GyM: 'G y-MM',
    GyMd: 'G y-MM-dd',
    GyMEd: 'G y-MM-dd, E',
    GyMMM: 'G y MMM',
    GyMMMd: 'G y MMM d',
    GyMMMEd: 'G y MMM d, E',
    M: 'L',
    MEd: 'MM-dd, E',
    MMM: 'LLL',
    MMMEd: 'MMM d, E',
    MMMMd: 'MMMM d',
    MMMd: 'MMM d',
    Md: 'MM-dd',
    d: 'd',
    y: 'y',
    yM: 'y-MM',
    yMEd: 'y-MM-dd, E',
    yMMM: 'y MMM',
    yMMMEd: 'y MMM d, E',
    yMMMM: 'y MMMM',
    yMMMd: 'y MMM d',
    yMd: 'y-MM-dd',
  };
  const styles = STYLES.map((style) => ({ date: formats[style], time: 'HH:mm:ss', short: false }));
  const list = patternList(styles, available, Object.keys(available).toSorted());
  return lines([
    ...STYLES.map((style) => [`date-${style}`, formats[style]]),
    ...list
      .filter(({ skeleton }) => !/^[aHmsSv]/.test(skeleton))
      .map(({ skeleton, pattern, specified }) => [`${specified ? 'P' : 'p'}${skeleton}`, pattern]),
  ]);
}

const pieces = [
  ['shared', sharedPiece()],
  ['zones', zonesPiece()],
  ['iso8601', isoPiece()],
  ['fa+persian', calendarPiece('cldr-cal-persian-full', 'persian', 'fa')],
  ['th+buddhist', calendarPiece('cldr-cal-buddhist-full', 'buddhist', 'th')],
];
for (const locale of LOCALES) pieces.push([locale, localePiece(locale)], [`${locale}+zones`, zoneNamesPiece(locale)]);
let offset = 0;
const packed = pieces.map(([name, of]) => {
  const inflated = Buffer.from(of);
  const bytes = deflateRawSync(inflated, { level: 9, memLevel: 9 });
  const line = `${name} ${offset} ${bytes.length} ${inflated.length}\n`;
  offset += bytes.length;
  return { line, bytes };
});
const head = Buffer.from(packed.map(({ line }) => line).join(''));
const length = Buffer.alloc(4);
length.writeUInt32LE(head.length);
process.stdout.write(Buffer.concat([length, head, ...packed.map(({ bytes }) => bytes)]));
