/** One stream of the node's events for the whole console, open only while a visible page needs it. */
import { useEffect, useRef } from 'preact/hooks';
import { apiUrl, inApp, query } from './base';
import type { EventData, EventKind } from './types';

/** Events that a subscriber wants. */
export interface EventFilter {
  readonly kinds: readonly EventKind[];
  /** Only those of this function… */
  readonly function?: string;
  /** …or application. With a function and no application: of the function outside of applications. */
  readonly app?: string;
  /** Operators: the functions of everybody. */
  readonly all?: boolean;
}

export type EventListener = <Kind extends EventKind>(kind: Kind, data: EventData[Kind]) => void;

interface Subscription {
  readonly filter: EventFilter;
  readonly event: EventListener;
  /** Events may have been missed: what the page shows should be read anew. */
  readonly gap: () => void;
  /** A stream was open for it before. */
  served: boolean;
}

const CHANGE_MS = 50;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 30_000;

const subscriptions = new Set<Subscription>();
let source: EventSource | undefined;
let sourceUrl = '';
let retry = RETRY_MIN_MS;
let timer: number | undefined;

/** Subscribes until the returned function is called. */
export function subscribe(filter: EventFilter, event: EventListener, gap: () => void = () => {}): () => void {
  const subscription = { filter, event, gap, served: false };
  subscriptions.add(subscription);
  later(CHANGE_MS);
  return () => {
    subscriptions.delete(subscription);
    later(CHANGE_MS);
  };
}

/** Subscribes while the component is there; `listen` may change without a new stream. */
export function useEvents(filter: EventFilter | null, listen: EventListener, onGap?: () => void): void {
  const latest = useRef({ listen, onGap });
  latest.current = { listen, onGap };
  const key = JSON.stringify(filter);
  useEffect(() => {
    if (filter === null) return undefined;
    return subscribe(filter, (kind, data) => latest.current.listen(kind, data), () => latest.current.onGap?.());
  }, [key]);
}

/** The value that all subscriptions share, if they do. */
function common(member: 'function' | 'app'): string | undefined {
  const values = new Set([...subscriptions].map(({ filter }) => filter[member]));
  return values.size === 1 ? [...values][0] : undefined;
}

function wantedUrl(): string {
  if (subscriptions.size === 0 || document.hidden) return '';
  const kinds = new Set([...subscriptions].flatMap(({ filter }) => filter.kinds));
  // Every stream begins with `hello`, and tells what was missed.
  const chosen = [...kinds].filter((kind) => kind !== 'hello' && kind !== 'missed').sort().join();
  const all = [...subscriptions].every(({ filter }) => filter.all === true);
  return apiUrl(inApp(common('app'), '/events') + query({ kinds: chosen, function: common('function'), all })).href;
}

function later(delay: number): void {
  clearTimeout(timer);
  timer = window.setTimeout(change, delay);
}

/** Opens, changes or closes the stream, as the subscriptions want it. */
function change(): void {
  const url = wantedUrl();
  if (url === sourceUrl && source !== undefined && source.readyState !== EventSource.CLOSED) return;
  source?.close();
  source = undefined;
  sourceUrl = url;
  if (url !== '') open(url);
}

function open(url: string): void {
  const stream = new EventSource(url);
  source = stream;
  let resumed = false;
  stream.onopen = () => {
    retry = RETRY_MIN_MS;
    // The browser resumes its own stream; a new one does not go on where the one before it ended.
    for (const subscription of [...subscriptions]) {
      if (subscription.served && !resumed) subscription.gap();
      subscription.served = true;
    }
    resumed = true;
  };
  stream.onerror = () => {
    if (stream !== source || stream.readyState !== EventSource.CLOSED) return;
    later(retry);
    retry = Math.min(retry * 2, RETRY_MAX_MS);
  };
  const kinds = new Set<EventKind>([...subscriptions].flatMap(({ filter }) => filter.kinds));
  for (const kind of kinds) {
    stream.addEventListener(kind, (event) => deliver(kind, JSON.parse((event as MessageEvent<string>).data)));
  }
  stream.addEventListener('missed', tellGap);
}

function tellGap(): void {
  for (const { gap } of [...subscriptions]) gap();
}

function deliver<Kind extends EventKind>(kind: Kind, data: EventData[Kind]): void {
  for (const { filter, event } of [...subscriptions]) if (fits(filter, kind, data)) event(kind, data);
}

function fits(filter: EventFilter, kind: EventKind, data: object): boolean {
  if (!filter.kinds.includes(kind)) return false;
  if (!('function' in data)) return true;
  const app = 'app' in data ? data.app : undefined;
  if (filter.function !== undefined) return data.function === filter.function && app === filter.app;
  return filter.app === undefined || app === filter.app;
}

document.addEventListener('visibilitychange', () => later(CHANGE_MS));
addEventListener('pagehide', () => source?.close());
addEventListener('pageshow', () => later(CHANGE_MS));
