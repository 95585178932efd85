// The manifest of an application, as it is fetched. `trust.ts` has what is checked then.

import { CallError, problemOf } from './shared.js';

/** The limits of one call. */
export interface Limits {
  readonly memory_bytes: number;
  readonly timeout_ms: number;
  readonly params_bytes: number;
  readonly output_bytes: number;
  readonly log_bytes: number;
}

/** The way to a module over another one, the base, that several modules share. */
export interface Delta {
  readonly base: string;
  readonly base_integrity: string;
  readonly module: string;
  readonly bytes: number;
}

/** A module that can be fetched. */
export interface ModuleFile {
  readonly integrity: string;
  readonly bytes: number;
  readonly module: string;
  readonly delta?: Delta;
}

/** A function that may run here. */
export interface EdgeFunction extends ModuleFile {
  readonly name: string;
  readonly version: string;
  readonly kind: 'command' | 'reactor' | 'snapshot' | 'component';
  readonly idempotent: boolean;
  /** Its module with checks of time inside. */
  readonly deadline?: ModuleFile;
  readonly handler: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
}

/** The functions of an application that may run here, for as long as the manifest holds. */
export interface Manifest {
  readonly format: number;
  readonly app: string;
  readonly issued: number;
  readonly expires: number;
  readonly functions: readonly EdgeFunction[];
  /** Those that answer requests. */
  readonly components?: readonly EdgeFunction[];
}

/** A manifest as it comes, which nobody has checked. */
export interface SignedManifest {
  readonly manifest: string;
  readonly key: string;
  readonly signature: string;
}

/** Whether a manifest holds no more. */
export function hasExpired(manifest: Manifest): boolean {
  return !(manifest.expires * 1000 > Date.now());
}

/** The manifest at this URL. Without a connection it is the one that the browser has: it holds for its time. */
export async function fetchSigned(url: string): Promise<SignedManifest> {
  if (!globalThis.crypto?.subtle) throw new CallError('edge_unsupported', 'signatures need a page from https or localhost');
  let response: Response;
  let body: string;
  const get = (cache: RequestCache): Promise<Response> => fetch(url, { credentials: 'omit', cache });
  try {
    response = await get('no-cache').catch(() => get('force-cache'));
    body = await response.text();
  } catch (error) {
    throw new CallError('node_unreachable', `${url} cannot be fetched: ${error}`);
  }
  if (!response.ok) throw problemOf(response.status, body);
  try {
    return Object(JSON.parse(body)) as SignedManifest;
  } catch {
    throw new CallError('manifest_refused', 'the manifest is not JSON');
  }
}
