// What page and Worker share, and the Worker itself: it has the modules, and makes one call after the other. Nothing
// here may run on its own: the page loads it as well.

import { CallError } from './errors.js';
import type { Answer, Code, Order, OrderedFunction } from './protocol.js';
import { prepare } from './instances.js';
import { Results } from './results.js';
import { call, type Functions } from './run.js';
import { Output } from './wasi.js';

export { canonical, memberText } from './canonical.js';
export { CallError, overdue } from './errors.js';
export { problemOf, resultOf } from './replies.js';
export { isDeeper, Results } from './results.js';

let here: Functions = { base: '', functions: [] };
let codes = new Map<number, Code>();

/** Makes this thread a Worker. */
export function serve(): void {
  self.onmessage = ({ data }: MessageEvent<Order>) => {
    if ('base' in data) {
      adopt(data.base, data.functions);
    } else {
      self.postMessage(answer(data.name, data.params));
      prepare();
    }
  };
  self.postMessage(0);
}

function adopt(base: string, ordered: readonly OrderedFunction[]): void {
  codes = new Map(ordered.map(({ number, code }) => [number, (code ?? codes.get(number)) as Code]));
  here = { base, functions: ordered.map((one) => ({ function: one.function, code: codes.get(one.number) as Code })) };
}

function answer(name: string, params: string): Answer {
  const wanted = here.functions.find((one) => one.function.name === name);
  const { log_bytes = 0, timeout_ms = 0 } = wanted?.function.limits ?? {};
  const log = new Output(log_bytes, true);
  const results = new Results();
  const far = new Set<string>();
  // Most runs have nothing of either, and a short message is a fast one.
  const told = (): Answer => ({ ...(log.isEmpty ? {} : { log: log.text() }), ...(far.size ? { far: [...far] } : {}) });
  try {
    if (!wanted) throw new CallError('not_edge', `${name} is not a function that may run here`);
    const result = call({ here, log, results, far, deadline: performance.now() + timeout_ms, timeout: timeout_ms }, wanted, params);
    return { ...told(), result, ...(results.kept.size ? { results: [...results.kept.values()] } : {}) };
  } catch (error) {
    const { code, message, trace } = error instanceof CallError ? error : new CallError('internal', String(error));
    return { ...told(), error: { code, message, trace } };
  }
}
