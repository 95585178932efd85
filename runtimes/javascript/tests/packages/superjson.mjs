import superjson from 'superjson';

class Money {
  constructor(amount) {
    this.amount = amount;
  }
}
superjson.registerClass(Money, { identifier: 'Money' });
superjson.registerCustom({ isApplicable: (value) => value instanceof URL, serialize: (url) => url.href, deserialize: (text) => new URL(text) }, 'url');

export default ({ date, values }) => {
  const shared = { n: 1 };
  const data = { when: new Date(date), set: new Set(values), map: new Map([[1, { a: /x/gi }]]), big: 2n ** 70n, numbers: [NaN, -Infinity, -0], none: undefined, money: new Money(5), url: new URL('https://example.org/a?b#c'), bytes: new Uint8Array([1, 2]), twice: [shared, shared], 'a.b': { 'c\\d': new Date(0) } };
  const { json, meta } = superjson.serialize(data);
  const back = superjson.parse(superjson.stringify(data));
  return {
    json,
    meta,
    back: [back.when.getTime(), [...back.set], back.map.get(1).a.flags, String(back.big), back.numbers.map((each) => Object.is(each, -0) ? '-0' : String(each)), 'none' in back, back.money instanceof Money, back.url.host, back.bytes.constructor.name, back.twice[0] === back.twice[1]],
  };
};
