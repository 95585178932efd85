// The messages between a page and the Worker of its components, and the form of a component's file.

import type { EdgeFunction } from './manifest.js';

/** Something that a core instance imports: a function of the host by its number, or an instance's export. */
export type Item = number | readonly [number, string];

/** The way to link the core modules of a component (crates/serverledge-executor-wasm/src/linked.rs). */
export interface Plan {
  readonly format: number;
  /** The lengths of the modules. */
  readonly modules: readonly number[];
  readonly instances: readonly { readonly module: number; readonly imports: readonly (readonly [string, string, Item])[] }[];
  /** The functions of the host. One without a name drops a handle. */
  readonly hosts: readonly { readonly name: string; readonly memory?: Item; readonly realloc?: Item }[];
  readonly handle: Item;
}

/** A component, ready to be linked. */
export interface LoadedComponent {
  readonly plan: Plan;
  readonly modules: readonly WebAssembly.Module[];
}

/** Headers, each value as the bytes of its characters (ISO 8859-1). */
export type HeaderList = readonly (readonly [string, string])[];

/** A request, as a component gets it. */
export interface ComponentRequest {
  readonly method: string;
  readonly target: string;
  readonly scheme: string;
  readonly authority: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

/** To the Worker: a call. `component` comes once for each `key`. */
export interface ComponentOrder {
  readonly key: string;
  readonly component: LoadedComponent | undefined;
  readonly function: EdgeFunction;
  readonly request: ComponentRequest;
}

/** From the Worker: a first one that says nothing, and one for each call. */
export interface ComponentAnswer {
  readonly log: string;
  readonly response?: { readonly status: number; readonly headers: HeaderList; readonly body: Uint8Array<ArrayBuffer> };
  readonly error?: { readonly code: string; readonly message: string };
}
