import ExcelJS from 'exceljs';

export default async ({ name, values, date }) => {
  const book = new ExcelJS.Workbook();
  book.creator = name;
  book.created = book.modified = new Date(date);
  const sheet = book.addWorksheet('Values', { views: [{ state: 'frozen', ySplit: 1 }] });
  sheet.columns = [{ header: 'n', key: 'n', width: 8 }, { header: 'square', key: 'square' }, { header: 'when', key: 'when' }];
  for (const n of values) sheet.addRow({ n, square: n * n, when: new Date(date) });
  sheet.getCell('E1').value = { formula: 'SUM(A2:A9)', result: 31 };
  sheet.getRow(1).font = { bold: true };
  sheet.getColumn('square').numFmt = '#,##0.00';
  sheet.mergeCells('A11:C11');
  const bytes = await book.xlsx.writeBuffer();
  const again = new ExcelJS.Workbook();
  await again.xlsx.load(bytes);
  const read = again.getWorksheet('Values');
  const rows = [];
  read.eachRow((row, number) => rows.push([number, row.values]));
  return {
    rows,
    by: again.creator,
    formula: read.getCell('E1').value,
    style: [read.getCell('A1').font, read.getCell('B2').numFmt, read.getCell('B11').isMerged],
    views: read.views,
    model: sheet.model.merges,
  };
};
