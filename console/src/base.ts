/** Where the console and the node's API are. A proxy may serve both below a path of its own. */

/** The console's root, with `/` at its end. This file is one folder below it, before the build and after. */
export const consoleRoot = new URL(/* @vite-ignore */ '../', import.meta.url);

/** The root of the node's API, with `/` at its end. */
export const apiRoot = new URL('../', consoleRoot);

/** The address of a page of the console: `/functions` is `<root>functions`. */
export function href(page: string): string {
  return consoleRoot.pathname + page.replace(/^\//, '');
}

/** The address of a route of the API: `/functions` is `<root>functions`. */
export function apiUrl(route: string): URL {
  return new URL(route.replace(/^\//, ''), apiRoot);
}

/**
 * A path with encoded parts: path`/functions/${name}/logs`. A part may not be empty, `.` or `..`, which would name
 * another route.
 */
export function path(texts: TemplateStringsArray, ...parts: (string | number)[]): string {
  return texts.reduce((before, text, index) => {
    const part = String(parts[index - 1]);
    if (/^\.{0,2}$/.test(part)) throw new Error(`no part of a path: "${part}"`);
    return before + encodeURIComponent(part) + text;
  });
}

/** A route of functions, of an application if one is named: `/functions/f` is then `/apps/shop/functions/f`. */
export function inApp(app: string | undefined, route: string): string {
  return app === undefined ? route : path`/apps/${app}` + route;
}

/** A query: members without a value are left out. */
export function query(members: Record<string, string | number | boolean | undefined>): string {
  const given = Object.entries(members).filter(([, value]) => value !== undefined && value !== '' && value !== false);
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** The page of a function, of an application if one is named. */
export function functionPage(name: string, app?: string, tab?: string): string {
  const page = path`/functions/${name}` + (tab === undefined ? '' : path`/${tab}`);
  return inApp(app, page);
}
