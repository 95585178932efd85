// Instances of modules: each serves one call, and has globals and tables of its own.
//
// Its memory may have served another one. Then every byte was written before, with zeros and the module's data. So
// nothing is left of an earlier call, however that ended: its code cannot run any more. A memory that has grown is not
// used again. One that serves a call is in no list, so calls within each other never share one.

import type { Code, Image } from './protocol.js';
import { imports } from './wasi.js';

const PAGE_BYTES = 65_536;
// So many modules of the last calls keep something, and so many bytes of memory in all.
const KEPT_MAX = 8;
const KEPT_BYTES_MAX = 32 << 20;

/** An instance that nothing has called, and its memory if that came from outside; or a memory for the next one. */
interface Live {
  readonly instance?: WebAssembly.Instance;
  readonly memory?: WebAssembly.Memory | undefined;
}

// What the next calls find, the oldest first.
const kept = new Map<Code, Live>();

/** A fresh instance of a module. */
export function take(code: Code): Required<Live> {
  const { instance, memory } = kept.get(code) ?? {};
  kept.delete(code);
  return instance ? { instance, memory } : instantiated(code, memory);
}

/** Keeps the memory of an instance that has served its call. */
export function release(code: Code, { memory }: Live): void {
  const { image } = code;
  if (image) keep(code, { memory: memory?.buffer.byteLength === image.initial * PAGE_BYTES ? memory : undefined });
}

/** Makes the instances of the next calls, of the modules that were called last, while nobody waits. */
export function prepare(): void {
  for (const [code, { instance, memory }] of [...kept]) {
    if (instance) continue;
    kept.delete(code);
    try {
      keep(code, instantiated(code, memory));
    } catch {
      // The next call fails with it.
    }
  }
}

function keep(code: Code, live: Live): void {
  kept.delete(code);
  kept.set(code, live);
  const bytesOf = ({ image }: Code): number => (image as Image).initial * PAGE_BYTES;
  let bytes = [...kept.keys()].reduce((sum, one) => sum + bytesOf(one), 0);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT_MAX && bytes <= KEPT_BYTES_MAX) break;
    bytes -= bytesOf(oldest);
    kept.delete(oldest);
  }
}

function instantiated({ module, image }: Code, used: WebAssembly.Memory | undefined): Required<Live> {
  const memory = image && (used ?? new WebAssembly.Memory(image));
  if (memory) {
    const bytes = new Uint8Array(memory.buffer);
    let at = 0;
    for (const [from, run] of image.runs) {
      // A new one has zeros.
      if (used) bytes.fill(0, at, from);
      bytes.set(run, from);
      at = from + run.length;
    }
    if (used) bytes.fill(0, at);
  }
  return { instance: new WebAssembly.Instance(module, imports(memory)), memory };
}
