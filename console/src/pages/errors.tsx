/** The text of docs/errors.md, by code. It is part of the console, and needs neither a login nor another host. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import source from '@docs/errors.md?raw';
import { anchorOf, codesOf, Markdown, parse, type Block } from '../parts/markdown';
import { usePlace } from '../router';
import { Button, Empty, Page, TextField } from '../ui';

/** All but the title, which is the page's own. */
const BLOCKS = parse(source).slice(1);

const ANCHORS = new Set(BLOCKS.flatMap((block) => {
  if (block.kind === 'heading') return [anchorOf(block.text)];
  return block.kind === 'table' ? block.rows.flatMap(codesOf) : [];
}));

/** The rows with codes that have this text, below their headings. */
function matching(text: string): readonly Block[] {
  const sought = text.trim().toLowerCase();
  if (sought === '') return BLOCKS;
  const found: Block[] = [];
  let heading: Block | undefined;
  for (const block of BLOCKS) {
    if (block.kind === 'heading') heading = block;
    if (block.kind !== 'table') continue;
    const rows = block.rows.filter((row) => codesOf(row).length > 0 && row.join(' ').toLowerCase().includes(sought));
    if (rows.length === 0) continue;
    if (heading !== undefined) found.push(heading);
    heading = undefined;
    found.push({ ...block, rows });
  }
  return found;
}

export default function Errors(): JSX.Element {
  // Another anchor of this page is another place.
  usePlace();
  const aim = decoded(location.hash.slice(1));
  const [text, setText] = useState('');
  const blocks = useMemo(() => matching(text), [text]);
  useEffect(() => {
    const target = aim === '' ? null : document.getElementById(aim);
    (target?.closest('tr') ?? target)?.scrollIntoView({ block: 'center' });
    target?.focus({ preventScroll: true });
  }, [aim]);
  return (
    <Page title="Errors">
      <div class="narrow" role="search">
        <TextField label="Find a code or a word" type="search" value={text} onChange={setText} />
      </div>
      {aim !== '' && !ANCHORS.has(aim) && (
        <p class="notice info">
          <span><code>{aim}</code> is not in this list. The sentence of the error says what happened.</span>
        </p>
      )}
      {blocks.length === 0
        ? (
          <Empty title="No code has this in its row" action={<Button onClick={() => setText('')}>Show all</Button>}>
            A part of a code, or a word of its explanation, is enough.
          </Empty>
        )
        : <Markdown blocks={blocks} aim={aim} />}
    </Page>
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
