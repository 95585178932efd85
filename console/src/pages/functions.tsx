/** All functions of the caller's space and of the caller's applications, with their figures. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../api';
import { functionPage, inApp, path } from '../base';
import { useEvents } from '../events';
import { useFetch, useRead } from '../hooks';
import { Link, setQuery, type PageProps } from '../router';
import type { AppInfo, AppSummary, FunctionInfo, FunctionStats, Stats as StatsAnswer } from '../types';
import {
  Badge,
  ButtonLink,
  CodeBlock,
  Duration,
  Empty,
  Loading,
  Page,
  Problem,
  Stat,
  Stats,
  Table,
  formatFigure,
  formatNumber,
  type Column,
} from '../ui';
import { TEMPLATES } from '../parts/templates';

const POLL_MS = 10_000;
const RELOAD_MS = 300;
/** Applications whose functions are in the list: each is a request. */
const APPS_MAX = 20;
/** Details of functions that are asked for at once. */
const DETAILS_AT_ONCE = 4;

interface Row {
  readonly name: string;
  readonly app: string | undefined;
  readonly stats: FunctionStats | undefined;
}

interface AppFunctions {
  readonly of: readonly AppInfo[];
  readonly left: number;
}

async function readApps(signal: AbortSignal): Promise<AppFunctions> {
  const all = await get<AppSummary[]>('/apps', { signal });
  const filled = all.filter(({ functions }) => functions > 0);
  const of = await Promise.all(
    filled.slice(0, APPS_MAX).map(({ name }) => get<AppInfo>(path`/apps/${name}`, { signal })),
  );
  return { of, left: filled.length - of.length };
}

function keyOf(name: string, app: string | undefined): string {
  return `${app ?? ''}/${name}`;
}

