/** Lines that a function writes while a call of it is under way. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useEvents } from '../events';
import { CodeBlock, Section } from '../ui';

const LINES_MAX = 500;

/** It listens before a call begins, so that the first lines are not missed. */
export function LiveLog({
  name,
  app,
  running,
}: {
  readonly name: string;
  readonly app: string | undefined;
  readonly running: boolean;
}): JSX.Element | null {
  const [lines, setLines] = useState<readonly string[]>([]);
  useEffect(() => setLines([]), [running]);
  const filter = { kinds: ['log'] as const, function: name, ...(app === undefined ? {} : { app }) };
  useEvents(filter, (_, data) => {
    if (!running || !('text' in data)) return;
    setLines((before) => [...before, ...data.text.trimEnd().split('\n')].slice(-LINES_MAX));
  });
  if (!running) return null;
  return (
    <Section title="Running">
      {lines.length === 0 ? (
        <p class="loading" role="status">
          <span class="spinner" aria-hidden="true" />
          What it writes appears here…
        </p>
      ) : (
        <CodeBlock label="Log of this function, as it comes" text={lines.join('\n')} wrap />
      )}
    </Section>
  );
}
