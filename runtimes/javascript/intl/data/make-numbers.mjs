// Makes numbers.bin, the texts of number formats and of relative times, from CLDR 48:
//
//   npm install --prefix FOLDER cldr-core@48.0.0 cldr-numbers-full@48.0.0 cldr-units-full@48.0.0 cldr-dates-full@48.0.0
//   node make-numbers.mjs FOLDER/node_modules > numbers.bin
//
// The form: the length of the index (u32, little-endian), the index, the pieces. A line of the index is
// `KIND.LOCALE OFFSET LENGTH [PARENT]`. A piece is DEFLATE of lines `key<TAB>value<TAB>…`; a key that is not there is
// looked up in the parent's piece, and a line of a key alone says that the parent's does not count. The first piece, `root`,
// is not packed. Currencies are in blocks, by the first letters of their codes, and units by their widths: who makes a
// format unpacks little.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

const LOCALES =
  'en en-AU en-CA en-GB en-IN de de-AT de-CH fr fr-CA fr-CH es es-MX es-419 it pt pt-PT nl sv da nb fi pl cs sk hu ro bg hr ' +
  'sr sl el uk ru tr he ar fa hi bn th vi id ms ja ko zh zh-Hant zh-Hant-HK ca et lt lv';
const PARENTS = {
  'en-AU': 'en-GB',
  'en-CA': 'en',
  'en-GB': 'en',
  'en-IN': 'en-GB',
  'de-AT': 'de',
  'de-CH': 'de',
  'fr-CA': 'fr',
  'fr-CH': 'fr',
  'es-MX': 'es-419',
  'es-419': 'es',
  'pt-PT': 'pt',
  'zh-Hant-HK': 'zh-Hant',
};
const FORMS = ['zero', 'one', 'two', 'few', 'many', 'other'];
const WIDTHS = { l: 'long', s: 'short', n: 'narrow' };
// The sanctioned simple units of ECMA-402, and those that CLDR has for two of them together.
const UNITS =
  'acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit gigabyte gram hectare hour inch ' +
  'kilobit kilobyte kilogram kilometer liter megabit megabyte meter microsecond mile mile-scandinavian milliliter ' +
  'millimeter millisecond minute month nanosecond ounce percent petabyte pound second stone terabit terabyte week yard year ' +
  'kilometer-per-hour liter-per-kilometer meter-per-second mile-per-gallon mile-per-hour';
const TIMES = ['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second'];
// What the root locale has for numbering systems that do not take all from `latn`, and what some locales have for systems that
// are not theirs: the JSON of CLDR leaves it out. Fields as in `sym` and `pat` below; an empty one is that of `latn`.
const ROOT = {
  arab: {
    sym: ['٫', '٬', '٪\u061c', '\u061c+', '\u061c-', '~', 'اس', '', 'NaN'],
    pat: ['', '#,##0%', '#,##0.00\u00a0¤', '#,##0.00\u00a0¤', ''],
  },
  arabext: {
    sym: ['٫', '٬', '٪', '\u200e+\u200e', '\u200e-\u200e', '~', '×۱۰^', '', 'NaN'],
    pat: ['', '', '', '', ''],
  },
};
const SYMBOLS_APART = {
  'ar.arabext': { 8: 'ليس\u00a0رقمًا' },
  'fa.arab': { 2: '٪', 6: 'E', 8: 'ناعدد' },
  'fr.arab': { 3: '\u200f+' },
  'fr-CA.arab': { 3: '\u200f+' },
  'fr-CH.arab': { 3: '\u200f+' },
  'ko.arab': { 3: '\u200f+', 4: '\u200f-' },
  'ms.arabext': { 0: '.' },
  'nb.arab': { 1: '\u00a0', 4: '\u061c−' },
  'nb.arabext': { 0: ',', 1: '\u00a0', 4: '\u200e−\u200e' },
  'sv.arab': { 1: '\u00a0', 4: '\u061c−', 6: '×۱۰^' },
  'zh-Hant.arab': { 4: '-', 8: '非數值' },
  'zh-Hant.arabext': { 8: '非數值' },
  'zh-Hant-HK.arabext': { 8: '非數值' },
  'zh-Hant-HK.arab': { 4: '-', 8: '非數值' },
  'sv.arabext': { 0: ',', 1: '\u00a0', 4: '\u200e−\u200e' },
};
const PATTERNS_APART = {
  'fa.arab': { 2: '\u200e¤#,##0.00', 3: '\u200e¤#,##0.00' },
  'nb.arab': { 1: '#,##0\u00a0%', 2: '¤\u00a0#,##0.00', 3: '¤\u00a0#,##0.00' },
  'nb.arabext': { 2: '¤\u00a0#,##0.00', 3: '¤\u00a0#,##0.00' },
  'nl.arab': { 1: '#,##0\u00a0%' },
  'zh.arab': { 2: '¤#,##0.00', 3: '¤#,##0.00' },
};
// Currencies that are no legal tender, but that ICU counts among the common ones.
const ALSO_COMMON = ['ANG', 'BGN', 'CUC', 'HRK', 'SLL', 'SVC', 'XDR', 'XSU', 'ZWL'];

