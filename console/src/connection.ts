/** Whether the node answers, and notices about it that every page shows. */
import { apiUrl } from './base';
import { Store, useStore } from './store';
import { useEffect } from 'preact/hooks';

const RETRY_MS = 3000;

/** Whether the node answered the last request. */
export const reachable = new Store(true);

/** A notice above every page. */
export interface Notice {
  readonly tone: 'warn' | 'bad' | 'info';
  readonly text: string;
  /** A page of the console that says more. */
  readonly to?: string;
}

const notices = new Store<ReadonlyMap<string, Notice>>(new Map());
let timer: number | undefined;

/** Shows a notice under this key in place of an earlier one, or removes it. */
export function setNotice(key: string, notice: Notice | null): void {
  const next = new Map(notices.value);
  if (notice === null) {
    if (!next.delete(key)) return;
  } else {
    const before = next.get(key);
    if (before?.text === notice.text && before.tone === notice.tone) return;
    next.set(key, notice);
  }
  notices.value = next;
}

/** The notices that are shown now. */
export function useNotices(): Notice[] {
  return [...useStore(notices).values()];
}

/** A notice for as long as the component is there. */
export function useNotice(key: string, notice: Notice | null): void {
  useEffect(() => {
    setNotice(key, notice);
    return () => setNotice(key, null);
  }, [key, notice?.text, notice?.tone]);
}

/** The node answered. */
export function answered(): void {
  clearTimeout(timer);
  timer = undefined;
  reachable.value = true;
}

/** The node did not answer: it is asked again until it does. */
export function unanswered(): void {
  reachable.value = false;
  timer ??= window.setTimeout(ask, RETRY_MS);
}

async function ask(): Promise<void> {
  timer = undefined;
  if (document.hidden) return unanswered();
  try {
    // Whatever the status is, somebody answered; but a proxy says 502 to 504 for a node that is away.
    const { status } = await fetch(apiUrl('/healthz'), { cache: 'no-store' });
    if (status >= 502 && status <= 504) unanswered();
    else answered();
  } catch {
    unanswered();
  }
}
