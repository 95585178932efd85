/** The console's few icons: strokes in the colour of the text. They say nothing to screen readers. */
import type { JSX } from 'preact';

const PATHS = {
  functions: 'M4 5.5h9M4 12h16M4 18.5h7M17 5.5h.01M15 18.5h.01',
  runs: 'M3 17l5-6 4 4 5-8 4 5',
  apps: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 16.5h7M16.5 13v7',
  node: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12.5l4.5 4.5L19 7',
  up: 'M7 14l5-5 5 5',
  down: 'M7 10l5 5 5-5',
  plus: 'M12 5v14M5 12h14',
  sun:
    'M12 8a4 4 0 100 8 4 4 0 000-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2'
    + 'M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 119.5 4a7 7 0 0010.5 10.5z',
  screen: 'M3 5h18v11H3zM8 20h8M12 16v4',
  warn: 'M12 4l9 16H3zM12 10v4.5M12 17.2h.01',
  play: 'M8 5l11 7-11 7z',
  stop: 'M6.5 6.5h11v11h-11z',
  out: 'M10 4H5v16h5M14 8l4 4-4 4M8.5 12H18',
  refresh: 'M19 12a7 7 0 11-2-5l2 2M19 4.5V9h-4.5',
  external: 'M10 5H5v14h14v-5M13 5h6v6M19 5l-8 8',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
