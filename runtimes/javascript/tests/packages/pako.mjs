import * as pako from 'pako';

export default ({ text }) => {
  const long = `${text} `.repeat(400);
  const random = Uint8Array.from({ length: 3000 }, (_, index) => (index * 7919 + (index >> 3) * 104729) & 255);
  const stream = new pako.Deflate({ level: 9, chunkSize: 64 });
  for (let at = 0; at < 3000; at += 1000) stream.push(random.subarray(at, at + 1000), at === 2000);
  const fails = (bytes) => {
    try {
      return pako.inflate(bytes);
    } catch (error) {
      return String(error.message ?? error);
    }
  };
  return {
    sizes: [0, 1, 6, 9].map((level) => [pako.deflate(random, { level }).length, pako.deflateRaw(new TextEncoder().encode(long), { level }).length]),
    bytes: Array.from(pako.deflate(new TextEncoder().encode('some text'))),
    gzip: Array.from(pako.gzip(new TextEncoder().encode('some text'))),
    back: new TextDecoder().decode(pako.ungzip(pako.gzip(new TextEncoder().encode(long)))).length,
    stream: [stream.err, stream.result.length, pako.inflate(stream.result).length],
    strategies: [1, 2, 3, 4].map((strategy) => pako.deflate(random, { strategy }).length),
    wrong: [fails(Uint8Array.of(1, 2, 3)), fails(Uint8Array.of(0x78, 0x9c, 7, 7))],
  };
};
