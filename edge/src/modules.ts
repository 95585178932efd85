// Modules: fetched by their digest, limited, compiled once for a page.

import { checkDigest, fetchOver } from './delta.js';
import type { EdgeFunction, ModuleFile } from './manifest.js';
import type { Code } from './protocol.js';
import { withMemoryLimit } from './rewrite.js';
import type { Core } from './shared.js';

// A base of so many bytes is fetched for a single module: browsers keep it, and the next version needs only its delta.
const LONG_BYTES = 6 << 20;

/** Fetches and compiles the module of a function: `file`, which is one of the page's `files`. */
export async function fetchModule(core: Core, base: string, wanted: EdgeFunction, file: ModuleFile, files: readonly ModuleFile[]): Promise<Code> {
  const { delta } = file;
  // Else a base is worth fetching if it serves more than one module.
  const isOver = delta && (file.bytes > LONG_BYTES || files.some((one) => one !== file && one.delta?.base === delta.base));
  let bytes: ArrayBuffer | undefined;
  try {
    // Whatever is wrong with the short way, there is the plain one.
    if (isOver) bytes = await fetchOver(fetchBytes, base, file).catch(() => undefined);
    bytes ??= await fetchBytes(`${base}/${file.module}`, file.integrity);
  } catch (error) {
    throw new core.CallError('module_refused', `the module of ${wanted.name} cannot be fetched, or is not the signed one: ${error}`);
  }
  const { bare, image, whole } = withMemoryLimit(core, new Uint8Array(bytes), wanted.limits.memory_bytes);
  try {
    // The image comes about while the browser compiles.
    const compiling = bare && WebAssembly.compile(bare);
    const found = compiling && image();
    if (found) return { module: await compiling, image: found };
    compiling?.catch(() => {});
    return { module: await WebAssembly.compile(whole()), image: undefined };
  } catch (error) {
    throw new core.CallError('edge_unsupported', `the module of ${wanted.name} does not compile here: ${error}`);
  }
}

// Bytes with this digest. The page makes it: with `integrity` in the request, browsers take longer.
async function fetchBytes(url: string, integrity?: string): Promise<ArrayBuffer> {
  const response = await fetch(url, { credentials: 'omit' });
  if (!response.ok) throw new Error(`the node answered ${response.status}`);
  const bytes = await response.arrayBuffer();
  if (integrity !== undefined) await checkDigest(bytes, integrity);
  return bytes;
}
