/** The calls that belong to one call from outside, as a tree over time. */
import type { JSX } from 'preact';
import { get } from '../api';
import { query } from '../base';
import { useRead } from '../hooks';
import { Link } from '../router';
import type { InvocationInfo, Run, RunPage } from '../types';
import { Await, Badge, toneOf } from '../ui';
import { fullName } from './run-table';
import { runPage } from './runs';
import { Spans, type Span } from './spans';

/** Pages of nested calls that are searched; the API does not filter by root. */
const PAGES_MAX = 5;
const LIMIT = 1000;
/** Clocks of nodes differ. */
const SLACK_MS = 2000;
const SPANS_MAX = 500;

interface Trace {
  readonly runs: readonly Run[];
  /** More calls were made at that time than were searched. */
  readonly partly: boolean;
}

/** Of several records of a call, that of the node which was asked for it. */
export function ownRecord(runs: readonly Run[]): Run | undefined {
  return [...runs].reverse().find((run) => run.trigger !== 'peer') ?? runs.at(-1);
}

async function readTrace(run: Run, all: boolean, signal: AbortSignal): Promise<Trace> {
  const found = new Map([[run.id, run]]);
  let from = run.started_unix_ms;
  let to = from + run.total_us / 1000;
  if (run.root !== run.id) {
    const info = await get<InvocationInfo>(`/invocations/${run.root}`, { signal }).catch(() => undefined);
    const root = ownRecord(info?.runs ?? []);
    if (root !== undefined) {
      found.set(root.id, root);
      from = Math.min(from, root.started_unix_ms);
      to = Math.max(to, root.started_unix_ms + root.total_us / 1000);
    }
  }
  const since = Math.floor(from - SLACK_MS);
  const until = Math.ceil(to + SLACK_MS);
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const members = { trigger: 'nested', since, until, limit: LIMIT, cursor, cluster: true, all };
    const page: RunPage = await get<RunPage>(`/invocations${query(members)}`, { signal });
    for (const one of page.runs) if (one.root === run.root) found.set(one.id, one);
    cursor = page.next;
    if (cursor === undefined) break;
  }
  return { runs: [...found.values()], partly: cursor !== undefined };
}

/** The runs in the order of a tree: below each the calls that it made, by time. */
function ordered(runs: readonly Run[]): readonly (readonly [run: Run, depth: number])[] {
  const byTime = [...runs].sort((a, b) => a.started_unix_ms - b.started_unix_ms || a.depth - b.depth);
  const known = new Set(runs.map(({ id }) => id));
  const below = new Map<string, Run[]>();
  for (const run of byTime) {
    // One whose caller has no record stands at the left.
    const above = run.parent !== undefined && known.has(run.parent) ? run.parent : '';
    below.set(above, [...(below.get(above) ?? []), run]);
  }
  const rows: (readonly [Run, number])[] = [];
  const add = (above: string, depth: number): void => {
    for (const run of below.get(above) ?? []) {
      rows.push([run, depth]);
      if (rows.length < runs.length) add(run.id, depth + 1);
    }
  };
  add('', 0);
  return rows.slice(0, SPANS_MAX);
}

export function TraceTree({ run, everybody }: { readonly run: Run; readonly everybody: boolean }): JSX.Element {
  const key = `${run.root} ${run.id} ${run.total_us}`;
  const trace = useRead<Trace>(key, (signal) => readTrace(run, everybody, signal));
  return (
    <Await of={trace}>
      {({ runs, partly }) => {
        const rows = ordered(runs);
        const begin = Math.min(...rows.map(([one]) => one.started_unix_ms));
        const end = Math.max(...rows.map(([one]) => one.started_unix_ms + one.total_us / 1000));
        const alone = rows.length === 1 && run.root === run.id;
        const orphan = run.root !== run.id && !runs.some(({ id }) => id === run.root);
        const spans = rows.map(([one, depth]): Span => ({
          key: one.id,
          label: <TraceLabel run={one} current={one.id === run.id} />,
          from_us: (one.started_unix_ms - begin) * 1000,
          us: one.total_us,
          colour: one.status === 'completed' ? 'accent' : toneOf(one.status),
          depth,
          current: one.id === run.id,
        }));
        return (
          <div class="stack tight">
            <Spans label="Calls of this trace" spans={spans} whole_us={(end - begin) * 1000} />
            {alone && <p class="muted">It called no other function, and no function called it.</p>}
            {orphan && (
              <p class="muted">
                The call at the root, <Link to={runPage(run.root)}>{run.root.slice(-12)}</Link>, has no record: it
                still runs, or its record made room for newer ones.
              </p>
            )}
            {partly && <p class="muted">There were many calls at that time; some of this trace may be missing.</p>}
          </div>
        );
      }}
    </Await>
  );
}

function TraceLabel({ run, current }: { readonly run: Run; readonly current: boolean }): JSX.Element {
  const name = fullName(run);
  return (
    <>
      {current ? <strong>{name}</strong> : <Link to={runPage(run.id)}>{name}</Link>}
      {run.status !== 'completed' && <Badge status={run.status} />}
      {run.cache !== 'run' && <Badge tone="info">{run.cache}</Badge>}
    </>
  );
}
