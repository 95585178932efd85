// Runs functions: each call in a fresh instance, one call at a time, calls of functions inside it.

import { canonical } from './canonical.js';
import { variables } from './environment.js';
import { CallError, overdue } from './errors.js';
import { release, take } from './instances.js';
import type { LoadedFunction } from './protocol.js';
import { resultOf } from './replies.js';
import type { Results } from './results.js';
import { checkOutput, enter, Exit, Output, range, type Guest, type Pointers } from './wasi.js';

// As on the node (crates/serverledge-core/src/limits.rs).
const DEPTH_MAX = 8;
const CALLS_MAX = 1000;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const PAGE_BYTES = 65_536;
// Functions of a manifest: so many of those that were called at the node are worth loading.
const FAR_MAX = 50;
// Bytes of an error that is no error object which are shown.
const SHOWN_BYTES_MAX = 1024;
const ERROR_BIT = 1n << 31n;
const CALL_ERROR_BIT = -(1n << 63n);
const EMPTY = new Uint8Array();
// Failures of a call that come again wherever it is made, until the next deploy (the node's `comes_again`).
const COMES_AGAIN = /^(function_(error|trap|bad_output|unknown)|invalid_name)$/;

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** The functions that a Worker has, and the node for all others. */
export interface Functions {
  readonly base: string;
  readonly functions: readonly LoadedFunction[];
}

/** One call from the page: its log, the results that came about in it, and the time when it must have ended. */
export interface Run {
  readonly here: Functions;
  readonly log: Output;
  readonly results: Results;
  /** The functions that it called at the node. */
  readonly far: Set<string>;
  readonly deadline: number;
  readonly timeout: number;
}

interface Reply {
  readonly bytes: Uint8Array;
  readonly isError: boolean;
}

/** Calls a function and gives its result's JSON. `caller`: the invocation that calls it. */
export function call(run: Run, wanted: LoadedFunction, params: string, caller?: Nested): string {
  const { name, idempotent, limits } = wanted.function;
  // An idempotent function runs on the canonical bytes, so that equal parameters are equal bytes.
  const key = idempotent ? canonical(params) : undefined;
  const given = encoder.encode(key ?? params);
  if (given.length > limits.params_bytes) throw new CallError('params_too_large', `the parameters exceed ${limits.params_bytes} bytes`);
  const link = `${name} ${key}`;
  const chain = caller?.chain ?? [];
  if (key !== undefined && chain.includes(link)) {
    throw new CallError('call_cycle', `function ${name} calls itself with the same parameters`);
  }
  const nested = new Nested(run, caller ? caller.depth + 1 : 0, key === undefined ? chain : [...chain, link]);
  try {
    const output = new Instance(wanted, run, nested).call(given);
    const result = json(output);
    if (key !== undefined && !nested.mayDiffer) {
      const bytes = 2 * name.length + given.length * 1.4 + output.length + 16;
      run.results.add({ name, params: key, result, bytes, isFar: nested.isFar });
    }
    return result;
  } finally {
    // A failure that may not come again can shape what the caller gives.
    if (caller) {
      caller.isFar ||= nested.isFar;
      caller.mayDiffer ||= nested.mayDiffer;
    }
  }
}

/** The calls that one invocation makes. */
class Nested {
  /** One of them went to the node. */
  isFar = false;
  /** One of them failed and may succeed another time: what the invocation gives is then not kept. */
  mayDiffer = false;
  #made = 0;
  #kept: Reply | undefined;

  constructor(
    readonly run: Run,
    readonly depth: number,
    readonly chain: readonly string[],
  ) {}

  // The host functions of the module `serverledge`. What was granted hosts never runs in a page, and stores are at the node.
  host(guest: Guest, [name, nameLength, params, paramsLength, out, room]: Pointers, refusal?: string): bigint {
    let reply: Reply;
    if (nameLength === 0) {
      reply = this.#kept ?? failed('no_reply', 'no reply is kept');
    } else if (refusal) {
      reply = failed(refusal, 'not in a page');
    } else {
      const read = (at: number, length: number): Uint8Array => pointed('serverledge::call', () => range(at, length >>> 0).slice());
      reply = this.#answer(read(name, nameLength), read(params, paramsLength));
    }
    this.#kept = undefined;
    guest.timeLeft();
    const mark = BigInt(reply.bytes.length) | (reply.isError ? CALL_ERROR_BIT : 0n);
    if (reply.bytes.length > room >>> 0) {
      this.#kept = reply;
    } else {
      pointed('serverledge::call', () => range(out, reply.bytes.length)).set(reply.bytes);
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
      if (!(error instanceof CallError)) throw error;
      this.mayDiffer ||= !COMES_AGAIN.test(error.code);
      return failed(error.code, error.message);
    }
  }

  #call(name: string, params: string): string {
    if (this.depth >= DEPTH_MAX) throw new CallError('call_too_deep', `more than ${DEPTH_MAX} calls within each other`);
    this.#made += 1;
    if (this.#made > CALLS_MAX) throw new CallError('call_too_many', `more than ${CALLS_MAX} calls of one invocation`);
    if (!NAME.test(name)) throw new CallError('invalid_name', `${JSON.stringify(name.slice(0, 64))} is no function's name`);
    const { base, functions } = this.run.here;
    const wanted = functions.find((one) => one.function.name === name);
    if (wanted) return call(this.run, wanted, params, this);
    this.isFar = true;
    if (this.run.far.size < FAR_MAX) this.run.far.add(name);
    return atNode(base, name, params);
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
    throw new CallError('node_unreachable', `the node cannot be reached: ${error}`);
  }
  return resultOf(request.status, request.responseText);
}

