/** Pages that run functions of an application themselves: text to copy. */

/** Text as it may stand in a script. */
function literal(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

/** The script alone. */
export function connectLines(sdk: string, app: string, name: string, args: unknown, component: boolean): string {
  const call = `${literal(name)}, ${literal(args)}`;
  const use = component
    ? [
      `const response = await app.fetch(${literal(name)}, \`\${app.base}/\`);   // answered in this page`,
      'console.log(response.status, await response.text());',
    ]
    : [
      `console.log(await app.run(${call}));      // in this page`,
      `console.log(await app.invoke(${call}));   // at the node, which takes the page's results`,
    ];
  return [
    '<script type="module">',
    `  import { connect } from ${literal(sdk)};`,
    `  const app = await connect(${literal(app)});`,
    ...use.map((line) => `  ${line}`),
    '</script>',
  ].join('\n');
}

function page(title: string, sdk: string, app: string, fields: string, run: readonly string[]): string {
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width">',
    `<title>${title}</title>`,
    `<h1>${title}</h1>`,
    fields,
    '<p><button id="run">Run in this page</button></p>',
    '<pre id="said"></pre>',
    '<script type="module">',
    `  import { connect } from ${literal(sdk)};`,
    `  const app = await connect(${literal(app)});`,
    "  const said = document.getElementById('said');",
    "  document.getElementById('run').addEventListener('click', async () => {",
    '    try {',
    ...run.map((line) => `      ${line}`),
    '    } catch (error) {',
    '      said.textContent = `${error.code}: ${error.message}`;',
    '    }',
    '  });',
    '</script>',
    '</html>',
    '',
  ].join('\n');
}

/** A page that runs a function with arguments that can be changed. */
export function functionPageSample(sdk: string, app: string, name: string, args: unknown): string {
  const text = JSON.stringify(args).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const field = `<textarea id="args" rows="4" cols="50">${text}</textarea>`;
  return page(name, sdk, app, `<p><label>Arguments<br>${field}</label></p>`, [
    "const args = JSON.parse(document.getElementById('args').value);",
    'const begun = performance.now();',
    `const result = await app.run(${literal(name)}, args);`,
    'const took = (performance.now() - begun).toFixed(1);',
    'said.textContent = `${JSON.stringify(result, null, 2)}\\n${took} ms`;',
  ]);
}

/** A page that asks a component. */
export function componentPage(sdk: string, app: string, name: string): string {
  return page(name, sdk, app, '<p><label>Path <input id="path" value="/"></label></p>', [
    "const path = document.getElementById('path').value;",
    `const response = await app.fetch(${literal(name)}, app.base + path);`,
    'said.textContent = `${response.status}\\n${await response.text()}`;',
  ]);
}
