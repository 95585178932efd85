/** The log of a function, followed live. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { isAbort, lines, toApiError, type ApiError } from '../../api';
import { inApp, path, query } from '../../base';
import { reachable } from '../../connection';
import { Link } from '../../router';
import type { LogLine } from '../../types';
import { Badge, Button, Checkbox, CopyButton, Empty, Problem, Select } from '../../ui';
import type { FunctionTabProps } from './index';

/** Lines that a page keeps. */
const LINES_MAX = 5000;
/** Lines that come are shown together. */
const GATHER_MS = 100;
const RETRY_MS = 2000;

interface Line extends LogLine {
  readonly key: number;
}

interface Followed {
  readonly lines: readonly Line[];
  readonly state: 'reading' | 'live' | 'away';
  readonly error: ApiError | undefined;
  readonly clear: () => void;
}

let lastKey = 0;

/** The last lines and what comes, while the page is seen. After a gap the last lines are read anew. */
function useFollow(route: string): Followed {
  const [shown, setShown] = useState<readonly Line[]>([]);
  const [state, setState] = useState<Followed['state']>('reading');
  const [error, setError] = useState<ApiError>();
  useEffect(() => {
    let aborter = new AbortController();
    let gathered: Line[] = [];
    let timer: number | undefined;
    let retry: number | undefined;
    let first = true;
    const show = (): void => {
      clearTimeout(timer);
      timer = undefined;
      const more = gathered;
      const anew = first;
      gathered = [];
      first = false;
      setShown((before) => [...(anew ? [] : before), ...more].slice(-LINES_MAX));
    };
    const follow = async (): Promise<void> => {
      const { signal } = aborter;
      first = true;
      try {
        for await (const line of lines<LogLine>('GET', route, { signal })) {
          if (signal.aborted) return;
          setState('live');
          if (line.Text === undefined && line.Skipped === undefined) continue;
          lastKey += 1;
          gathered.push({ ...line, key: lastKey });
          timer ??= window.setTimeout(show, GATHER_MS);
        }
        setError(undefined);
      } catch (fault) {
        if (isAbort(fault) || signal.aborted) return;
        setError(toApiError(fault));
      }
      setState('away');
      if (!signal.aborted) retry = window.setTimeout(start, RETRY_MS);
    };
    const start = (): void => {
      clearTimeout(retry);
      aborter.abort();
      aborter = new AbortController();
      if (document.hidden) return;
      setError(undefined);
      void follow();
      // Without a line there is nothing to wait for: a sign of life comes later.
      setTimeout(() => setState((before) => (before === 'reading' ? 'live' : before)), 500);
    };
    start();
    document.addEventListener('visibilitychange', start);
    const unsubscribe = reachable.subscribe(() => reachable.value && start());
    return () => {
      aborter.abort();
      clearTimeout(timer);
      clearTimeout(retry);
      document.removeEventListener('visibilitychange', start);
      unsubscribe();
    };
  }, [route]);
  return { lines: shown, state, error, clear: () => setShown([]) };
}

