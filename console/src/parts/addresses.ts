/** The addresses of an application's endpoints, and commands that call them. */
import { apiUrl, path, query } from '../base';
import type { EndpointInfo } from '../types';

/** The address of an application by path: `https://node/app/shop`. */
export function addressOf(app: string): string {
  return apiUrl(path`/app/${app}`).href;
}

/**
 * Its address by host name, where the console can know it: seen from the node's own machine, the domain is `localhost`
 * unless the operator chose another.
 */
export function hostAddressOf(app: string): string | undefined {
  const { protocol, hostname, port } = location;
  const local = hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
  if (!local || apiUrl('/').pathname !== '/') return undefined;
  return `${protocol}//${app}.localhost${port === '' ? '' : `:${port}`}`;
}

/** The path of an endpoint as it stands in addresses; the node leaves the first slash out. */
export function pathOf({ path: below }: Pick<EndpointInfo, 'path'>): string {
  return `/${below.replace(/^\//, '')}`;
}

/** Method and path: `POST /sum`. */
export function keyOf(endpoint: EndpointInfo): string {
  return `${endpoint.method} ${pathOf(endpoint)}`;
}

/** Arguments as a query, for requests without a body. */
export function argumentQuery(args: unknown): string {
  if (typeof args !== 'object' || args === null) return '';
  const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  return query(Object.fromEntries(Object.entries(args).map(([name, value]) => [name, textOf(value)])));
}

/** Whether the endpoint takes its arguments from the query. */
export function hasNoBody(method: string): boolean {
  return method === 'GET';
}

/** A body as it is, and a query. */
export interface SentBody {
  readonly text: string;
  readonly type: string;
  readonly query: string;
}

/** What a call sends: arguments in the form of endpoints, or what a function that takes requests gets. */
export type Sent = { readonly args: unknown } | SentBody;

/** The query of a call, from its question mark on. */
export function queryOf(sent: Sent, method: string): string {
  if ('args' in sent) return hasNoBody(method) ? argumentQuery(sent.args) : '';
  return sent.query === '' ? '' : `?${sent.query.replace(/^\?/, '')}`;
}

/** A command that calls an endpoint below this address. `file`: where its answer goes. */
export function curl(address: string, endpoint: EndpointInfo, sent: Sent, file?: string): string {
  const { method } = endpoint;
  const target = quoted(address + pathOf(endpoint) + queryOf(sent, method));
  const start = file === undefined ? 'curl -s' : `curl -s -o ${file}`;
  if (hasNoBody(method)) return `${start} ${target}`;
  const verb = method === 'POST' ? '' : ` -X ${method}`;
  if ('args' in sent) return `${start}${verb} ${target} -d ${quoted(JSON.stringify({ args: sent.args }))}`;
  const header = quoted(`Content-Type: ${sent.type}`);
  return `${start}${verb} ${target} -H ${header} --data-binary ${quoted(sent.text)}`;
}

/** A word of the shell. */
function quoted(text: string): string {
  return /^[\w/:.~][\w/:.~-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
