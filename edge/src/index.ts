// Runs functions of a Serverledge application in this page, in a Worker and under limits, and the others at the node.

import { CallError, canonical, memberText, problemOf } from './shared.js';
import { fetchManifest, hasExpired, type EdgeFunction, type Manifest } from './manifest.js';
import { callsOthers, fetchModule } from './modules.js';
import type { LoadedFunction, Result } from './protocol.js';
import { Thread } from './thread.js';

export { canonical, CallError };
export type { EdgeFunction };

/** Settings of a connection. */
export interface Options {
  /** The application's name, if its URL does not tell it (`…/app/NAME`, or `NAME.…` as the host). */
  readonly app?: string;
  /** Public keys that are trusted (`x` of the application's `/edge/keys`). Without any, the node's own answer is believed. */
  readonly keys?: readonly string[];
  /** Gets the log of each call that wrote one. */
  readonly log?: (name: string, text: string) => void;
}

type Table = Record<string, Record<string, unknown>>;

// Results that are kept for the node: as many as a request may carry, with room for the cache.
const RESULTS_MAX = 400;
const RESULTS_CHARACTERS_MAX = 1 << 20;
const CACHE_ENTRIES_MAX = 400;

/** Connects to the application at this URL, such as `https://node.example/app/shop`. */
export async function connect(url: string, options: Options = {}): Promise<App> {
  const base = new URL(url, globalThis.location?.href).href.replace(/[?#].*$/, '').replace(/\/+$/, '');
  const app = new App(base, options);
  await app.refresh();
  return app;
}

/** An application, as a page sees it. */
export class App {
  #manifest: Manifest | undefined;
  #modules = new Map<string, Promise<WebAssembly.Module>>();
  #thread: Thread;
  #results = new Map<string, Result>();
  #cache: Table = {};

  constructor(
    readonly base: string,
    readonly options: Options,
  ) {
    this.#thread = new Thread(base, options.log ?? (() => {}));
  }

  /** The functions that may run here. */
  get functions(): readonly EdgeFunction[] {
    return this.#manifest?.functions ?? [];
  }

  /** Fetches the manifest anew, which also happens by itself when it has expired. */
  async refresh(): Promise<void> {
    this.#manifest = await fetchManifest(this.base, this.options.app ?? nameIn(this.base), this.options.keys);
  }

  /** Runs a function here. */
  async run(name: string, args: unknown = {}): Promise<unknown> {
    return JSON.parse(await this.runText(name, JSON.stringify(args)));
  }

  /** The same with parameters and result as JSON: every byte as the function gets and gives it. */
  async runText(name: string, params: string): Promise<string> {
    const loaded = await this.#prepared(name);
    checkParams(params, loaded[0].function.limits.params_bytes);
    const { result, results } = await this.#thread.call(loaded[0], loaded, params);
    for (const one of results) this.#keep(one);
    return result;
  }

  /** Calls a function at the node, with the results that came about here and the cache of earlier calls. */
  async invoke(name: string, args: unknown = {}): Promise<unknown> {
    return JSON.parse(await this.invokeText(name, JSON.stringify(args)));
  }

  /** The same with parameters and result as JSON. */
  async invokeText(name: string, params: string): Promise<string> {
    checkParams(params, Number.MAX_SAFE_INTEGER);
    const body = `{"args":${params},"edgeResults":${this.#edgeResults()},"cache":${JSON.stringify(this.#cache)}}`;
    let response: Response;
    let text: string;
    try {
      const url = `${this.base}/edge/call/${encodeURIComponent(name)}`;
      response = await fetch(url, { method: 'POST', body, credentials: 'omit', headers: { 'content-type': 'application/json' } });
      text = await response.text();
    } catch (error) {
      throw new CallError('node_unreachable', `the node cannot be reached: ${String(error)}`);
    }
    if (!response.ok) throw problemOf(response.status, text);
    this.#keepCache(JSON.parse(memberText(text, 'cache') ?? '{}') as Table);
    return memberText(text, 'result') ?? 'null';
  }

  /** Ends the Worker. A later call starts another. */
  close(): void {
    this.#thread.close();
  }

  #find(name: string): EdgeFunction {
    const found = this.functions.find((one) => one.name === name);
    if (found === undefined) throw new CallError('not_edge', `${name} is not a function that may run here`);
    return found;
  }

  // A function, ready to run. Its module is gone if it was deployed anew: the manifest then names another.
  async #prepared(name: string): Promise<[LoadedFunction, ...LoadedFunction[]]> {
    if (this.#manifest === undefined || hasExpired(this.#manifest)) await this.refresh();
    const wanted = this.#find(name);
    try {
      return await this.#loaded(wanted);
    } catch (error) {
      await this.refresh();
      const again = this.#find(name);
      if (again.integrity === wanted.integrity) throw error;
      return this.#loaded(again);
    }
  }

  // The function, and those that it may call: all others, if it calls any. One that cannot be had is called at the node.
  async #loaded(wanted: EdgeFunction): Promise<[LoadedFunction, ...LoadedFunction[]]> {
    const module = await this.#module(wanted);
    const first: LoadedFunction = { function: wanted, module };
    if (!callsOthers(module)) return [first];
    const others = this.functions.filter((one) => one !== wanted);
    const modules = await Promise.allSettled(others.map((one) => this.#module(one)));
    const rest = others.flatMap((one, index) => {
      const settled = modules[index];
      return settled?.status === 'fulfilled' ? [{ function: one, module: settled.value }] : [];
    });
    return [first, ...rest];
  }

  // Compiled once for each digest and limit of memory.
  #module(wanted: EdgeFunction): Promise<WebAssembly.Module> {
    const key = `${wanted.integrity} ${wanted.limits.memory_bytes}`;
    let module = this.#modules.get(key);
    if (module === undefined) {
      module = fetchModule(this.base, wanted);
      this.#modules.set(key, module);
      module.catch(() => this.#modules.delete(key));
    }
    return module;
  }

  // The newest result of each call, the oldest ones giving way.
  #keep(result: Result): void {
    const key = `${result[0]} ${result[1]}`;
    this.#results.delete(key);
    this.#results.set(key, result);
    let characters = 0;
    [...this.#results.entries()].reverse().forEach(([each, [, params, text]], index) => {
      characters += params.length + text.length;
      if (index >= RESULTS_MAX || characters > RESULTS_CHARACTERS_MAX) this.#results.delete(each);
    });
  }

  #edgeResults(): string {
    const tables = new Map<string, string[]>();
    for (const [name, params, result] of this.#results.values()) {
      tables.set(name, [...(tables.get(name) ?? []), `"${base64(params)}":${result}`]);
    }
    return `{${[...tables].map(([name, entries]) => `"${name}":{${entries.join(',')}}`).join(',')}}`;
  }

  // The old cache gives way if both are too much for a request, and then the new one.
  #keepCache(fresh: Table): void {
    this.#cache = [merge(this.#cache, fresh), fresh].find(isCarried) ?? {};
  }
}

function isCarried(cache: Table): boolean {
  const entries = Object.values(cache).reduce((sum, table) => sum + Object.keys(table).length, 0);
  return entries <= CACHE_ENTRIES_MAX && JSON.stringify(cache).length <= RESULTS_CHARACTERS_MAX;
}

// The tags are a member of the cache, by function as well.
function merge(old: Table, fresh: Table): Table {
  // Without a prototype: `__proto__` is a name like others.
  const merged = { __proto__: null, ...old } as unknown as Table;
  for (const [name, table] of Object.entries(fresh)) {
    merged[name] = name === '$tags' ? merge((old[name] ?? {}) as Table, table as Table) : { ...old[name], ...table };
  }
  return merged;
}

function checkParams(params: string, bytesMax: number): void {
  try {
    JSON.parse(params);
  } catch {
    throw new CallError('malformed_json', 'the parameters are not JSON');
  }
  if (new TextEncoder().encode(params).length > bytesMax) throw new CallError('body_too_large', `the parameters exceed ${bytesMax} bytes`);
}

function nameIn(base: string): string {
  const { hostname, pathname } = new URL(base);
  return /\/app\/([^/]+)$/.exec(pathname)?.[1] ?? hostname.split('.')[0] ?? '';
}

function base64(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
