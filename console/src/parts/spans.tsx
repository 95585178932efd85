/** Spans of time below each other, as in a waterfall: a label, a bar, a duration. */
import type { ComponentChildren, JSX } from 'preact';
import { formatDuration, type Tone } from '../ui';

export interface Span {
  readonly key: string;
  readonly label: ComponentChildren;
  /** From the begin of the whole. */
  readonly from_us: number;
  readonly us: number;
  readonly colour: Tone | 'accent' | 'second' | 'third';
  /** Steps to the right, in a tree. */
  readonly depth?: number;
  readonly current?: boolean;
}

/** Units of the picture: it is stretched to its place. */
const WIDTH = 1000;
const DEPTH_MAX = 8;

export function Spans(
  { label, spans, whole_us: whole }: {
    readonly label: string;
    readonly spans: readonly Span[];
    readonly whole_us: number;
  },
): JSX.Element {
  const scale = WIDTH / Math.max(whole, 1);
  return (
    <ol class="spans" aria-label={label}>
      {spans.map((span) => {
        const x = Math.min(span.from_us * scale, WIDTH - 3);
        const width = Math.max(Math.min(span.us * scale, WIDTH - x), 3);
        return (
          <li key={span.key} class={span.current === true ? 'current' : undefined}>
            <span class={`span-label depth-${Math.min(span.depth ?? 0, DEPTH_MAX)}`}>{span.label}</span>
            <svg class="span-bar" viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" aria-hidden="true">
              <rect class={`bar-${span.colour}`} x={x} y="1" width={width} height="8" />
            </svg>
            <span class="figure span-figure">{formatDuration(span.us)}</span>
          </li>
        );
      })}
    </ol>
  );
}
