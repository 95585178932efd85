/** Links between the pages about runs. */
import type { JSX } from 'preact';
import { Link, usePlace } from '../router';

const PAGES = [
  ['/runs', 'All runs'],
  ['/runs/asynchronous', 'Asynchronous'],
  ['/runs/dead-letters', 'Dead letters'],
] as const;

export function RunNav(): JSX.Element {
  const { path } = usePlace();
  return (
    <nav class="subnav" aria-label="Runs">
      {PAGES.map(([to, text]) => <Link key={to} to={to} aria-current={to === path ? 'page' : undefined}>{text}</Link>)}
    </nav>
  );
}
