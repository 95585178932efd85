/**
 * The runs that fit a filter: scatter, figures, table, live. The filter is kept in the address, so that a link shows
 * the same. With `function`, only runs of that function of `app`, or of none.
 */
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { setQuery, usePlace } from '../router';
import { session } from '../session';
import { useStore } from '../store';
import type { Run } from '../types';
import {
  Button,
  ButtonLink,
  Checkbox,
  Empty,
  Loading,
  Problem,
  Select,
  TextField,
  Time,
  formatDuration,
  formatNumber,
} from '../ui';
import { shortNode } from './node-name';
import { RunScatter } from './run-scatter';
import { Picked, RunTable, fullName } from './run-table';
import { RANGES, RUNS_MAX, STATUSES, TRIGGERS, runKey, useRuns, type Range, type RunFilter } from './runs';

export interface RunListProps {
  readonly function?: string;
  readonly app?: string | undefined;
}

export function RunList(props: RunListProps): JSX.Element {
  const { query } = usePlace();
  const [live, setLive] = useState(true);
  const [picked, setPicked] = useState<Run>();
  const filter = filterOf(query, props);
  const text = query.get('q') ?? '';
  const runs = useRuns(filter, live);
  const shown = useMemo(() => search(runs.runs, text), [runs.runs, text]);
  return (
    <div class="stack">
      <Filters of={props} query={query} />
      <Problem error={runs.error} onRetry={runs.reload} />
      {runs.unreachable.length > 0 && (
        <p class="notice warn">
          These nodes did not answer, so their runs are missing: {runs.unreachable.map(shortNode).join(', ')}.
        </p>
      )}
      {shown.length > 0 && (
        <div class="section">
          <div class="section-head">
            <Summary runs={shown} filling={runs.filling} />
            <LiveSwitch live={live} held={runs.held} onChange={setLive} />
          </div>
          <RunScatter runs={shown} range={filter.range} onPick={setPicked} />
          {picked !== undefined && <Picked key={runKey(picked)} run={picked} onClose={() => setPicked(undefined)} />}
        </div>
      )}
      {runs.loading && shown.length === 0 ? (
        <Loading what="Reading the runs" />
      ) : (
        <RunTable
          runs={shown}
          ofOne={props.function !== undefined}
          caption="Runs"
          empty={runs.error === undefined && <NoRuns of={props} query={query} />}
        />
      )}
      <Kept since={runs.keptSince} more={runs.more} full={runs.runs.length >= RUNS_MAX} />
    </div>
  );
}

function filterOf(query: URLSearchParams, { function: name, app }: RunListProps): RunFilter {
  const given = (member: string): string | undefined => query.get(member) ?? undefined;
  const range = given('since');
  return {
    function: name ?? given('function'),
    exact: name !== undefined || app !== undefined,
    app,
    status: given('status'),
    trigger: given('trigger'),
    range: range !== undefined && range in RANGES ? (range as Range) : undefined,
    cluster: query.has('cluster'),
    everybody: query.has('all'),
  };
}

/** Those that have all words somewhere. */
function search(runs: readonly Run[], text: string): readonly Run[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words.length === 0) return runs;
  return runs.filter((run) => {
    const parts = [fullName(run), run.id, run.code, run.message, run.caller, run.trigger, run.ran_on, run.trace_id];
    const all = parts.join(' ').toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

function Filters({ of, query }: { readonly of: RunListProps; readonly query: URLSearchParams }): JSX.Element {
  const who = useStore(session);
  const operator = who.state === 'in' && who.account.role === 'operator';
  const value = (name: string): string => query.get(name) ?? '';
  const set =
    (name: string) =>
    (text: string): void =>
      setQuery({ [name]: text });
  return (
    <div class="filters" role="search" aria-label="Filter of the runs">
      <TextField
        label="Search"
        type="search"
        placeholder="id, error, caller"
        value={value('q')}
        onChange={set('q')}
      />
      {of.function === undefined && <FunctionField value={value('function')} onChange={set('function')} />}
      <Select
        label="Outcome"
        value={value('status')}
        onChange={set('status')}
        options={[
          ['', 'Any'],
          ['failures', 'Not completed'],
          ...STATUSES.map((status) => [status, status] as const),
        ]}
      />
      <Select
        label="Trigger"
        value={value('trigger')}
        onChange={set('trigger')}
        options={[['', 'Any'], ...TRIGGERS.map((trigger) => [trigger, trigger] as const)]}
      />
      <Select
        label="Since"
        value={value('since')}
        onChange={set('since')}
        options={[
          ['', 'All that is kept'],
          ['5m', '5 minutes'],
          ['15m', '15 minutes'],
          ['1h', '1 hour'],
        ]}
      />
      <div class="filter-checks">
        <Checkbox
          label="All nodes"
          checked={query.has('cluster')}
          onChange={(on) => setQuery({ cluster: on ? 'on' : undefined })}
        />
        {operator && (
          <Checkbox
            label="Of everybody"
            checked={query.has('all')}
            onChange={(on) => setQuery({ all: on ? 'on' : undefined })}
          />
        )}
      </div>
    </div>
  );
}

/** The exact name of a function, taken when it is complete: while it is typed, none has that name. */
function FunctionField({
  value,
  onChange,
}: {
  readonly value: string;
  readonly onChange: (value: string) => void;
}): JSX.Element {
  const [typed, setTyped] = useState<string>();
  const take = (): void => {
    if (typed !== undefined) onChange(typed.trim());
    setTyped(undefined);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        take();
      }}
      onFocusOut={take}
    >
      <TextField label="Function" placeholder="whole name" value={typed ?? value} onChange={setTyped} mono />
    </form>
  );
}

