// The messages between a page and its Worker.

import type { EdgeFunction } from './manifest.js';
import type { Result } from './results.js';

/** The memory that a module begins with, in pages, and the bytes in it that are not zero, by their address. */
export interface Image {
  readonly initial: number;
  readonly maximum: number;
  readonly runs: readonly (readonly [number, Uint8Array])[];
}

/** A compiled module. One with an image imports its memory. */
export interface Code {
  readonly module: WebAssembly.Module;
  readonly image: Image | undefined;
}

/** A function and its compiled module. */
export interface LoadedFunction {
  readonly function: EdgeFunction;
  readonly code: Code;
}

/** A function of the Worker. The number stands for its module, which comes once. */
export interface OrderedFunction {
  readonly function: EdgeFunction;
  readonly number: number;
  readonly code: Code | undefined;
}

/** To the Worker: the functions that it has from now on, or one to run. */
export type Order =
  | { readonly base: string; readonly functions: readonly OrderedFunction[] }
  | { readonly name: string; readonly params: string };

/** From the Worker: a first one that says nothing, and one for each run. What is empty is left out. */
export interface Answer {
  readonly log?: string;
  /** The functions that it called at the node. */
  readonly far?: readonly string[];
  readonly result?: string;
  readonly results?: readonly Result[];
  /** Of a run without a result. */
  readonly error?: { readonly code: string; readonly message: string; readonly trace: string | undefined };
}