const modules = process.argv[2];
const read = (name) => JSON.parse(fs.readFileSync(path.join(modules, name), 'utf8'));
const main = (source, locale, file) => read(`cldr-${source}-full/main/${locale}/${file}.json`).main[locale];
const supplemental = (file) => read(`cldr-core/supplemental/${file}.json`).supplemental;

function addForms(lines, key, source, name, apart = '.') {
  const other = source[name('other')];
  for (const form of FORMS) {
    const text = source[name(form)];
    if (text !== undefined && (form === 'other' || text !== other)) lines.set(`${key}${apart}${form}`, text);
  }
}

function addCompact(lines, key, patterns) {
  const digits = new Set(Object.keys(patterns ?? {}).map((name) => name.match(/^(10+)-count/)[1]));
  for (const one of digits) {
    addForms(lines, `${key}.${one.length - 1}`, patterns, (form) => `${one}-count-${form}`);
    for (const exact of ['0', '1']) {
      const text = patterns[`${one}-count-${exact}`];
      if (text !== undefined) lines.set(`${key}.${one.length - 1}.${exact}`, text);
    }
  }
}

function numbers(locale) {
  const all = main('numbers', locale, 'numbers').numbers;
  const lines = new Map([
    ['ns', all.defaultNumberingSystem],
    ['min', all.minimumGroupingDigits],
  ]);
  addForms(lines, 'un', all['currencyFormats-numberSystem-latn'], (form) => `unitPattern-count-${form}`);
  for (const key of Object.keys(all)) {
    if (!key.startsWith('symbols-numberSystem-')) continue;
    const system = key.slice('symbols-numberSystem-'.length);
    const of = (kind) => all[`${kind}-numberSystem-${system}`];
    const [symbols, currency] = [of('symbols'), of('currencyFormats')];
    lines.set(
      `${system}.sym`,
      'decimal group percentSign plusSign minusSign approximatelySign exponential infinity nan currencyDecimal currencyGroup'
        .split(' ')
        .map((name) => symbols[name] ?? '')
        .join('\t'),
    );
    lines.set(
      `${system}.pat`,
      [
        of('decimalFormats').standard,
        of('percentFormats').standard,
        currency.standard,
        currency.accounting,
        of('miscPatterns').range,
      ].join('\t'),
    );
    addCompact(lines, `${system}.s`, of('decimalFormats').short?.decimalFormat);
    addCompact(lines, `${system}.l`, of('decimalFormats').long?.decimalFormat);
    addCompact(lines, `${system}.c`, currency.short?.standard);
  }
  for (const [system, { sym, pat }] of Object.entries(ROOT)) {
    const [symbols, patterns] = [SYMBOLS_APART[`${locale}.${system}`], PATTERNS_APART[`${locale}.${system}`]];
    if (symbols) lines.set(`${system}.sym`, Object.assign([...sym], symbols).join('\t'));
    if (patterns) lines.set(`${system}.pat`, Object.assign([...pat], patterns).join('\t'));
  }
  return lines;
}

// The blocks of currencies: about three letters in each.
const BLOCKS = 9;
const blockOf = (code) => Math.floor((code.charCodeAt(0) - 65) / 3);

// A currency: its name, symbol and narrow symbol (empty: the code, the symbol), then `form=name`, and `p=`, `d=`, `g=` for
// the pattern and the separators of its own that some have.
function currencies(locale) {
  const lines = new Map();
  for (const [code, all] of Object.entries(main('numbers', locale, 'currencies').numbers.currencies)) {
    const symbol = all.symbol ?? code;
    const narrow = all['symbol-alt-narrow'] ?? symbol;
    const other = all['displayName-count-other'] ?? all.displayName ?? code;
    const fields = [all.displayName ?? '', symbol === code ? '' : symbol, narrow === symbol ? '' : narrow];
    for (const form of FORMS) {
      const text = all[`displayName-count-${form}`];
      if (text !== undefined && (form === 'other' ? text !== all.displayName : text !== other))
        fields.push(`${form}=${text}`);
    }
    for (const name of ['pattern', 'decimal', 'group']) if (all[name]) fields.push(`${name[0]}=${all[name]}`);
    if (fields.some((field) => field !== '')) lines.set(code, fields.join('\t').replace(/\t+$/, ''));
  }
  return lines;
}

