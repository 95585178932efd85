/** The console's start: who is there, which page, and what to show when a page fails. */
import './trusted';
import { Component, render, type ComponentChildren, type ComponentType, type JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { toApiError, type ApiError } from './api';
import { query as queryOf } from './base';
import { reachable } from './connection';
import { match, navigate, place, usePlace, type PageProps, type Place, type Route } from './router';
import { routes } from './routes';
import { askSession, session } from './session';
import { Shell } from './shell';
import { useStore } from './store';
import { Button, ButtonLink, Empty, Loading, Page, Problem } from './ui';

interface Found {
  readonly route: Route;
  readonly params: Record<string, string>;
}

function find(path: string): Found | undefined {
  for (const route of routes) {
    const params = match(route.pattern, path);
    if (params !== undefined) return { route, params };
  }
  return undefined;
}

function App(): JSX.Element {
  const here = usePlace();
  const who = useStore(session);
  const [error, setError] = useState<ApiError>();
  useEffect(() => {
    const ask = (): void => {
      askSession().then(() => setError(undefined), (fault: unknown) => setError(toApiError(fault)));
    };
    ask();
    return reachable.subscribe(() => reachable.value && session.value.state === 'asking' && ask());
  }, []);
  const found = find(here.path);
  // Its file comes while the session is asked.
  useEffect(() => void found?.route.load().catch(() => undefined), [found?.route]);
  const barred = who.state === 'out' && found?.route.anonymous !== true;
  useEffect(() => {
    // Whoever logs out has left the page already, and does not come back to it.
    const now = place.value;
    if (!barred || find(now.path)?.route.anonymous === true) return;
    const next = now.path === '/' ? undefined : now.path + queryOf(Object.fromEntries(now.query));
    navigate(`/log-in${queryOf({ next })}`, { replace: true });
  }, [barred, here.path]);
  const waits = who.state === 'asking' && found?.route.anonymous !== true;
  return (
    <Shell section={found?.route.section}>
      {waits || barred
        ? error === undefined ? <Loading /> : <Problem error={error} onRetry={() => location.reload()} />
        : found === undefined ? <Unknown /> : <Shown found={found} here={here} />}
    </Shell>
  );
}

const loaded = new Map<Route['load'], ComponentType<PageProps>>();

/** The page of a route, once its file is there. */
function Shown({ found, here }: { readonly found: Found; readonly here: Place }): JSX.Element {
  const { load } = found.route;
  const [, setCount] = useState(0);
  const [failed, setFailed] = useState<Route['load']>();
  useEffect(() => {
    if (loaded.has(load)) return;
    load().then(
      (file) => {
        loaded.set(load, file.default);
        setCount((count) => count + 1);
      },
      () => setFailed(() => load),
    );
  }, [load]);
  const Loaded = loaded.get(load);
  if (failed === load) {
    // The files of an older console are gone after an upgrade.
    return (
      <Empty
        title="This page could not be loaded"
        action={<Button look="primary" onClick={() => location.reload()}>Load the console anew</Button>}
      >
        The node may be away, or another version since the console was opened. What you typed is kept.
      </Empty>
    );
  }
  if (Loaded === undefined) return <Loading />;
  // Another function is another page; another tab of it is not.
  const { tab: _, ...identity } = found.params;
  return (
    <Guard key={load.toString() + JSON.stringify(identity)}>
      <Loaded params={found.params} query={here.query} />
    </Guard>
  );
}

/** Shows the error of a page that fails while it is drawn. */
class Guard extends Component<{ children: ComponentChildren }, { error?: ApiError }> {
  override state: { error?: ApiError } = {};

  static override getDerivedStateFromError(error: unknown): { error: ApiError } {
    return { error: toApiError(error) };
  }

  override render(): ComponentChildren {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return <Page title="This page failed"><Problem error={error} onRetry={() => location.reload()} /></Page>;
  }
}

function Unknown(): JSX.Element {
  return (
    <Page title="No such page">
      <Empty title="The console has no page at this address" action={<ButtonLink to="/">To the functions</ButtonLink>}>
        The link may be of another version.
      </Empty>
    </Page>
  );
}

const root = document.getElementById('console');
if (root !== null) render(<App />, root);