function failed(error: string, message: string): Reply {
  return { bytes: encoder.encode(JSON.stringify({ error, message })), isError: true };
}

// One instance, for one call.
class Instance implements Guest {
  readonly name: string;
  readonly stdout: Output;
  readonly stderr: Output;
  stdin: Uint8Array = EMPTY;
  memory: WebAssembly.Memory | undefined;
  ended: unknown;
  #environment: readonly string[] | undefined;

  constructor(
    readonly loaded: LoadedFunction,
    readonly run: Run,
    readonly nested: Nested,
  ) {
    const { name, limits } = loaded.function;
    this.name = name;
    this.stdout = new Output(limits.output_bytes);
    this.stderr = new Output(limits.log_bytes, true, run.log);
  }

  get environment(): readonly string[] {
    return (this.#environment ??= variables(this.loaded.function, this.timeLeft()));
  }

  callOther(pointers: Pointers, refusal?: string): bigint {
    return this.nested.host(this, pointers, refusal);
  }

  timeLeft(): number {
    const left = this.run.deadline - performance.now();
    if (left <= 0) throw overdue(this.run.timeout);
    return left;
  }

  call(params: Uint8Array): Uint8Array {
    const { code, function: { kind } } = this.loaded;
    const outer = enter(this);
    let live;
    try {
      live = take(code);
      const exports = live.instance.exports as Exports;
      this.memory = exports.memory;
      return kind === 'command' ? this.#command(exports, params) : this.#reactor(exports, params);
    } catch (error) {
      throw this.#failure(this.ended ?? error);
    } finally {
      enter(outer);
      if (live) release(code, live);
    }
  }

  #command(exports: Exports, params: Uint8Array): Uint8Array {
    this.stdin = params;
    try {
      exports._start();
    } catch (error) {
      if (!(this.ended instanceof Exit && this.ended.code === 0)) throw error;
    }
    return this.stdout.bytes();
  }

  #reactor(exports: Exports, params: Uint8Array): Uint8Array {
    exports._initialize?.();
    const at = exports.serverledge_alloc(params.length);
    if (at === 0 && params.length > 0) {
      throw new CallError('function_error', `serverledge_alloc found no room for the parameters`);
    }
    pointed('the host from serverledge_alloc', () => range(at, params.length)).set(params);
    const packed = BigInt.asUintN(64, exports.serverledge_handle(at, params.length));
    const length = Number(packed & (ERROR_BIT - 1n));
    checkOutput(length, this.stdout.max);
    const bytes = pointed('the host from serverledge_handle', () => range(Number(packed >> 32n), length)).slice();
    if ((packed & ERROR_BIT) === 0n) return bytes;
    throw this.#reported(bytes);
  }

  // The error that a reactor reports.
  #reported(bytes: Uint8Array): CallError {
    const { error, message, stack } = errorObject(bytes);
    const words = [error, message].filter((word) => word !== '').join(': ') || 'an error without a message';
    return this.#lacksMemory(words) ? outOfMemory(`${words}; `, stack) : new CallError('function_error', words, stack);
  }

  #failure(error: unknown): unknown {
    if (error instanceof CallError) return error;
    const log = this.stderr.text();
    if (this.#lacksMemory(log)) return outOfMemory('');
    const last = log.trimEnd().split('\n').at(-1);
    const words = last ? `: ${last}` : '';
    if (error instanceof Exit) return new CallError('function_error', `the function exited with code ${error.code}${words}`);
    // WebAssembly traps with one error, and runs out of stack with another, which is not the same in all browsers.
    return new CallError('function_trap', `the function trapped: ${error}${words}`);
  }

  // A host is not told that `memory.grow` was refused. It was, if no page more is allowed, or if the guest says so.
  #lacksMemory(words: string): boolean {
    const size = this.memory?.buffer.byteLength ?? 0;
    return size + PAGE_BYTES > this.loaded.function.limits.memory_bytes || /out of memory|memory allocation of \d+ bytes failed|^MemoryError\b/i.test(words);
  }
}

interface Exports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  readonly _start: () => void;
  readonly _initialize: () => void;
  readonly serverledge_alloc: (length: number) => number;
  readonly serverledge_handle: (at: number, length: number) => bigint;
}

function outOfMemory(before: string, trace?: string): CallError {
  return new CallError('function_out_of_memory', `${before}the function was refused memory beyond its limit`, trace);
}

// A range that the guest named; one outside its memory is a trap.
function pointed<T>(to: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (typeof error !== 'number') throw error;
    throw new CallError('function_trap', `the function passed a pointer outside its memory to ${to}`);
  }
}

function errorObject(bytes: Uint8Array): { error: string; message: string; stack?: string | undefined } {
  try {
    const { error = '', message = '', stack } = JSON.parse(strict.decode(bytes));
    const texts: readonly unknown[] = [error, message, stack ?? ''];
    if (texts.every((text) => typeof text === 'string')) return { error, message, stack: stack ?? undefined };
  } catch {
    // It is shown as it is.
  }
  return { error: '', message: lenient.decode(bytes.subarray(0, SHOWN_BYTES_MAX)) };
}

// The output as one JSON value, without the white space around it.
function json(output: Uint8Array): string {
  try {
    const text = strict.decode(output);
    JSON.parse(text);
    return text.trim();
  } catch (error) {
    throw new CallError('function_bad_output', `the function's output is not one JSON value: ${error}`);
  }
}
