// The third file of the library (edge-components.js), which is fetched when a component is to answer its first request:
// it fetches components, and has a Worker of its own that runs them.

import { makeCore } from 'component-core:';
import type { ComponentAnswer, ComponentOrder, ComponentRequest, HeaderList, LoadedComponent, Plan } from './component-protocol.js';
import type { EdgeFunction } from './manifest.js';
import { hasMemory, withMemoryLimit } from './rewrite.js';
import type { Core } from './shared.js';

/** What is used of an application. */
export interface Owner {
  readonly base: string;
  readonly options: { readonly log?: (name: string, text: string) => void };
  /** The components of a manifest that holds. */
  readonly components: readonly EdgeFunction[];
  refresh(): Promise<void>;
}

const FORMAT = 1;
const LINE_BREAK = 10;
// Milliseconds that a component with checks of time has to end itself before its Worker is ended.
const GRACE = 100;
// Such responses have no body, and `Response` takes none.
const BODILESS = /^(204|205|304)$/;

const runners = new WeakMap<Owner, Runner>();

/** Starts a Worker with this program. */
type StartWorker = (source: string) => Promise<Worker>;

/** Answers a request. `closed` is aborted when the connection is closed. */
export async function answer(core: Core, startWorker: StartWorker, owner: Owner, hasDeadline: boolean, closed: AbortSignal, name: string, input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input instanceof Request ? input : new URL(input, `${owner.base}/`), init);
  let runner = runners.get(owner);
  if (!runner) runners.set(owner, (runner = new Runner(core, startWorker, owner, hasDeadline)));
  return runner.answer(closed, name, request);
}

class Runner {
  #loading = new Map<string, Promise<LoadedComponent>>();
  #worker: Promise<Worker> | undefined;
  // The components that the Worker has.
  #sent = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  #closed: AbortSignal | undefined;
  // Ends the call that runs, with this error.
  #fail = (_error: unknown): void => {};

  constructor(
    readonly core: Core,
    readonly startWorker: StartWorker,
    readonly owner: Owner,
    readonly hasDeadline: boolean,
  ) {}

  async answer(closed: AbortSignal, name: string, request: Request): Promise<Response> {
    const { CallError } = this.core;
    if (this.#closed !== closed) {
      this.#closed = closed;
      closed.addEventListener('abort', () => this.#end(closed.reason));
    }
    if (!this.#find(name)) await this.owner.refresh();
    let wanted = this.#found(name);
    const given = await this.#request(request, wanted.limits.params_bytes);
    let component: LoadedComponent;
    try {
      component = await this.#load(wanted);
    } catch (error) {
      // It is gone if it was deployed anew: the manifest then names another.
      await this.owner.refresh().catch(() => {
        throw error;
      });
      const again = this.#found(name);
      if (again.integrity === wanted.integrity) throw error;
      wanted = again;
      component = await this.#load(wanted);
    }
    // Calls of before `close` end with it.
    const turn = this.#last.then(() => this.#call(closed, wanted, component, given));
    this.#last = turn.catch(() => {});
    const { log, response, error } = await turn;
    if (log) this.owner.options.log?.(name, log);
    if (!response) throw new CallError(error?.code ?? 'internal', error?.message ?? 'no answer');
    const { status, headers, body } = response;
    return new Response(BODILESS.test(`${status}`) ? null : body, { status, headers: headers as [string, string][] });
  }

  #find(name: string): EdgeFunction | undefined {
    return this.owner.components.find((one) => one.name === name);
  }

  #found(name: string): EdgeFunction {
    const found = this.#find(name);
    if (!found) throw new this.core.CallError('not_edge', `${name} is not a component that may run here`);
    return found;
  }

  // The request as it would come to the node's endpoint, without the headers that a browser adds.
  async #request(request: Request, bytesMax: number): Promise<ComponentRequest> {
    const { base } = this.owner;
    const url = new URL(request.url);
    const { pathname } = new URL(base);
    const isBelow = request.url.startsWith(base) && /^($|[/?#])/.test(request.url.slice(base.length));
    const path = isBelow ? url.pathname.slice(pathname.replace(/\/$/, '').length) || '/' : url.pathname;
    const body = new Uint8Array(await request.arrayBuffer());
    if (body.length > bytesMax) throw new this.core.CallError('body_too_large', `the body exceeds ${bytesMax} bytes`);
    const headers: HeaderList = [...request.headers];
    const hasLength = body.length > 0 || /^(POST|PUT|PATCH)$/.test(request.method);
    return {
      method: request.method,
      target: path + url.search,
      scheme: url.protocol.slice(0, -1),
      authority: url.host,
      headers: hasLength ? [...headers, ['content-length', `${body.length}`]] : headers,
      body,
    };
  }

  #key(wanted: EdgeFunction): string {
    return `${this.#file(wanted).integrity} ${wanted.limits.memory_bytes}`;
  }

