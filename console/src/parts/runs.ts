/** Runs as lists show them: a filter that the address keeps, the newest that the node has, and those that come. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { get, isAbort, toApiError, type ApiError } from '../api';
import { inApp, path, query } from '../base';
import { reachable } from '../connection';
import { useEvents } from '../events';
import type { Run, RunPage, RunStatus, Trigger } from '../types';

/** Most runs that a page keeps. */
export const RUNS_MAX = 10_000;
const FIRST_PAGE = 100;
const PAGE = 1000;
/** Runs that come are shown together, so that a busy node does not keep the browser busy. */
const GATHER_MS = 250;
/** The more there are, the longer it takes to draw them all. */
const GATHER_MS_EACH = 0.1;
/** Pages that come sooner after each other are shown together. */
const SHOW_MS = 300;
/** Other nodes have no stream here. */
const CLUSTER_POLL_MS = 10_000;

export const STATUSES: readonly RunStatus[] = [
  'completed',
  'failed',
  'rejected',
  'refused',
  'unavailable',
  'internal',
  'abandoned',
];
export const TRIGGERS: readonly Trigger[] = ['invoke', 'http', 'endpoint', 'nested', 'async', 'peer', 'edge', 'test'];

/** Spans to look back by their name in the address. */
export const RANGES = { '5m': 300_000, '15m': 900_000, '1h': 3_600_000 } as const;
export type Range = keyof typeof RANGES;

export interface RunFilter {
  readonly function?: string | undefined;
  /** With `app` or without: exactly those of that application, or of none. */
  readonly exact?: boolean;
  readonly app?: string | undefined;
  /** A status, or `failures`. */
  readonly status?: string | undefined;
  readonly trigger?: string | undefined;
  readonly range?: Range | undefined;
  readonly cluster?: boolean;
  /** The runs of everybody, for operators. */
  readonly everybody?: boolean;
}

/** The page of one run. */
export function runPage(id: string, app?: string): string {
  return inApp(app, path`/runs/${id}`);
}

/** One invocation has a record on each node that had a part in it, and for each attempt. */
export function runKey(run: Run): string {
  return `${run.id} ${run.node} ${run.span_id}`;
}

/** The time from which on runs are wanted. */
export function sinceOf(filter: RunFilter): number | undefined {
  return filter.range === undefined ? undefined : Date.now() - RANGES[filter.range];
}

function fits(filter: RunFilter, run: Run): boolean {
  if (filter.function !== undefined && run.function !== filter.function) return false;
  if (filter.exact === true && run.app !== filter.app) return false;
  if (filter.trigger !== undefined && run.trigger !== filter.trigger) return false;
  if (filter.status === undefined) return true;
  return filter.status === 'failures' ? run.status !== 'completed' : run.status === filter.status;
}

function routeOf(filter: RunFilter, limit: number, cursor?: string): string {
  const { status, trigger, cluster, everybody } = filter;
  const since = sinceOf(filter);
  const members = { function: filter.function, status, trigger, since, limit, cursor, cluster, all: everybody };
  return inApp(filter.app, '/invocations') + query(members);
}

/** Runs without doubles, the newest first, and not too many of them. */
class Buffer {
  runs: readonly Run[] = [];
  readonly #keys = new Set<string>();

  constructor(readonly filter: RunFilter) {}

  /** Whether a run belongs here and is not there yet. */
  wants(run: Run): boolean {
    return fits(this.filter, run) && !this.#keys.has(runKey(run));
  }

  add(more: readonly Run[]): void {
    const fresh = more.filter((run) => {
      const wanted = this.wants(run);
      if (wanted) this.#keys.add(runKey(run));
      return wanted;
    });
    const since = sinceOf(this.filter) ?? 0;
    const all = [...this.runs, ...fresh].sort((a, b) => b.started_unix_ms - a.started_unix_ms);
    let end = Math.min(all.length, RUNS_MAX);
    while (end > 0 && (all[end - 1]?.started_unix_ms ?? 0) < since) end -= 1;
    for (const run of all.slice(end)) this.#keys.delete(runKey(run));
    this.runs = end === all.length ? all : all.slice(0, end);
  }
}

export interface Runs {
  readonly runs: readonly Run[];
  /** The first page is on its way. */
  readonly loading: boolean;
  /** Older ones are on their way. */
  readonly filling: boolean;
  readonly error: ApiError | undefined;
  /** There are older ones that are not shown. */
  readonly more: boolean;
  readonly keptSince: number | undefined;
  readonly unreachable: readonly string[];
  /** Came while the list stood still. */
  readonly held: number;
  readonly reload: () => void;
}

interface Seen {
  readonly key: string;
  readonly runs: readonly Run[];
  readonly stage: 'first' | 'older' | 'there';
  readonly error?: ApiError | undefined;
  readonly next?: string | undefined;
  readonly keptSince?: number;
  readonly unreachable?: readonly string[];
}

