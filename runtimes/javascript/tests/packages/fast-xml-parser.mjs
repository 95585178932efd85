import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';

const XML = `<?xml version="1.0"?><!-- c --><shop:list xmlns:shop="x"><item id="007" ok="true">Tee &amp; Kaffee</item>
<item id="2"><![CDATA[<raw>]]><price cur="EUR">1.50</price></item><empty/><text>&#228;&lt;</text></shop:list>`;

export default () => {
  const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '@', allowBooleanAttributes: true, removeNSPrefix: true, cdataPropName: '__cdata', htmlEntities: true });
  const ordered = new XMLParser({ preserveOrder: true, ignoreAttributes: false, commentPropName: '#c' });
  const tree = ordered.parse(XML);
  return {
    parsed: parser.parse(XML),
    typed: new XMLParser({ parseAttributeValue: true, isArray: (name) => name === 'price' }).parse(XML),
    tree,
    built: new XMLBuilder({ preserveOrder: true, ignoreAttributes: false, commentPropName: '#c', format: true }).build(tree),
    from: new XMLBuilder({ format: true, ignoreAttributes: false, suppressEmptyNode: true }).build({ a: { '@_b': 1, c: ['x', '<y>'], d: '' } }),
    valid: [XML, '<a><b></a>', '<a b=1/>', '<a/><b/>'].map((each) => XMLValidator.validate(each)),
  };
};
