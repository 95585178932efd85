// Bundles the library: `node build.mjs FOLDER`, in the folder whose node_modules has esbuild and terser. `core.ts`
// becomes a function that needs nothing around it: the page gives its text to the Worker. `edge-more.ts` becomes a file
// of its own. esbuild bundles and shortens; terser makes the outcome smaller by a further twentieth.

import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(join(process.cwd(), 'node_modules', 'any'));
const { build } = require('esbuild');
const { minify } = require('terser');
const source = join(dirname(fileURLToPath(import.meta.url)), 'src');
// Names of members that one file of the library alone knows. What is in JSON, or the browser's, keeps its name, and so
// does what both files know: the one that a browser has may be of another build.
const INTERNAL = [
  'mayDiffer', 'isTail', 'also', 'stdin', 'stdout', 'stderr', 'environment', 'ended', 'timeLeft', 'loaded', 'nested',
  'depth', 'chain', 'took', 'due', 'errno', 'isError', 'problemOf', 'promise', 'grace', 'overdue', 'here', 'timeout',
  'far', 'isFar', 'Results', 'function', 'number', 'callOther', 'isEmpty', 'instance',
];
const common = {
  bundle: true,
  minify: true,
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  absWorkingDir: source,
  format: 'esm',
  write: false,
  mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`),
};

let mangleCache = {};
// The modules `core:` and `component-core:`, each with a function that makes what the file exports.
const makers = {};
for (const name of ['core', 'component-core']) {
  const core = await build({ ...common, entryPoints: [`${name}.ts`], mangleCache });
  mangleCache = core.mangleCache;
  // Its exports, at the end, become what the function returns.
  const body = core.outputFiles[0].text.replace(/export\s*\{([^}]*)\};\s*$/, (_, names) => {
    const members = names.split(',').map((one) => one.trim().split(/\s+as\s+/).reverse().join(':'));
    return `return {${members.join(',')}};`;
  });
  makers[name] = `export const makeCore = () => { ${body} };`;
}
const coreModules = {
  name: 'cores',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(component-)?core:$/ }, ({ path }) => ({ path: path.slice(0, -1), namespace: 'cores' }));
    onLoad({ filter: /.*/, namespace: 'cores' }, ({ path }) => ({ contents: makers[path], loader: 'js' }));
  },
};
const { outputFiles } = await build({
  ...common,
  entryPoints: [{ in: 'index.ts', out: 'edge' }, { in: 'edge-more.ts', out: 'edge-more' }, { in: 'edge-components.ts', out: 'edge-components' }],
  external: ['./edge-more.js', './edge-components.js'],
  outdir: join(process.cwd(), process.argv[2]),
  plugins: [coreModules],
  mangleCache,
});
for (const { path, text } of outputFiles) {
  const { code } = await minify(text, {
    module: true,
    ecma: 2022,
    compress: { passes: 3, hoist_funs: true },
    format: { preamble: '// Built from edge/src.' },
  });
  writeFileSync(path, `${code}\n`);
}
