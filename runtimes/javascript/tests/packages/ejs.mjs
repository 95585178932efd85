import ejs from 'ejs';

const TEMPLATE = `<% const total = items.reduce((sum, { price }) => sum + price, 0) -%>
<h1><%= title %></h1>
<%# not shown -%>
<ul><% items.forEach(({ name, price }, index) => { %>
  <li class="<%= index % 2 ? 'odd' : 'even' %>"><%- name %>: <%= price.toFixed(2) %></li><% }) %>
</ul>
<%= total %> <%% literal %%>`;

export default async ({ name, values }) => {
  const items = values.map((price, index) => ({ name: `<b>${index}</b>`, price }));
  const rendered = ejs.render(TEMPLATE, { title: `"${name}" & co`, items });
  const compiled = ejs.compile('[[= locals.a ]]-[[= await b() ]]', { delimiter: ']', openDelimiter: '[', closeDelimiter: ']', async: true });
  const included = ejs.render('<%- include("part", { x: 1 }) %>', {}, { includer: () => ({ template: '(<%= x %>)' }) });
  let fault;
  try {
    ejs.render('one\n<%= missing %>', {}, { filename: 'page.ejs' });
  } catch (error) {
    fault = [error.name, error.message];
  }
  return { rendered, compiled: typeof compiled, included, fault, escaped: ejs.escapeXML('<a href="x">\'&') };
};
