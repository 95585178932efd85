import { IntlMessageFormat } from 'intl-messageformat';

const FILES = '{count, plural, =0 {no files} one {# file} other {# files}} of {name}';
const DATEIEN = '{count, plural, one {# Datei} other {# Dateien}}, {size, number} Byte, {when, date, long}';

export default ({ name, date }) => {
  const values = { name, count: 1234, size: 1234567.8, when: new Date(date), place: 3, share: 0.256 };
  const format = (text, locale) => new IntlMessageFormat(text, locale, { date: { long: { year: 'numeric', month: 'long', day: 'numeric', timeZone: 'UTC' } } }).format(values);
  return {
    plural: [0, 1, 2].map((count) => new IntlMessageFormat(FILES, 'en').format({ ...values, count })),
    german: format(DATEIEN, 'de'),
    polish: [1, 3, 5].map((count) => new IntlMessageFormat('{count, plural, one {plik} few {pliki} many {plików} other {pliku}}', 'pl').format({ count })),
    select: format('{name, select, Ada {she} other {they}} came {place, selectordinal, one {#st} two {#nd} few {#rd} other {#th}}', 'en'),
    numbers: [format('{share, number, percent}', 'fr'), format('{size, number, ::currency/EUR}', 'de'), format('{size, number, ::compact-short}', 'en')],
    times: [format('{when, date, short} {when, time, short}', 'en'), format('{when, date, ::yyyyMMMMd}', 'es')],
    parts: new IntlMessageFormat('Hi <b>{name}</b>', 'en').formatToParts({ name, b: (chunks) => ['(', ...chunks, ')'] }),
  };
};
