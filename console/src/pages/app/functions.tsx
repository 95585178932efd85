/** The functions of an application with their figures. */
import type { JSX } from 'preact';
import { functionPage, path } from '../../base';
import { useFetch } from '../../hooks';
import { keyOf } from '../../parts/addresses';
import { useFunctionInfos } from '../../parts/app-functions';
import { Link } from '../../router';
import type { FunctionInfo, FunctionStats, Stats } from '../../types';
import { Badge, ButtonLink, Duration, Empty, formatFigure, formatNumber, Problem, Section, Table } from '../../ui';
import type { AppTabProps } from './index';

interface Row {
  readonly name: string;
  readonly info: FunctionInfo | undefined;
  readonly stats: FunctionStats | undefined;
  readonly paths: readonly string[];
}

export function FunctionsTab({ app, info }: AppTabProps): JSX.Element {
  const infos = useFunctionInfos(app, info.functions);
  const stats = useFetch<Stats>(info.functions.length === 0 ? null : path`/apps/${app}/stats`, { pollMs: 5000 });
  const add = (
    <ButtonLink to={path`/apps/${app}/new-function`} look="primary" icon="plus">
      New function in this application
    </ButtonLink>
  );
  const figures = new Map((stats.data?.functions ?? []).map((one) => [one.function, one]));
  const rows = info.functions.map((name): Row => ({
    name,
    info: infos.data?.get(name),
    stats: figures.get(name),
    paths: info.endpoints.filter((endpoint) => endpoint.function === name).map(keyOf),
  }));
  const minutes = Math.round((stats.data?.window_ms ?? 600_000) / 60_000);
  return (
    <Section title="Functions" plain actions={rows.length > 0 && add}>
      <Problem error={infos.error} onRetry={infos.reload} />
      <Table
        caption={`Functions of ${app}`}
        rows={rows}
        rowKey={({ name }) => name}
        sortBy="name"
        empty={(
          <Empty title="No functions yet" action={add}>
            Functions of an application are its own: others of the same name outside of it are not touched. They call
            each other by name.
          </Empty>
        )}
        columns={[
          {
            key: 'name',
            label: 'Name',
            bare: true,
            sort: ({ name }) => name,
            cell: ({ name }) => <Link to={functionPage(name, app)}><strong>{name}</strong></Link>,
          },
          {
            key: 'runtime',
            label: 'Runtime',
            sort: (row) => row.info?.Runtime,
            cell: (row) => row.info?.Runtime ?? <span class="muted">…</span>,
          },
          { key: 'flags', label: 'Flags', cell: (row) => <Flags info={row.info} /> },
          {
            key: 'endpoints',
            label: 'Endpoints',
            cell: ({ paths }) => (paths.length === 0
              ? <span class="muted">none</span>
              : <code>{paths.slice(0, 2).join(', ')}{paths.length > 2 && ` and ${paths.length - 2} more`}</code>),
          },
          {
            key: 'calls',
            label: `Calls in ${minutes} min`,
            end: true,
            sort: (row) => row.stats?.calls,
            cell: (row) => <Calls stats={row.stats} />,
          },
          {
            key: 'failures',
            label: 'Failed',
            end: true,
            sort: (row) => row.stats?.failures,
            cell: ({ stats: of }) => (of === undefined || of.failures === 0
              ? <span class="muted">–</span>
              : <Badge tone="bad">{formatNumber(of.failures)}</Badge>),
          },
          {
            key: 'median',
            label: 'Median',
            end: true,
            sort: (row) => row.stats?.p50_us,
            cell: (row) => <Duration us={row.stats?.p50_us} />,
          },
          {
            key: 'try',
            label: 'Try it',
            bare: true,
            end: true,
            cell: ({ name }) => <ButtonLink to={functionPage(name, app, 'try')} small>Try it</ButtonLink>,
          },
        ]}
      />
    </Section>
  );
}

function Flags({ info }: { readonly info: FunctionInfo | undefined }): JSX.Element {
  if (info === undefined) return <span class="muted">…</span>;
  if (!info.Idempotent && !info.Edge) return <span class="muted">–</span>;
  return (
    <span class="row tight">
      {info.Idempotent && <Badge tone="info" title="Results may be kept and used again">idempotent</Badge>}
      {info.Edge && <Badge tone="good" title="Pages may run it themselves">in browsers</Badge>}
    </span>
  );
}

function Calls({ stats }: { readonly stats: FunctionStats | undefined }): JSX.Element {
  if (stats === undefined || stats.calls === 0) return <span class="muted">–</span>;
  return (
    <span>
      {formatNumber(stats.calls)}
      {stats.per_second > 0 && <span class="stat-note">{formatFigure(stats.per_second)}/s</span>}
    </span>
  );
}