function units(locale) {
  const lines = new Map();
  const all = main('units', locale, 'units').units;
  for (const [letter, width] of Object.entries(WIDTHS)) {
    const byName = new Map(Object.entries(all[width]).map(([name, unit]) => [name.replace(/^[a-z]+-/, ''), unit]));
    lines.set(`${letter}.per`, all[width].per.compoundUnitPattern);
    for (const name of UNITS.split(' ')) {
      const unit = byName.get(name);
      addForms(lines, `${letter}.${name}`, unit, (form) => `unitPattern-count-${form}`);
      if (unit.perUnitPattern) lines.set(`${letter}.${name}.per`, unit.perUnitPattern);
    }
  }
  return lines;
}

function times(locale) {
  const lines = new Map();
  const { fields } = main('dates', locale, 'dateFields').dates;
  for (const letter of Object.keys(WIDTHS)) {
    for (const name of TIMES) {
      const field = fields[letter === 'l' ? name : `${name}-${WIDTHS[letter]}`];
      for (let at = -2; at <= 2; at++) {
        const text = field[`relative-type-${at}`];
        if (text !== undefined) lines.set(`${letter}.${name}.${at}`, text);
      }
      for (const [sign, tense] of [
        ['-', 'past'],
        ['+', 'future'],
      ]) {
        const patterns = field[`relativeTime-type-${tense}`];
        addForms(lines, `${letter}.${name}.${sign}`, patterns, (form) => `relativeTimePattern-count-${form}`, '');
      }
    }
  }
  return lines;
}

function root() {
  const lines = new Map();
  for (const [name, system] of Object.entries(supplemental('numberingSystems').numberingSystems)) {
    if (system._type === 'numeric') lines.set(`digits.${name}`, system._digits);
  }
  for (const [system, { sym, pat }] of Object.entries(ROOT)) {
    lines.set(`${system}.sym`, sym.join('\t'));
    lines.set(`${system}.pat`, pat.join('\t'));
  }
  const common = new Set(ALSO_COMMON);
  for (const uses of Object.values(supplemental('currencyData').currencyData.region)) {
    for (const use of uses) {
      const [[code, { _to, _tender }]] = Object.entries(use);
      if (_to === undefined && _tender !== 'false' && code !== 'XXX') common.add(code);
    }
  }
  lines.set('currencies', [...common].sort().join(' '));
  for (const [code, { _digits }] of Object.entries(supplemental('currencyData').currencyData.fractions)) {
    if (code !== 'DEFAULT' && _digits !== '2') lines.set(`fraction.${code}`, _digits);
  }
  return lines;
}

const index = [];
const pieces = [];
let offset = 0;

function push(name, piece, parent) {
  index.push([name, offset, piece.length, ...(parent ? [parent] : [])].join(' '));
  pieces.push(piece);
  offset += piece.length;
}

function add(name, lines, parent, parentLines) {
  let text = '';
  for (const [key, value] of lines) if (parentLines?.get(key) !== value) text += `${key}\t${value}\n`;
  for (const key of parentLines?.keys() ?? []) if (!lines.has(key)) text += `${key}\n`;
  push(name, zlib.deflateRawSync(Buffer.from(text), { level: 9, memLevel: 9 }), parent);
}

// The lines of one block, those for whose key `is` holds.
const only = (lines, is) => lines && new Map([...lines].filter(([key]) => is(key)));

const rootText = [...root()].map(([key, value]) => `${key}\t${value}\n`).join('');
push('root', Buffer.from(rootText));
for (const locale of LOCALES.split(' ')) {
  const parent = PARENTS[locale];
  const both = (make) => [make(locale), parent, parent && make(parent)];
  add(`n.${locale}`, ...both(numbers));
  add(`r.${locale}`, ...both(times));
  const [allUnits, , parentUnits] = both(units);
  for (const width of Object.keys(WIDTHS)) {
    const is = (key) => key.startsWith(width);
    add(`u${width}.${locale}`, only(allUnits, is), parent, only(parentUnits, is));
  }
  const [allCurrencies, , parentCurrencies] = both(currencies);
  for (let block = 0; block < BLOCKS; block++) {
    const is = (code) => blockOf(code) === block;
    add(`c${block}.${locale}`, only(allCurrencies, is), parent, only(parentCurrencies, is));
  }
}
const header = Buffer.from(index.map((line) => `${line}\n`).join(''));
const length = Buffer.alloc(4);
length.writeUInt32LE(header.length);
process.stdout.write(Buffer.concat([length, header, ...pieces]));
