// A Worker with its orders: one call at a time, ended when its time is over.

import { CallError, WORKER_SOURCE } from './shared.js';
import type { Answer, LoadedFunction, Order } from './protocol.js';

type Done = Extract<Answer, { type: 'done' }>;

/** Makes calls in a Worker of its own, which a call that takes too long ends with. */
export class Thread {
  #worker: Promise<Worker> | undefined;
  #loaded: readonly LoadedFunction[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly base: string,
    readonly log: (name: string, text: string) => void,
  ) {}

  /** Calls a function when the calls before it have ended. `loaded`: all functions that it may call here. */
  call(wanted: LoadedFunction, loaded: readonly LoadedFunction[], params: string): Promise<Done> {
    const turn = this.#last.then(() => this.#call(wanted, loaded, params));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Ends the Worker; the next call starts another. */
  close(): void {
    void this.#worker?.then((worker) => worker.terminate());
    this.#worker = undefined;
    this.#loaded = [];
  }

  async #call({ function: { name, limits } }: LoadedFunction, loaded: readonly LoadedFunction[], params: string): Promise<Done> {
    this.#worker ??= start();
    const worker = await this.#worker.catch((error: unknown) => {
      this.#worker = undefined;
      throw error;
    });
    if (loaded.some((one) => !this.#loaded.some((known) => known.module === one.module && known.function === one.function))) {
      this.#loaded = loaded;
      send(worker, { type: 'load', base: this.base, functions: loaded });
    }
    const answered = answerOf(worker, limits.timeout_ms);
    send(worker, { type: 'run', name, params });
    const answer = await answered;
    if (answer === undefined) {
      this.close();
      throw new CallError('function_timeout', `the function ran longer than its limit of ${limits.timeout_ms} ms`);
    }
    if (answer.log !== '') this.log(name, answer.log);
    if (answer.type === 'failed') throw new CallError(answer.code, answer.message, answer.trace);
    return answer;
  }
}

function send(worker: Worker, order: Order): void {
  worker.postMessage(order);
}

// The answer to an order; `undefined` if none came in time.
function answerOf(worker: Worker, milliseconds: number): Promise<Exclude<Answer, { type: 'ready' }> | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), milliseconds);
    worker.onmessage = ({ data }: MessageEvent<Exclude<Answer, { type: 'ready' }>>) => {
      clearTimeout(timer);
      resolve(data);
    };
  });
}

function start(): Promise<Worker> {
  const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }));
  return new Promise<Worker>((resolve, reject) => {
    const refused = (): void => reject(new CallError('edge_unsupported', 'this page may start no Worker: it needs `worker-src blob:`'));
    try {
      const worker = new Worker(url);
      worker.onmessage = () => resolve(worker);
      worker.onerror = refused;
    } catch {
      refused();
    }
  }).finally(() => URL.revokeObjectURL(url));
}
