/** The versions of a function: difference, roll back, on which nodes. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { post } from '../../api';
import { inApp, path } from '../../base';
import { useFetch } from '../../hooks';
import type { FunctionInfo, FunctionNodes, VersionInfo } from '../../types';
import {
  Await,
  Badge,
  Button,
  Bytes,
  Confirm,
  Empty,
  Section,
  Select,
  Table,
  Time,
  formatBytes,
  shortDigest,
  toast,
  type Column,
} from '../../ui';
import type { FunctionTabProps } from './index';

const POLL_MS = 5000;

export default function VersionsTab(props: FunctionTabProps): JSX.Element {
  const { name, app, info, fetched, versions } = props;
  const [back, setBack] = useState<VersionInfo>();
  const columns: readonly Column<VersionInfo>[] = [
    {
      key: 'version',
      label: 'Version',
      bare: true,
      cell: ({ Version, Current }) => (
        <span class="row">
          <code title={Version}>{shortDigest(Version)}</code>
          {Current && <Badge status="current" />}
        </span>
      ),
    },
    {
      key: 'deployed',
      label: 'Deployed',
      sort: ({ DeployedUnixMs }) => DeployedUnixMs,
      cell: ({ DeployedUnixMs }) => <Time ms={DeployedUnixMs} ago />,
    },
    {
      key: 'runtime',
      label: 'Runtime',
      cell: ({ Runtime, Interface }) => (Interface === 'http' ? `${Runtime}, HTTP` : Runtime),
    },
    { key: 'code', label: 'Code', cell: ({ Code }) => <code title={Code}>{shortDigest(Code)}</code> },
    {
      key: 'size',
      label: 'Size',
      end: true,
      sort: ({ CodeBytes }) => CodeBytes,
      cell: ({ CodeBytes }) => (CodeBytes === 0 ? <span class="muted">–</span> : <Bytes n={CodeBytes} />),
    },
    { key: 'flags', label: 'Flags', cell: (version) => flags(version) },
    {
      key: 'back',
      label: 'Roll back',
      bare: true,
      end: true,
      cell: (version) =>
        !version.Current && (
          <Button small label={`Roll back to ${shortDigest(version.Version)}`} onClick={() => setBack(version)}>
            Roll back
          </Button>
        ),
    },
  ];
  const rollBack = async (): Promise<void> => {
    if (back === undefined) return;
    const now = await post<FunctionInfo>(inApp(app, path`/functions/${name}/rollback`), { Version: back.Version });
    fetched.set(now);
    versions.reload();
    toast(`${name} is version ${shortDigest(back.Version)} again`);
  };
  return (
    <div class="stack">
      <Await of={versions}>
        {({ Versions: list }) => (
          <>
            <Section title="Versions" plain>
              <Table caption="Versions" columns={columns} rows={list} rowKey={({ Version }) => Version} />
              {list.length === 1 && (
                <Empty title="There is one version">
                  A deploy or a change of settings makes another. The ten before the current one are kept, to return
                  to.
                </Empty>
              )}
            </Section>
            {list.length > 1 && <Difference key={info.Version} list={list} />}
          </>
        )}
      </Await>
      <Nodes name={name} app={app} version={info.Version} />
      <Confirm
        title="Roll back?"
        open={back !== undefined}
        onClose={() => setBack(undefined)}
        look="primary"
        action="Roll back"
        onConfirm={rollBack}
      >
        <p>
          Calls of {name} get version <code>{shortDigest(back?.Version ?? '')}</code> of{' '}
          <Time ms={back?.DeployedUnixMs} />: its code, variables, secrets, limits and flags. The current version is
          kept. Running calls end as they began.
        </p>
      </Confirm>
    </div>
  );
}

function flags({ Idempotent, Edge, Isolation }: VersionInfo): string {
  const set = [Idempotent && 'idempotent', Edge && 'edge', Isolation === 'fresh' && 'fresh instances'].filter(Boolean);
  return set.length === 0 ? '–' : set.join(', ');
}

const MEMBERS: readonly (readonly [label: string, text: (version: VersionInfo) => string])[] = [
  ['Runtime', ({ Runtime }) => Runtime],
  ['Interface', ({ Interface }) => (Interface === 'http' ? 'HTTP' : 'JSON')],
  ['Code', ({ Code }) => shortDigest(Code)],
  ['Size of the code', ({ CodeBytes }) => (CodeBytes === 0 ? '–' : formatBytes(CodeBytes))],
  ['Flags', flags],
];

/** What two versions differ in, as far as the node shows it. */
function Difference({ list }: { readonly list: readonly VersionInfo[] }): JSX.Element {
  const [a, setA] = useState('');
  const [b, setB] = useState('');
  const find = (digest: string, other: number): VersionInfo | undefined =>
    list.find(({ Version }) => Version === digest) ?? list[other];
  const [from, to] = [find(a, 1), find(b, 0)];
  const options = list.map((version) => {
    const when = new Date(version.DeployedUnixMs).toLocaleString('en-GB');
    return [
      version.Version,
      `${shortDigest(version.Version)} · ${when}${version.Current ? ' · current' : ''}`,
    ] as const;
  });
  if (from === undefined || to === undefined) return <></>;
  const rows = MEMBERS.map(([label, text]) => ({ label, from: text(from), to: text(to) }));
  const differs = rows.some((row) => row.from !== row.to);
  return (
    <Section title="Difference">
      <div class="fields">
        <Select label="From" value={from.Version} options={options} onChange={setA} />
        <Select label="To" value={to.Version} options={options} onChange={setB} />
      </div>
      <p class="muted">
        A version comes back with its limits, arguments, variables and secrets as well. The node shows these of the
        current version alone.
      </p>
      {from === to ? (
        <p class="muted">These are the same.</p>
      ) : !differs && from.Version !== to.Version ? (
        <p>
          They have the same code and flags; limits, arguments, streams, variables, secrets, handler or network differ.
        </p>
      ) : (
        <Table
          caption="Difference"
          rows={rows}
          rowKey={({ label }) => label}
          columns={[
            { key: 'label', label: 'Setting', bare: true, cell: ({ label }) => label },
            { key: 'from', label: 'From', cell: (row) => row.from },
            {
              key: 'to',
              label: 'To',
              cell: (row) => (row.from === row.to ? <span class="muted">the same</span> : <strong>{row.to}</strong>),
            },
          ]}
        />
      )}
    </Section>
  );
}

