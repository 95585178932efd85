// The second file of the library (edge-more.js), which is fetched together with the manifest: checks of the manifest,
// modules, and calls at the node with what the page has: results of functions, and the cache that the node returned.

import type { Result, Results } from './results.js';
import type { Core } from './shared.js';

export { fetchModule } from './modules.js';
export { believed } from './trust.js';

type Table = Record<string, Record<string, unknown>>;

/** What a page sends with its calls. */
export interface Carried {
  readonly results: Results;
  cache: Table;
}

const CACHE_ENTRIES_MAX = 400;
const CACHE_BYTES_MAX = 1 << 20;
// A request may be nested 100 deep, and two levels are the tables around each result.
const DEPTH_MAX = 98;
// Refusals of what was sent with a call, before the function ran.
const ABOUT_CARRIED = /^(carried_|json_too_deep|body_too_large|malformed_json)/;

const encoder = new TextEncoder();

/** Calls a function at this URL and gives its result's JSON. */
export async function invoke(core: Core, carried: Carried, url: string, params: string, bytesMax: number): Promise<string> {
  const members = membersOf(carried, bytesMax - bytesOf(params));
  let text: string;
  try {
    text = await post(core, url, `{"args":${params}${members}}`);
  } catch (error) {
    if (members === '' || !ABOUT_CARRIED.test((error as { code: string }).code)) throw error;
    text = await post(core, url, `{"args":${params}}`);
    // It goes without, so these were at fault.
    carried.results.forget(true);
    carried.cache = {};
  }
  keepCache(core, carried, JSON.parse(core.memberText(text, 'cache') ?? '{}') as Table);
  return core.memberText(text, 'result') as string;
}

// The reply's text, which has a result.
async function post({ CallError, resultOf }: Core, url: string, body: string): Promise<string> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, { method: 'POST', body, credentials: 'omit', headers: { 'content-type': 'application/json' } });
    status = response.status;
    text = await response.text();
  } catch (error) {
    throw new CallError('node_unreachable', `the node cannot be reached: ${error}`);
  }
  resultOf(status, text);
  return text;
}

/** Results as a request takes them, as JSON: by function, and then by parameters in base64. */
export function tablesOf(results: readonly Pick<Result, 'name' | 'params' | 'result'>[]): string {
  const tables = new Map<string, string[]>();
  for (const { name, params, result } of results) {
    const entries = tables.get(name) ?? [];
    tables.set(name, entries);
    entries.push(`"${base64(params)}":${result}`);
  }
  return `{${[...tables].map(([name, entries]) => `"${name}":{${entries.join(',')}}`).join(',')}}`;
}

// The members of a request beside its parameters: the newest results and then the cache, as far as there is room.
function membersOf({ results, cache }: Carried, room: number): string {
  let left = room;
  const sent = [];
  for (const result of [...results.kept.values()].reverse()) {
    left -= result.bytes;
    if (left < 0) break;
    sent.push(result);
  }
  const text = JSON.stringify(cache);
  const members = [];
  if (sent.length > 0) members.push(`,"edgeResults":${tablesOf(sent)}`);
  if (text !== '{}' && bytesOf(text) <= left) members.push(`,"cache":${text}`);
  return members.join('');
}

// The old cache gives way if both are too much for a request, and then the new one.
function keepCache(core: Core, carried: Carried, fresh: Table): void {
  for (const table of Object.values(fresh)) {
    for (const [key, result] of Object.entries(table)) if (core.isDeeper(result, DEPTH_MAX)) delete table[key];
  }
  carried.cache = [merge(carried.cache, fresh), fresh].find(isCarried) ?? {};
}

function isCarried(cache: Table): boolean {
  const entries = Object.values(cache).reduce((sum, table) => sum + Object.keys(table).length, 0);
  return entries <= CACHE_ENTRIES_MAX && bytesOf(JSON.stringify(cache)) <= CACHE_BYTES_MAX;
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

function bytesOf(text: string): number {
  return encoder.encode(text).length;
}

function base64(text: string): string {
  return btoa(Array.from(encoder.encode(text), (byte) => String.fromCharCode(byte)).join(''));
}
