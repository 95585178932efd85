/** The load of the node as it is now: figures, the ledger of memory and cores, the last two minutes. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { EventData, NodeStatus } from '../types';
import { Chart, Section, Stat, Stats, formatFigure, formatMib, formatNumber } from '../ui';

export type Load = EventData['load'];
/** Seconds that are kept. */
export const LOADS_MAX = 120;

export function LiveFigures({
  load,
  status,
}: {
  readonly load: Load | undefined;
  readonly status: NodeStatus;
}): JSX.Element {
  const { starting = 0, idle = 0, busy = 0 } = load?.sandboxes ?? {};
  return (
    <Stats>
      <Stat label="Running">{formatNumber(load?.running ?? status.Running)}</Stat>
      <Stat label="In the queue">{formatNumber(load?.waiting ?? status.Queued)}</Stat>
      <Stat label="Calls per second">{load === undefined ? '–' : formatNumber(load.calls)}</Stat>
      <Stat label="Failures per second">{load === undefined ? '–' : formatNumber(load.failures)}</Stat>
      <Stat label="Rejected per second">{load === undefined ? '–' : formatNumber(load.rejected)}</Stat>
      <Stat label="Sandboxes" note={busy > 0 && `${busy} busy`}>
        {load === undefined ? '–' : formatNumber(starting + idle + busy)}
      </Stat>
    </Stats>
  );
}

interface Share {
  readonly name: string;
  readonly amount: number;
  readonly look: 'accent' | 'second';
}

/** Shares of a whole, as words and as a bar. */
export function Bar({
  label,
  shares,
  whole,
  format,
}: {
  readonly label: string;
  readonly shares: readonly Share[];
  readonly whole: number;
  readonly format: (value: number) => string;
}): JSX.Element {
  const free = Math.max(whole - shares.reduce((sum, { amount }) => sum + amount, 0), 0);
  const text = [...shares, { name: 'free', amount: free }]
    .map(({ name, amount }) => `${format(amount)} ${name}`)
    .join(', ');
  let x = 0;
  return (
    <div class="ledger">
      <p class="ledger-head">
        <strong>{label}</strong>
        <span class="muted figure">
          {text} of {format(whole)}
        </span>
      </p>
      <svg
        class="ledger-bar"
        viewBox="0 0 1000 10"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}: ${text}`}
      >
        {shares.map(({ name, amount, look }) => {
          const width = whole > 0 ? Math.min((amount / whole) * 1000, 1000 - x) : 0;
          const from = x;
          x += width;
          return <rect key={name} class={`bar-${look}`} x={from} y="0" width={Math.max(width, 0)} height="10" />;
        })}
      </svg>
    </div>
  );
}

/** What is reserved by running invocations, what warm containers hold, what is free. */
export function Ledger({
  load,
  status,
}: {
  readonly load: Load | undefined;
  readonly status: NodeStatus;
}): JSX.Element {
  const memory = load?.memory_mib ?? status.TotalMemory;
  const used = load?.memory_used_mib ?? status.TotalMemory - status.AvailableMemory;
  const warm = Math.max(status.AvailableMemory - status.FreeMemory, 0);
  const cores = load === undefined ? status.TotalCPU : load.cpu_milli / 1000;
  const usedCores = load === undefined ? status.UsedCPU : load.cpu_used_milli / 1000;
  return (
    <Section title="Memory and cores">
      <Bar
        label="Memory"
        whole={memory}
        format={formatMib}
        shares={[
          { name: 'reserved', amount: used, look: 'accent' },
          { name: 'held warm', amount: warm, look: 'second' },
        ]}
      />
      <Bar
        label="Cores"
        whole={cores}
        format={formatFigure}
        shares={[{ name: 'reserved', amount: usedCores, look: 'accent' }]}
      />
      <p class="muted">Running invocations reserve both. Warm sandboxes give their memory back when it is needed.</p>
    </Section>
  );
}

export function LastMinutes({ loads }: { readonly loads: readonly Load[] }): JSX.Element {
  const times = useMemo(() => loads.map(({ unix_ms: at }) => at), [loads]);
  const series = useMemo(
    () => [
      { label: 'calls', colour: 'accent' as const, area: true, values: loads.map(({ calls }) => calls) },
      { label: 'failures', colour: 'bad' as const, values: loads.map(({ failures }) => failures) },
      { label: 'rejected', colour: 'warn' as const, values: loads.map(({ rejected }) => rejected) },
    ],
    [loads],
  );
  const end = times.at(-1) ?? Date.now();
  return (
    <Section title="Calls per second, last two minutes">
      <Chart
        label="Calls, failures and rejected calls per second over the last two minutes"
        times={times}
        series={series}
        height={150}
        span={[end - LOADS_MAX * 1000, end]}
      />
    </Section>
  );
}
