// Runs functions: each call in a fresh instance, one call at a time, calls of functions inside it.

import { canonical, memberText } from './canonical.js';
import { CallError, problemOf } from './errors.js';
import type { LoadedFunction, Result } from './protocol.js';
import { checkOutput, Exit, Output, range, Stop, wasi, type Guest } from './wasi.js';

// As on the node (crates/serverledge-core/src/limits.rs).
const DEPTH_MAX = 8;
const CALLS_MAX = 1000;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const PAGE_BYTES = 65_536;
// Bytes of an error that is no error object which are shown.
const SHOWN_BYTES_MAX = 1024;
const ERROR_BIT = 1n << 31n;
const CALL_ERROR_BIT = -(1n << 63n);
const EMPTY = new Uint8Array();

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** The functions that a Worker has, and the node for all others. */
export interface Functions {
  readonly base: string;
  readonly loaded: ReadonlyMap<string, LoadedFunction>;
}

/** One call from the page: its log, and the results that came about in it. */
export interface Run {
  readonly functions: Functions;
  readonly log: Output;
  readonly results: Result[];
}

interface Reply {
  readonly bytes: Uint8Array;
  readonly isError: boolean;
}

/** Calls a function and gives its result's JSON. `chain`: the idempotent calls in which this one is made. */
export function call(run: Run, wanted: LoadedFunction, params: string, depth: number, chain: readonly string[]): string {
  const { name, idempotent, limits } = wanted.function;
  // An idempotent function runs on the canonical bytes, so that equal parameters are equal bytes.
  const key = idempotent ? canonical(params) : undefined;
  const given = encoder.encode(key ?? params);
  if (given.length > limits.params_bytes) throw new CallError('params_too_large', `the parameters exceed ${limits.params_bytes} bytes`);
  const link = `${name} ${key}`;
  if (key !== undefined && chain.includes(link)) {
    throw new CallError('call_cycle', `function ${name} calls itself with the same parameters, and would never end`);
  }
  const nested = new Nested(run, depth, key === undefined ? chain : [...chain, link]);
  const output = new Instance(wanted, run.log, nested).call(given);
  const result = json(output);
  if (key !== undefined) run.results.push([name, key, result]);
  return result;
}

// The calls that one invocation makes.
class Nested {
  #made = 0;
  #kept: Reply | undefined;

  constructor(
    readonly run: Run,
    readonly depth: number,
    readonly chain: readonly string[],
  ) {}

  // The host function `serverledge::call`.
  host(guest: Guest, name: number, nameLength: number, params: number, paramsLength: number, out: number, room: number): bigint {
    let reply: Reply;
    if (nameLength === 0) {
      reply = this.#kept ?? failed('no_reply', 'no reply is kept');
    } else {
      const read = (at: number, length: number): Uint8Array => pointed('serverledge::call', () => range(guest, at, length >>> 0).slice());
      reply = this.#answer(read(name, nameLength), read(params, paramsLength));
    }
    this.#kept = undefined;
    const mark = BigInt(reply.bytes.length) | (reply.isError ? CALL_ERROR_BIT : 0n);
    if (reply.bytes.length > room >>> 0) {
      this.#kept = reply;
    } else {
      pointed('serverledge::call', () => range(guest, out, reply.bytes.length)).set(reply.bytes);
    }
    return mark;
  }

  #answer(nameBytes: Uint8Array, paramsBytes: Uint8Array): Reply {
    let name: string;
    let params: string;
    try {
      name = strict.decode(nameBytes);
    } catch {
      return failed('invalid_name', 'the name is not UTF-8');
    }
    try {
      params = strict.decode(paramsBytes);
      JSON.parse(params);
    } catch {
      return failed('invalid_params', 'the parameters are not JSON');
    }
    try {
      return { bytes: encoder.encode(this.#call(name, params)), isError: false };
    } catch (error) {
      if (error instanceof CallError) return failed(error.code, error.message);
      throw error;
    }
  }

  #call(name: string, params: string): string {
    if (this.depth >= DEPTH_MAX) throw new CallError('call_too_deep', `more than ${DEPTH_MAX} calls within each other`);
    this.#made += 1;
    if (this.#made > CALLS_MAX) throw new CallError('call_too_many', `more than ${CALLS_MAX} calls of one invocation`);
    if (!NAME.test(name)) throw new CallError('invalid_name', `${JSON.stringify(name.slice(0, 64))} is no function's name`);
    const { base, loaded } = this.run.functions;
    const here = loaded.get(name);
    return here === undefined ? atNode(base, name, params) : call(this.run, here, params, this.depth + 1, this.chain);
  }
}

// Calls a function of the application at the node. The Worker stands still meanwhile, as an instance at the node does.
function atNode(base: string, name: string, params: string): string {
  const request = new XMLHttpRequest();
  try {
    request.open('POST', `${base}/edge/call/${name}`, false);
    request.setRequestHeader('content-type', 'application/json');
    request.send(`{"args":${params}}`);
  } catch (error) {
    throw new CallError('node_unreachable', `the node cannot be reached: ${String(error)}`);
  }
  if (request.status !== 200) throw problemOf(request.status, request.responseText);
  return memberText(request.responseText, 'result') ?? 'null';
}

function failed(error: string, message: string): Reply {
  return { bytes: encoder.encode(JSON.stringify({ error, message })), isError: true };
}

// One instance, for one call.
class Instance implements Guest {
  readonly name: string;
  readonly environment: readonly string[];
  readonly stdout: Output;
  stdin: Uint8Array = EMPTY;
  memory: WebAssembly.Memory | undefined;

