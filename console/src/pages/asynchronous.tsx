/** Asynchronous invocations: those of this tab, which may still wait, and those that ran. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { get } from '../api';
import { inApp, path } from '../base';
import { FunctionLink, formatStart } from '../parts/run-table';
import { RunNav } from '../parts/run-nav';
import { runPage, useRuns, type Runs } from '../parts/runs';
import { forgetSubmitted, submitted, type Submitted } from '../parts/submitted';
import { Link, navigate, setQuery, usePlace } from '../router';
import { useStore } from '../store';
import type { InvocationInfo, Run } from '../types';
import {
  Badge,
  Button,
  ButtonLink,
  Checkbox,
  Duration,
  Empty,
  Form,
  Loading,
  Page,
  Problem,
  Section,
  Select,
  Table,
  TextField,
  formatNumber,
  toast,
  type Column,
} from '../ui';

const ROWS = 50;
/** States that are asked for at once. */
const ASKED_AT_ONCE = 4;
const POLL_MS = 10_000;

/** An invocation with the records of its attempts. */
interface Row {
  readonly id: string;
  readonly function: string;
  readonly app?: string | undefined;
  readonly unix_ms: number;
  readonly attempts: number;
  readonly last?: Run;
  readonly state?: InvocationInfo['state'] | 'forgotten';
}

type States = ReadonlyMap<string, NonNullable<Row['state']>>;

export default function Asynchronous(): JSX.Element {
  const { query } = usePlace();
  const cluster = query.has('cluster');
  const app = query.get('app') ?? undefined;
  const own = useStore(submitted);
  const runs = useRuns({ trigger: 'async', cluster, app }, true);
  const rows = useMemo(() => rowsOf(runs.runs, own), [runs.runs, own]);
  const states = useStates(rows);
  const wanted = query.get('state') ?? '';
  const withStates = rows.map((row) => ({ ...row, state: stateOf(row, states) }));
  const shown = wanted === '' ? withStates : withStates.filter(({ state }) => state === wanted);
  return (
    <Page title="Asynchronous invocations" above={[['/runs', 'Runs']]}>
      <RunNav />
      <div class="filters" role="search" aria-label="Filter of the invocations">
        <Select
          label="State"
          value={wanted}
          onChange={(state) => setQuery({ state })}
          options={[
            ['', 'Any'],
            ...['queued', 'running', 'done', 'failed', 'cancelled', 'expired'].map((s) => [s, s] as const),
          ]}
        />
        <div class="filter-checks">
          <Checkbox
            label="All nodes"
            checked={cluster}
            onChange={(on) => setQuery({ cluster: on ? 'on' : undefined })}
          />
        </div>
      </div>
      <Problem error={runs.error} onRetry={runs.reload} />
      {runs.loading && rows.length === 0 ? (
        <Loading what="Reading the invocations" />
      ) : (
        <Invocations rows={shown} filtered={wanted !== '' && rows.length > 0} runs={runs} own={own} />
      )}
      <Find />
    </Page>
  );
}

function rowsOf(runs: readonly Run[], own: readonly Submitted[]): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const one of own) rows.set(one.id, { ...one, attempts: 0 });
  // The newest first: the first record of an id is its last attempt.
  for (const run of runs) {
    const before = rows.get(run.id);
    const { id, app } = run;
    const attempts = (before?.attempts ?? 0) + 1;
    const unixMs = Math.min(before?.unix_ms ?? Infinity, run.started_unix_ms);
    rows.set(id, { id, function: run.function, app, unix_ms: unixMs, attempts, last: before?.last ?? run });
  }
  return [...rows.values()].sort((a, b) => b.unix_ms - a.unix_ms);
}

/** A result, and a fault of the function, are final. After all else another attempt may come. */
function isFinal(row: Row): boolean {
  return row.last?.status === 'completed' || row.last?.status === 'failed';
}

function stateOf(row: Row, states: States): Row['state'] {
  if (row.last?.status === 'completed') return 'done';
  if (row.last?.status === 'failed') return 'failed';
  return states.get(row.id);
}

