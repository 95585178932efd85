import sanitize from 'sanitize-html';

const DIRTY = '<h1 onclick="x()">T</h1><p style="color:red;position:fixed" class="a b">A<script>alert(1)</script><a href="javascript:x" target=_blank>l</a><a href="https://example.org/?a=1&b=2">m</a><img src=x onerror=y><iframe src="https://other.example/"></iframe></p><ul><li>1<li>2</ul>&lt;b&gt; & <unknown>x</unknown><!-- c -->';

export default ({ text }) => ({
  plain: sanitize(DIRTY),
  none: sanitize(DIRTY, { allowedTags: [], allowedAttributes: {} }),
  chosen: sanitize(DIRTY, { allowedTags: sanitize.defaults.allowedTags.concat(['img']), allowedAttributes: { a: ['href', { name: 'target', values: ['_self'] }], p: ['style', 'class'], img: ['src'] }, allowedClasses: { p: ['a'] }, allowedStyles: { p: { color: [/^red$/] } } }),
  changed: sanitize(DIRTY, { transformTags: { h1: 'h2', a: sanitize.simpleTransform('a', { rel: 'nofollow' }), li: (tagName, attribs) => ({ tagName: 'span', attribs, text }) }, exclusiveFilter: ({ tag, attribs }) => tag === 'a' && !attribs.href }),
  escaped: sanitize(DIRTY, { disallowedTagsMode: 'escape' }),
  hosts: sanitize('<iframe src="https://a.example/x"></iframe><iframe src="//b.example"></iframe>', { allowedTags: ['iframe'], allowedAttributes: { iframe: ['src'] }, allowedIframeHostnames: ['a.example'] }),
  filtered: sanitize('<p>some words</p>', { textFilter: (each) => each.toUpperCase() }),
});
