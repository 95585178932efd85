/** What the console says: errors, toasts, empty places, badges, work under way. */
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ApiError } from '../api';
import { href } from '../base';
import { Store, useStore } from '../store';
import type { RunStatus } from '../types';
import { Button } from './controls';
import { Icon } from './icons';

/** An error where it happened, with its code and a link to what the code means. */
export function Problem(
  { error, onRetry }: { readonly error: ApiError | undefined; readonly onRetry?: () => void },
): JSX.Element | null {
  if (error === undefined) return null;
  const { output, stack } = error.problem ?? {};
  const known = error.status !== 0 && !error.code.startsWith('http_');
  return (
    <div class="problem" role="alert">
      <Icon name="warn" />
      <div class="problem-body">
        <p>{sentence(error.detail)}</p>
        <p class="problem-facts">
          {known ? <a href={`${href('/errors')}#${error.code}`}>{error.code}</a> : <span>{error.code}</span>}
          {error.status !== 0 && <span>status {error.status}</span>}
          {error.retryAfter !== undefined && <span>try again in {error.retryAfter} s</span>}
          {error.requestId !== undefined && <span class="mono">request {error.requestId}</span>}
        </p>
        {output !== undefined && output !== '' && <pre>{output}</pre>}
        {stack !== undefined && stack !== '' && <pre>{stack}</pre>}
      </div>
      {onRetry !== undefined && <Button small onClick={onRetry}>Try again</Button>}
    </div>
  );
}

/** The node's errors are fragments in lower case. */
function sentence(text: string): string {
  // A name or a place in a file stays as it is.
  const whole = /^[a-z]+[\s,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** A place with nothing in it, and what to do next. */
export function Empty(
  props: { readonly title: string; readonly action?: ComponentChildren; readonly children?: ComponentChildren },
): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.children !== undefined && <div class="empty-text">{props.children}</div>}
      {props.action !== undefined && <div class="empty-action">{props.action}</div>}
    </div>
  );
}

export function Loading({ what = 'Loading' }: { readonly what?: string }): JSX.Element {
  return <p class="loading" role="status"><span class="spinner" aria-hidden="true" />{what}…</p>;
}

/** What was fetched: while it is not there, that it is loading or why it failed. An error stands above older data. */
export function Await<T>(
  { of, children }: {
    readonly of: {
      readonly data: T | undefined;
      readonly error: ApiError | undefined;
      readonly loading: boolean;
      readonly reload: () => void;
    };
    readonly children: (data: T) => ComponentChildren;
  },
): JSX.Element {
  return (
    <>
      <Problem error={of.error} onRetry={of.reload} />
      {of.data !== undefined ? children(of.data) : of.loading && <Loading />}
    </>
  );
}

export type Tone = 'good' | 'bad' | 'warn' | 'info' | 'off';

const RUN_TONES: Record<RunStatus, Tone> = {
  completed: 'good',
  failed: 'bad',
  rejected: 'warn',
  refused: 'warn',
  unavailable: 'warn',
  internal: 'bad',
  abandoned: 'off',
};

const TONES: Record<string, Tone> = {
  ...RUN_TONES,
  done: 'good', ready: 'good', up: 'good', delivered: 'good', reachable: 'good', idle: 'off', current: 'info',
  running: 'info', busy: 'info', preparing: 'info', starting: 'info', pending: 'info', queued: 'off', stopped: 'off',
  cancelled: 'off', expired: 'warn', unheard: 'off', unable: 'off', unreachable: 'bad', draining: 'warn', left: 'warn',
};

/** The tone of a status word of the API. */
export function toneOf(status: string): Tone {
  return TONES[status] ?? 'off';
}

/** A status by word and colour. With `status` alone its word is the text. */
export function Badge(
  props: {
    readonly status?: string;
    readonly tone?: Tone;
    readonly title?: string;
    readonly children?: ComponentChildren;
  },
): JSX.Element {
  const tone = props.tone ?? toneOf(props.status ?? '');
  return <span class={`badge ${tone}`} title={props.title}>{props.children ?? props.status}</span>;
}

// === toasts ===

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly tone: Tone;
}

const TOAST_MS = 6000;
const toasts = new Store<readonly Toast[]>([]);
let lastToast = 0;

/** Says that something is done. Errors belong where they happened: see `Problem`. */
export function toast(text: string, tone: Tone = 'good'): void {
  lastToast += 1;
  const id = lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, text, tone }];
  setTimeout(() => dismiss(id), TOAST_MS);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

export function Toasts(): JSX.Element {
  const shown = useStore(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.map(({ id, text, tone }) => (
        <div key={id} class={`toast ${tone}`}>
          <span>{text}</span>
          <Button look="quiet" small icon="close" label="Dismiss" onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}

// === text to copy ===

/** A button that copies a text. */
export function CopyButton({ text, label = 'Copy' }: { readonly text: string; readonly label?: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <Button look="quiet" small icon={copied ? 'check' : 'copy'} label={copied ? 'Copied' : label} onClick={copy} />
  );
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages without TLS have no clipboard; the older way needs a selection.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'offscreen';
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}

/** Text of programs, with a button that copies it. */
export function CodeBlock(
  { text, label, wrap = false }: { readonly text: string; readonly label?: string; readonly wrap?: boolean },
): JSX.Element {
  return (
    <figure class="code-block">
      {label !== undefined && <figcaption>{label}</figcaption>}
      <CopyButton text={text} />
      <pre class={wrap ? 'wrap' : undefined} tabIndex={0} aria-label={label}>{text}</pre>
    </figure>
  );
}
