import protobuf from 'protobufjs';

const PROTO = `syntax = "proto3"; package shop;
enum Kind { NONE = 0; BOOK = 1; }
message Item { int32 id = 1; string name = 2; repeated double prices = 3; map<string, int64> stock = 4; Kind kind = 5; bytes data = 6; oneof about { string note = 7; Item inner = 8; } optional bool sold = 9; }
service Shop { rpc Get (Item) returns (Item); }`;

export default ({ text, values }) => {
  const { root } = protobuf.parse(PROTO);
  const Item = root.lookupType('shop.Item');
  const message = Item.create({ id: -5, name: text, prices: values, stock: { a: 7 }, kind: 1, data: Uint8Array.of(1, 2, 255), inner: { id: 1 } });
  const bytes = Item.encode(message).finish();
  const decoded = Item.decode(bytes);
  const fails = (make) => {
    try {
      return make();
    } catch (error) {
      return [error.name, error.message];
    }
  };
  return {
    bytes: Array.from(bytes),
    object: Item.toObject(decoded, { enums: String, longs: String, bytes: String, defaults: true, oneofs: true }),
    json: decoded,
    verified: [Item.verify({ id: 'x' }), Item.verify({ prices: 5 }), Item.verify({ id: 1 })],
    from: Item.fromObject({ kind: 'BOOK', prices: ['1.5'], data: 'AQL/' }),
    delimited: Array.from(Item.encodeDelimited({ id: 300 }).finish()),
    wrong: [fails(() => Item.decode(Uint8Array.of(0x12, 9, 1))), fails(() => protobuf.parse('message {'))],
    root: root.toJSON(),
  };
};
