// Modules: fetched by their digest, limited, compiled once for a page.

import { CallError } from './shared.js';
import type { EdgeFunction } from './manifest.js';

const PAGE_BYTES = 65_536;
const MEMORY_SECTION = 5;
const HEADER_BYTES = 8;
const WITH_MAXIMUM = 1;

/** Fetches and compiles the module of a function. The browser itself refuses bytes of another digest. */
export async function fetchModule(base: string, wanted: EdgeFunction): Promise<WebAssembly.Module> {
  let bytes: ArrayBuffer;
  try {
    const url = new URL(wanted.module, `${base}/`);
    const response = await fetch(url, { integrity: wanted.integrity, credentials: 'omit' });
    if (!response.ok) throw new Error(`the node answered ${response.status}`);
    bytes = await response.arrayBuffer();
  } catch (error) {
    throw new CallError('module_refused', `the module of ${wanted.name} cannot be fetched, or is not the signed one: ${String(error)}`);
  }
  const limited = withMemoryLimit(new Uint8Array(bytes), wanted.limits.memory_bytes);
  try {
    return await WebAssembly.compile(limited);
  } catch (error) {
    throw new CallError('edge_unsupported', `the module of ${wanted.name} does not compile here: ${String(error)}`);
  }
}

/** Whether a function calls others. */
export function callsOthers(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(module).some(({ module: from }) => from === 'serverledge');
}

/** The module with no more memory than this: the maximum in its memory section is lowered. */
export function withMemoryLimit(module: Uint8Array<ArrayBuffer>, bytesMax: number): Uint8Array<ArrayBuffer> {
  const pagesMax = Math.min(Math.floor(bytesMax / PAGE_BYTES), PAGE_BYTES);
  let at = HEADER_BYTES;
  while (at < module.length) {
    const from = at;
    const id = module[at];
    const [length, content] = leb(module, at + 1);
    at = content + length;
    if (id !== MEMORY_SECTION) continue;
    const [count, flagsAt] = leb(module, content);
    const [flags, minimumAt] = leb(module, flagsAt);
    if (count !== 1 || flags > WITH_MAXIMUM) break;
    const [minimum, maximumAt] = leb(module, minimumAt);
    const [declared] = flags === WITH_MAXIMUM ? leb(module, maximumAt) : [pagesMax];
    if (minimum > pagesMax) throw new CallError('memory_too_small', 'the module begins with more memory than its function may have');
    const memory = [1, WITH_MAXIMUM, ...toLeb(minimum), ...toLeb(Math.min(declared, pagesMax))];
    const section = [MEMORY_SECTION, ...toLeb(memory.length), ...memory];
    const limited = new Uint8Array(from + section.length + module.length - at);
    limited.set(module.subarray(0, from));
    limited.set(section, from);
    limited.set(module.subarray(at), from + section.length);
    return limited;
  }
  throw new CallError('edge_unsupported', 'the module has no single memory of its own, so its memory cannot be limited');
}

// An unsigned LEB128 number, and the index after it.
function leb(bytes: Uint8Array, at: number): [number, number] {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || factor > 2 ** 35) throw new CallError('module_refused', 'the module is cut off');
    value += (byte & 0x7f) * factor;
    if (byte < 128) return [value, at];
  }
}

function toLeb(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...toLeb(Math.floor(value / 128))];
}