export default function LogTab({ name, app }: FunctionTabProps): JSX.Element {
  const [tail, setTail] = useState('500');
  const [sought, setSought] = useState('');
  const [failedOnly, setFailedOnly] = useState(false);
  const [paused, setPaused] = useState<readonly Line[]>();
  const followed = useFollow(inApp(app, path`/functions/${name}/logs`) + query({ tail, follow: true }));
  const all = paused ?? followed.lines;
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = all.filter((line) => {
    if (failedOnly && line.Failed !== true) return false;
    const text = `${line.Text ?? ''} ${line.Invocation ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const last = all.at(-1)?.key ?? 0;
  const held = paused === undefined ? 0 : followed.lines.filter(({ key }) => key > last).length;
  return (
    <div class="stack">
      <div class="row ends" role="search">
        <div class="field grows">
          <label for="log-filter">Filter</label>
          <input
            id="log-filter"
            type="search"
            value={sought}
            autoComplete="off"
            spellcheck={false}
            placeholder="words, or the end of an invocation’s id"
            onInput={(event) => setSought(event.currentTarget.value)}
          />
        </div>
        <Select
          label="Lines before"
          value={tail}
          onChange={setTail}
          options={[
            ['100', 'the last 100'],
            ['500', 'the last 500'],
            ['5000', 'the last 5,000'],
          ]}
        />
      </div>
      <div class="row">
        <State of={followed} paused={paused !== undefined} />
        <Button
          small
          pressed={paused !== undefined}
          onClick={() => setPaused(paused === undefined ? followed.lines : undefined)}
        >
          {paused === undefined ? 'Pause' : 'Go on'}
        </Button>
        {held > 0 && (
          <span class="muted" role="status">
            {held} more lines came
          </span>
        )}
        <Button
          small
          onClick={() => {
            followed.clear();
            if (paused !== undefined) setPaused([]);
          }}
        >
          Clear the view
        </Button>
        <Checkbox label="Failed calls only" checked={failedOnly} onChange={setFailedOnly} />
        {(words.length > 0 || failedOnly) && (
          <span class="muted">
            {shown.length} of {all.length} lines
          </span>
        )}
        <CopyButton label="Copy the lines" text={shown.map(lineText).join('\n')} />
      </div>
      <Problem error={followed.error} />
      {shown.length === 0 ? (
        all.length > 0 ? (
          <Empty title="No line fits the filter" />
        ) : (
          followed.state !== 'reading' && (
            <Empty title="Nothing is in the log of this node">
              What the function prints appears here as it comes. The newest 512 KiB are kept, until the node restarts.
            </Empty>
          )
        )
      ) : (
        <Lines lines={shown} app={app} follows={paused === undefined} name={name} />
      )}
    </div>
  );
}

function lineText({ Time = '', Invocation, Text, Skipped }: LogLine): string {
  if (Skipped !== undefined) return `… ${Skipped} pieces were skipped`;
  return `${Time} ${(Invocation ?? '').slice(-12) || '-'} ${Text ?? ''}`;
}

function State({ of, paused }: { readonly of: Followed; readonly paused: boolean }): JSX.Element {
  if (paused) return <Badge tone="warn">paused</Badge>;
  if (of.state === 'reading') return <Badge tone="off">reading</Badge>;
  return of.state === 'live' ? <Badge tone="good">live</Badge> : <Badge tone="warn">interrupted, trying again</Badge>;
}

function Lines({
  lines: shown,
  app,
  follows,
  name,
}: {
  readonly lines: readonly Line[];
  readonly app: string | undefined;
  readonly follows: boolean;
  readonly name: string;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (element !== null && follows && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [shown, follows]);
  return (
    <div
      ref={box}
      class="log-view"
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label={`Log of ${name}`}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        atEnd.current = scrollTop + clientHeight > scrollHeight - 24;
      }}
    >
      {shown.map((line) => (
        <LineView key={line.key} line={line} app={app} />
      ))}
    </div>
  );
}

function LineView({ line, app }: { readonly line: Line; readonly app: string | undefined }): JSX.Element {
  if (line.Skipped !== undefined) return <p class="muted">{lineText(line)}</p>;
  const { Time = '', Invocation = '', Failed, Text = '' } = line;
  return (
    <p class={Failed === true ? 'failed' : undefined}>
      <time dateTime={Time} title={Time}>
        {Time.slice(11, 23)}
      </time>{' '}
      {Invocation === '' ? (
        <span class="muted">-</span>
      ) : (
        <Link to={inApp(app, path`/runs/${Invocation}`)} title={`Run ${Invocation}`}>
          {Invocation.slice(-12)}
        </Link>
      )}
      {Failed === true && <span class="log-failed"> failed</span>} <span>{Text}</span>
    </p>
  );
}
