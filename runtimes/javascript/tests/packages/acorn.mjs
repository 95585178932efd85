import { Parser, parse, parseExpressionAt, tokenizer } from 'acorn';

export default ({ text }) => {
  const source = `class A { #x = 1; static async *m(...a) { for await (const b of a) yield b ?? this?.#x; } } // ${text}`;
  const comments = [];
  const tree = parse(source, { ecmaVersion: 2022, onComment: (...args) => comments.push(args), locations: true });
  const tokens = [...tokenizer('a => `b${c}` / /d/giu', { ecmaVersion: 2022 })].map(({ type, value }) => [type.label, String(value)]);
  const errors = ['let a; let a', 'x = /(/', 'await 1', '"\n"'].map((bad) => {
    try {
      Parser.parse(bad, { ecmaVersion: 2022 });
      return 'parsed';
    } catch ({ name, message, pos, loc }) {
      return { name, message, pos, loc };
    }
  });
  return { tree, comments, tokens, errors, expression: parseExpressionAt('1 + 2 * x', 4, { ecmaVersion: 5 }) };
};
