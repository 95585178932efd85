// What page and Worker share, and the Worker itself: it has the modules, and makes one call after the other. Nothing here
// may run on its own: the page loads it as well.

import { CallError } from './errors.js';
import type { Answer, Order } from './protocol.js';
import { call, type Functions, type Run } from './run.js';
import { Output } from './wasi.js';

export { canonical, memberText } from './canonical.js';
export { CallError, problemOf } from './errors.js';

let functions: Functions = { base: '', loaded: new Map() };

/** Makes this thread a Worker. */
export function serve(): void {
  self.onmessage = ({ data }: MessageEvent<Order>) => {
    if (data.type === 'load') {
      functions = { base: data.base, loaded: new Map(data.functions.map((loaded) => [loaded.function.name, loaded])) };
    } else {
      self.postMessage(answer(data.name, data.params));
    }
  };
  self.postMessage({ type: 'ready' } satisfies Answer);
}

function answer(name: string, params: string): Answer {
  const wanted = functions.loaded.get(name);
  const log = new Output(wanted?.function.limits.log_bytes ?? 0, true);
  try {
    if (wanted === undefined) throw new CallError('not_edge', `${name} is not loaded`);
    const run: Run = { functions, log, results: [] };
    return { type: 'done', result: call(run, wanted, params, 0, []), results: run.results, log: log.text() };
  } catch (error) {
    const { code, message, trace } = error instanceof CallError ? error : new CallError('internal', String(error));
    return { type: 'failed', code, message, ...(trace === undefined ? {} : { trace }), log: log.text() };
  }
}
