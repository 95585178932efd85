/** The records of invocations: a scatter over time, filters, a list. */
import type { JSX } from 'preact';
import { RunList } from '../parts/run-list';
import { RunNav } from '../parts/run-nav';
import { Page } from '../ui';

export default function Runs(): JSX.Element {
  return (
    <Page title="Runs">
      <RunNav />
      <RunList />
    </Page>
  );
}
