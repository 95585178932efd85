/** What one run has written, and while it runs what it writes. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, lines } from '../api';
import { inApp, path } from '../base';
import { useEvents } from '../events';
import { useRead } from '../hooks';
import type { LogLine } from '../types';
import { Await, CopyButton } from '../ui';
import { formatStart } from './run-table';

const LINES_MAX = 2000;

interface Line {
  readonly time: string;
  readonly text: string;
}

async function readLog(route: string, signal: AbortSignal): Promise<readonly Line[]> {
  const read: Line[] = [];
  try {
    for await (const line of lines<LogLine>('GET', route, { signal })) {
      if (line.Text !== undefined) read.push({ time: line.Time ?? '', text: line.Text.trimEnd() });
    }
  } catch (error) {
    // No node has a line yet, or any more.
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
  return read.slice(-LINES_MAX);
}

export function RunLog(props: {
  readonly id: string;
  readonly app: string | undefined;
  /** The function, once it is known. */
  readonly function: string | undefined;
  readonly running: boolean;
}): JSX.Element {
  const { id, app, running } = props;
  const route = inApp(app, path`/invocations/${id}/logs`);
  // When it has ended, the log is read anew: other nodes may have lines, and none is missing.
  const stored = useRead<readonly Line[]>(`${route} ${running}`, (signal) => readLog(route, signal));
  const [live, setLive] = useState<readonly Line[]>([]);
  const filter = {
    kinds: ['log'] as const,
    ...(props.function === undefined ? {} : { function: props.function }),
    ...(app === undefined ? {} : { app }),
  };
  useEvents(
    running ? filter : null,
    (kind, data) => {
      if (kind !== 'log' || !('text' in data) || data.invocation !== id) return;
      const time = new Date(data.unix_ms).toISOString();
      const more = data.text
        .trimEnd()
        .split('\n')
        .map((text) => ({ time, text }));
      setLive((before) => [...before, ...more].slice(-LINES_MAX));
    },
    stored.reload,
  );
  useEffect(() => {
    if (!running) setLive([]);
  }, [running]);
  return (
    <Await of={stored}>
      {(read) => {
        const last = read.at(-1)?.time ?? '';
        return <Lines lines={[...read, ...live.filter(({ time }) => time > last)]} running={running} />;
      }}
    </Await>
  );
}

/** The time as the other pages show it; the copied text has the whole. */
function clockOf(time: string): string {
  const at = Date.parse(time);
  return Number.isNaN(at) ? time : formatStart(at);
}

function Lines({ lines: all, running }: { readonly lines: readonly Line[]; readonly running: boolean }): JSX.Element {
  const box = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (element !== null && running && follows.current) element.scrollTop = element.scrollHeight;
  }, [all.length]);
  if (all.length === 0) {
    return (
      <p class="muted">
        {running ? 'Nothing written yet; lines appear here as they come.' : 'It wrote nothing that is kept.'}
      </p>
    );
  }
  return (
    <figure class="code-block">
      <CopyButton text={all.map(({ time, text }) => `${time} ${text}`).join('\n')} label="Copy the log" />
      <pre
        ref={box}
        class="wrap log-lines"
        tabIndex={0}
        aria-label="Log"
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          follows.current = scrollTop + clientHeight > scrollHeight - 24;
        }}
      >
        {all.map(({ time, text }, index) => (
          <span key={index} class="log-line">
            <time>{clockOf(time)}</time> {text}
            {'\n'}
          </span>
        ))}
      </pre>
    </figure>
  );
}
