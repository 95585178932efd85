/** Pages by their address below the console's root. */
import type { ComponentChildren, ComponentType, JSX } from 'preact';
import { consoleRoot, href } from './base';
import { Store, useStore } from './store';

export interface PageProps {
  readonly params: Record<string, string>;
  readonly query: URLSearchParams;
}

export interface Route {
  /** `/functions/:name`. */
  readonly pattern: string;
  /** The file of the page, which is loaded when it is first shown. */
  readonly load: () => Promise<{ default: ComponentType<PageProps> }>;
  /** The part of the navigation that it belongs to. */
  readonly section?: string;
  /** Shown to those who are not logged in as well. */
  readonly anonymous?: boolean;
}

/** A place: the path below the root begins with `/`. */
export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
  /** It was reached by a link of the console, so that the focus belongs to its heading. */
  readonly moved: boolean;
}

export const place = new Store<Place>(here(false));

function here(moved: boolean): Place {
  const path = `/${location.pathname.slice(consoleRoot.pathname.length)}`;
  return { path: path === '/' ? path : path.replace(/\/$/, ''), query: new URLSearchParams(location.search), moved };
}

/** Goes to a page of the console: `/functions?x=1`. */
export function navigate(to: string, { replace = false }: { replace?: boolean } = {}): void {
  const before = place.value.path;
  history[replace ? 'replaceState' : 'pushState'](null, '', href(to));
  const next = here(true);
  place.value = { ...next, moved: next.path !== before };
  if (!replace && next.path !== before) scrollTo(0, 0);
}

/** Changes members of the query in place; `undefined` removes one. */
export function setQuery(members: Record<string, string | undefined>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(members)) {
    if (value === undefined || value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  navigate(place.value.path + (text === '' ? '' : `?${text}`), { replace: true });
}

/** The place that is shown. */
export function usePlace(): Place {
  return useStore(place);
}

/** The parameters of a path, if it fits the pattern. */
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const expected = pattern.split('/');
  const segments = path.split('/');
  if (expected.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of expected.entries()) {
    const segment = segments[index] ?? '';
    if (!part.startsWith(':')) {
      if (part !== segment) return undefined;
      continue;
    }
    try {
      params[part.slice(1)] = decodeURIComponent(segment);
    } catch {
      return undefined;
    }
  }
  return params;
}

interface LinkProps {
  readonly to: string;
  readonly class?: string;
  readonly title?: string;
  readonly 'aria-label'?: string;
  readonly 'aria-current'?: 'page' | undefined;
  readonly children?: ComponentChildren;
}

/** A link to a page of the console. */
export function Link({ to, children, ...rest }: LinkProps): JSX.Element {
  return <a {...rest} href={href(to)}>{children}</a>;
}

addEventListener('popstate', () => {
  place.value = here(true);
});

// Links of the console change the page without loading it anew.
document.addEventListener('click', (event) => {
  const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (event.defaultPrevented || event.button !== 0 || modified) return;
  const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
  if (link === undefined || link.target !== '' || link.hasAttribute('download')) return;
  const { origin, pathname, search, hash } = link;
  if (origin !== location.origin || !pathname.startsWith(consoleRoot.pathname)) return;
  // A place within this page is the browser's own business.
  if (hash !== '' && pathname === location.pathname) return;
  event.preventDefault();
  navigate(`/${pathname.slice(consoleRoot.pathname.length)}${search}${hash}`);
});
