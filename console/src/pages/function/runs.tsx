/** The runs of one function. */
import type { JSX } from 'preact';
import { RunList } from '../../parts/run-list';
import type { FunctionTabProps } from './index';

export default function RunsTab({ name, app }: FunctionTabProps): JSX.Element {
  return <RunList function={name} app={app} />;
}
