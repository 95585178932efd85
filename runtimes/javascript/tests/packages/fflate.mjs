import * as fflate from 'fflate';

export default ({ text }) => {
  const long = fflate.strToU8(`${text} `.repeat(500));
  const random = Uint8Array.from({ length: 5000 }, (_, index) => (index * 7919 + (index >> 3) * 104729) & 255);
  const sizes = [0, 1, 6, 9].map((level) => [fflate.deflateSync(long, { level }).length, fflate.zlibSync(random, { level }).length]);
  const zip = fflate.zipSync({ 'a.txt': long, dir: { 'b.bin': [random, { level: 0 }] } }, { mtime: '2026-11-29T10:00:00Z' });
  const parts = [];
  const stream = new fflate.Gunzip((chunk, last) => parts.push([chunk.length, last]));
  const gzip = fflate.gzipSync(long, { mtime: 0, filename: 'x' });
  for (let at = 0; at < gzip.length; at += 30) stream.push(gzip.subarray(at, at + 30), at + 30 >= gzip.length);
  return {
    sizes,
    gzip: fflate.strFromU8(gzip, true),
    back: fflate.strFromU8(fflate.gunzipSync(gzip)).slice(0, 60),
    zip: [zip.length, Object.entries(fflate.unzipSync(zip)).map(([name, bytes]) => [name, bytes.length])],
    parts,
    wrong: (() => {
      try {
        return fflate.inflateSync(new Uint8Array([5, 0, 1]));
      } catch (error) {
        return [error.name, error.code, error.message];
      }
    })(),
  };
};
