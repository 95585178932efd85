// Handlers that answer requests: what a file exports is an object with a function `fetch`, as for other hosts of functions.
// names: fetch
// needs: fetch
(function (native, shared) {
  'use strict';

  const { Headers, Response, URL } = globalThis;
  const { stringify } = JSON;

  // Promises that are waited for before the response is given back.
  const waited = [];

  const method = (value) => ({ value, enumerable: true, configurable: true, writable: true });
  const context = Object.create(Object.prototype, {
    ...Object.getOwnPropertyDescriptors(shared.context),
    waitUntil: method(function waitUntil(promise) {
      waited.push(Promise.resolve(promise).catch(shared.logUncaught));
    }),
    passThroughOnException: method(function passThroughOnException() {}),
  });

  // Some begin while others are waited for.
  async function rest() {
    while (waited.length > 0) await Promise.all(waited.splice(0));
  }

  function checked(response) {
    if (!(response instanceof Response)) {
      const type = response === null ? 'null' : typeof response;
      throw new TypeError(`fetch has to give a Response, and gave ${type === 'object' ? 'another object' : type}`);
    }
    if (response.type === 'error') throw new TypeError('fetch gave Response.error(), which cannot be sent');
    return response;
  }

  // Answers a request of its own at deploy, as fetch.js does.
  async function rehearse() {
    const headers = stringify([['content-type', 'application/json'], ['host', 'localhost']]);
    const request = shared.requestOf('POST', 'http://localhost/path?query', headers, native.encode('{}'));
    const url = new URL(request.url);
    const data = { path: url.pathname, query: url.search, type: request.headers.get('content-type'), ...(await request.json()) };
    const { status, pairs } = shared.partsOf(Response.json(data, { headers: { 'cache-control': 'no-store', a: 'b' } }));
    stringify({ status, headers: pairs });
    shared.partsOf(new Response('', { status: 404, headers: new Headers({ a: 'b' }) }));
  }
  rehearse();

  // The handler of an object with a function `fetch`: the parts of a request in, and out the head of the response in JSON,
  // its body, and the promise of what else is waited for, if there is something.
  shared.serve = (app) => (method, url, headers, body) => answer(app, method, url, headers, body);

  async function answer(app, method, url, headers, body) {
    const request = shared.requestOf(method, url, headers, body);
    let parts;
    let bytes;
    try {
      parts = shared.partsOf(checked(await app.fetch(request, shared.environment, context)));
      bytes = parts.bytes instanceof Uint8Array ? parts.bytes : await parts.bytes;
    } catch (error) {
      // Told at once: what never settles would be told instead.
      if (waited.length > 0) {
        shared.logUncaught(error);
        await rest();
      }
      throw error;
    }
    const head = stringify({ status: parts.status, headers: parts.pairs });
    return [head, bytes, waited.length > 0 ? rest() : undefined];
  }
});
