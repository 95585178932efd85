/** A table of runs, and a line about one of them. */
import type { ComponentChildren, JSX } from 'preact';
import { functionPage } from '../base';
import { Link } from '../router';
import type { Run } from '../types';
import { Badge, Button, ButtonLink, Duration, Table, formatDuration, type Column } from '../ui';
import { NodeName } from './node-name';
import { runKey, runPage } from './runs';

const ROWS = 100;
const CACHES: Record<string, string> = {
  edge: 'answered in the browser',
  carried: 'answered from the request',
  cache: 'cached',
  joined: 'joined another run',
};
const day = new Intl.DateTimeFormat('en-GB', { month: 'short', day: 'numeric' });
const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

/** The time with milliseconds, since many runs share a second; the day, unless it is today. */
export function formatStart(unixMs: number): string {
  const then = new Date(unixMs);
  const today = then.toDateString() === new Date().toDateString();
  return today ? clock.format(then) : `${day.format(then)}, ${clock.format(then)}`;
}

/** What it took to have something that runs. */
export function startOf(run: Run): string {
  if (run.cache !== 'run') return CACHES[run.cache] ?? run.cache;
  if (run.warm) return 'warm';
  return run.start_us > 0 ? `cold, ${formatDuration(run.start_us)}` : 'cold';
}

export function fullName(of: { readonly function: string; readonly app?: string | undefined }): string {
  return of.app === undefined ? of.function : `${of.app}/${of.function}`;
}

export function FunctionLink({
  of,
}: {
  readonly of: { readonly function: string; readonly app?: string | undefined };
}): JSX.Element {
  return <Link to={functionPage(of.function, of.app)}>{fullName(of)}</Link>;
}

export function Outcome({ run }: { readonly run: Run }): JSX.Element {
  return (
    <span class="row outcome">
      <Badge status={run.status} />
      {run.code !== undefined && <code title={run.message}>{run.code}</code>}
    </span>
  );
}

const TIME: Column<Run> = {
  key: 'time',
  label: 'Began',
  bare: true,
  cell: (run) => (
    <Link to={runPage(run.id)} class="figure">
      {formatStart(run.started_unix_ms)}
    </Link>
  ),
  sort: (run) => run.started_unix_ms,
};
const FUNCTION: Column<Run> = {
  key: 'function',
  label: 'Function',
  cell: (run) => <FunctionLink of={run} />,
  sort: fullName,
};
const COLUMNS: readonly Column<Run>[] = [
  {
    key: 'status',
    label: 'Outcome',
    cell: (run) => <Outcome run={run} />,
    sort: (run) => run.status + (run.code ?? ''),
  },
  {
    key: 'total',
    label: 'Duration',
    end: true,
    cell: (run) => <Duration us={run.total_us} />,
    sort: (run) => run.total_us,
  },
  { key: 'start', label: 'Start', cell: startOf, sort: (run) => (run.warm ? 0 : run.start_us) },
  { key: 'trigger', label: 'Trigger', cell: (run) => run.trigger, sort: (run) => run.trigger },
];
const NODE: Column<Run> = {
  key: 'node',
  label: 'Ran on',
  cell: (run) => <NodeName of={run.ran_on} />,
  sort: (run) => run.ran_on,
};

export function RunTable(props: {
  readonly runs: readonly Run[];
  /** All are of one function. */
  readonly ofOne: boolean;
  readonly caption: string;
  readonly empty?: ComponentChildren;
}): JSX.Element {
  const [first] = props.runs;
  const severalNodes = first !== undefined && props.runs.some(({ ran_on }) => ran_on !== first.ran_on);
  const columns = [TIME, ...(props.ofOne ? [] : [FUNCTION]), ...COLUMNS, ...(severalNodes ? [NODE] : [])];
  return (
    <Table
      caption={props.caption}
      columns={columns}
      rows={props.runs}
      rowKey={runKey}
      step={ROWS}
      empty={props.empty}
    />
  );
}

/** The run that was picked from the scatter. */
export function Picked({ run, onClose }: { readonly run: Run; readonly onClose: () => void }): JSX.Element {
  return (
    <div class="picked" role="status">
      <span class="figure">{formatStart(run.started_unix_ms)}</span>
      <FunctionLink of={run} />
      <Outcome run={run} />
      <Duration us={run.total_us} />
      <span class="muted">{startOf(run)}</span>
      <span class="row">
        <ButtonLink to={runPage(run.id)} small look="primary">
          Open the run
        </ButtonLink>
        <Button small look="quiet" icon="close" label="Close" onClick={onClose} />
      </span>
    </div>
  );
}
