import { parse } from 'csv-parse/sync';

const TABLE = '\ufeffname;price;when\n"Müller; Söhne";1,50;2026-11-29\n"a ""b""";;\n# nothing\nlast;3;x\n';

export default () => {
  const rows = parse(TABLE, { bom: true, columns: true, delimiter: ';', comment: '#', relax_column_count: true });
  const cast = parse('1,true,abc\n2.5,false,\n', { cast: (value, { column }) => (column === 0 ? Number(value) : value) });
  const fails = (text, options) => {
    try {
      return parse(text, options);
    } catch ({ name, code, message, lines }) {
      return { name, code, message, lines };
    }
  };
  return {
    rows,
    cast,
    info: parse('a\tb\r\n1\t2\r\n', { delimiter: '\t', info: true, from_line: 2 }),
    wrong: [fails('a,b\n1\n'), fails('a,"b\n1'), fails('a\n', { delimiter: 5 })],
    bytes: parse(Buffer.from('é,ß\n'), { encoding: 'utf8' }),
  };
};
