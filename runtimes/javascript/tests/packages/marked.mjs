import { Marked, lexer, parse } from 'marked';

const TEXT = '# Title\n\nA *b* **c** `d` ~~e~~ [f](g "h") ![i](j) <k@l.mn>\n\n- [x] done\n- [ ] open\n  1. in\n\n| a | b |\n|---|:-:|\n| 1 | \\| |\n\n> q\n\n```ts\nconst a = "<&>";\n```\n\nhttps://example.org/?a=1&b=2\n\n***\n<div>html</div>\n\n[ref]: /url \'t\'\n[ref] line  \nbreak';

export default async ({ text }) => {
  const own = new Marked({ gfm: true, breaks: true });
  own.use({
    renderer: { heading: ({ text: title, depth }) => `<h${depth} id="${title.toLowerCase()}">${title}</h${depth}>` },
    extensions: [{ name: 'at', level: 'inline', start: (source) => source.indexOf('@@'), tokenizer: (source) => { const found = /^@@(\w+)/.exec(source); return found ? { type: 'at', raw: found[0], who: found[1] } : undefined; }, renderer: ({ who }) => `<u>${who}</u>` }],
    walkTokens: async (token) => { if (token.type === 'text') token.text = token.text.replace('Title', 'Name'); },
    async: true,
  });
  return {
    html: parse(TEXT),
    own: await own.parse(`${TEXT}\n\n${text} @@ada`),
    tokens: lexer('1. a\n2. *b*'),
    inline: own.Parser ? 'parser' : 'none',
    pedantic: parse('a\n* b\n_c_d_', { pedantic: true }),
  };
};
