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

  function refused(response) {
    const type = response === null ? 'null' : typeof response;
    return new TypeError(`fetch has to give a Response, and gave ${type === 'object' ? 'another object' : type}`);
  }

  // Answers a request of its own at deploy, as fetch.js does.
  async function rehearse() {
    const headers = stringify([['content-type', 'application/json'], ['host', 'localhost']]);
    const request = shared.requestOf('POST', 'http://localhost/path?query', headers, native.encode('{}'));
    const url = new URL(request.url);
    const read = await request.json();
    const data = { ...read, path: url.pathname, query: url.search, type: request.headers.get('content-type') };
    shared.partsOf(Response.json(data, { headers: { 'cache-control': 'no-store', a: 'b' } }));
    shared.partsOf(new Response('', { status: 404, headers: new Headers({ a: 'b' }) }));
  }
  rehearse();

  // The handler of an object with a function `fetch`: the parts of a request in, and out the status of the response, its
  // headers, its body, and the promise of what else is waited for, if there is something.
  shared.serve = (app) => async (method, url, headers, body) => {
    const request = shared.requestOf(method, url, headers, body);
    let parts;
    try {
      const response = await app.fetch(request, shared.environment, context);
      parts = shared.partsOf(response);
      if (parts === undefined) throw refused(response);
      if (parts[0] === 0) throw new TypeError('fetch gave Response.error(), which cannot be sent');
      if (!(parts[2] instanceof Uint8Array)) parts[2] = await parts[2];
    } catch (error) {
      // Told at once: what never settles would be told instead.
      if (waited.length > 0) {
        shared.logUncaught(error);
        await rest();
      }
      throw error;
    }
    if (waited.length > 0) parts.push(rest());
    return parts;
  };
});
