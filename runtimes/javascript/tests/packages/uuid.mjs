import * as uuid from 'uuid';

export default ({ name }) => {
  const random = Uint8Array.from({ length: 16 }, (_, at) => at * 17);
  const ids = [uuid.v4(), uuid.v7(), uuid.v1()];
  const fails = (make) => {
    try {
      return make();
    } catch (error) {
      return [error.name, error.message];
    }
  };
  return {
    named: [uuid.v5(name, uuid.v5.URL), uuid.v3(name, uuid.v3.DNS), uuid.v5('x', uuid.v5(name, uuid.v5.DNS))],
    fixed: [uuid.v4({ random }), uuid.v7({ random, msecs: 1e12, seq: 5 }), uuid.v1({ random, msecs: 1e12, nsecs: 7, clockseq: 9, node: random.slice(0, 6) }), uuid.v6({ random, msecs: 1e12, nsecs: 7, clockseq: 9 })],
    fresh: [ids.every(uuid.validate), ids.map(uuid.version), new Set([...ids, uuid.v4()]).size],
    changed: [uuid.v1ToV6('1c8c3480-9ae5-11d1-8b13-00100501070f'), Array.from(uuid.parse(uuid.MAX)), uuid.stringify(random)],
    wrong: [fails(() => uuid.parse('x')), fails(() => uuid.v5('a', 'no')), uuid.validate('00000000-0000-0000-0000-00000000000')],
  };
};