  constructor(
    readonly loaded: LoadedFunction,
    readonly stderr: Output,
    readonly nested: Nested,
  ) {
    const { name, env, handler, limits } = loaded.function;
    this.name = name;
    this.environment = [
      ...Object.entries(env).map(([variable, value]) => `${variable}=${value}`),
      `SERVERLEDGE_HANDLER=${handler}`,
      `SERVERLEDGE_INVOCATION_ID=${crypto.randomUUID()}`,
    ];
    this.stdout = new Output(limits.output_bytes);
  }

  call(params: Uint8Array): Uint8Array {
    try {
      const instance = new WebAssembly.Instance(this.loaded.module, {
        wasi_snapshot_preview1: wasi(this),
        serverledge: { call: (...args: [number, number, number, number, number, number]) => this.nested.host(this, ...args) },
        env: { emscripten_notify_memory_growth: () => {} },
      });
      const exports = instance.exports as Exports;
      this.memory = exports.memory;
      return this.loaded.function.kind === 'command' ? this.#command(exports, params) : this.#reactor(exports, params);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #command(exports: Exports, params: Uint8Array): Uint8Array {
    this.stdin = params;
    try {
      exports._start();
    } catch (error) {
      if (!(error instanceof Exit && error.code === 0)) throw error;
    }
    return this.stdout.bytes();
  }

  #reactor(exports: Exports, params: Uint8Array): Uint8Array {
    exports._initialize?.();
    const at = exports.serverledge_alloc(params.length);
    if (at === 0 && params.length > 0) {
      throw new CallError('function_error', `the function was stopped: serverledge_alloc found no room for ${params.length} bytes of parameters`);
    }
    pointed('the host from serverledge_alloc', () => range(this, at, params.length)).set(params);
    const packed = BigInt.asUintN(64, exports.serverledge_handle(at, params.length));
    const length = Number(packed & (ERROR_BIT - 1n));
    checkOutput(length, this.stdout.max);
    const bytes = pointed('the host from serverledge_handle', () => range(this, Number(packed >> 32n), length)).slice();
    if ((packed & ERROR_BIT) === 0n) return bytes;
    throw this.#reported(bytes);
  }

  // The error that a reactor reports.
  #reported(bytes: Uint8Array): CallError {
    const { error, message, stack } = errorObject(bytes);
    const words = [error, message].filter((word) => word !== '').join(': ') || 'the function reported an error without a message';
    if (!this.#lacksMemory(words)) return new CallError('function_error', words, stack);
    return new CallError('function_out_of_memory', `${words}; the function was refused memory beyond its limit`, stack);
  }

  #failure(error: unknown): unknown {
    if (error instanceof CallError) return error;
    if (error instanceof Stop) return new CallError(error.code, error.message);
    const log = this.stderr.text();
    if (this.#lacksMemory(log)) {
      return new CallError('function_out_of_memory', 'the function was refused memory beyond its limit');
    }
    const last = log.trimEnd().split('\n').at(-1);
    const words = last ? `: ${last}` : '';
    if (error instanceof Exit) return new CallError('function_error', `the function exited with code ${error.code}${words}`);
    // WebAssembly traps with one error, and runs out of stack with another, which is not the same in all browsers.
    return new CallError('function_trap', `the function trapped: ${error instanceof Error ? error.message : String(error)}${words}`);
  }

  // A host is not told that `memory.grow` was refused. It was, if no page more is allowed, or if the guest says so.
  #lacksMemory(words: string): boolean {
    const size = this.memory?.buffer.byteLength ?? 0;
    return size + PAGE_BYTES > this.loaded.function.limits.memory_bytes || /out of memory|memory allocation of \d+ bytes failed/i.test(words);
  }
}

interface Exports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  readonly _start: () => void;
  readonly _initialize: () => void;
  readonly serverledge_alloc: (length: number) => number;
  readonly serverledge_handle: (at: number, length: number) => bigint;
}

// A range that the guest named; one outside its memory is a trap.
function pointed<T>(to: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (typeof error !== 'number') throw error;
    throw new Stop('function_trap', `the function was stopped: it passed a pointer outside its memory to ${to}`);
  }
}

function errorObject(bytes: Uint8Array): { error: string; message: string; stack?: string } {
  try {
    const { error = '', message = '', stack } = JSON.parse(strict.decode(bytes));
    const texts: readonly unknown[] = [error, message, stack ?? ''];
    if (texts.every((text) => typeof text === 'string')) return stack == null ? { error, message } : { error, message, stack };
  } catch {
    // It is shown as it is.
  }
  return { error: '', message: lenient.decode(bytes.subarray(0, SHOWN_BYTES_MAX)) };
}

// The output as one JSON value, without the white space around it.
function json(output: Uint8Array): string {
  let text: string;
  try {
    text = strict.decode(output).replace(/^[ \t\n\r]+|[ \t\n\r]+$/g, '');
    if (text !== '') {
      JSON.parse(text);
      return text;
    }
  } catch (error) {
    throw new CallError('function_bad_output', `the function's output is not one JSON value: ${String(error)}`);
  }
  throw new CallError('function_bad_output', 'the function gave no output; it must give one JSON value');
}
