/** Work of the node that tells its steps: deploys, changes, test runs. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from '../api';
import { useAction } from '../hooks';
import { Icon, Problem, formatDuration } from '../ui';

export interface Step {
  readonly text: string;
  /** Milliseconds since the work began. */
  readonly at: number;
}

export interface Progress<Args extends unknown[]> {
  readonly run: (...args: Args) => Promise<boolean>;
  readonly busy: boolean;
  readonly error: ApiError | undefined;
  readonly steps: readonly Step[];
  /** Milliseconds that it took; absent while it is under way. */
  readonly took: number | undefined;
  readonly clear: () => void;
}

const STEPS_MAX = 200;

/** Like `useAction` for work that tells its steps. Leaving the page meanwhile would end it: the browser asks. */
export function useProgress<Args extends unknown[]>(
  work: (onStep: (text: string) => void, ...args: Args) => Promise<unknown>,
): Progress<Args> {
  const [steps, setSteps] = useState<readonly Step[]>([]);
  const [took, setTook] = useState<number>();
  const begun = useRef(0);
  const action = useAction(async (...args: Args) => {
    begun.current = performance.now();
    const since = (): number => performance.now() - begun.current;
    setSteps([]);
    setTook(undefined);
    try {
      await work((text) => setSteps((before) => [...before.slice(1 - STEPS_MAX), { text, at: since() }]), ...args);
    } finally {
      setTook(since());
    }
  });
  useEffect(() => {
    if (!action.busy) return undefined;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [action.busy]);
  const clear = (): void => {
    action.clear();
    setSteps([]);
    setTook(undefined);
  };
  return { run: action.run, busy: action.busy, error: action.error, steps, took, clear };
}

/** The steps of such work, and its error. Nothing before it begins. */
export function ProgressView(
  { of, done = 'Done' }: { readonly of: Progress<never[]>; readonly done?: string },
): JSX.Element | null {
  const { steps, busy, error, took } = of;
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    if (list.current !== null) list.current.scrollTop = list.current.scrollHeight;
  }, [steps]);
  if (!busy && took === undefined) return null;
  const failed = error !== undefined;
  return (
    <div class="progress" aria-live="polite">
      {(busy || steps.length > 0) && (
        <ol class="steps" ref={list} tabIndex={steps.length > 6 ? 0 : undefined} aria-label="Steps">
          {steps.map(({ text, at }, index) => (
            <li key={`${at}-${index}`} class={failed && index === steps.length - 1 ? 'failed' : undefined}>
              {busy && index === steps.length - 1
                ? <span class="spinner" aria-hidden="true" />
                : <Icon name={failed && index === steps.length - 1 ? 'warn' : 'check'} />}
              <span>{text}</span>
              <span class="muted figure">{formatDuration(at * 1000)}</span>
            </li>
          ))}
          {busy && steps.length === 0 && <li><span class="spinner" aria-hidden="true" /><span>sending</span></li>}
        </ol>
      )}
      {!busy && error === undefined && took !== undefined && (
        <p class="steps-end"><Icon name="check" />{done} <span class="muted">in {formatDuration(took * 1000)}</span></p>
      )}
      <Problem error={error} />
    </div>
  );
}
