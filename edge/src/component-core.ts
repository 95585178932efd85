// The Worker of components: it links one anew for each call, and makes one call after the other. Nothing here may run
// on its own: the page loads it as well.

import { begin, ComponentCall, Ended, guarded } from './component-call.js';
import { argumentsOf, headerList, HTTP } from './component-http.js';
import { IO } from './component-io.js';
import type { ComponentAnswer, ComponentOrder, Item, LoadedComponent } from './component-protocol.js';
import { Heap, lowered, Misuse, type Flat } from './component-types.js';
import { CallError } from './errors.js';

const PAGE_BYTES = 65_536;
const FUNCTIONS = { ...IO, ...HTTP };

const components = new Map<string, LoadedComponent>();

/** Makes this thread a Worker. */
export function serve(): void {
  self.onmessage = ({ data }: MessageEvent<ComponentOrder>) => {
    if (data.component) components.set(data.key, data.component);
    const call = new ComponentCall(data.function, data.request);
    const answer = run(components.get(data.key) as LoadedComponent, call);
    self.postMessage({ ...answer, log: call.log.text() });
  };
  self.postMessage(0);
}

function run(component: LoadedComponent, call: ComponentCall): Omit<ComponentAnswer, 'log'> {
  begin(call);
  const linked = new Linked(component, call);
  try {
    linked.answer();
    const { status, headers, body } = call.response();
    return { response: { status, headers: headerList(headers), body } };
  } catch (error) {
    const { code, message } = linked.failure(call.failure ?? error);
    return { error: { code, message } };
  }
}

// A component, linked for one call.
class Linked {
  #instances: WebAssembly.Exports[] = [];

  constructor(
    readonly component: LoadedComponent,
    readonly call: ComponentCall,
  ) {}

  answer(): void {
    const { plan: { hosts, instances, handle }, modules } = this.component;
    const host = hosts.map(({ name, memory, realloc }) => guarded(this.#host(name, memory, realloc)));
    const deadline = guarded(() => void this.call.remaining());
    for (const { module, imports } of instances) {
      // Without prototypes: a component may use any name.
      const given: WebAssembly.Imports = Object.create(null);
      for (const [from, name, item] of [...imports, ['serverledge_edge', 'deadline', deadline] as const]) {
        given[from] ??= Object.create(null) as WebAssembly.ModuleImports;
        given[from]![name] = typeof item === 'function' ? item : typeof item === 'number' ? host[item]! : this.#item(item);
      }
      this.#instances.push(new WebAssembly.Instance(modules[module]!, given).exports);
    }
    try {
      this.#item<(request: number, out: number) => void>(handle)(...argumentsOf());
    } catch (error) {
      const { failure } = this.call;
      if (!(failure instanceof Ended) || failure.code !== 0) throw error;
      this.call.failure = undefined;
    }
  }

  #host(name: string, memory: Item | undefined, realloc: Item | undefined): (...args: Flat[]) => Flat | void {
    if (name === '') return (handle) => this.call.resources.drop((handle as number) >>> 0);
    const heap = new Heap(() => this.#item(memory as Item), () => this.#item(realloc as Item));
    const found = FUNCTIONS[name];
    if (found) return lowered(found, heap);
    return () => {
      throw new Misuse(`${name} needs a resource that there is none of`);
    };
  }

  #item<T extends WebAssembly.ExportValue>(item: Item): T {
    const [instance, name] = item as readonly [number, string];
    const found = this.#instances[instance]?.[name];
    if (found === undefined) throw new Misuse('it called the host before it was linked');
    return found as T;
  }

  failure(error: unknown): CallError {
    if (error instanceof CallError) return error;
    const log = this.call.log.text();
    if (this.#lacksMemory(log)) {
      return new CallError('function_out_of_memory', 'the function was refused memory beyond its limit');
    }
    const last = log.trimEnd().split('\n').at(-1);
    const words = last ? `: ${last}` : '';
    if (error instanceof Ended) return new CallError('function_error', `the function exited with code ${error.code}${words}`);
    const where = error instanceof Misuse ? `in a call to the host: ${error.message}` : String(error);
    return new CallError('function_trap', `the function trapped: ${where}${words}`);
  }

  // A host is not told that `memory.grow` was refused. It was, if no page more is allowed, or if the guest says so.
  #lacksMemory(words: string): boolean {
    const memories = this.#instances.flatMap((exports) => Object.values(exports)).filter((one) => one instanceof WebAssembly.Memory);
    const size = memories.reduce((most, { buffer }) => Math.max(most, buffer.byteLength), 0);
    return size + PAGE_BYTES > this.call.wanted.limits.memory_bytes || /out of memory|memory allocation of \d+ bytes failed/i.test(words);
  }
}