function Summary({ runs, filling }: { readonly runs: readonly Run[]; readonly filling: boolean }): JSX.Element {
  const figures = useMemo(() => {
    const durations = runs.filter((run) => run.status === 'completed').map((run) => run.total_us);
    durations.sort((a, b) => a - b);
    const at = (share: number): number | undefined => durations[Math.floor(durations.length * share)];
    return { failures: runs.length - durations.length, p50: at(0.5), p99: at(0.99) };
  }, [runs]);
  return (
    <p class="summary">
      <strong>{formatNumber(runs.length)}</strong> runs
      {figures.failures > 0 && (
        <>
          , <strong>{formatNumber(figures.failures)}</strong> without a result
        </>
      )}
      {figures.p50 !== undefined && <span class="muted"> · median {formatDuration(figures.p50)}</span>}
      {figures.p99 !== undefined && <span class="muted"> · p99 {formatDuration(figures.p99)}</span>}
      {filling && <span class="muted"> · reading older ones…</span>}
    </p>
  );
}

function LiveSwitch({
  live,
  held,
  onChange,
}: {
  readonly live: boolean;
  readonly held: number;
  readonly onChange: (live: boolean) => void;
}): JSX.Element {
  return (
    <div class="section-actions">
      {!live && held > 0 && <span class="muted">{formatNumber(held)} new</span>}
      <Button small pressed={live} title="Show runs as they end" onClick={() => onChange(!live)}>
        Live
      </Button>
    </div>
  );
}

function NoRuns({ of, query }: { readonly of: RunListProps; readonly query: URLSearchParams }): JSX.Element {
  const members = ['q', 'status', 'trigger', 'since', ...(of.function === undefined ? ['function'] : [])];
  const filtered = members.some((member) => query.has(member));
  const clear = (): void => setQuery(Object.fromEntries(members.map((member) => [member, undefined])));
  if (filtered) {
    return (
      <Empty title="No run fits this filter" action={<Button onClick={clear}>Show all runs</Button>}>
        New ones that fit appear here by themselves.
      </Empty>
    );
  }
  const to = of.function === undefined ? '/functions' : undefined;
  return (
    <Empty
      title="No runs yet"
      action={
        to !== undefined && (
          <ButtonLink to={to} look="primary">
            To the functions
          </ButtonLink>
        )
      }
    >
      Each call of a function leaves a record here, whoever makes it. Try a function, and its run appears at once.
    </Empty>
  );
}

function Kept({
  since,
  more,
  full,
}: {
  readonly since: number | undefined;
  readonly more: boolean;
  readonly full: boolean;
}): JSX.Element | null {
  if (since === undefined) return null;
  return (
    <p class="muted">
      The node keeps records in its memory: now{' '}
      {since === 0 ? (
        'all since its start'
      ) : (
        <>
          from <Time ms={since} /> on
        </>
      )}
      . When it has many calls, it keeps a sample of those that completed.
      {(more || full) && ` Here are the newest ${formatNumber(RUNS_MAX)}; a filter shows older ones.`}
    </p>
  );
}
