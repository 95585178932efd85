// A Worker with its orders: one call at a time, ended when its time is over.

import { CallError, overdue, WORKER_SOURCE } from './shared.js';
import type { Answer, Code, LoadedFunction, Order } from './protocol.js';
import type { Result } from './results.js';

/** A result, what came about with it, and the milliseconds that it took. */
export interface Done {
  readonly result: string;
  readonly results: readonly Result[];
  readonly took: number;
}

/** Makes calls in a Worker of its own, which a call that takes too long ends with. */
export class Thread {
  #worker: Promise<Worker> | undefined;
  // The functions of the Worker, the list that they are of, and their modules, each with a number.
  #loaded: readonly LoadedFunction[] = [];
  #others: readonly LoadedFunction[] | undefined;
  #numbers = new Map<Code, number>();
  #next = 0;
  #last: Promise<unknown> = Promise.resolve();
  // Ends the call that runs, with this error.
  #fail = (_error: CallError): void => {};
  // Calls of before the last `close` end with it.
  #closed = new AbortController();

  /** Aborted when the connection is closed next. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** `grace`: milliseconds that a Worker has to end a call itself. `load` gets the functions called at the node. */
  constructor(
    readonly base: string,
    readonly grace: number,
    readonly log: (name: string, text: string) => void,
    readonly load: (names: readonly string[]) => void,
  ) {}

  /** Calls a function when the calls before it have ended. `others`: the functions that are here then. */
  call(wanted: LoadedFunction, others: () => readonly LoadedFunction[], params: string, signal: AbortSignal): Promise<Done> {
    const turn = this.#last.then(async () => {
      signal.throwIfAborted();
      const worker = await this.start();
      signal.throwIfAborted();
      return this.#call(worker, wanted, others(), params);
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Starts the Worker, if there is none. */
  start(): Promise<Worker> {
    const starting = (this.#worker ??= startWorker(WORKER_SOURCE));
    starting.catch(() => {
      if (this.#worker === starting) this.#worker = undefined;
    });
    return starting;
  }

  /** Ends the Worker and all calls; the next call starts another. */
  close(): void {
    const error = new CallError('cancelled', 'closed');
    this.#fail(error);
    this.#drop();
    this.#closed.abort(error);
    this.#closed = new AbortController();
    this.#last = Promise.resolve();
  }

  #drop(): void {
    const end = (worker: Worker): void => {
      worker.onerror = worker.onmessageerror = null;
      worker.terminate();
    };
    this.#worker?.then(end, () => {});
    this.#worker = undefined;
    this.#loaded = [];
    this.#numbers = new Map();
  }

  async #call(worker: Worker, wanted: LoadedFunction, others: readonly LoadedFunction[], params: string): Promise<Done> {
    const { name, limits } = wanted.function;
    if (this.#others !== others || !this.#loaded.some((one) => one.function === wanted.function)) this.#order(worker, wanted, others);
    const began = performance.now();
    send(worker, { name, params });
    const { log, far = [], result = '', results = [], error } = await this.#answer(worker, limits.timeout_ms);
    const took = performance.now() - began;
    if (far.length) this.load(far);
    if (log) this.log(name, log);
    if (error) throw new CallError(error.code, error.message, error.trace);
    return { result, results, took };
  }

  #order(worker: Worker, wanted: LoadedFunction, others: readonly LoadedFunction[]): void {
    const known = this.#numbers;
    this.#others = others;
    this.#loaded = [wanted, ...others.filter((one) => one.function.name !== wanted.function.name)];
    this.#numbers = new Map(this.#loaded.map(({ code }) => [code, known.get(code) ?? (this.#next += 1)]));
    const functions = this.#loaded.map(({ function: each, code }) => {
      return { function: each, number: this.#numbers.get(code) as number, code: known.has(code) ? undefined : code };
    });
    send(worker, { base: this.base, functions });
  }

  #answer(worker: Worker, milliseconds: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(overdue(milliseconds)), milliseconds + this.grace);
      this.#fail = (error) => {
        clearTimeout(timer);
        this.#drop();
        reject(error);
      };
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        clearTimeout(timer);
        resolve(data);
      };
      worker.onerror = worker.onmessageerror = () => this.#fail(new CallError('internal', 'the Worker ended'));
    });
  }
}

function send(worker: Worker, order: Order): void {
  worker.postMessage(order);
}

/** Starts a Worker with this program, once the program has said its first word. */
export function startWorker(source: string): Promise<Worker> {
  const url = URL.createObjectURL(new Blob([source]));
  return new Promise<Worker>((resolve, reject) => {
    const refused = (): void => reject(new CallError('edge_unsupported', 'a Worker needs the policy `worker-src blob:`'));
    try {
      const worker = new Worker(url);
      worker.onmessage = () => resolve(worker);
      worker.onerror = refused;
    } catch {
      refused();
    }
  }).finally(() => URL.revokeObjectURL(url));
}
