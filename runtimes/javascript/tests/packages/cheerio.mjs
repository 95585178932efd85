import * as cheerio from 'cheerio';

export default ({ text }) => {
  const $ = cheerio.load(`<ul id=l><li class="a b">1<li>2 &amp; 3<li data-x='{"y":1}'>${text}</ul><table><tr><td>x</table>`);
  $('li').first().addClass('c').attr('title', '"quoted"');
  $('li:nth-child(2)').after('<li><b>new</b></li>').text('<2>');
  return {
    html: $.html(),
    items: $('li').map((index, each) => `${index}:${$(each).text()}`).get(),
    selected: [$('li.a.b').length, $('ul > li:not(.a)').length, $('[data-x]').data('x'), $('td').parents().length],
    xml: cheerio.load('<a><b c="1"/><![CDATA[<x>]]></a>', { xml: true }).xml(),
    extract: $.extract({ list: ['li'], bold: 'b' }),
    fragment: cheerio.load('<p>one<p>two', null, false).html(),
  };
};