/** The runs that fit. `live`: and those that come; else they are counted. */
export function useRuns(filter: RunFilter, live: boolean): Runs {
  const key = JSON.stringify(filter);
  const buffer = useRef(new Buffer(filter));
  const [seen, setSeen] = useState<Seen>({ key, runs: [], stage: 'first' });
  const [count, setCount] = useState(0);
  const reload = useCallback(() => setCount((before) => before + 1), []);
  const arriving = useArriving(buffer, live, (runs) => setSeen((before) => ({ ...before, runs })));

  useEffect(() => {
    const aborter = new AbortController();
    const own = new Buffer(filter);
    setSeen((before) => ({ key, runs: before.key === key ? before.runs : [], stage: 'first' }));
    let shown = -Infinity;
    const show = (page: RunPage, last: boolean): void => {
      own.add(page.runs);
      buffer.current = own;
      const stage = last ? 'there' : 'older';
      if (!last && performance.now() - shown < SHOW_MS) return;
      shown = performance.now();
      const { next, kept_since_unix_ms: keptSince, unreachable = [] } = page;
      setSeen({ key, runs: own.runs, stage, next, keptSince, unreachable });
    };
    readAll(filter, aborter.signal, show).catch((error: unknown) => {
      if (isAbort(error) || aborter.signal.aborted) return;
      setSeen((before) => ({ ...before, stage: 'there', error: toApiError(error) }));
    });
    return () => aborter.abort();
  }, [key, count]);

  const refresh = useCallback(() => {
    // Between the first reading and the stream's begin some may have ended.
    get<RunPage>(routeOf(buffer.current.filter, FIRST_PAGE)).then(
      ({ runs }) => arriving.add(runs),
      () => {},
    );
  }, [arriving.add]);
  const wanted = {
    kinds: ['run', 'hello'] as const,
    ...(filter.exact === true && filter.function !== undefined ? { function: filter.function } : {}),
    ...(filter.app === undefined ? {} : { app: filter.app }),
    all: filter.everybody === true,
  };
  useEvents(
    wanted,
    (kind, data) => {
      if (kind === 'hello') refresh();
      else arriving.add([data as Run]);
    },
    reload,
  );
  useEffect(() => {
    const unsubscribe = reachable.subscribe(() => reachable.value && reload());
    const poll = (): void => {
      if (!document.hidden) refresh();
    };
    const timer = filter.cluster === true ? setInterval(poll, CLUSTER_POLL_MS) : undefined;
    return () => {
      unsubscribe();
      clearInterval(timer);
    };
  }, [key]);

  const now = seen.key === key ? seen : { key, runs: [], stage: 'first' as const };
  return {
    runs: now.runs,
    loading: now.stage === 'first',
    filling: now.stage === 'older',
    error: now.error,
    more: now.stage === 'there' && now.next !== undefined,
    keptSince: now.keptSince,
    unreachable: now.unreachable ?? [],
    held: arriving.held,
    reload,
  };
}

/** Reads page after page: a small one first, so that something is there at once. */
async function readAll(
  filter: RunFilter,
  signal: AbortSignal,
  show: (page: RunPage, last: boolean) => void,
): Promise<void> {
  let cursor: string | undefined;
  let read = 0;
  do {
    const limit = Math.min(cursor === undefined ? FIRST_PAGE : PAGE, RUNS_MAX - read);
    const page: RunPage = await get<RunPage>(routeOf(filter, limit, cursor), { signal });
    read += page.runs.length;
    cursor = page.next;
    show(page, cursor === undefined || read >= RUNS_MAX);
  } while (cursor !== undefined && read < RUNS_MAX);
}

/** Gathers runs that come, and shows them with the next frame a little later. */
function useArriving(
  buffer: { readonly current: Buffer },
  live: boolean,
  show: (runs: readonly Run[]) => void,
): { readonly add: (runs: readonly Run[]) => void; readonly held: number } {
  const [held, setHeld] = useState(0);
  const pending = useRef<Run[]>([]);
  const timer = useRef<number | undefined>(undefined);
  const latest = useRef({ live, show });
  latest.current = { live, show };
  const flush = useCallback(() => {
    timer.current = undefined;
    if (!latest.current.live) return setHeld(pending.current.length);
    const before = buffer.current.runs;
    buffer.current.add(pending.current);
    pending.current = [];
    setHeld(0);
    if (buffer.current.runs.length !== before.length || buffer.current.runs[0] !== before[0]) {
      latest.current.show(buffer.current.runs);
    }
  }, []);
  const add = useCallback((runs: readonly Run[]) => {
    const room = RUNS_MAX - pending.current.length;
    const fitting = runs.filter((run) => buffer.current.wants(run));
    if (fitting.length > room) pending.current.splice(0, fitting.length - room);
    pending.current.push(...fitting);
    if (fitting.length === 0) return;
    const delay = GATHER_MS + buffer.current.runs.length * GATHER_MS_EACH;
    timer.current ??= window.setTimeout(() => requestAnimationFrame(flush), delay);
  }, []);
  useEffect(() => {
    if (live && pending.current.length > 0) flush();
  }, [live]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return { add, held };
}
