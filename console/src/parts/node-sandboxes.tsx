/** The sandboxes that the node keeps between calls, and which came and went. */
import type { JSX } from 'preact';
import type { Fetched } from '../hooks';
import type { EventData, Sandboxes } from '../types';
import { Await, Badge, Duration, Empty, Section, Table, Time, formatDuration, formatMib } from '../ui';
import { FunctionLink, fullName } from './run-table';

export type SandboxEvent = EventData['sandbox'];
export const SANDBOX_EVENTS_MAX = 6;

export function NodeSandboxes({
  fetched,
  latest,
}: {
  readonly fetched: Fetched<Sandboxes>;
  readonly latest: readonly SandboxEvent[];
}): JSX.Element {
  return (
    <Section title="Sandboxes" plain>
      {latest.length > 0 && <Latest of={latest} />}
      <Await of={fetched}>{({ sandboxes }) => <List of={sandboxes} />}</Await>
    </Section>
  );
}

function Latest({ of }: { readonly of: readonly SandboxEvent[] }): JSX.Element {
  return (
    <ul class="latest" aria-label="Sandboxes that came and went">
      {of.map((event, index) => (
        <li key={`${event.unix_ms} ${index}`}>
          <Time ms={event.unix_ms} />{' '}
          <Badge tone={event.action === 'started' ? 'good' : 'off'}>{event.action}</Badge>{' '}
          {fullName(event)}{' '}
          <span class="muted">
            {event.runtime}
            {event.took_us !== undefined && `, in ${formatDuration(event.took_us)}`}
          </span>
        </li>
      ))}
    </ul>
  );
}

type Sandbox = Sandboxes['sandboxes'][number];

function List({ of }: { readonly of: readonly Sandbox[] }): JSX.Element {
  const rows = of.map((sandbox, index) => ({ ...sandbox, index }));
  return (
    <Table
      caption="Sandboxes"
      rows={rows}
      rowKey={({ index }) => String(index)}
      sortBy="-age"
      step={50}
      empty={
        <Empty title="No sandboxes are kept">
          They come with the first call of a function. Functions of WebAssembly have a fresh one for each call, unless
          they say otherwise; those are not listed.
        </Empty>
      }
      columns={[
        {
          key: 'function',
          label: 'Function',
          bare: true,
          cell: (one) =>
            one.function === '' ? <span class="muted">deleted function</span> : <FunctionLink of={one} />,
          sort: fullName,
        },
        { key: 'runtime', label: 'Runtime', cell: (one) => one.runtime, sort: (one) => one.runtime },
        { key: 'state', label: 'State', cell: (one) => <Badge status={one.state} />, sort: (one) => one.state },
        {
          key: 'age',
          label: 'Age',
          end: true,
          cell: (one) => <Duration us={one.age_ms * 1000} />,
          sort: (one) => one.age_ms,
        },
        {
          key: 'memory',
          label: 'Memory',
          end: true,
          cell: (one) => formatMib(one.memory_mib),
          sort: (one) => one.memory_mib,
        },
      ]}
    />
  );
}
