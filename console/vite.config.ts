// The recipe of the built console: files with hashed names below /console/, nothing inline, editor and charts apart.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// The node that answers while the console is developed.
const node = process.env['SERVERLEDGE_URL'] ?? 'http://127.0.0.1:1323';

export default defineConfig({
  base: '/console/',
  publicDir: false,
  // Packages are found from where the sources are linked to, beside `node_modules`.
  resolve: {
    preserveSymlinks: true,
    // Documents that the console shows: the build puts them beside `src`.
    alias: { '@docs': fileURLToPath(new URL('./docs', import.meta.url)) },
  },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Browsers with `light-dark()` and nesting: no fallbacks are written.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  experimental: {
    // A proxy may put a path before `/console/`. The node writes it into index.html; all else finds its files beside
    // itself.
    renderBuiltUrl: (file, { hostType }) => (hostType === 'html' ? `/console/${file}` : { relative: true }),
  },
  server: {
    proxy: {
      // All but the console itself goes to the node, as if it came from a page of its own.
      '^/(?!console/)': {
        target: node,
        changeOrigin: true,
        configure: (proxy) => {
          proxy.on('proxyReq', (request) => request.setHeader('origin', node));
        },
      },
    },
  },
});
