/** Durations of runs over time, a point for each, coloured by outcome. A click selects one. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Run, RunStatus } from '../types';
import { Chart, formatDuration, type ChartSeries } from '../ui';
import { RANGES, type Range } from './runs';

const GROUPS: readonly (readonly [
  label: string,
  colour: 'good' | 'bad' | 'warn' | 'off',
  of: readonly RunStatus[],
])[] = [
  ['completed', 'good', ['completed']],
  ['failed', 'bad', ['failed', 'internal']],
  ['turned away', 'warn', ['rejected', 'refused', 'unavailable']],
  ['abandoned', 'off', ['abandoned']],
];
const GROUP_OF = new Map(
  GROUPS.flatMap(([, , statuses], index) => statuses.map((status) => [status, index] as const)),
);
/** The end of a span that slides moves at least so often. */
const SLIDE_MS = 10_000;

/** So many points that those of completed runs would hide the others. */
const FAINT_FROM = 1500;

interface Points {
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  /** The run of each time. */
  readonly runs: readonly Run[];
}

/** Columns for the chart, ascending: the list has the newest first. */
function pointsOf(newestFirst: readonly Run[]): Points {
  const length = newestFirst.length;
  const runs: Run[] = new Array(length);
  const times: number[] = new Array(length);
  const columns = GROUPS.map((): (number | null)[] => new Array<number | null>(length).fill(null));
  for (let index = 0; index < length; index += 1) {
    const run = newestFirst[length - 1 - index] as Run;
    runs[index] = run;
    times[index] = run.started_unix_ms;
    const column = columns[GROUP_OF.get(run.status) ?? 1];
    // A logarithm has no 0.
    if (column !== undefined) column[index] = Math.max(run.total_us, 1);
  }
  const series = GROUPS.map(([label, colour], index) => ({
    label,
    colour,
    values: columns[index] ?? [],
    faint: label === 'completed' && length > FAINT_FROM,
  }));
  return { times, series, runs };
}

export function RunScatter({
  runs,
  range,
  onPick,
}: {
  readonly runs: readonly Run[];
  readonly range: Range | undefined;
  readonly onPick: (run: Run) => void;
}): JSX.Element {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (range === undefined) return undefined;
    const timer = setInterval(() => !document.hidden && setTick((tick) => tick + 1), SLIDE_MS);
    return () => clearInterval(timer);
  }, [range]);
  const points = useMemo(() => pointsOf(runs), [runs]);
  return (
    <Chart
      label={`Durations of ${runs.length} runs over time; the table below has the same runs`}
      kind="points"
      scale="log"
      height={220}
      times={points.times}
      series={points.series}
      span={spanOf(points.times, range)}
      format={formatDuration}
      onPick={(_, index) => {
        const run = points.runs[index];
        if (run !== undefined) onPick(run);
      }}
    />
  );
}

/** The span that is looked back, or that of the runs with a little room at its ends. */
function spanOf(times: readonly number[], range: Range | undefined): readonly [number, number] {
  const now = Date.now();
  if (range !== undefined) return [now - RANGES[range], now];
  const first = times[0] ?? now - 60_000;
  const last = times.at(-1) ?? now;
  const room = Math.max((last - first) * 0.02, 1000);
  return [first - room, last + room];
}