/** On which nodes the version is ready. */
function Nodes({
  name,
  app,
  version,
}: {
  readonly name: string;
  readonly app: string | undefined;
  readonly version: string;
}): JSX.Element {
  const nodes = useFetch<FunctionNodes>(inApp(app, path`/functions/${name}/nodes`), { pollMs: POLL_MS });
  useEffect(() => nodes.reload(), [version]);
  return (
    <Section title="On the nodes" plain>
      <Await of={nodes}>
        {({ Nodes: list }) => (
          <Table
            caption="Nodes"
            rows={list}
            rowKey={({ Node, Area }) => `${Area}/${Node}`}
            empty={<Empty title="No node is known" />}
            columns={[
              {
                key: 'node',
                label: 'Node',
                bare: true,
                sort: ({ Area, Node }) => `${Area}/${Node}`,
                cell: ({ Area, Node }) => `${Area}/${Node}`,
              },
              { key: 'state', label: 'State', cell: ({ State }) => <Badge status={State} /> },
              {
                key: 'runs',
                label: 'Runs version',
                cell: ({ Runs, State }) =>
                  Runs === undefined ? (
                    <span class="muted">{State === 'ready' ? 'this one' : '–'}</span>
                  ) : (
                    <code title={Runs}>{shortDigest(Runs)}</code>
                  ),
              },
              { key: 'detail', label: 'Detail', cell: ({ Detail }) => Detail ?? <span class="muted">–</span> },
            ]}
          />
        )}
      </Await>
    </Section>
  );
}
