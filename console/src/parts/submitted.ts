/**
 * Asynchronous invocations that were submitted in this tab. The node lists those that ran; one that waits is known by
 * its id alone.
 */
import { Store } from '../store';

export interface Submitted {
  readonly id: string;
  readonly function: string;
  readonly app?: string;
  readonly unix_ms: number;
}

const KEY = 'serverledge.submitted';
const MAX = 50;

/** The newest first. */
export const submitted = new Store<readonly Submitted[]>(stored());

function stored(): readonly Submitted[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as Submitted[];
  } catch {
    return [];
  }
}

function keep(list: readonly Submitted[]): void {
  submitted.value = list;
  try {
    sessionStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    // Known until the tab is closed or loaded anew.
  }
}

/** Call it with each id that the node has accepted. */
export function rememberSubmitted(id: string, name: string, app?: string): void {
  const one = { id, function: name, ...(app === undefined ? {} : { app }), unix_ms: Date.now() };
  keep([one, ...submitted.value.filter((other) => other.id !== id)].slice(0, MAX));
}

export function forgetSubmitted(): void {
  keep([]);
}
