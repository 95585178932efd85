// Checks of a manifest: it is believed only with a signature that holds.

import { hasExpired, type Manifest, type SignedManifest } from './manifest.js';
import type { Core } from './shared.js';

// What is signed is this and then the manifest's text, so that a signature of something else is none of a manifest.
const SIGNED_PREFIX = 'serverledge edge manifest 1\n';
const FORMAT = 1;
const ALGORITHM = 'Ed25519';

// Seconds that the clocks of a cluster's nodes may be apart.
const CLOCKS_APART_MAX = 300;

// The latest time of signing that was seen, by the application's URL: an older manifest was replaced.
const latest = new Map<string, number>();

/** The manifest of an application at this URL, if all is right with it. `pinned`: public keys that the page brings. */
export async function believed(
  { CallError }: Core,
  signed: SignedManifest,
  base: string,
  app: string,
  pinned: readonly string[] | undefined,
): Promise<Manifest> {
  const refuse = (why: string): never => {
    throw new CallError('manifest_refused', `the manifest is refused: ${why}`);
  };
  const text = new TextEncoder().encode(SIGNED_PREFIX + signed.manifest);
  const verify = (key: string): Promise<boolean> =>
    verifies(key, signed.signature, text).catch(() => {
      throw new CallError('edge_unsupported', 'this browser lacks Ed25519');
    });
  const holds = await Promise.all((pinned ?? [signed.key]).map(verify));
  if (!holds.includes(true)) refuse('no trusted key has signed it');
  const manifest = JSON.parse(signed.manifest) as Manifest;
  if (manifest.format !== FORMAT) refuse(`it has the format ${manifest.format}, not ${FORMAT}`);
  if (manifest.app !== app) refuse(`it is of the application ${manifest.app}, not of ${app}`);
  if (hasExpired(manifest)) refuse('it has expired, by this machine\'s clock');
  const seen = latest.get(base) ?? 0;
  if (manifest.issued + CLOCKS_APART_MAX < seen) refuse('a newer one was there before');
  latest.set(base, Math.max(seen, manifest.issued));
  return manifest;
}

// Fails in a browser that does not know the algorithm.
async function verifies(key: string, signature: string, text: BufferSource): Promise<boolean> {
  try {
    const imported = await crypto.subtle.importKey('raw', fromBase64Url(key), ALGORITHM, false, ['verify']);
    return await crypto.subtle.verify(ALGORITHM, imported, fromBase64Url(signature), text);
  } catch (error) {
    if ((error as Error).name === 'NotSupportedError') throw error;
    // A key or a signature that is none.
    return false;
  }
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0));
}
