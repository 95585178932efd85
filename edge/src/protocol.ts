// The messages between a page and its Worker.

import type { EdgeFunction } from './manifest.js';

/** A function, and its compiled module if the page has it. */
export interface LoadedFunction {
  readonly function: EdgeFunction;
  readonly module: WebAssembly.Module;
}

/** To the Worker. */
export type Order =
  | { readonly type: 'load'; readonly base: string; readonly functions: readonly LoadedFunction[] }
  | { readonly type: 'run'; readonly name: string; readonly params: string };

/** A result of an idempotent function: its name, its canonical parameters, and its JSON. */
export type Result = readonly [name: string, params: string, result: string];

/** From the Worker. */
export type Answer =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly result: string; readonly results: readonly Result[]; readonly log: string }
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly trace?: string; readonly log: string };
