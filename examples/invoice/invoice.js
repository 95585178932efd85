// Writes an invoice in the language, the currency and the time zone of whoever gets it.
const WORDS = {
  en: {
    invoice: 'Invoice', due: 'Due', net: 'Net', vat: 'VAT at', total: 'Total',
    items: { one: 'item', other: 'items' },
  },
  de: {
    invoice: 'Rechnung', due: 'Zahlbar', net: 'Netto', vat: 'MwSt. zu', total: 'Summe',
    items: { one: 'Posten', other: 'Posten' },
  },
  pl: {
    invoice: 'Faktura', due: 'Termin', net: 'Netto', vat: 'VAT', total: 'Razem',
    items: { one: 'pozycja', few: 'pozycje', many: 'pozycji', other: 'pozycji' },
  },
  ja: { invoice: '請求書', due: 'お支払期限', net: '小計', vat: '消費税', total: '合計', items: { other: '点' } },
};
const DAY = 24 * 60 * 60 * 1000;
const DAYS_TO_PAY = 14;

// The words for a locale: those of the first language that is here, else English ones.
function wordsFor(locale) {
  return WORDS[new Intl.Locale(locale).language] ?? WORDS.en;
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

function textOf({ number, issued, locale, currency, timeZone, lines }) {
  const words = wordsFor(locale);
  const money = new Intl.NumberFormat(locale, { style: 'currency', currency });
  const count = new Intl.NumberFormat(locale);
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 });
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'short', timeZone });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeZone });
  const span = new Intl.RelativeTimeFormat(locale);
  const plural = new Intl.PluralRules(locale);
  const collator = new Intl.Collator(locale);
  const list = new Intl.ListFormat(locale);

  const date = new Date(issued);
  const sorted = [...lines].sort((a, b) => collator.compare(a.name, b.name));
  const rates = [...new Set(lines.map((line) => line.vat))].sort((a, b) => a - b);
  const lineText = ({ name, quantity, price }) =>
    `${name}: ${count.format(quantity)} × ${money.format(price)} = ${money.format(quantity * price)}`;
  const net = sum(lines.map((line) => line.quantity * line.price));
  const vat = sum(lines.map((line) => line.quantity * line.price * line.vat));
  return [
    `${words.invoice} ${number}`,
    moment.format(date),
    `${words.due}: ${day.format(new Date(date.getTime() + DAYS_TO_PAY * DAY))} (${span.format(DAYS_TO_PAY, 'day')})`,
    '',
    ...sorted.map(lineText),
    '',
    `${count.format(lines.length)} ${words.items[plural.select(lines.length)]}`,
    `${words.net}: ${money.format(net)}`,
    `${words.vat} ${list.format(rates.map((rate) => percent.format(rate)))}: ${money.format(vat)}`,
    `${words.total}: ${money.format(net + vat)}`,
    '',
  ].join('\n');
}

export default {
  async fetch(request) {
    if (request.method !== 'POST') {
      return new Response('send an order with POST\n', { status: 405, headers: { allow: 'POST' } });
    }
    try {
      return new Response(textOf(await request.json()));
    } catch (error) {
      // A locale, a currency or a time zone that there is none of, or no order at all.
      return new Response(`${error.message}\n`, { status: 400 });
    }
  },
};
