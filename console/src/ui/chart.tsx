/** Charts over time with uPlot: lines, or points that can be picked. A chunk of its own: import it from `lazy`. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { isDark } from '../hooks';
import { useStore } from '../store';
import type { Tone } from './feedback';
import { formatFigure } from './format';

export interface ChartSeries {
  readonly label: string;
  /** `accent` and `second` for figures, a tone for outcomes. */
  readonly colour?: 'accent' | 'second' | 'third' | Tone;
  /** One for each time; `null`: none. */
  readonly values: readonly (number | null | undefined)[];
  /** Filled below. */
  readonly area?: boolean;
  /** Thousands of points: they are smaller and let each other through. */
  readonly faint?: boolean;
}

export interface ChartProps {
  /** What it shows, for screen readers; the legend has the rest. */
  readonly label: string;
  /** Unix milliseconds, ascending. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  readonly format?: (value: number) => string;
  readonly kind?: 'lines' | 'points';
  readonly scale?: 'linear' | 'log';
  readonly height?: number;
  /** The span that is shown, in Unix milliseconds; absent: that of the times. */
  readonly span?: readonly [from: number, to: number];
  /** A point was clicked. */
  readonly onPick?: (series: number, index: number) => void;
}

/** The colour that a variable of the style sheet has here; it depends on light and dark. */
function colourOf(element: Element, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function variable(colour: ChartSeries['colour']): string {
  if (colour === undefined || colour === 'accent') return 'accent';
  if (colour === 'second' || colour === 'third') return `chart-${colour}`;
  return `tone-${colour}`;
}

function faded(colour: string, alpha: number): string {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

function options(box: HTMLElement, props: ChartProps, latest: { readonly current: ChartProps }): UPlot.Options {
  const format = props.format ?? formatFigure;
  const points = props.kind === 'points';
  const pick = (series: number, index: number): void => latest.current.onPick?.(series, index);
  const range = (_: UPlot, min: number, max: number): [number, number] => {
    const { span } = latest.current;
    return span === undefined ? [min, max] : [span[0], span[1]];
  };
  const text = colourOf(box, 'text-muted');
  const line = colourOf(box, 'line');
  const axis = {
    stroke: text, font: '11px system-ui, sans-serif', grid: { stroke: line, width: 1 }, ticks: { show: false },
  };
  const colours = props.series.map(({ colour }) => colourOf(box, variable(colour)));
  const series = props.series.map(({ label, area, faint = false }, index): UPlot.Series => {
    const stroke = colours[index] ?? '';
    return {
      label,
      stroke,
      width: points ? 0 : 1.5,
      ...(points ? { paths: () => null } : {}),
      ...(area === true ? { fill: faded(stroke, 0.14) } : {}),
      points: points
        ? { show: true, size: faint ? 4 : 6, fill: faded(stroke, faint ? 0.4 : 0.7), width: 0 }
        : { show: false },
      value: (_, value) => (value == null ? '–' : format(value)),
    };
  });
  return {
    width: Math.max(box.clientWidth, 120),
    height: props.height ?? 180,
    ms: 1,
    scales: {
      x: { time: true, range },
      y: props.scale === 'log' ? { distr: 3 } : { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    series: [{ value: (_, value) => (value == null ? '–' : new Date(value).toLocaleTimeString('en-GB')) }, ...series],
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        space: 70,
        values: (plot, splits) => splits.map((at) => clock(at, plot)),
      },
      {
        ...axis,
        size: 62,
        space: 34,
        ...(props.scale === 'log' ? { filter: (_, splits) => splits.map(decade) } : {}),
        ...(props.scale === 'log' ? { grid: { ...axis.grid, filter: (_, splits) => splits.map(decade) } } : {}),
        values: (_, splits) => splits.map((value) => (value == null ? '' : format(value))),
      },
    ],
    // The last time below the axis has room for its second half.
    padding: [6, 28, 0, 0],
    legend: { live: true, markers: markers(points, colours) },
    cursor: { drag: { x: false, y: false }, points: { size: 7 }, focus: { prox: 24 } },
    hooks: {
      ready: [(plot) => plot.over.addEventListener('click', () => picked(plot, pick))],
    },
  };
}

/** Of a logarithmic axis only powers of ten have a line and a label. */
function decade(value: number | null): number | null {
  return value != null && Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6) ? value : null;
}

/** The squares of the legend: filled for points, whose lines have no width. */
function markers(points: boolean, colours: readonly string[]): UPlot.Legend.Markers {
  return points ? { width: 0, fill: (_, index) => colours[index - 1] ?? '' } : { width: 2 };
}

/** The time below an axis: as exact as the span that is shown needs it. */
function clock(at: number, plot: UPlot): string {
  const { min, max } = plot.scales['x'] ?? {};
  const span = (max ?? Infinity) - (min ?? 0);
  const exact = { second: '2-digit', ...(span < 20_000 ? { fractionalSecondDigits: 1 as const } : {}) } as const;
  // Where a time is a little before its second, that second is meant.
  const rounded = span < 20_000 ? at : Math.round(at / 1000) * 1000;
  return new Date(rounded).toLocaleTimeString('en-GB', {
    hour: '2-digit', minute: '2-digit', ...(span < 5 * 60_000 ? exact : {}),
  });
}

/** Finds the point nearest to the pointer. */
function picked(plot: UPlot, pick: (series: number, index: number) => void): void {
  const { left = -1, top = -1 } = plot.cursor;
  const times = plot.data[0];
  let best = { distance: 16, series: -1, index: -1 };
  for (const [series, values] of plot.data.slice(1).entries()) {
    for (const [index, value] of (values ?? []).entries()) {
      if (value == null) continue;
      const x = plot.valToPos(times[index] ?? 0, 'x') - left;
      const distance = Math.hypot(x, plot.valToPos(value, 'y') - top);
      if (distance < best.distance) best = { distance, series, index };
    }
  }
  if (best.series >= 0) pick(best.series, best.index);
}

function dataOf({ times, series }: ChartProps): UPlot.AlignedData {
  return [times, ...series.map(({ values }) => values)] as unknown as UPlot.AlignedData;
}

export default function Chart(props: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const dark = useStore(isDark);
  const { kind, scale, height } = props;
  const looks = props.series.map(({ label, colour, area, faint }) => [label, colour, area, faint]);
  const shape = JSON.stringify([looks, kind, scale]);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const made = new UPlot(options(element, latest.current, latest), dataOf(latest.current), element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== made.width) {
        made.setSize({ width: element.clientWidth, height: height ?? 180 });
      }
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [shape, dark, height]);
  const span = props.span?.join();
  useEffect(() => plot.current?.setData(dataOf(latest.current)), [props.times, props.series, span]);
  const look = `chart-frame${props.onPick === undefined ? '' : ' pickable'}`;
  return <div ref={box} class={look} role="img" aria-label={props.label} />;
}
