import Papa from 'papaparse';

const TABLE = 'id,name,price,when\n1,"Müller, Jan",1.50,2026-11-29\n2,"a ""b""",,\n3,x\n\n';

export default ({ values }) => {
  const steps = [];
  Papa.parse('a\tb\n1\t2\n3\t4', { header: true, step: ({ data }, parser) => (steps.push(data), steps.length > 1 && parser.abort()) });
  return {
    parsed: Papa.parse(TABLE, { header: true, dynamicTyping: true, skipEmptyLines: true, transformHeader: (each) => each.toUpperCase() }),
    guessed: Papa.parse('a;b\r\n1;2\r\n').meta,
    broken: Papa.parse('a,"b\n1,2').errors,
    comments: Papa.parse('# c\n1,2\n', { comments: '#', preview: 1 }).data,
    steps,
    written: [Papa.unparse([{ a: 1, b: 'x,y' }, { a: '=1+1', b: null }], { escapeFormulae: true }), Papa.unparse({ fields: ['v'], data: values.map((each) => [each]) }, { quotes: true, delimiter: '|', newline: '\n' })],
  };
};
