// Modules by their difference to another one.

import type { ModuleFile } from './manifest.js';

// The bases of deltas, by their URL, once for a page.
const bases = new Map<string, Promise<ArrayBuffer>>();

/** The module that a delta gives. The delta itself has no digest: its outcome has. */
export async function fetchOver(
  fetchBytes: (url: string, integrity?: string) => Promise<ArrayBuffer>,
  application: string,
  { delta, bytes, integrity }: ModuleFile,
): Promise<ArrayBuffer> {
  if (delta === undefined) throw new Error('it has none');
  const url = `${application}/${delta.base}`;
  let base = bases.get(url);
  if (base === undefined) {
    base = fetchBytes(url, delta.base_integrity);
    bases.set(url, base);
    base.catch(() => bases.delete(url));
  }
  const [from, changes] = await Promise.all([base, fetchBytes(`${application}/${delta.module}`)]);
  const target = applied(new Uint8Array(from), changes, bytes);
  await checkDigest(target, integrity);
  return target.buffer;
}

/** Fails if bytes have another digest than this. */
export async function checkDigest(bytes: BufferSource, integrity: string): Promise<void> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  if (`sha256-${btoa(String.fromCharCode(...digest))}` !== integrity) throw new Error('it has another digest');
}

// The target of a delta: records of bytes to copy from the base, and of bytes to insert.
function applied(base: Uint8Array, delta: ArrayBuffer, length: number): Uint8Array<ArrayBuffer> {
  const numbers = new DataView(delta);
  const target = new Uint8Array(length);
  let to = 0;
  for (let at = 0; at < delta.byteLength; ) {
    const next = (): number => numbers.getUint32((at += 4) - 4, true);
    const [from, copied, inserted] = [next(), next(), next()];
    target.set(base.subarray(from, from + copied), to);
    target.set(new Uint8Array(delta, at, inserted), to + copied);
    to += copied + inserted;
    at += inserted;
  }
  return target;
}
