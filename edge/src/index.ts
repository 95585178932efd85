// Runs functions of a Serverledge application in this page, in a Worker and under limits, and the others at the node.

import { CallError, canonical, core, Results } from './shared.js';
import type { Result } from './results.js';
import { fetchSigned, hasExpired, type EdgeFunction, type Manifest, type ModuleFile } from './manifest.js';
import type { Carried } from './edge-more.js';
import type { Code, LoadedFunction } from './protocol.js';
import { startWorker, Thread } from './thread.js';

export { canonical, CallError };
export type { EdgeFunction };

/** The place where a function runs: this page, the node, or the faster of the two. */
export type Where = 'edge' | 'node' | 'auto';

/** Settings of a connection. */
export interface Options {
  /** The application's name, if its URL does not tell it (`…/app/NAME`, or `NAME.…` as the host). */
  readonly app?: string;
  /** Public keys that are trusted (`x` of the application's `/edge/keys`). Without any, the node's own is believed. */
  readonly keys?: readonly string[];
  /** Gets the log of each call that wrote one. */
  readonly log?: (name: string, text: string) => void;
  /** The place of calls that name none; `edge` without it. */
  readonly where?: Where;
  /** Modules with checks of time are used, or not. Without it, where the browser needs them. */
  readonly deadline?: boolean;
}

/** Settings of one call. */
export interface RunOptions {
  readonly where?: Where;
}

/** Milliseconds that calls of a function take, smoothed. */
export interface Timing {
  edge?: number;
  node?: number;
}

interface Loading {
  readonly promise: Promise<Code>;
  code?: Code;
}

// The part of a new time in the smoothed one.
const SMOOTHING = 0.25;
// Milliseconds after which the manifest is fetched anew for a name that is not in it.
const REFRESH_MIN = 1000;
// Milliseconds that a module with checks of time has to end itself before its Worker is ended.
const GRACE = 100;
// Failures at the node, mostly before the function ran, after which a page can run it.
const NOT_AT_NODE = /^(node_unreachable|no_node|draining|queue_(full|timeout))$/;
// Failures here, after which the node can run it.
const NOT_HERE = /^(not_edge|edge_unsupported|(module|manifest)_refused|memory_too_small)$/;
// Bytes of a request beside parameters of the greatest length, less some for its members.
const MEMBERS_BYTES = 60_000;

const more = (): Promise<typeof import('./edge-more.js')> =>
  import('./edge-more.js').catch((error: unknown) => {
    throw new CallError('node_unreachable', `edge-more.js cannot be loaded: ${error}`);
  });

