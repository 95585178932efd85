// Types of serverledge-edge. `scripts/build-edge.sh` checks that the library has them (src/declared.ts).

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
  /** Whether modules with checks of time are used. Without it, they are where a browser needs them (WebKit). */
  readonly deadline?: boolean;
}

/** Settings of one call. */
export interface RunOptions {
  readonly where?: Where;
}

/** Milliseconds that calls of a function take, smoothed; a place without a call has none. */
export interface Timing {
  edge?: number;
  node?: number;
}

/** The limits of one call. */
export interface Limits {
  readonly memory_bytes: number;
  readonly timeout_ms: number;
  readonly params_bytes: number;
  readonly output_bytes: number;
  readonly log_bytes: number;
}

/** A module that can be fetched. Paths are relative to the application's URL. */
export interface ModuleFile {
  readonly integrity: string;
  readonly bytes: number;
  readonly module: string;
  /** The way to it over another module, which several share. */
  readonly delta?: {
    readonly base: string;
    readonly base_integrity: string;
    readonly module: string;
    readonly bytes: number;
  };
}

/** A function that may run in the page, as the manifest describes it. */
export interface EdgeFunction extends ModuleFile {
  readonly name: string;
  readonly version: string;
  readonly kind: 'command' | 'reactor' | 'snapshot' | 'component';
  readonly idempotent: boolean;
  /** Its module with checks of time inside. */
  readonly deadline?: ModuleFile;
  readonly handler: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
}

/** An application, as a page sees it. */
export interface App {
  /** Its URL. */
  readonly base: string;
  readonly options: Options;
  /** The functions that may run here. */
  readonly functions: readonly EdgeFunction[];
  /** The components that may answer requests here; none if the manifest has expired. */
  readonly components: readonly EdgeFunction[];
  /** Lets a component answer a request here, as it would at the node's endpoint. A text is a URL below the application's. */
  fetch(name: string, request: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Runs a function: here, if neither the call nor the connection says otherwise. */
  run(name: string, args?: unknown, options?: RunOptions): Promise<unknown>;
  /** The same with parameters and result as JSON: every byte as the function gets and gives it. */
  runText(name: string, params: string, options?: RunOptions): Promise<string>;
  /** Calls a function at the node, with the results that came about here and the cache of earlier calls. */
  invoke(name: string, args?: unknown): Promise<unknown>;
  /** The same with parameters and result as JSON. */
  invokeText(name: string, params: string): Promise<string>;
  /**
   * Runs a function here and gives what a request takes as `edgeResults`: its result, and those of the idempotent functions
   * that it called.
   */
  edgeResults(name: string, args?: unknown): Promise<Record<string, Record<string, unknown>>>;
  /** Milliseconds that calls of each function have taken here and at the node. */
  timings(): Record<string, Timing>;
  /** Loads the modules of all functions that may run here, as far as they can be had. */
  prepare(): Promise<void>;
  /** Fetches the manifest anew, which also happens by itself when it has expired. */
  refresh(): Promise<void>;
  /** Ends the Worker, and the calls that are under way in it with `cancelled`. A later call starts another. */
  close(): void;
}

/** A call that gave no result. `code` is one of the node's codes, or of the library's own. */
export declare class CallError extends Error {
  readonly name: 'CallError';
  constructor(code: string, message: string, trace?: string);
  readonly code: string;
  /** The function's own stack trace, if it gave one. */
  readonly trace?: string | undefined;
}

/** Connects to the application at this URL, such as `https://node.example/app/shop`. */
export declare function connect(url: string, options?: Options): Promise<App>;

/** The canonical form of a JSON text (RFC 8785); `undefined` if it has none. */
export declare function canonical(text: string): string | undefined;
