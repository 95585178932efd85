import JSZip from 'jszip';

export default async ({ text, date }) => {
  const zip = new JSZip();
  const options = { date: new Date(date), createFolders: false };
  zip.file('a.txt', `${text} `.repeat(100), options);
  zip.file('dir/b.bin', Uint8Array.from({ length: 300 }, (_, at) => at & 255), { ...options, compression: 'STORE' });
  zip.file('dir/ü.json', JSON.stringify({ text }), { ...options, comment: 'c' });
  const bytes = await zip.generateAsync({ type: 'uint8array', compression: 'DEFLATE', compressionOptions: { level: 9 }, comment: 'all' });
  const again = await JSZip.loadAsync(bytes, { checkCRC32: true });
  const files = Object.values(again.files).map(({ name, dir, date: when, comment }) => [name, dir, when, comment]);
  return {
    bytes: [bytes.length, Array.from(bytes.slice(0, 60))],
    files,
    comment: again.comment,
    text: (await again.file('a.txt').async('string')).length,
    json: await again.file('dir/ü.json').async('string'),
    bin: await again.file('dir/b.bin').async('base64'),
    filtered: again.filter((path) => path.endsWith('.bin')).map(({ name }) => name),
    wrong: await JSZip.loadAsync('no zip').catch((error) => [error.name, error.message]),
  };
};
