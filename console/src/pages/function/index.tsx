/** One function, of an application if the address names one: a tab for each of its sides. */
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { functionPage, inApp, path } from '../../base';
import { useEvents } from '../../events';
import { useFetch, type Fetched } from '../../hooks';
import { navigate, type PageProps } from '../../router';
import type { FunctionInfo, FunctionVersions, VersionInfo } from '../../types';
import { Await, Badge, Bytes, Page, Tabs } from '../../ui';
import CodeTab from './code';
import LogTab from './log';
import RunsTab from './runs';
import SettingsTab from './settings';
import TryTab from './try';
import VersionsTab from './versions';

/** What each tab gets. */
export interface FunctionTabProps {
  readonly name: string;
  readonly app: string | undefined;
  readonly info: FunctionInfo;
  /** The function as the node has it, to be read anew after a change. */
  readonly fetched: Fetched<FunctionInfo>;
  readonly versions: Fetched<FunctionVersions>;
  /** The current one of the versions. */
  readonly current: VersionInfo | undefined;
  /** Length of the code, if the node has noted it. */
  readonly codeBytes: number | undefined;
}

const TABS = [
  ['code', 'Code', CodeTab],
  ['try', 'Try it', TryTab],
  ['runs', 'Runs', RunsTab],
  ['log', 'Log', LogTab],
  ['versions', 'Versions', VersionsTab],
  ['settings', 'Settings', SettingsTab],
] as const;

export default function FunctionPage({ params }: PageProps): JSX.Element {
  const { name = '', app, tab = 'code' } = params;
  const fetched = useFetch<FunctionInfo>(inApp(app, path`/functions/${name}`));
  const versions = useFetch<FunctionVersions>(inApp(app, path`/functions/${name}/versions`));
  const current = versions.data?.Versions.find(({ Current }) => Current);
  const codeBytes = (current?.CodeBytes ?? 0) === 0 ? undefined : current?.CodeBytes;
  useEffect(() => {
    if (fetched.data !== undefined && current !== undefined && !isOf(current, fetched.data)) versions.reload();
  }, [fetched.data]);
  // Somebody else may deploy, or this person in another tab.
  useEvents(
    { kinds: ['deploy'], function: name, ...(app === undefined ? {} : { app }) },
    (_, data) => 'action' in data && data.action !== 'deleted' && fetched.reload(),
    fetched.reload,
  );
  const above = app === undefined
    ? ([['/functions', 'Functions']] as const)
    : ([['/apps', 'Applications'], [path`/apps/${app}`, app]] as const);
  return (
    <Page title={name} above={above} facts={fetched.data && <Marks of={fetched.data} codeBytes={codeBytes} />}>
      <Await of={fetched}>
        {(info) => (
          <Tabs
            label={`Sides of ${name}`}
            selected={tab}
            onSelect={(id) => navigate(functionPage(name, app, id), { replace: true })}
            tabs={TABS.map(([id, label, Panel]) => ({
              id,
              label,
              panel: () => <Panel {...{ name, app, info, fetched, versions, current, codeBytes }} />,
            }))}
          />
        )}
      </Await>
    </Page>
  );
}

/** Whether a version is what the function is now. */
function isOf({ Version, Idempotent, Edge, Isolation }: VersionInfo, info: FunctionInfo): boolean {
  const flags = Idempotent === info.Idempotent && Edge === info.Edge && Isolation === info.Isolation;
  return flags && Version === info.Version;
}

/** Runtime, flags and the size of the code beside the name. */
function Marks({
  of,
  codeBytes,
}: {
  readonly of: FunctionInfo;
  readonly codeBytes: number | undefined;
}): JSX.Element {
  return (
    <>
      <Badge tone="info">{of.Runtime}</Badge>
      {of.Idempotent && (
        <Badge tone="off">{of.IdempotentOutbound === true ? 'idempotent, with requests' : 'idempotent'}</Badge>
      )}
      {of.Edge && <Badge tone="off">edge</Badge>}
      {codeBytes !== undefined && (
        <span class="muted">
          <Bytes n={codeBytes} /> of code
        </span>
      )}
    </>
  );
}
