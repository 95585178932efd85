// Keeps the page, the library, the manifest, and the modules that the page fetches: after the first visit the page works
// without the node.

const CACHE = 'photos-1';
const FILES = ['index.html', 'style.css', 'page.js', 'edge/edge.js', 'edge/edge-more.js', 'edge/manifest'];
// Whatever is below these has its digest in its name, and never changes.
const IMMUTABLE = ['/edge/modules/', '/edge/deltas/'];

addEventListener('install', (event) => event.waitUntil(fill().then(() => skipWaiting())));
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || origin !== location.origin) return;
  const first = IMMUTABLE.some((folder) => pathname.startsWith(folder)) ? fromCache : fromNode;
  event.respondWith(first(event.request));
});

async function fill() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
}

async function fromCache(request) {
  return (await caches.match(request, { ignoreVary: true })) ?? kept(request, await fetch(request));
}

// The node's answer, or the last one if the node cannot be reached.
async function fromNode(request) {
  try {
    return await kept(request, await fetch(request));
  } catch (error) {
    const last = await caches.match(request, { ignoreVary: true });
    if (last === undefined) throw error;
    return last;
  }
}

async function kept(request, response) {
  if (response.ok) await (await caches.open(CACHE)).put(request, response.clone());
  return response;
}
