// Changes to a module whose bytes were checked: it gets less memory, and where that changes nothing for its functions,
// its memory comes from outside without its data. So one memory can serve one call after the other.

import type { Core } from './shared.js';
import type { Image } from './protocol.js';

const PAGE_BYTES = 65_536;
const HEADER_BYTES = 8;
// Sections.
const CUSTOM = 0;
const TYPES = 1;
const IMPORTS = 2;
const MEMORY = 5;
const START = 8;
const DATA = 11;
const DATA_COUNT = 12;

const WITH_MAXIMUM = 1;
const FUNCTION = 0;
const ACTIVE = 0;
const PASSIVE = 1;
const I32_CONST = 0x41;
const END = 0x0b;
// In the last byte of a signed number.
const NEGATIVE = 0x40;
// A module that begins with more memory keeps its own: to put so much back would take too long.
const PAGES_MAX = 256;
// Shorter rows of zeros are copied like other bytes.
const GAP_BYTES_MIN = 1024;
// The import `serverledge_edge.memory`, as far as its limits.
const MEMORY_IMPORT = [...['serverledge_edge', 'memory'].flatMap((name) => [name.length, ...new TextEncoder().encode(name)]), 2];

interface Section {
  readonly id: number;
  /** Where its content begins. */
  readonly content: number;
  readonly bytes: Uint8Array;
}

/** A module as it may be compiled. */
export interface Limited {
  /** With a memory of its own. */
  readonly whole: () => BufferSource;
  /** With its memory as an import, and without its data; `undefined` if its functions could tell. */
  readonly bare: BufferSource | undefined;
  /** The memory that it begins with; `undefined` if it is not known before a call. */
  readonly image: () => Image | undefined;
}

/** The module with no more memory than this. */
export function withMemoryLimit({ CallError }: Core, module: Uint8Array<ArrayBuffer>, bytesMax: number): Limited {
  const sections = sectionsOf(module);
  const find = (id: number): Section | undefined => sections.find((one) => one.id === id);
  const memory = find(MEMORY);
  const reader = new Reader(module, memory?.content);
  const flags = memory && reader.number() === 1 ? reader.number() : Infinity;
  if (flags > WITH_MAXIMUM) throw new CallError('edge_unsupported', 'the module has no single memory of its own');
  const pagesMax = Math.min(Math.floor(bytesMax / PAGE_BYTES), PAGE_BYTES);
  const initial = reader.number();
  const maximum = Math.min(flags === WITH_MAXIMUM ? reader.number() : pagesMax, pagesMax);
  if (initial > pagesMax) throw new CallError('memory_too_small', 'the module begins with more memory than it may have');
  const limits = [WITH_MAXIMUM, ...toLeb(initial), ...toLeb(maximum)];

  const whole = (): BufferSource => joined(module, sections.map(({ id, bytes }) => (id === MEMORY ? section(id, [1, ...limits]) : bytes)));
  const bare = (): BufferSource | undefined => {
    // A start function would run before the call. Without a count of data, no code can use it later.
    if (find(START) || find(DATA_COUNT) || initial > PAGES_MAX) return undefined;
    const imports = importsWith(module, find(IMPORTS), [...MEMORY_IMPORT, ...limits]);
    if (!imports) return undefined;
    const left = sections.filter(({ id }) => id !== IMPORTS && id !== MEMORY && id !== DATA);
    const at = left.findIndex(({ id }) => id !== CUSTOM && id !== TYPES);
    return joined(module, [...left.slice(0, at).map(({ bytes }) => bytes), imports, ...left.slice(at).map(({ bytes }) => bytes)]);
  };
  const image = (): Image | undefined => {
    const runs = runsOf(module, find(DATA), initial * PAGE_BYTES);
    return runs && { initial, maximum, runs };
  };
  return { whole, bare: bare(), image };
}

/** Whether a module has a memory of its own. */
export function hasMemory(module: Uint8Array): boolean {
  return sectionsOf(module).some(({ id }) => id === MEMORY);
}

// Numbers of a module, one after the other.
class Reader {
  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {}

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  // An unsigned LEB128 number.
  number(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
  }
}

function sectionsOf(module: Uint8Array): Section[] {
  const sections = [];
  for (const reader = new Reader(module, HEADER_BYTES); reader.at < module.length; ) {
    const from = reader.at;
    const id = reader.byte();
    const length = reader.number();
    const content = reader.at;
    reader.at += length;
    sections.push({ id, content, bytes: module.subarray(from, reader.at) });
  }
  return sections;
}

// The section of imports with one more; `undefined` if there are others than functions.
function importsWith(module: Uint8Array, imports: Section | undefined, added: readonly number[]): Uint8Array | undefined {
  const reader = new Reader(module, imports?.content);
  const count = imports ? reader.number() : 0;
  const first = reader.at;
  for (let left = count; left > 0; left -= 1) {
    for (let names = 2; names > 0; names -= 1) reader.at = reader.number() + reader.at;
    if (reader.byte() !== FUNCTION) return undefined;
    reader.number();
  }
  return section(IMPORTS, [...toLeb(count + 1), ...module.subarray(first, reader.at), ...added]);
}

// What the data puts into a memory of so many bytes; `undefined` if that is no constant, or is not as expected.
function runsOf(module: Uint8Array, data: Section | undefined, length: number): Image['runs'] | undefined {
  const memory = new Uint8Array(length);
  const spans: Span[] = [];
  const reader = new Reader(module, data?.content);
  for (let left = data ? reader.number() : 0; left > 0; left -= 1) {
    const flags = reader.number();
    let from = 0;
    if (flags === ACTIVE) {
      if (reader.byte() !== I32_CONST) return undefined;
      from = reader.number();
      if (module[reader.at - 1]! & NEGATIVE || reader.byte() !== END) return undefined;
    } else if (flags !== PASSIVE) {
      return undefined;
    }
    const size = reader.number();
    const at = reader.at;
    reader.at += size;
    if (flags === PASSIVE) continue;
    if (from + size > length) return undefined;
    memory.set(module.subarray(at, reader.at), from);
    join(spans, from, from + size);
  }
  const joined: Span[] = [];
  for (const { from, to } of spans.sort((a, b) => a.from - b.from)) join(joined, from, to);
  return joined.map(({ from, to }) => [from, memory.slice(from, to)] as const);
}

interface Span {
  from: number;
  to: number;
}

// Lengthens the last one if this one is near, and after its beginning.
function join(spans: Span[], from: number, to: number): void {
  const last = spans[spans.length - 1];
  if (last && from >= last.from && from - last.to < GAP_BYTES_MIN) {
    last.to = Math.max(last.to, to);
  } else {
    spans.push({ from, to });
  }
}

function section(id: number, content: readonly number[]): Uint8Array {
  return Uint8Array.from([id, ...toLeb(content.length), ...content]);
}

function joined(module: Uint8Array, sections: readonly Uint8Array[]): BufferSource {
  const parts = [module.subarray(0, HEADER_BYTES), ...sections];
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function toLeb(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...toLeb(Math.floor(value / 128))];
}
