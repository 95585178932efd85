import { minify } from 'terser';

const SOURCE = `/*! kept */
function add(first, second) { const unused = 1; if (false) { never(); } return first + second; }
class Shape { #side; constructor(side) { this.#side = side; } get area() { return this.#side ** 2; } static of(...args) { return new Shape(...args); } }
const result = [1, 2, 3].map((each) => add(each, 10)).filter(Boolean);
export const text = \`area \${Shape.of(3)?.area ?? "none"}\`, big = 1000000, flag = true && !0;
async function* go() { for await (const x of y) yield x; }
export default () => result;`;

export default async () => ({
  plain: await minify(SOURCE, { module: true }),
  kept: (await minify(SOURCE, { module: true, mangle: false, compress: false, format: { beautify: true, comments: 'some' } })).code,
  mapped: (await minify({ 'a.js': SOURCE }, { module: true, sourceMap: { filename: 'a.min.js', url: 'a.min.js.map' } })).map,
  defined: (await minify('if (DEBUG) console.log("x"); else f({ "a-b": 1, long_name: 2 }.long_name)', { compress: { global_defs: { DEBUG: false }, passes: 2 }, mangle: { properties: { regex: /^long/ } } })).code,
  wrong: await minify('let a = ;').catch(({ name, message, line, col }) => ({ name, message, line, col })),
});
