// One call of a component, as the functions of the host see it: its resources, its output, its time.

import { variables } from './environment.js';
import { CallError, overdue } from './errors.js';
import type { ComponentRequest } from './component-protocol.js';
import { Misuse } from './component-types.js';
import type { EdgeFunction } from './manifest.js';
import { checkOutput, Output } from './wasi.js';

/** The guest ended itself. */
export class Ended {
  constructor(readonly code: number) {}
}

// More would be a leak. The node has a limit for the same reason.
const RESOURCES_MAX = 100_000;
// Bytes of headers and texts that a call may leave with the host, together.
const HELD_BYTES_MAX = 16 << 20;

interface Entry {
  readonly value: object;
  readonly parent: Entry | undefined;
  children: number;
}

/** The resources of a call, by their handles. */
export class Resources {
  #entries = new Map<number, Entry>();
  #next = 1;

  /** The handle of a new one. Its parent, if it has one, cannot be given up before. */
  add(value: object, parent?: number): number {
    if (this.#entries.size >= RESOURCES_MAX) throw new Misuse('it keeps too many resources open');
    const above = parent === undefined ? undefined : this.#entry(parent);
    if (above) above.children += 1;
    this.#entries.set(this.#next, { value, parent: above, children: 0 });
    return this.#next++;
  }

  get<T>(handle: number, kind: new (...args: any[]) => T): T {
    const { value } = this.#entry(handle);
    if (!(value instanceof kind)) throw new Misuse(`the resource ${handle} is of another kind`);
    return value;
  }

  /** Gives a resource up, and returns it. */
  take<T>(handle: number, kind: new (...args: any[]) => T): T {
    const value = this.get(handle, kind);
    this.drop(handle);
    return value;
  }

  drop(handle: number): void {
    const { parent, children } = this.#entry(handle);
    if (children > 0) throw new Misuse('something was finished or dropped before what was opened from it');
    if (parent) parent.children -= 1;
    this.#entries.delete(handle);
  }

  #entry(handle: number): Entry {
    const entry = this.#entries.get(handle);
    if (!entry) throw new Misuse(`there is no resource ${handle}`);
    return entry;
  }
}

/** The response that a component sets, or the number of the error that it sets instead. */
export interface Outcome {
  readonly status: number;
  readonly headers: ReadonlyMap<string, readonly Uint8Array[]>;
  readonly body: ResponseBody | undefined;
}

/** The body of a response. */
export class ResponseBody {
  written = 0;
  isFinished = false;

  constructor(
    /** Its length by the header; `undefined` without one. */
    readonly declared: number | undefined,
    /** What is sent; `undefined` in the answer to `HEAD`. */
    readonly sent: Output | undefined,
  ) {}
}

/** See the file. */
export class ComponentCall {
  readonly resources = new Resources();
  readonly log: Output;
  readonly began = performance.now();
  outcome: Outcome | number | undefined;
  // Bytes of all bodies, and of what else the host keeps.
  #written = 0;
  #held = 0;
  #environment: string[][] | undefined;
  /** What a host function ended the guest with. */
  failure: unknown;

  constructor(
    readonly wanted: EdgeFunction,
    readonly request: ComponentRequest,
  ) {
    this.log = new Output(wanted.limits.log_bytes, true);
  }

  /** Counts bytes of a body. All of a call are one output. */
  write(length: number): void {
    checkOutput((this.#written += length), this.wanted.limits.output_bytes);
  }

  /** Counts bytes that the host keeps for the guest. */
  hold(length: number): void {
    if ((this.#held += length) > HELD_BYTES_MAX) throw new Misuse(`more than ${HELD_BYTES_MAX} bytes of headers and texts`);
  }

  /** The milliseconds that are left; ends the guest if there are none. */
  remaining(): number {
    const { timeout_ms } = this.wanted.limits;
    const left = this.began + timeout_ms - performance.now();
    if (left <= 0) throw overdue(timeout_ms);
    return left;
  }

  /** The variables, the same in all of the call. */
  environment(): string[][] {
    return (this.#environment ??= variables(this.wanted, this.remaining()).map((variable) => {
      const end = variable.indexOf('=');
      return [variable.slice(0, end), variable.slice(end + 1)];
    }));
  }

  /** The response, or the error that the call is. */
  response(): { readonly status: number; readonly headers: Outcome['headers']; readonly body: Uint8Array<ArrayBuffer> } {
    const { outcome } = this;
    if (outcome === undefined) throw badOutput('the function ended without setting a response');
    if (typeof outcome === 'number') throw badOutput(`the function gave an error instead of a response: number ${outcome} of wasi:http's`);
    const { status, headers, body } = outcome;
    if (status < 200 || status > 599) {
      throw badOutput(`the function answered with status ${status}; a response has a final status from 200 to 599`);
    }
    const hasNone = this.request.method === 'HEAD' || status === 204 || status === 304;
    // A response whose body was never asked for is whole.
    if (!hasNone && body) {
      const { declared, written, isFinished } = body;
      if (declared !== undefined && declared !== written) {
        throw badOutput(`the function's Content-Length is ${declared} and its body has ${written} bytes`);
      }
      if (declared === undefined && !isFinished) {
        throw badOutput('the function did not finish the body of its response (outgoing-body.finish)');
      }
    }
    const bytes = hasNone ? undefined : body?.sent?.bytes();
    return { status, headers, body: new Uint8Array(bytes ?? []) };
  }
}

function badOutput(message: string): CallError {
  return new CallError('function_bad_output', message);
}

// The call that is at work: one at a time.
let current: ComponentCall;

export function begin(call: ComponentCall): void {
  current = call;
}

/** The call that is at work. */
export function here(): ComponentCall {
  return current;
}

/** The smallest module that traps when it is instantiated. */
const TRAPPING = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 5, 1, 3, 0, 0, 11];

let trap: WebAssembly.Module | undefined;

/** A host function. What it throws ends the guest with a trap, which no guest can catch. */
export function guarded<Args extends unknown[], T>(run: (...args: Args) => T): (...args: Args) => T {
  return (...args) => {
    try {
      return run(...args);
    } catch (error) {
      current.failure ??= error;
      new WebAssembly.Instance((trap ??= new WebAssembly.Module(Uint8Array.from(TRAPPING))));
      throw error;
    }
  };
}
