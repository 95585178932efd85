/**
 * The part of Markdown that the documents use, as elements: headings, paragraphs, lists, tables, code, links. A table's
 * rows have anchors, one for each code in their first cell.
 */
import type { ComponentChildren, JSX } from 'preact';
import { Fragment } from 'preact';
import { Table } from '../ui';

export type Block =
  | { readonly kind: 'heading'; readonly level: number; readonly text: string }
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'table'; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };

/** The blocks of a text. */
export function parse(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? '';
    const end = lines.findIndex((other, index) => index > at && !continues(line, other));
    const next = end === -1 ? lines.length : end;
    const block = blockOf(lines.slice(at, next));
    if (block !== undefined) blocks.push(block);
    // The fence that ends code is part of it.
    at = line.startsWith('```') ? next + 1 : next;
  }
  return blocks;
}

/** Whether a line belongs to the block that begins with `first`. */
function continues(first: string, line: string): boolean {
  if (first.startsWith('```')) return !line.startsWith('```');
  if (first === '' || first.startsWith('#')) return false;
  if (first.startsWith('|')) return line.startsWith('|');
  if (first.startsWith('- ')) return line.startsWith('- ') || line.startsWith('  ');
  return line !== '' && !/^(#|\||- |```)/.test(line);
}

function blockOf(lines: readonly string[]): Block | undefined {
  const [first = ''] = lines;
  const heading = /^(#+) (.*)$/.exec(first);
  if (first === '') return undefined;
  if (heading !== null) return { kind: 'heading', level: heading[1]?.length ?? 1, text: heading[2] ?? '' };
  if (first.startsWith('```')) return { kind: 'code', text: lines.slice(1).join('\n') };
  if (first.startsWith('|')) {
    const [head = [], , ...rows] = lines.map(cells);
    return { kind: 'table', head, rows };
  }
  if (first.startsWith('- ')) {
    return { kind: 'list', items: lines.join('\n').slice(2).split('\n- ').map((item) => item.replace(/\n */g, ' ')) };
  }
  return { kind: 'paragraph', text: lines.join(' ') };
}

/** The cells of a line; `\|` is no border. */
function cells(line: string): string[] {
  return line.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/).map((cell) => cell.replaceAll('\\|', '|').trim());
}

/** Emphasis, code and links within a text. Links to other documents, which the console does not have, are text. */
export function Inline({ text }: { readonly text: string }): JSX.Element {
  const pieces = text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/);
  return <>{pieces.map((piece, index) => <Fragment key={index}>{inline(piece)}</Fragment>)}</>;
}

function inline(piece: string): ComponentChildren {
  if (piece.startsWith('`')) return <code>{piece.slice(1, -1)}</code>;
  if (piece.startsWith('**')) return <strong>{piece.slice(2, -2)}</strong>;
  const link = /^\[(.+)\]\((.+)\)$/.exec(piece);
  if (link === null) return piece;
  const [, text = '', target = ''] = link;
  if (target.startsWith('#')) return <a href={target}>{text}</a>;
  if (/^https?:/.test(target)) return <a href={target} target="_blank" rel="noopener noreferrer">{text}</a>;
  return <cite title={`docs/${target.replace(/#.*/, '')}, in the node's documentation`}>{text}</cite>;
}

/** The anchor of a heading. */
export function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^a-z0-9 _-]/g, '').replaceAll(' ', '-');
}

/** The codes in a row's first cell. */
export function codesOf(row: readonly string[]): string[] {
  return [...(row[0] ?? '').matchAll(/`([a-z0-9_]+)`/g)].map((found) => found[1] ?? '');
}

/** A text as elements. `aim` is the anchor that the page is about; rows of tables with that code stand out. */
export function Markdown({ blocks, aim }: { readonly blocks: readonly Block[]; readonly aim?: string }): JSX.Element {
  const seen = new Set<string>();
  let heading = '';
  return (
    <div class="prose">
      {blocks.map((block, index) => {
        if (block.kind === 'heading') heading = block.text;
        return <Fragment key={index}>{element(block, heading, seen, aim)}</Fragment>;
      })}
    </div>
  );
}

function element(block: Block, heading: string, seen: Set<string>, aim: string | undefined): ComponentChildren {
  switch (block.kind) {
    case 'heading':
      return block.level <= 2
        ? <h2 id={anchorOf(block.text)} tabIndex={-1}><Inline text={block.text} /></h2>
        : <h3 id={anchorOf(block.text)} tabIndex={-1}><Inline text={block.text} /></h3>;
    case 'paragraph': return <p><Inline text={block.text} /></p>;
    case 'code': return <pre tabIndex={0}>{block.text}</pre>;
    case 'list': return <ul>{block.items.map((item) => <li key={item}><Inline text={item} /></li>)}</ul>;
    case 'table': return <Grid block={block} heading={heading} seen={seen} aim={aim} />;
  }
}

function Grid(
  { block, heading, seen, aim }: {
    readonly block: Extract<Block, { kind: 'table' }>;
    readonly heading: string;
    readonly seen: Set<string>;
    readonly aim: string | undefined;
  },
): JSX.Element {
  return (
    <Table
      caption={heading}
      rows={block.rows.map((row) => ({ row, ids: anchors(row, seen) }))}
      rowKey={({ row }) => row.join('|')}
      columns={block.head.map((label, column) => ({
        key: String(column),
        label: label.replaceAll('`', '').replace(/^[a-z]/, (first) => first.toUpperCase()),
        bare: column === 0,
        cell: ({ row, ids }) => (column === 0
          ? <Named ids={ids} aimed={codesOf(row).some((code) => code === aim)}><Inline text={row[0] ?? ''} /></Named>
          : row[column] !== '' && <span><Inline text={row[column] ?? ''} /></span>),
      }))}
    />
  );
}

/** An id is of the first row that has the code. */
function anchors(row: readonly string[], seen: Set<string>): string[] {
  const fresh = codesOf(row).filter((code) => !seen.has(code));
  for (const code of fresh) seen.add(code);
  return fresh;
}

function Named(
  { ids, aimed, children }: {
    readonly ids: readonly string[];
    readonly aimed: boolean;
    readonly children: ComponentChildren;
  },
): JSX.Element {
  return (
    <span class={aimed ? 'anchored aimed' : 'anchored'}>
      {ids.map((id) => <span key={id} id={id} tabIndex={-1} />)}
      {children}
    </span>
  );
}
