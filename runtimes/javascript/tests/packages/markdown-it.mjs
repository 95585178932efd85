import MarkdownIt from 'markdown-it';

const TEXT = `# Title *em* \`code\`\n\n1. one\n2. two\n   - [link](https://example.org/ü "t") <b>raw</b>\n\n| a | b |\n|:--|--:|\n| 1 | **2** |\n\n> quote\n> ~~gone~~\n\n\`\`\`js\nlet a = "<";\n\`\`\`\n\n![alt](x.png)  \n"quotes" -- dash... (c) https://example.com/?q=1&r=ä <mail@example.org>\n\n---\nSetext\n===\n&amp;&copy;&#x1F600; \\*no\\*`;

export default ({ text }) => {
  const plain = new MarkdownIt();
  const rich = new MarkdownIt({ html: true, linkify: true, typographer: true, breaks: true, highlight: (code, language) => `<!--${language}-->${code.length}` });
  rich.use((md) => {
    md.core.ruler.push('count', (state) => void (state.env.count = state.tokens.length));
  });
  const env = {};
  return {
    plain: plain.render(TEXT),
    rich: rich.render(`${TEXT}\n${text}`, env),
    env,
    inline: plain.renderInline('a **b** `c`'),
    commonmark: new MarkdownIt('commonmark').render('| a |\n|---|\n\n~~x~~ <i>y</i>'),
    tokens: plain.parse('- a\n- b', {}).map(({ type, tag, nesting, map }) => [type, tag, nesting, map]),
    links: plain.linkify.match('see example.com and http://münchen.de/x.'),
  };
};