  #file(wanted: EdgeFunction): EdgeFunction | NonNullable<EdgeFunction['deadline']> {
    return (this.hasDeadline && wanted.deadline) || wanted;
  }

  #load(wanted: EdgeFunction): Promise<LoadedComponent> {
    const key = this.#key(wanted);
    const known = this.#loading.get(key);
    if (known) return known;
    // Those of before the last deploy are not needed any more.
    const keys = this.owner.components.map((one) => this.#key(one));
    for (const one of this.#loading.keys()) if (!keys.includes(one)) this.#loading.delete(one);
    const loading = this.#fetch(wanted);
    this.#loading.set(key, loading);
    loading.catch(() => this.#loading.delete(key));
    return loading;
  }

  async #fetch(wanted: EdgeFunction): Promise<LoadedComponent> {
    const { CallError } = this.core;
    const { module, integrity } = this.#file(wanted);
    let file: Uint8Array<ArrayBuffer>;
    try {
      // The browser itself refuses bytes of another digest.
      const response = await fetch(`${this.owner.base}/${module}`, { integrity, credentials: 'omit' });
      if (!response.ok) throw new Error(`the node answered ${response.status}`);
      file = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      throw new CallError('module_refused', `the component ${wanted.name} cannot be fetched, or is not the signed one: ${error}`);
    }
    const end = file.indexOf(LINE_BREAK);
    const plan = JSON.parse(new TextDecoder().decode(file.subarray(0, end))) as Plan;
    if (plan.format !== FORMAT) throw new CallError('module_refused', `the component ${wanted.name} has the format ${plan.format}, not ${FORMAT}`);
    let at = end + 1;
    const parts = plan.modules.map((length) => {
      const part = file.slice(at, (at += length));
      return hasMemory(part) ? withMemoryLimit(this.core, part, wanted.limits.memory_bytes).whole() : part;
    });
    try {
      return { plan, modules: await Promise.all(parts.map((part) => WebAssembly.compile(part))) };
    } catch (error) {
      throw new CallError('edge_unsupported', `the component ${wanted.name} does not compile here: ${error}`);
    }
  }

  async #call(closed: AbortSignal, wanted: EdgeFunction, component: LoadedComponent, request: ComponentRequest): Promise<ComponentAnswer> {
    closed.throwIfAborted();
    const starting = (this.#worker ??= this.startWorker(`(${makeCore})().serve()`));
    const worker = await starting.catch((error: unknown) => {
      if (this.#worker === starting) this.#worker = undefined;
      throw error;
    });
    closed.throwIfAborted();
    const key = this.#key(wanted);
    const order: ComponentOrder = { key, component: this.#sent.has(key) ? undefined : component, function: wanted, request };
    this.#sent.add(key);
    const milliseconds = wanted.limits.timeout_ms;
    return new Promise<ComponentAnswer>((resolve, reject) => {
      const timer = setTimeout(() => this.#end(this.core.overdue(milliseconds)), milliseconds + (this.hasDeadline ? GRACE : 0));
      this.#fail = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      worker.onmessage = ({ data }: MessageEvent<ComponentAnswer>) => {
        clearTimeout(timer);
        resolve(data);
      };
      worker.onerror = worker.onmessageerror = () => this.#end(new this.core.CallError('internal', 'the Worker ended'));
      worker.postMessage(order);
    });
  }

  // Ends the Worker, and the call that runs in it.
  #end(error: unknown): void {
    const end = (worker: Worker): void => {
      worker.onerror = worker.onmessageerror = null;
      worker.terminate();
    };
    this.#worker?.then(end, () => {});
    this.#worker = undefined;
    this.#sent.clear();
    this.#fail(error);
  }
}
