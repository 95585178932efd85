import { remark } from 'remark';

const TEXT = '# Title *em*\n\n* a\n* b\n    1. c\n\nSetext\n---\n\n[link][ref] ![i](x.png "t") `code` <b>raw</b>\\\nbreak &amp; ä\n\n> quote\n\n```js\nlet a\n```\n\n***\n\n[ref]: https://example.org/ü\n';

export default async ({ text }) => {
  const upper = () => (tree, file) => {
    for (const heading of tree.children.filter(({ type }) => type === 'heading')) {
      heading.children.push({ type: 'text', value: ` (${heading.depth})` });
      file.message('found a heading', heading);
    }
  };
  const file = await remark().use(upper).use({ settings: { bullet: '+', emphasis: '_', fences: true, rule: '-' } }).process(TEXT);
  return {
    text: String(file),
    messages: file.messages.map(String),
    tree: remark().parse(TEXT),
    plain: remark().processSync(`* ${text}\n\n   indented`).toString(),
    written: remark().stringify({ type: 'root', children: [{ type: 'paragraph', children: [{ type: 'text', value: '*not em* _a_ # 1. [x]' }, { type: 'inlineCode', value: '`' }] }, { type: 'list', ordered: true, start: 3, children: [{ type: 'listItem', children: [] }] }] }),
  };
};