export default function Functions({ query }: PageProps): JSX.Element {
  const names = useFetch<string[]>('/functions');
  const apps = useRead('apps', readApps);
  const stats = useFetch<StatsAnswer>('/stats', { pollMs: POLL_MS });
  const sought = query.get('q') ?? '';
  const timer = useRef<number | undefined>(undefined);
  const reload = (): void => {
    // A start of an application deploys many at once.
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      names.reload();
      apps.reload();
    }, RELOAD_MS);
  };
  useEvents({ kinds: ['deploy'] }, reload, reload);
  const rows = useMemo(() => {
    const figures = new Map(stats.data?.functions.map((one) => [keyOf(one.function, one.app), one]));
    const row = (name: string, app?: string): Row => ({ name, app, stats: figures.get(keyOf(name, app)) });
    const inApps = (apps.data?.of ?? []).flatMap((app) => app.functions.map((name) => row(name, app.name)));
    return [...(names.data ?? []).map((name) => row(name)), ...inApps];
  }, [names.data, apps.data, stats.data]);
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = rows.filter(({ name, app }) => {
    const text = keyOf(name, app).toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const loading = (names.loading && names.data === undefined) || (apps.loading && apps.data === undefined);
  return (
    <Page
      title="Functions"
      actions={
        <ButtonLink to="/new-function" look="primary" icon="plus">
          New function
        </ButtonLink>
      }
    >
      <Problem error={names.error} onRetry={names.reload} />
      <Problem error={apps.error} onRetry={apps.reload} />
      <Problem error={stats.error} onRetry={stats.reload} />
      {rows.length > 0 && <Figures stats={stats.data} count={rows.length} />}
      {rows.length > 0 && (
        <div class="row filter-row" role="search">
          <input
            type="search"
            class="filter-box"
            aria-label="Filter by name"
            placeholder="Filter by name or application"
            value={sought}
            autoComplete="off"
            spellcheck={false}
            onInput={(event) => setQuery({ q: event.currentTarget.value })}
          />
          {words.length > 0 && (
            <span class="muted" role="status">
              {shown.length} of {rows.length}
            </span>
          )}
        </div>
      )}
      {names.data === undefined ? (
        names.loading && <Loading />
      ) : rows.length === 0 ? (
        loading ? (
          <Loading />
        ) : (
          <First />
        )
      ) : (
        <List rows={shown} sought={sought} hasApps={rows.some(({ app }) => app !== undefined)} />
      )}
      {(apps.data?.left ?? 0) > 0 && (
        <p class="muted">
          Functions of {apps.data?.left} more applications are not in this list: see{' '}
          <Link to="/apps">Applications</Link>.
        </p>
      )}
    </Page>
  );
}

/** Sums over the functions, in the window that the node keeps. */
function Figures({ stats, count }: { readonly stats: StatsAnswer | undefined; readonly count: number }): JSX.Element {
  const sum = (member: 'calls' | 'failures' | 'cache_hits' | 'per_second' | 'rejected'): number =>
    (stats?.functions ?? []).reduce((before, one) => before + one[member], 0);
  const minutes = stats === undefined ? '' : `in ${Math.round(stats.window_ms / 60_000)} min`;
  const text = (value: number, format = formatNumber): string => (stats === undefined ? '–' : format(value));
  return (
    <Stats>
      <Stat label="Functions">{formatNumber(count)}</Stat>
      <Stat label="Calls" note="per second">
        {text(sum('per_second'), formatFigure)}
      </Stat>
      <Stat label="Calls" note={minutes}>
        {text(sum('calls'))}
      </Stat>
      <Stat label="Failures" note={minutes}>
        {text(sum('failures') + sum('rejected'))}
      </Stat>
      <Stat label="From the cache" note={minutes}>
        {text(sum('cache_hits'))}
      </Stat>
    </Stats>
  );
}

/** Nothing to say; on a phone the cell is left out. */
const NONE = <span class="muted none">–</span>;

const figure = (value: number | undefined): JSX.Element =>
  value === undefined || value === 0 ? NONE : <span class="figure">{formatNumber(value)}</span>;

const duration = (us: number | undefined): JSX.Element => (us === undefined ? NONE : <Duration us={us} />);

const COLUMNS: readonly Column<Row>[] = [
  {
    key: 'name',
    label: 'Name',
    bare: true,
    sort: ({ name }) => name,
    cell: ({ name, app }) => (
      <Link to={functionPage(name, app)} class="name-link">
        {name}
      </Link>
    ),
  },
  {
    key: 'app',
    label: 'Application',
    sort: ({ app }) => app,
    cell: ({ app }) => (app === undefined ? NONE : <Link to={path`/apps/${app}`}>{app}</Link>),
  },
  { key: 'runtime', label: 'Runtime', cell: (row) => <Details row={row} /> },
  {
    key: 'rate',
    label: 'Calls/s',
    end: true,
    sort: ({ stats }) => stats?.per_second,
    cell: ({ stats }) =>
      stats === undefined || stats.per_second === 0 ? (
        NONE
      ) : (
        <span class="figure">{formatFigure(stats.per_second)}</span>
      ),
  },
  {
    key: 'calls',
    label: 'Calls',
    end: true,
    sort: ({ stats }) => stats?.calls,
    cell: ({ stats }) => figure(stats?.calls),
  },
  {
    key: 'p50',
    label: 'p50',
    end: true,
    sort: ({ stats }) => stats?.p50_us,
    cell: ({ stats }) => duration(stats?.p50_us),
  },
  {
    key: 'p99',
    label: 'p99',
    end: true,
    sort: ({ stats }) => stats?.p99_us,
    cell: ({ stats }) => duration(stats?.p99_us),
  },
  {
    key: 'failures',
    label: 'Failures',
    end: true,
    sort: ({ stats }) => stats && stats.failures + stats.rejected,
    cell: ({ stats }) => {
      const failed = (stats?.failures ?? 0) + (stats?.rejected ?? 0);
      return failed === 0 ? figure(0) : <Badge tone="bad">{formatNumber(failed)}</Badge>;
    },
  },
  {
    key: 'cache',
    label: 'Cache hits',
    end: true,
    sort: ({ stats }) => stats?.cache_hits,
    cell: ({ stats }) => figure(stats?.cache_hits),
  },
];

function List({
  rows,
  sought,
  hasApps,
}: {
  readonly rows: readonly Row[];
  readonly sought: string;
  readonly hasApps: boolean;
}): JSX.Element {
  const columns = useMemo(() => COLUMNS.filter(({ key }) => hasApps || key !== 'app'), [hasApps]);
  return (
    <Table
      caption="Functions"
      columns={columns}
      rows={rows}
      rowKey={({ name, app }) => keyOf(name, app)}
      sortBy="name"
      step={50}
      empty={
        <Empty
          title={`No function has “${sought}” in its name`}
          action={<ButtonLink to="/functions">Show all</ButtonLink>}
        />
      }
    />
  );
}

// === details of the rows that are seen ===

const details = new Map<string, Promise<FunctionInfo | undefined>>();
const waiting: (() => void)[] = [];
let running = 0;

function readDetails(name: string, app: string | undefined): Promise<FunctionInfo | undefined> {
  const key = keyOf(name, app);
  const known = details.get(key);
  if (known !== undefined) return known;
  const read = new Promise<FunctionInfo | undefined>((resolve) => {
    const start = (): void => {
      running += 1;
      get<FunctionInfo>(inApp(app, path`/functions/${name}`))
        .then(resolve, () => {
          details.delete(key);
          resolve(undefined);
        })
        .finally(() => {
          running -= 1;
          waiting.shift()?.();
        });
    };
    if (running < DETAILS_AT_ONCE) start();
    else waiting.push(start);
  });
  details.set(key, read);
  return read;
}

/** Runtime and flags of a row, asked for once it has been in sight for a moment. */
function Details({ row: { name, app } }: { readonly row: Row }): JSX.Element {
  const cell = useRef<HTMLSpanElement>(null);
  const [info, setInfo] = useState<FunctionInfo>();
  useEffect(() => {
    const element = cell.current;
    if (element === null) return undefined;
    let wanted: number | undefined;
    let gone = false;
    const observer = new IntersectionObserver((seen) => {
      clearTimeout(wanted);
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      wanted = window.setTimeout(() => {
        observer.disconnect();
        void readDetails(name, app).then((answer) => !gone && setInfo(answer));
      }, 150);
    });
    observer.observe(element);
    return () => {
      gone = true;
      clearTimeout(wanted);
      observer.disconnect();
    };
  }, [name, app]);
  return (
    <span ref={cell} class="row">
      {info === undefined ? <span class="muted">…</span> : info.Runtime}
      {info?.Idempotent === true && <Badge tone="off">idempotent</Badge>}
      {info?.Edge === true && <Badge tone="off">edge</Badge>}
    </span>
  );
}

/** Nothing is there yet: what to begin with. */
function First(): JSX.Element {
  return (
    <div class="stack">
      <Empty
        title="There are no functions yet"
        action={
          <ButtonLink to="/new-function" look="primary" icon="plus">
            New function
          </ButtonLink>
        }
      >
        A function takes JSON and gives JSON, or answers HTTP. Write one here, upload one, or begin with one of these:
      </Empty>
      <Templates />
      <CodeBlock label="Or with the command line" text="serverledge-cli create hello.js" />
    </div>
  );
}

function Templates(): JSX.Element {
  return (
    <ul class="templates">
      {TEMPLATES.map(({ id, title, text }) => (
        <li key={id}>
          <Link to={`/new-function?template=${id}`} class="template">
            <strong>{title}</strong>
            <span class="muted">{text}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}
