/** Functions in this browser, with the node's own library for pages (`/sdk/edge.js`). */
import { ApiError } from '../api';
import { apiUrl, path } from '../base';
import type { FunctionInfo } from '../types';
import { readOutcome, type Outcome } from './calls';

/** What is used of the library; its types are at `/sdk/edge.d.ts`. */
interface EdgeApp {
  readonly base: string;
  readonly functions: readonly { readonly name: string; readonly version: string; readonly bytes: number }[];
  readonly components: readonly { readonly name: string; readonly version: string; readonly bytes: number }[];
  fetch(name: string, request: Request): Promise<Response>;
  runText(name: string, params: string): Promise<string>;
  refresh(): Promise<void>;
  close(): void;
}

interface EdgeLibrary {
  connect(url: string, options: { log: (name: string, text: string) => void }): Promise<EdgeApp>;
  canonical(text: string): string | undefined;
}

interface Connection {
  readonly app: EdgeApp;
  readonly library: EdgeLibrary;
  readonly log: string[];
  /** Versions that ran here, whose modules are loaded. */
  readonly ran: Set<string>;
}

const connections = new Map<string, Promise<Connection>>();

function connected(app: string): Promise<Connection> {
  const known = connections.get(app);
  if (known !== undefined) return known;
  const made = connect(app);
  connections.set(app, made);
  // The next try connects anew.
  made.catch(() => connections.delete(app));
  return made;
}

async function connect(app: string): Promise<Connection> {
  const library = (await import(/* @vite-ignore */ apiUrl('/sdk/edge.js').href)) as EdgeLibrary;
  const log: string[] = [];
  const found = await library.connect(apiUrl(path`/app/${app}`).href, { log: (_, text) => log.push(text) });
  return { app: found, library, log, ran: new Set() };
}

/** Ends the Workers of an application. */
export function disconnect(app: string): void {
  void connections.get(app)?.then(
    (connection) => connection.app.close(),
    () => {},
  );
  connections.delete(app);
}

/** Loads the library and the list of what may run here. Says why a function may not; `undefined`: it may. */
export async function refusal(app: string, info: FunctionInfo): Promise<string | undefined> {
  const { app: edge } = await connected(app);
  const find = (): { readonly version: string } | undefined =>
    [...edge.functions, ...edge.components].find(({ name }) => name === info.Name);
  // A manifest holds for a day; a version that was deployed since then is in the next one.
  if (find()?.version !== info.Version) await edge.refresh();
  if (find() !== undefined) return undefined;
  return 'The node does not hand this function to browsers: it is too large or too complex. Its deploy says why.';
}

function failed(error: unknown, took: number, log: string): Outcome {
  const {
    code = 'edge_failed',
    message = String(error),
    trace,
  } = error as { code?: string; message?: string; trace?: string };
  const problem = {
    type: 'about:blank',
    title: code,
    status: 0,
    code,
    detail: message,
    output: log,
    ...(trace === undefined ? {} : { stack: trace }),
  };
  return {
    where: 'browser',
    headers: [],
    took,
    log,
    error: new ApiError(0, code, message, undefined, undefined, problem),
  };
}

/** Runs a function here. */
export async function runHere(app: string, info: FunctionInfo, params: string): Promise<Outcome> {
  return timed(app, info, async ({ app: edge }) => {
    const text = await edge.runText(info.Name, params);
    return { text, headers: [] };
  });
}

/** Lets a component answer a request here: one to the function at the node. */
export async function fetchHere(app: string, info: FunctionInfo, request: Request): Promise<Outcome> {
  return timed(app, info, async ({ app: edge }) => {
    const root = apiUrl(path`/apps/${app}/fn/${info.Name}`).href;
    const address = edge.base.replace(/\/?$/, '/') + request.url.slice(root.length).replace(/^\//, '');
    const begun = performance.now();
    const body = request.method === 'GET' || request.method === 'HEAD' ? null : await request.arrayBuffer();
    const own = new Request(address, { method: request.method, headers: request.headers, body });
    return readOutcome('browser', await edge.fetch(info.Name, own), begun);
  });
}

async function timed(
  app: string,
  info: FunctionInfo,
  run: (connection: Connection) => Promise<Partial<Outcome>>,
): Promise<Outcome> {
  const connection = await connected(app);
  connection.log.length = 0;
  const key = `${info.Name} ${info.Version}`;
  const first = !connection.ran.has(key);
  const begun = performance.now();
  const since = (): number => (performance.now() - begun) * 1000;
  try {
    const outcome = await run(connection);
    connection.ran.add(key);
    return { headers: [], ...outcome, where: 'browser', took: since(), first, log: connection.log.join('') };
  } catch (error) {
    return { ...failed(error, since(), connection.log.join('')), first };
  }
}

/** Whether two texts are the same JSON, in whatever form. */
export async function sameJson(app: string, a: string, b: string): Promise<boolean> {
  const { library } = await connected(app);
  return a === b || (library.canonical(a) !== undefined && library.canonical(a) === library.canonical(b));
}
