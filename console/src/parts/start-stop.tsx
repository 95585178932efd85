/**
 * Starting and stopping applications. A start goes on while the console shows other pages, since leaving its answer
 * would end it; so its steps are kept here and not by a page.
 */
import type { JSX } from 'preact';
import { isAbort, post, toApiError, withProgress, type ApiError } from '../api';
import { path } from '../base';
import { Store, useStore } from '../store';
import type { RunningApplication } from '../types';
import { Button, Problem, toast } from '../ui';
import { ProgressView, type Step } from './progress';

interface Change {
  readonly doing: 'start' | 'stop';
  readonly steps: readonly Step[];
  readonly error?: ApiError;
  /** Milliseconds until it failed. */
  readonly took?: number;
  readonly aborter: AbortController;
}

const changes = new Store<ReadonlyMap<string, Change>>(new Map());

function put(app: string, change: Change | undefined): void {
  const next = new Map(changes.value);
  if (change === undefined) next.delete(app);
  else next.set(app, change);
  changes.value = next;
}

/** Starts or stops; resolves when it is done, failed or given up. */
async function change(app: string, doing: Change['doing']): Promise<void> {
  if (busy(changes.value.get(app))) return;
  const aborter = new AbortController();
  const { signal } = aborter;
  const begun = performance.now();
  const since = (): number => performance.now() - begun;
  let state: Change = { doing, steps: [], aborter };
  put(app, state);
  // The browser asks before it leaves, as that would end a start.
  const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
  if (doing === 'start') addEventListener('beforeunload', ask);
  const onStep = (text: string): void => {
    state = { ...state, steps: [...state.steps, { text, at: since() }] };
    put(app, state);
  };
  try {
    if (doing === 'start') {
      await withProgress<RunningApplication>('POST', path`/apps/${app}/start`, { signal, onStep });
    } else {
      await post(path`/apps/${app}/stop`, undefined, { signal });
    }
    put(app, undefined);
    toast(doing === 'start' ? `${app} runs` : `${app} is stopped`);
  } catch (error) {
    put(app, isAbort(error) ? undefined : { ...state, error: toApiError(error), took: since() });
  } finally {
    removeEventListener('beforeunload', ask);
  }
}

function busy(change: Change | undefined): boolean {
  return change !== undefined && change.error === undefined;
}

/** The button that starts what is stopped, or stops what runs. While it starts, another gives that up. */
export function StartStop(
  { app, up, small = false, onChanged }: {
    readonly app: string;
    readonly up: boolean;
    readonly small?: boolean;
    readonly onChanged: () => void;
  },
): JSX.Element {
  const state = useStore(changes).get(app);
  const starts = busy(state) && state?.doing === 'start';
  const doing = busy(state) ? state?.doing : up ? 'stop' : 'start';
  const look = small ? 'normal' : 'primary';
  return (
    <span class="row tight">
      <Button
        small={small}
        look={doing === 'start' ? look : 'normal'}
        icon={doing === 'start' ? 'play' : 'stop'}
        busy={busy(state)}
        title={`${doing === 'start' ? 'Start' : 'Stop'} ${app}`}
        onClick={() => void change(app, up ? 'stop' : 'start').then(onChanged)}
      >
        {starts ? 'Starting' : busy(state) ? 'Stopping' : up ? 'Stop' : 'Start'}
      </Button>
      {starts && <Button small={small} look="quiet" onClick={() => state?.aborter.abort()}>Give up</Button>}
    </span>
  );
}

/** Gives functions the packages and code that changed while the application ran. */
export function StartAgain(
  { app, onChanged }: { readonly app: string; readonly onChanged: () => void },
): JSX.Element {
  const state = useStore(changes).get(app);
  return (
    <Button icon="play" busy={busy(state)} onClick={() => void change(app, 'start').then(onChanged)}>
      {busy(state) ? 'Starting' : 'Start again'}
    </Button>
  );
}

/** The steps of a start under way, and why it failed. `brief`: the last step alone. */
export function StartSteps(
  { app, brief = false }: { readonly app: string; readonly brief?: boolean },
): JSX.Element | null {
  const state = useStore(changes).get(app);
  if (state === undefined) return null;
  const { steps, error, took } = state;
  if (!brief && (state.doing === 'start' || error !== undefined)) {
    const clear = (): void => put(app, undefined);
    const of = { steps, error, took, busy: busy(state), run: async () => false, clear };
    return <ProgressView of={of} />;
  }
  return (
    <>
      {error === undefined && <p class="muted" role="status">{steps.at(-1)?.text}</p>}
      <Problem error={error} />
    </>
  );
}
