import { Encoder, decode, encode } from 'cbor-x';

export default ({ text, values, date }) => {
  const data = {
    text,
    values,
    floats: [1.5, -0.1, 1e300, NaN, Infinity],
    big: [2n ** 53n, -(2n ** 63n)],
    bytes: new Uint8Array([1, 2, 255]),
    date: new Date(date),
    map: new Map([[1, 'one'], ['two', 2]]),
    set: new Set(['a', 'b']),
    nothing: [null, undefined, true],
  };
  const bytes = encode(data);
  const back = decode(bytes);
  const plain = new Encoder({ mapsAsObjects: true, useRecords: false });
  return {
    bytes: Array.from(bytes),
    back: { ...back, big: back.big.map(String), bytes: Array.from(back.bytes), map: [...back.map], set: [...back.set] },
    shared: Array.from(plain.encode([{ a: 1, b: 2 }, { a: 3, b: 4 }])),
  };
};
