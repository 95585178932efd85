/** Names of nodes. A node that was given none has an id, which is too long for a table. */
import type { JSX } from 'preact';
import { shortId } from '../ui';

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** `ROME/edge-1`, `ROME/3edf506b935c`. */
export function shortNode(name: string): string {
  return name.replace(ID, shortId);
}

export function NodeName({ of }: { readonly of: string }): JSX.Element {
  return <span title={of}>{shortNode(of)}</span>;
}
