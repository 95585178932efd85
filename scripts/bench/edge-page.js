// The page of edge.py: does one task after the other that it is told, and reports how long each took.

import { connect } from './edge.js';

const reports = new URLSearchParams(location.search).get('reports');
let app;

const tasks = {
  // The time until the manifest is there and verified.
  async connect() {
    const [milliseconds] = await timed(async () => {
      app = await connect(location.origin);
    });
    return { milliseconds };
  },

  // The time of a function's first run in this page, and what was fetched for it.
  async first({ name, params }) {
    performance.clearResourceTimings();
    const [milliseconds] = await timed(() => app.runText(name, params));
    const fetched = performance
      .getEntriesByType('resource')
      .filter((one) => /\/edge\/(modules|deltas)\//.test(one.name))
      .map((one) => ({ transferred: one.transferSize, encoded: one.encodedBodySize }));
    return { milliseconds, fetched };
  },

  // Milliseconds of a call here and at the node, in batches by turns: clocks may have one tick a millisecond.
  async compare({ name, params, batches, calls }) {
    const body = `{"args":${params}}`;
    const request = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    const atNode = async () => {
      const response = await fetch(`edge/call/${name}`, request);
      if (!response.ok) throw new Error(`the node answered ${response.status}`);
      await response.text();
    };
    const times = { here: [], node: [] };
    for (let batch = 0; batch <= batches; batch++) {
      const here = await eachOf(calls, () => app.runText(name, params));
      const node = await eachOf(calls, atNode);
      // The first one warms up.
      if (batch > 0) {
        times.here.push(here);
        times.node.push(node);
      }
    }
    return times;
  },

  // Milliseconds of a function that calls another once, and of one that calls it often.
  async nested({ one, many, batches }) {
    const times = { one: [], many: [] };
    for (let batch = 0; batch <= batches; batch++) {
      const [once] = await timed(() => app.runText(one, '{}'));
      const [often] = await timed(() => app.runText(many, '{}'));
      if (batch > 0) {
        times.one.push(once);
        times.many.push(often);
      }
    }
    return times;
  },

  // The time from the call of a function that does not end to the next function's result.
  async loop({ endless, name, params }) {
    const [milliseconds, code] = await timed(async () => {
      const ended = await app.runText(endless, '{}').catch((error) => error.code ?? String(error));
      await app.runText(name, params);
      return ended;
    });
    return { milliseconds, code };
  },
};

async function eachOf(calls, call) {
  const [milliseconds] = await timed(async () => {
    for (let made = 0; made < calls; made++) await call();
  });
  return milliseconds / calls;
}

async function timed(action) {
  const began = performance.now();
  const result = await action();
  return [performance.now() - began, result];
}

let outcome = { ready: true };
for (;;) {
  const response = await fetch(`${reports}/next`, { method: 'POST', body: JSON.stringify(outcome) });
  const task = await response.json();
  if (task.go !== undefined) {
    location.replace(task.go);
    break;
  }
  try {
    outcome = { value: await tasks[task.kind](task) };
  } catch (error) {
    outcome = { fault: `${error.code ?? error.name}: ${error.message}` };
  }
}
