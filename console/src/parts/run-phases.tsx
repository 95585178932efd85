/** Where the time of one run went. */
import type { JSX } from 'preact';
import type { Run } from '../types';
import { formatDuration } from '../ui';
import { shortNode } from './node-name';
import { Spans, type Span } from './spans';

/** The phases of a run, one after the other; what is left is the way to another node, or work of this one. */
export function RunPhases({ run }: { readonly run: Run }): JSX.Element {
  const rest = run.total_us - run.queue_us - run.start_us - run.execution_us;
  const restLabel = run.ran_on === run.node ? 'Everything else' : `Way to ${shortNode(run.ran_on)} and back`;
  const known = run.queue_us + run.start_us + run.execution_us > 0;
  const phases: readonly (readonly [label: string, us: number, colour: Span['colour']])[] = [
    ['Waiting', run.queue_us, 'warn'],
    [run.warm ? 'Start (warm)' : 'Start (cold)', run.start_us, 'second'],
    ['Execution', run.execution_us, 'accent'],
    [restLabel, Math.max(rest, 0), 'off'],
  ];
  if (!known) {
    return <p class="muted">A run that did not run here has no phases. This one took {formatDuration(run.total_us)}.</p>;
  }
  let from = 0;
  const spans = phases.map(([label, us, colour]): Span => {
    const span = { key: label, label, from_us: from, us, colour };
    from += us;
    return span;
  });
  return <Spans label="Phases" spans={spans} whole_us={Math.max(run.total_us, from)} />;
}
