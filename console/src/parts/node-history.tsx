/** The last hour of the node as charts. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { useFetch } from '../hooks';
import type { NodeStats } from '../types';
import { Await, Chart, Section, formatDuration, formatFigure, formatMib, type ChartSeries } from '../ui';

/** A step is ten seconds; events tell what is newer. */
const POLL_MS = 30_000;
const HOUR_MS = 3_600_000;

type Point = NodeStats['points'][number];
const QUIET: Omit<Point, 'unix_ms'> = {
  calls: 0,
  failures: 0,
  rejected: 0,
  cold: 0,
  cache_hits: 0,
  running: 0,
  waiting: 0,
  memory_used_mib: 0,
  cpu_used_milli: 0,
};

/** All steps of the hour: those in which nothing happened are left out by the node. */
function whole({ step_ms: step, points }: NodeStats): readonly Point[] {
  const known = new Map(points.map((point) => [Math.floor(point.unix_ms / step), point]));
  // The current step is not over yet.
  const last = Math.floor(Date.now() / step) - 1;
  const first = last - Math.floor(HOUR_MS / step) + 1;
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const at = first + index;
    return known.get(at) ?? { ...QUIET, unix_ms: at * step };
  });
}

export function NodeHistory(): JSX.Element {
  const stats = useFetch<NodeStats>('/stats/node', { pollMs: POLL_MS });
  return (
    <Section title="The last hour">
      <Await of={stats}>{(data) => <Charts stats={data} />}</Await>
    </Section>
  );
}

function Charts({ stats }: { readonly stats: NodeStats }): JSX.Element {
  const { points, times } = useMemo(() => {
    const all = whole(stats);
    return { points: all, times: all.map(({ unix_ms: at }) => at) };
  }, [stats]);
  const seconds = stats.step_ms / 1000;
  const of = (value: (point: Point) => number | undefined): (number | null)[] =>
    points.map((point) => value(point) ?? null);
  const charts = useMemo(
    (): readonly HistoryChart[] => [
      {
        title: 'Calls per second',
        series: [
          { label: 'calls', colour: 'accent', area: true, values: of(({ calls }) => calls / seconds) },
          { label: 'failures', colour: 'bad', values: of(({ failures }) => failures / seconds) },
          { label: 'rejected', colour: 'warn', values: of(({ rejected }) => rejected / seconds) },
        ],
      },
      {
        title: 'Duration of completed calls',
        format: formatDuration,
        points: true,
        series: [
          { label: 'median', colour: 'accent', values: of(({ p50_us: p50 }) => p50), faint: true },
          { label: 'p99', colour: 'second', values: of(({ p99_us: p99 }) => p99), faint: true },
        ],
      },
      {
        title: 'Running and waiting',
        series: [
          { label: 'running', colour: 'accent', area: true, values: of(({ running }) => running) },
          { label: 'waiting', colour: 'warn', values: of(({ waiting }) => waiting) },
        ],
      },
      {
        title: 'Cold starts and answers from the cache, per second',
        series: [
          { label: 'cold', colour: 'second', values: of(({ cold }) => cold / seconds) },
          { label: 'from the cache', colour: 'third', values: of(({ cache_hits: hits }) => hits / seconds) },
        ],
      },
      {
        title: 'Memory reserved',
        format: formatMib,
        series: [{ label: 'memory', colour: 'accent', area: true, values: of((point) => point.memory_used_mib) }],
      },
      {
        title: 'Cores reserved',
        series: [{ label: 'cores', colour: 'accent', area: true, values: of((point) => point.cpu_used_milli / 1000) }],
      },
    ],
    [points],
  );
  return (
    <div class="columns">
      {charts.map(({ title, series, format = formatFigure, points: dots = false }) => (
        <div key={title} class="chart">
          <h3>{title}</h3>
          <Chart
            label={`${title} over the last hour`}
            times={times}
            series={series}
            format={format}
            kind={dots ? 'points' : 'lines'}
            scale={dots ? 'log' : 'linear'}
            height={140}
            span={[times[0] ?? 0, times.at(-1) ?? 0]}
          />
        </div>
      ))}
    </div>
  );
}

interface HistoryChart {
  readonly title: string;
  readonly series: readonly ChartSeries[];
  readonly format?: (value: number) => string;
  readonly points?: boolean;
}
