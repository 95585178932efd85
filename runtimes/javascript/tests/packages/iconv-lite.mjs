import iconv from 'iconv-lite';

const ENCODINGS = ['utf8', 'utf-16le', 'utf-16be', 'utf-32', 'latin1', 'win1251', 'win1252', 'cp437', 'macroman', 'koi8-r', 'iso-8859-2', 'shift_jis', 'euc-jp', 'gbk', 'gb18030', 'big5', 'euc-kr', 'utf7', 'cesu8'];

export default ({ text }) => {
  const all = `${text} Привет 日本語 中文 한국어 €☃😀`;
  const decoder = iconv.getDecoder('shift_jis');
  const bytes = iconv.encode('日本語', 'shift_jis');
  return {
    encoded: ENCODINGS.map((name) => Array.from(iconv.encode(all, name))),
    back: ENCODINGS.map((name) => iconv.decode(iconv.encode(all, name), name)),
    marks: [iconv.decode(Buffer.from([0xef, 0xbb, 0xbf, 0x61]), 'utf8'), iconv.decode(Buffer.from([0xef, 0xbb, 0xbf, 0x61]), 'utf8', { stripBOM: false }).length, Array.from(iconv.encode('a', 'utf16'))],
    pieces: [decoder.write(bytes.subarray(0, 3)), decoder.write(bytes.subarray(3)), decoder.end() ?? ''],
    known: [iconv.encodingExists('windows-1250'), iconv.encodingExists('nope')],
    wrong: (() => {
      try {
        return iconv.encode('a', 'nope');
      } catch (error) {
        return [error.name, error.message];
      }
    })(),
  };
};
