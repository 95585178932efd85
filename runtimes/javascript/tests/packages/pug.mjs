import pug from 'pug';

const TEMPLATE = `doctype html
mixin item(name, price)
  li(class=price > 3 ? 'dear' : 'cheap' data-price=price)&attributes(attributes)
    | #{name}: !{'<b>' + price + '</b>'}
    block
html(lang="en")
  head: title= title
  body
    //- not shown
    // shown
    ul#list.big
      each price, at in values
        +item('n' + at, price)(id='i' + at)
          if price % 2
            em odd
          else
            em even
      else
        li none
    case values.length
      when 8: p eight
      default: p other
    - const total = values.reduce((sum, each) => sum + each)
    p(style={color: 'red', top: 0} class=['a', {b: true, c: false}]) Total #[strong= total] & #{'<x>'}
    input(checked disabled=false)
`;

export default ({ name, values }) => {
  const fails = (text) => {
    try {
      return pug.render(text);
    } catch (error) {
      return [error.name, error.code ?? null, error.message];
    }
  };
  return {
    page: pug.render(TEMPLATE, { title: `<${name}>`, values, pretty: true }),
    empty: pug.compile('ul\n  each x in list\n    li= x\n  else\n    li none')({ list: [] }),
    source: pug.compileClient('p= a', { compileDebug: false, inlineRuntimeFunctions: false }),
    wrong: [fails('p(a'), fails('p= a.b.c'), fails('+nope')],
  };
};
