/** One application: functions, endpoints, dependencies, browsers, settings. */
import type { JSX } from 'preact';
import { path } from '../../base';
import { useEvents } from '../../events';
import { useFetch, type Fetched } from '../../hooks';
import { StartSteps, StartStop } from '../../parts/start-stop';
import { navigate, type PageProps } from '../../router';
import type { AppInfo } from '../../types';
import { Await, Badge, ButtonLink, Empty, Page, Tabs } from '../../ui';
import { DependenciesTab } from './dependencies';
import { EdgeTab } from './edge';
import { EndpointsTab } from './endpoints';
import { FunctionsTab } from './functions';
import { NextSteps } from './next-steps';
import { SettingsTab } from './settings';

/** What each tab gets. */
export interface AppTabProps {
  readonly app: string;
  readonly info: AppInfo;
  /** The application as the node has it, to be read anew after a change. */
  readonly fetched: Fetched<AppInfo>;
}

const TABS = [
  ['functions', 'Functions', FunctionsTab],
  ['endpoints', 'Endpoints', EndpointsTab],
  ['dependencies', 'Dependencies', DependenciesTab],
  ['browsers', 'In browsers', EdgeTab],
  ['settings', 'Settings', SettingsTab],
] as const;

export default function ApplicationPage({ params }: PageProps): JSX.Element {
  const { app = '', tab = 'functions' } = params;
  const fetched = useFetch<AppInfo>(path`/apps/${app}`, { pollMs: 5000 });
  useEvents({ kinds: ['deploy'], app }, fetched.reload, fetched.reload);
  const { data, error } = fetched;
  const gone = data === undefined && error?.code === 'application_unknown';
  return (
    <Page
      title={app}
      above={[['/apps', 'Applications']]}
      facts={data !== undefined && (
        <Badge status={data.up ? 'up' : 'stopped'}>{data.up ? 'runs' : 'stopped'}</Badge>
      )}
      actions={data !== undefined && <StartStop app={app} up={data.up} onChanged={fetched.reload} />}
    >
      {gone
        ? (
          <Empty
            title={`You have no application ${app}`}
            action={<ButtonLink to="/apps" look="primary">To the applications</ButtonLink>}
          >
            It was deleted or renamed, or it belongs to somebody else.
          </Empty>
        )
        : (
          <Await of={fetched}>
            {(info) => (
              <>
                <StartSteps app={app} />
                <NextSteps info={info} />
                <Tabs
                  label={`Parts of ${app}`}
                  selected={tab}
                  onSelect={(id) => navigate(path`/apps/${app}/${id}`, { replace: true })}
                  tabs={TABS.map(([id, label, Panel]) => ({
                    id,
                    label,
                    panel: () => <Panel app={app} info={info} fetched={fetched} />,
                  }))}
                />
              </>
            )}
          </Await>
        )}
    </Page>
  );
}
