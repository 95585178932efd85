// Handlers that answer requests: what a file exports is an object with a function `fetch`, as for other hosts of functions.
// names: fetch
// needs: fetch
(function (native, shared) {
  'use strict';

  const { Response } = globalThis;
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

  // The handler of an object with a function `fetch`: a request's head and body in, and out the head of the response in JSON,
  // its body, and the promise of what else is waited for, if there is something.
  shared.serve = (app) => async (head, body) => {
    const request = shared.requestOf(head.method, head.url, head.headers, body);
    let parts;
    try {
      parts = await shared.partsOf(checked(await app.fetch(request, shared.environment, context)));
    } catch (error) {
      // Told at once: what never settles would be told instead.
      if (waited.length > 0) {
        shared.logUncaught(error);
        await rest();
      }
      throw error;
    }
    const { status, headerPairs, bytes } = parts;
    return [stringify({ status, headers: headerPairs }), bytes, waited.length > 0 ? rest() : undefined];
  };
});
