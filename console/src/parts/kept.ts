/** What this browser keeps for one person beyond a page: parameters of calls, sources that were deployed from here. */
import { session } from '../session';

/** `clearDrafts` removes all of it at a log-out. */
const KEPT = 'serverledge.kept.';

interface Entry {
  readonly at: number;
  readonly value: unknown;
}

function keyOf(key: string): string {
  const who = session.value.state === 'in' ? session.value.account.user : '';
  return `${KEPT}${who}.${key}`;
}

/** What was kept under a key; `undefined` if there is none. */
export function kept<T>(key: string): T | undefined {
  try {
    const text = localStorage.getItem(keyOf(key));
    return text === null ? undefined : ((JSON.parse(text) as Entry).value as T);
  } catch {
    return undefined;
  }
}

/** Keeps a value. Where there is no room, the oldest entries of the same kind (up to the first dot) make some. */
export function keep(key: string, value: unknown): void {
  const text = JSON.stringify({ at: Date.now(), value } satisfies Entry);
  for (let tries = 0; tries < 20; tries++) {
    try {
      localStorage.setItem(keyOf(key), text);
      return;
    } catch {
      if (!dropOldest(key.split('.')[0] ?? key)) return;
    }
  }
}


/** Removes the oldest entry of a kind; whether there was one. */
function dropOldest(kind: string): boolean {
  try {
    const ages = entries(kind).sort(([, a], [, b]) => a - b);
    const [oldest] = ages;
    if (oldest !== undefined) localStorage.removeItem(oldest[0]);
    return oldest !== undefined;
  } catch {
    return false;
  }
}

/** Keeps the newest entries of a kind and removes the others. */
export function keepNewest(kind: string, count: number): void {
  try {
    const old = entries(kind).sort(([, a], [, b]) => b - a).slice(count);
    for (const [key] of old) localStorage.removeItem(key);
  } catch {
    // Nothing is kept here.
  }
}

function entries(kind: string): [key: string, at: number][] {
  const prefix = `${keyOf(kind)}.`;
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(prefix))
    .map((key) => [key, timeOf(localStorage.getItem(key))]);
}

function timeOf(text: string | null): number {
  try {
    return (JSON.parse(text ?? '') as Entry).at;
  } catch {
    return 0;
  }
}
