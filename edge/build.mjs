// Bundles the library: `node build.mjs FILE`, in the folder whose node_modules has esbuild. `core.ts` becomes a function
// that needs nothing around it, since the page gives its text to the Worker.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const { build } = createRequire(join(process.cwd(), 'node_modules', 'any'))('esbuild');
const source = join(dirname(fileURLToPath(import.meta.url)), 'src');
const common = { bundle: true, minify: true, target: 'es2022', charset: 'utf8', legalComments: 'none', logLevel: 'warning', absWorkingDir: source };

const core = await build({ ...common, entryPoints: ['core.ts'], format: 'esm', write: false });
// Its exports, at the end, become what the function returns.
const body = core.outputFiles[0].text.replace(/export\s*\{([^}]*)\};\s*$/, (_, names) => {
  const members = names.split(',').map((name) => name.trim().split(/\s+as\s+/).reverse().join(':'));
  return `return {${members.join(',')}};`;
});
const contents = `export const makeCore = () => { ${body} };`;
const coreModule = {
  name: 'core',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^core:$/ }, () => ({ path: 'core', namespace: 'core' }));
    onLoad({ filter: /.*/, namespace: 'core' }, () => ({ contents, loader: 'js' }));
  },
};
await build({
  ...common,
  entryPoints: ['index.ts'],
  format: 'esm',
  outfile: join(process.cwd(), process.argv[2]),
  plugins: [coreModule],
  banner: { js: '// Built from edge/src.' },
});
