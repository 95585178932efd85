import * as babel from 'prettier/plugins/babel';
import * as estree from 'prettier/plugins/estree';
import * as markdown from 'prettier/plugins/markdown';
import * as postcss from 'prettier/plugins/postcss';
import { check, format, formatWithCursor } from 'prettier/standalone';

const plugins = [babel, estree, markdown, postcss];
const SOURCES = [
  ['babel', 'const  a=async({b,c:[d,...e]},f=1)=>{if(x)return await y?.z??`t${q}`; class A extends B{static #p=1;get x(){return this.#p}}}'],
  ['json', '{"a":[1,2,{"b":null}],"long":"' + 'x'.repeat(70) + '"}'],
  ['css', 'a{color:RED;background:url( x.png )}@media (max-width:10px){.b>c{margin:0 auto!important}}'],
  ['markdown', '* a\n* b\n\n| a | bcd |\n|--|:-:|\n| 1 | 2 |\n\nSetext\n===\n```js\nlet  a=1\n```'],
];

export default async () => ({
  formatted: await Promise.all(SOURCES.map(([parser, source]) => format(source, { parser, plugins }))),
  options: await format('const a = {b: "c"}; foo(function() { return 1 })', { parser: 'babel', plugins, semi: false, singleQuote: true, tabWidth: 4, trailingComma: 'none', printWidth: 20 }),
  cursor: await formatWithCursor(' let  x = 1', { cursorOffset: 5, parser: 'babel', plugins }),
  checked: [await check('let a = 1;\n', { parser: 'babel', plugins }), await check('let a=1', { parser: 'babel', plugins })],
  wrong: await format('let = (', { parser: 'babel', plugins }).catch(({ name, message, loc }) => ({ name, message, loc })),
});
