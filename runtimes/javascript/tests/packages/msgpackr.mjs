import { Packr, Unpackr, pack, unpack } from 'msgpackr';

export default ({ text, values, date }) => {
  const data = { text, values, when: new Date(date), bytes: new Uint8Array([1, 2, 255]), nested: [{ a: 1, b: 2 }, { a: 3, b: 4 }], numbers: [-1, 70000, 1.5, 1e300, 2 ** 40], none: [null, undefined, false], big: 2n ** 60n };
  const bytes = pack(data);
  const back = unpack(bytes);
  const structures = [];
  const records = new Packr({ structures, moreTypes: true });
  const record = records.pack([{ x: 1, y: 'a' }, { x: 2, y: 'b' }]);
  return {
    bytes: Array.from(bytes),
    back: { ...back, big: String(back.big), bytes: Array.from(back.bytes) },
    record: [Array.from(record), new Unpackr({ structures }).unpack(record), structures],
    more: [...records.unpack(records.pack(new Map([['k', new Set([1])]]))).entries()].map(([key, set]) => [key, [...set]]),
    many: [...new Unpackr().unpackMultiple(new Uint8Array([1, 0xc3, 0xa1, 0x78]))],
    floats: Array.from(new Packr({ useFloat32: 3 }).pack([0.1, 0.5])),
  };
};
