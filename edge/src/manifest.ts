// The manifest of an application: fetched, and believed only with a signature that holds.

import { CallError, problemOf } from './shared.js';

/** The limits of one call. */
export interface Limits {
  readonly memory_bytes: number;
  readonly timeout_ms: number;
  readonly params_bytes: number;
  readonly output_bytes: number;
  readonly log_bytes: number;
}

/** A function that may run here. */
export interface EdgeFunction {
  readonly name: string;
  readonly version: string;
  readonly kind: 'command' | 'reactor' | 'snapshot';
  readonly idempotent: boolean;
  readonly integrity: string;
  readonly bytes: number;
  readonly module: string;
  readonly handler: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
}

/** The functions of an application that may run here, for as long as the manifest holds. */
export interface Manifest {
  readonly format: number;
  readonly app: string;
  readonly expires: number;
  readonly functions: readonly EdgeFunction[];
}

interface SignedManifest {
  readonly manifest: string;
  readonly key_id: string;
  readonly signature: string;
}

interface KeyList {
  readonly keys: readonly { readonly kid: string; readonly x: string }[];
}

// What is signed is this and then the manifest's text, so that a signature of something else is none of a manifest.
const SIGNED_PREFIX = 'serverledge edge manifest 1\n';
const FORMAT = 1;

/** Fetches the manifest of the application at this URL. `pinned`: public keys that the page brings with it. */
export async function fetchManifest(base: string, app: string, pinned: readonly string[] | undefined): Promise<Manifest> {
  if (!globalThis.crypto?.subtle) throw new CallError('edge_unsupported', 'signatures can be checked only on pages from https or localhost');
  const signed = (await fetchJson(`${base}/edge/manifest`)) as SignedManifest;
  const keys = pinned ?? (await keysOf(base, signed.key_id));
  const text = new TextEncoder().encode(SIGNED_PREFIX + signed.manifest);
  const holds = await Promise.all(keys.map((key) => verifies(key, signed.signature, text)));
  if (!holds.includes(true)) refuse('its signature is not one of the keys that are trusted');
  const manifest = JSON.parse(signed.manifest) as Manifest;
  if (manifest.format !== FORMAT) refuse(`it has the format ${manifest.format}, not ${FORMAT}`);
  if (manifest.app !== app) refuse(`it is of the application ${manifest.app}, not of ${app}`);
  if (hasExpired(manifest)) refuse('it has expired, or this machine\'s clock is wrong');
  return manifest;
}

/** Whether a manifest holds no more. */
export function hasExpired(manifest: Manifest): boolean {
  return !(manifest.expires * 1000 > Date.now());
}

async function keysOf(base: string, id: string): Promise<string[]> {
  const { keys } = (await fetchJson(`${base}/edge/keys`)) as KeyList;
  return keys.filter((key) => key.kid === id).map((key) => key.x);
}

async function verifies(key: string, signature: string, text: BufferSource): Promise<boolean> {
  try {
    const algorithm = { name: 'Ed25519' };
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: key };
    const imported = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['verify']);
    return await crypto.subtle.verify(algorithm, imported, fromBase64Url(signature), text);
  } catch {
    // A key or a signature that is none.
    return false;
  }
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0));
}

async function fetchJson(url: string): Promise<unknown> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { credentials: 'omit', cache: 'no-cache' });
    body = await response.text();
  } catch (error) {
    throw new CallError('node_unreachable', `${url} cannot be fetched: ${String(error)}`);
  }
  if (!response.ok) throw problemOf(response.status, body);
  try {
    return JSON.parse(body);
  } catch {
    return refuse('it is not JSON');
  }
}

function refuse(why: string): never {
  throw new CallError('manifest_refused', `the manifest is refused: ${why}`);
}
