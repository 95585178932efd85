import * as XLSX from 'xlsx';

export default ({ values, text, date }) => {
  const sheet = XLSX.utils.json_to_sheet(values.map((n) => ({ n, square: n * n, text, odd: n % 2 === 1 })));
  XLSX.utils.sheet_add_aoa(sheet, [['sum', { t: 'n', f: 'SUM(A2:A9)', v: 31 }], [new Date(date)]], { origin: -1, cellDates: true });
  sheet['!cols'] = [{ wch: 8 }];
  sheet['!merges'] = [XLSX.utils.decode_range('C1:D1')];
  const book = XLSX.utils.book_new();
  XLSX.utils.book_append_sheet(book, sheet, 'Values');
  const formats = ['xlsx', 'xlsb', 'csv', 'html', 'fods', 'biff8'].map((bookType) => {
    const bytes = XLSX.write(book, { type: 'array', bookType, compression: true });
    const again = XLSX.read(bytes, { type: 'array', cellFormula: true });
    return [bookType, XLSX.utils.sheet_to_json(Object.values(again.Sheets)[0], { header: 1 })];
  });
  return {
    formats,
    csv: XLSX.utils.sheet_to_csv(sheet, { FS: ';' }),
    read: XLSX.utils.sheet_to_json(XLSX.read('a,b\n1,"x, y"\n2026-11-29,TRUE', { type: 'string', raw: false }).Sheets.Sheet1),
    cells: [XLSX.utils.encode_cell({ r: 9, c: 27 }), XLSX.utils.decode_range('B2:AA10'), XLSX.utils.sheet_to_formulae(sheet).slice(-3)],
    shown: [[1234.5, '#,##0.00'], [0.256, '0.0%'], [45000.5, 'yyyy-mm-dd hh:mm'], [-3, '0;(0)'], [1.5, '# ?/?'], [1e6, '0.00E+00']].map(([value, format]) => XLSX.utils.format_cell({ t: 'n', v: value, z: format })),
  };
};