/** The states of those that have no final record: asked one by one, a few at a time, and again while they are open. */
function useStates(rows: readonly Row[]): States {
  const [states, setStates] = useState<States>(new Map());
  const open = rows.slice(0, ROWS).filter((row) => {
    const state = states.get(row.id);
    return !isFinal(row) && (state === undefined || state === 'queued' || state === 'running');
  });
  const key = open.map(({ id, attempts }) => `${id} ${attempts}`).join();
  useEffect(() => {
    if (key === '') return undefined;
    const aborter = new AbortController();
    const ask = async (): Promise<void> => {
      for (let at = 0; at < open.length && !document.hidden; at += ASKED_AT_ONCE) {
        const asked = open.slice(at, at + ASKED_AT_ONCE);
        const answers = await Promise.all(asked.map((row) => askState(row, aborter.signal)));
        if (aborter.signal.aborted) return;
        setStates((before) => {
          const next = new Map(before);
          for (const [index, state] of answers.entries()) {
            const row = asked[index];
            if (row !== undefined && state !== undefined) next.set(row.id, state);
          }
          return next;
        });
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), POLL_MS);
    return () => {
      aborter.abort();
      clearInterval(timer);
    };
  }, [key]);
  return states;
}

async function askState(row: Row, signal: AbortSignal): Promise<Row['state']> {
  try {
    return (await get<InvocationInfo>(inApp(row.app, path`/invocations/${row.id}`), { signal })).state;
  } catch (error) {
    return error instanceof Error && 'status' in error && error.status === 404 ? 'forgotten' : undefined;
  }
}

const COLUMNS: readonly Column<Row>[] = [
  {
    key: 'time',
    label: 'Began',
    bare: true,
    // One without a record is found in its application only.
    cell: (row) => (
      <Link to={runPage(row.id, row.last === undefined ? row.app : undefined)} class="figure">
        {formatStart(row.unix_ms)}
      </Link>
    ),
    sort: (row) => row.unix_ms,
  },
  { key: 'function', label: 'Function', cell: (row) => <FunctionLink of={row} />, sort: (row) => row.function },
  {
    key: 'state',
    label: 'State',
    cell: (row) => (row.state === undefined ? <span class="muted">…</span> : <Badge status={row.state} />),
    sort: (row) => row.state,
  },
  {
    key: 'code',
    label: 'Last error',
    cell: (row) =>
      row.last?.code === undefined ? (
        <span class="muted">–</span>
      ) : (
        <code title={row.last.message}>{row.last.code}</code>
      ),
    sort: (row) => row.last?.code,
  },
  { key: 'attempts', label: 'Attempts', end: true, cell: (row) => row.attempts, sort: (row) => row.attempts },
  {
    key: 'total',
    label: 'Duration',
    end: true,
    cell: (row) => <Duration us={row.last?.total_us} />,
    sort: (row) => row.last?.total_us,
  },
];

function Invocations({
  rows,
  filtered,
  runs,
  own,
}: {
  readonly rows: readonly Row[];
  readonly filtered: boolean;
  readonly runs: Runs;
  readonly own: readonly Submitted[];
}): JSX.Element {
  const forget = (): void => {
    forgetSubmitted();
    toast('The ids of this tab are forgotten');
  };
  const empty = filtered ? (
    <Empty title="None is in this state" action={<Button onClick={() => setQuery({ state: '' })}>Show all</Button>} />
  ) : (
    <Empty
      title="No asynchronous invocations yet"
      action={
        <ButtonLink to="/functions" look="primary">
          To the functions
        </ButtonLink>
      }
    >
      Open a function, type its parameters on <em>Try it</em> and submit them asynchronously. The node stores the call
      before it answers, and runs it even after a restart.
    </Empty>
  );
  return (
    <>
      <Table
        caption="Asynchronous invocations"
        columns={COLUMNS}
        rows={rows}
        rowKey={({ id }) => id}
        step={ROWS}
        empty={empty}
      />
      <p class="muted row">
        <span>
          {formatNumber(rows.length)} shown. An invocation that waits has no record yet: those submitted in this tab
          are shown all the same.
        </span>
        {own.length > 0 && (
          <Button small look="quiet" onClick={forget}>
            Forget those of this tab
          </Button>
        )}
        {runs.unreachable.length > 0 && <span>Not reached: {runs.unreachable.join(', ')}.</span>}
      </p>
    </>
  );
}

/** Opens an invocation that somebody has the id of. */
function Find(): JSX.Element {
  const [id, setId] = useState('');
  return (
    <Section title="Find one by its id">
      <Form
        submit="Open"
        look="normal"
        disabled={id.trim() === ''}
        onSubmit={async () => navigate(runPage(id.trim()))}
      >
        <TextField
          label="Id of the invocation"
          value={id}
          onChange={setId}
          mono
          placeholder="018bcfe5-687b-7fff-8000-000000000000"
        />
      </Form>
    </Section>
  );
}