/** Connects to the application at this URL, such as `https://node.example/app/shop`. */
export async function connect(url: string, options: Options = {}): Promise<App> {
  const base = new URL(url, globalThis.location?.href).href.replace(/[?#].*$/, '').replace(/\/+$/, '');
  const app = new App(base, options);
  // It is needed soon.
  more().catch(() => {});
  await app.refresh();
  return app;
}

/** An application, as a page sees it. */
export class App {
  #manifest: Manifest | undefined;
  // The time at which it was fetched.
  #refreshed = 0;
  #modules = new Map<string, Loading>();
  // The functions whose modules are here; `undefined` if that is to be found out.
  #loaded: readonly LoadedFunction[] | undefined;
  #thread: Thread;
  #carried: Carried = { results: new Results(), cache: {} };
  #timings = new Map<string, Timing>();
  // WebKit alone cannot end a Worker that runs WebAssembly.
  #hasDeadline: boolean;

  constructor(
    readonly base: string,
    readonly options: Options,
  ) {
    this.#hasDeadline = options.deadline ?? /^Apple/.test(navigator.vendor);
    this.#thread = new Thread(base, this.#hasDeadline ? GRACE : 0, options.log ?? (() => {}), (names) => void this.#load((name) => names.includes(name)));
  }

  /** The functions that may run here. */
  get functions(): readonly EdgeFunction[] {
    return this.#manifest?.functions ?? [];
  }

  /** The components that may answer requests here; none if the manifest has expired. */
  get components(): readonly EdgeFunction[] {
    const manifest = this.#manifest;
    return (manifest && !hasExpired(manifest) && manifest.components) || [];
  }

  /** Lets a component answer a request here, as it would at the node's endpoint. */
  async fetch(name: string, request: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const { closed } = this.#thread;
    const { answer } = await import('./edge-components.js').catch((error: unknown) => {
      throw new CallError('node_unreachable', `the node cannot be reached: ${error}`);
    });
    return answer(core, startWorker, this, this.#hasDeadline, closed, name, request, init);
  }

  /** Fetches the manifest anew, which also happens by itself when it has expired. */
  async refresh(): Promise<void> {
    // Meanwhile a Worker starts. If none does, the first call says so.
    if (this.options.where !== 'node') this.#thread.start();
    const [{ believed }, signed] = await Promise.all([more(), fetchSigned(`${this.base}/edge/manifest`)]);
    const fresh = await believed(core, signed, this.base, this.options.app ?? nameIn(this.base), this.options.keys);
    this.#carried.results.forget(JSON.stringify(fresh.functions) !== JSON.stringify(this.functions));
    this.#manifest = fresh;
    this.#refreshed = performance.now();
    this.#loaded = undefined;
    const keys = this.functions.map((one) => this.#key(one));
    for (const key of this.#modules.keys()) if (!keys.includes(key)) this.#modules.delete(key);
  }

  /** Loads the modules of all functions that may run here, as far as they can be had. */
  async prepare(): Promise<void> {
    await this.#load(() => true);
  }

  /** Runs a function: here, if neither the call nor the connection says otherwise. */
  async run(name: string, args: unknown = {}, options?: RunOptions): Promise<unknown> {
    return JSON.parse(await this.runText(name, JSON.stringify(args), options));
  }

  /** The same with parameters and result as JSON: every byte as the function gets and gives it. */
  async runText(name: string, params: string, { where = this.options.where ?? 'edge' }: RunOptions = {}): Promise<string> {
    const first = where === 'auto' ? this.#place(name) : where;
    const run = (at: Where): Promise<string> => (at === 'node' ? this.invokeText(name, params) : this.#run(name, params).then(([result]) => result));
    try {
      return await run(first);
    } catch (error) {
      const { code } = error as CallError;
      // Another place may be fast enough.
      if (code === 'function_timeout') this.#measure(name, first as keyof Timing, this.#find(name)?.limits.timeout_ms ?? 0);
      if (where !== 'auto' || !(first === 'node' ? this.#find(name) && NOT_AT_NODE : NOT_HERE)?.test(code)) throw error;
      return run(first === 'node' ? 'edge' : 'node');
    }
  }

  /** Calls a function at the node, with the results that came about here and the cache of earlier calls. */
  async invoke(name: string, args: unknown = {}): Promise<unknown> {
    return JSON.parse(await this.invokeText(name, JSON.stringify(args)));
  }

  /** The same with parameters and result as JSON. */
  async invokeText(name: string, params: string): Promise<string> {
    checkParams(params, Infinity);
    const bytesMax = (this.functions[0]?.limits.params_bytes ?? Infinity) + MEMBERS_BYTES;
    const { invoke } = await more();
    const began = performance.now();
    const result = await invoke(core, this.#carried, `${this.base}/edge/call/${encodeURIComponent(name)}`, params, bytesMax);
    this.#measure(name, 'node', performance.now() - began);
    return result;
  }

  /**
   * Runs a function here and gives what a request takes as `edgeResults`: its result, and those of the idempotent functions
   * that it called.
   */
  async edgeResults(name: string, args: unknown = {}): Promise<Record<string, Record<string, unknown>>> {
    const params = JSON.stringify(args);
    const [result, results] = await this.#run(name, params);
    const { tablesOf } = await more();
    return JSON.parse(tablesOf([...results, { name, params: canonical(params) ?? params, result }]));
  }

  /** Milliseconds that calls of each function have taken here and at the node. */
  timings(): Record<string, Timing> {
    return Object.fromEntries(this.#timings);
  }

  /** Ends the Worker, and the calls that are under way in it. A later call starts another. */
  close(): void {
    this.#thread.close();
  }

  #find(name: string): EdgeFunction | undefined {
    return this.functions.find((one) => one.name === name);
  }

  // Each place is tried once. The node takes the calls until the module is here.
  #place(name: string): Where {
    const found = this.#find(name);
    const { edge, node } = this.#timings.get(name) ?? {};
    if (!found) return 'node';
    this.#module(found).catch(() => {});
    if (!this.#compiled(found)) return 'node';
    return edge === undefined || (node !== undefined && edge <= node) ? 'edge' : 'node';
  }

  #measure(name: string, place: keyof Timing, took: number): void {
    const timing = this.#timings.get(name) ?? {};
    const before = timing[place] ?? took;
    timing[place] = before + SMOOTHING * (took - before);
    this.#timings.set(name, timing);
  }

  async #run(name: string, params: string): Promise<[string, readonly Result[]]> {
    const { closed } = this.#thread;
    this.#thread.start();
    const wanted = await this.#prepared(name);
    const manifest = this.#manifest;
    checkParams(params, wanted.function.limits.params_bytes);
    const { result, results, took } = await this.#thread.call(wanted, () => (this.#loaded ??= this.functions.flatMap((one) => this.#compiled(one) ?? [])), params, closed);
    this.#measure(name, 'edge', took);
    // What came of functions that were replaced meanwhile is not kept.
    if (manifest === this.#manifest) for (const one of results) this.#carried.results.add(one);
    return [result, results];
  }

  // A function, ready to run. Its module is gone if it was deployed anew: the manifest then names another.
  async #prepared(name: string): Promise<LoadedFunction> {
    if (!this.#manifest || hasExpired(this.#manifest)) await this.refresh();
    // It may have been deployed since.
    if (!this.#find(name) && performance.now() - this.#refreshed > REFRESH_MIN) await this.refresh().catch(() => {});
    const find = (): EdgeFunction => {
      const found = this.#find(name);
      if (!found) throw new CallError('not_edge', `${name} is not a function that may run here`);
      return found;
    };
    const wanted = find();
    try {
      return { function: wanted, code: await this.#module(wanted) };
    } catch (error) {
      await this.refresh().catch(() => {
        throw error;
      });
      const again = find();
      if (again.integrity === wanted.integrity) throw error;
      return { function: again, code: await this.#module(again) };
    }
  }

  // Those that are not here when a function calls them are called at the node, and are here for its next call.
  async #load(isWanted: (name: string) => boolean): Promise<void> {
    await Promise.allSettled(this.functions.filter((one) => isWanted(one.name)).map((one) => this.#module(one)));
  }

  #compiled(one: EdgeFunction): LoadedFunction | undefined {
    const code = this.#modules.get(this.#key(one))?.code;
    return code && { function: one, code };
  }

  #file(one: EdgeFunction): ModuleFile {
    return (this.#hasDeadline && one.deadline) || one;
  }

  // Compiled once for each digest and limit of memory.
  #key(one: EdgeFunction): string {
    return `${this.#file(one).integrity} ${one.limits.memory_bytes}`;
  }

  #module(wanted: EdgeFunction): Promise<Code> {
    const key = this.#key(wanted);
    const known = this.#modules.get(key);
    if (known) return known.promise;
    const file = this.#file(wanted);
    const files = this.functions.map((one) => this.#file(one));
    const loading: Loading = { promise: more().then(({ fetchModule }) => fetchModule(core, this.base, wanted, file, files)) };
    this.#modules.set(key, loading);
    loading.promise.then(
      (code) => {
        loading.code = code;
        this.#loaded = undefined;
      },
      () => this.#modules.delete(key),
    );
    return loading.promise;
  }
}

function checkParams(params: string, bytesMax: number): void {
  try {
    JSON.parse(params);
  } catch {
    throw new CallError('malformed_json', 'the parameters are not JSON');
  }
  // A unit of a string has at most three bytes.
  if (params.length * 3 > bytesMax && new TextEncoder().encode(params).length > bytesMax) throw new CallError('body_too_large', `the parameters exceed ${bytesMax} bytes`);
}

function nameIn(base: string): string {
  const { hostname, pathname } = new URL(base);
  return /\/app\/([^/]+)$/.exec(pathname)?.[1] ?? hostname.split('.')[0] ?? '';
}
