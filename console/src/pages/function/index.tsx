/** One function, of an application if the address names one: a tab for each of its sides. */
import type { JSX } from 'preact';
import { functionPage, inApp, path } from '../../base';
import { useEvents } from '../../events';
import { useFetch, type Fetched } from '../../hooks';
import { navigate, type PageProps } from '../../router';
import type { FunctionInfo } from '../../types';
import { Await, Badge, Page, Tabs } from '../../ui';
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
    <Page title={name} above={above} facts={fetched.data && <Marks of={fetched.data} />}>
      <Await of={fetched}>
        {(info) => (
          <Tabs
            label={`Sides of ${name}`}
            selected={tab}
            onSelect={(id) => navigate(functionPage(name, app, id), { replace: true })}
            tabs={TABS.map(([id, label, Panel]) => ({
              id,
              label,
              panel: () => <Panel name={name} app={app} info={info} fetched={fetched} />,
            }))}
          />
        )}
      </Await>
    </Page>
  );
}

/** Runtime and flags beside the name. */
function Marks({ of }: { readonly of: FunctionInfo }): JSX.Element {
  return (
    <>
      <Badge tone="info">{of.Runtime}</Badge>
      {of.Idempotent && <Badge tone="off">idempotent</Badge>}
      {of.Edge && <Badge tone="off">edge</Badge>}
    </>
  );
}
