/** Reading from the node and changing it, as components need it. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get, isAbort, toApiError } from './api';
import { reachable } from './connection';
import { Store } from './store';

export interface Fetched<T> {
  /** What was read last; stays while it is read anew. */
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  readonly loading: boolean;
  /** Reads anew. */
  readonly reload: () => void;
  /** Puts something in its place, after a change. */
  readonly set: (data: T) => void;
}

/**
 * Reads a route when it changes, every `pollMs` while the page is visible, and when the node is back. `null` reads
 * nothing.
 */
export function useFetch<T>(route: string | null, options: { pollMs?: number } = {}): Fetched<T> {
  return useRead<T>(route, (signal) => get<T>(route ?? '', { signal }), options);
}

/** The same with a function that reads; `key` says when to read anew. */
export function useRead<T>(
  key: string | null,
  read: (signal: AbortSignal) => Promise<T>,
  { pollMs }: { pollMs?: number } = {},
): Fetched<T> {
  const [state, setState] = useState<{ key: string | null; data?: T; error?: ApiError; loading: boolean }>({
    key,
    loading: key !== null,
  });
  const [count, setCount] = useState(0);
  const reload = useCallback(() => setCount((before) => before + 1), []);
  const latest = useRef(read);
  latest.current = read;
  useEffect(() => {
    if (key === null) return undefined;
    const aborter = new AbortController();
    setState((before) => (before.key === key ? { ...before, loading: true } : { key, loading: true }));
    latest.current(aborter.signal).then(
      (data) => !aborter.signal.aborted && setState({ key, data, loading: false }),
      (error: unknown) => {
        if (aborter.signal.aborted || isAbort(error)) return;
        setState((before) => ({ ...before, error: toApiError(error), loading: false }));
      },
    );
    return () => aborter.abort();
  }, [key, count]);
  useEffect(() => {
    if (key === null) return undefined;
    const tick = (): void => {
      if (!document.hidden) reload();
    };
    const timer = pollMs === undefined ? undefined : setInterval(tick, pollMs);
    const unsubscribe = reachable.subscribe(() => reachable.value && reload());
    return () => {
      clearInterval(timer);
      unsubscribe();
    };
  }, [key, pollMs, reload]);
  const set = useCallback((data: T) => setState({ key, data, loading: false }), [key]);
  const fits = state.key === key;
  return {
    data: fits ? state.data : undefined,
    error: fits ? state.error : undefined,
    loading: fits ? state.loading : key !== null,
    reload,
    set,
  };
}

export interface Action<Args extends unknown[]> {
  /** Does it; resolves to whether it worked. */
  readonly run: (...args: Args) => Promise<boolean>;
  readonly busy: boolean;
  readonly error: ApiError | undefined;
  readonly clear: () => void;
}

/** Something that a button does: one at a time, with its error. */
export function useAction<Args extends unknown[]>(work: (...args: Args) => Promise<unknown>): Action<Args> {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const running = useRef(false);
  const latest = useRef(work);
  latest.current = work;
  const run = useCallback(async (...args: Args) => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await latest.current(...args);
      return true;
    } catch (fault) {
      if (!isAbort(fault)) setError(toApiError(fault));
      return false;
    } finally {
      running.current = false;
      setBusy(false);
    }
  }, []);
  return { run, busy, error, clear: useCallback(() => setError(undefined), []) };
}

const DRAFTS = 'serverledge.draft.';

/**
 * What somebody types, kept for this tab until `clear`: no page loses text. `dirty`: it differs from `initial`. Never
 * for secrets and passwords.
 */
export function useDraft<T>(
  key: string,
  initial: T,
): { value: T; set: (value: T) => void; clear: () => void; dirty: boolean } {
  const [state, setState] = useState<{ key: string; value: T | undefined }>(() => ({ key, value: stored<T>(key) }));
  const kept = state.key === key ? state.value : stored<T>(key);
  const set = useCallback((value: T) => {
    setState({ key, value });
    try {
      sessionStorage.setItem(DRAFTS + key, JSON.stringify(value));
    } catch {
      // Full, or forbidden: the text is still on the page.
    }
  }, [key]);
  const clear = useCallback(() => {
    setState({ key, value: undefined });
    sessionStorage.removeItem(DRAFTS + key);
  }, [key]);
  const dirty = kept !== undefined && JSON.stringify(kept) !== JSON.stringify(initial);
  return { value: kept ?? initial, set, clear, dirty };
}

function stored<T>(key: string): T | undefined {
  try {
    const text = sessionStorage.getItem(DRAFTS + key);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

/** Removes all drafts, and what else this browser keeps of somebody (`parts/kept.ts`), when they log out. */
export function clearDrafts(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(DRAFTS)) sessionStorage.removeItem(key);
  for (const key of Object.keys(localStorage)) if (key.startsWith('serverledge.kept.')) localStorage.removeItem(key);
}

// === light and dark ===

export type Theme = 'system' | 'light' | 'dark';
const THEME = 'serverledge.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

export const theme = new Store<Theme>(storedTheme());
/** Whether the page is dark now. */
export const isDark = new Store(false);

function storedTheme(): Theme {
  try {
    const text = localStorage.getItem(THEME);
    return text === 'light' || text === 'dark' ? text : 'system';
  } catch {
    return 'system';
  }
}

function applyTheme(): void {
  const root = document.documentElement;
  if (theme.value === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = theme.value;
  isDark.value = theme.value === 'system' ? dark.matches : theme.value === 'dark';
}

theme.subscribe(() => {
  try {
    if (theme.value === 'system') localStorage.removeItem(THEME);
    else localStorage.setItem(THEME, theme.value);
  } catch {
    // The choice holds for this page.
  }
  applyTheme();
});
dark.addEventListener('change', applyTheme);
applyTheme();
