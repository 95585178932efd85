// The canonical ABI of components, as far as functions of WASI 0.2 need it: values on their way between a component's
// memory and functions of the host. Variants are `[case, payload]`, records and tuples are arrays, handles are numbers.

/** A core value. */
export type Flat = number | bigint;

/** What a guest did to itself: it ends with a trap. */
export class Misuse extends Error {}

// Bytes that a host function may be given and may give, as at the node (wasmtime's fuel for calls of the host): many
// items of a list may point to the same memory.
const MOVED_BYTES_MAX = 128 << 20;

let moved = 0;

// Counts what is read from or written to a guest's memory in a call of the host.
function move(length: number): void {
  moved += length;
  if (moved > MOVED_BYTES_MAX) throw new Misuse(`more than ${MOVED_BYTES_MAX} bytes in one call of the host`);
}

/** The core arguments of a call that are not read yet. */
export class Args {
  #at = 0;

  constructor(readonly values: readonly Flat[]) {}

  next(): Flat {
    return this.values[this.#at++] as Flat;
  }
}

/** The memory of a component, and the function that gives room in it. Both come about after the host's functions. */
export class Heap {
  #bytes = new Uint8Array();
  #view = new DataView(this.#bytes.buffer);

  constructor(
    readonly memory: () => WebAssembly.Memory,
    readonly realloc: () => (old: number, length: number, align: number, wanted: number) => number,
  ) {}

  // The memory as it is now: one that has grown has other bytes.
  get view(): DataView {
    const { buffer } = this.memory();
    if (this.#bytes.buffer !== buffer) {
      this.#bytes = new Uint8Array(buffer as ArrayBuffer);
      this.#view = new DataView(buffer);
    }
    return this.#view;
  }

  /** A range of the memory, checked. */
  range(at: number, length: number): Uint8Array {
    move(length);
    if (at + length > this.view.byteLength) throw new Misuse('a pointer outside the memory');
    return this.#bytes.subarray(at, at + length);
  }

  /** A place that is aligned, as values in memory have to be. */
  place(at: number, length: number, align: number): number {
    if (at % align !== 0) throw new Misuse('a pointer that is not aligned');
    this.range(at, length);
    return at;
  }

  /** Room for so many bytes. */
  room(align: number, length: number): number {
    return this.place(this.realloc()(0, 0, align, length) >>> 0, length, align);
  }
}

/** A type of values. `load` and `store`: in memory. `lift`: of core arguments. `lower`: to the only core result. */
export interface Type<T = any> {
  readonly size: number;
  readonly align: number;
  /** For each of its core values, whether it is an `i64`. */
  readonly flat: readonly boolean[];
  load(heap: Heap, at: number): T;
  store(heap: Heap, at: number, value: T): void;
  lift(heap: Heap, args: Args): T;
  lower(value: T): Flat;
}

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const number = (size: 1 | 2 | 4): Type<number> => {
  const bits = (size * 8) as 8 | 16 | 32;
  return {
    size,
    align: size,
    flat: [false],
    load: (heap, at) => heap.view[`getUint${bits}`](at, true),
    store: (heap, at, value) => heap.view[`setUint${bits}`](at, value, true),
    lift: (_, args) => ((args.next() as number) & (2 ** bits - 1)) >>> 0,
    lower: (value) => value,
  };
};

export const u8 = number(1);
export const u16 = number(2);
export const u32 = number(4);
/** A resource, owned or borrowed. */
export const handle = u32;

export const u64: Type<bigint> = {
  size: 8,
  align: 8,
  flat: [true],
  load: (heap, at) => heap.view.getBigUint64(at, true),
  store: (heap, at, value) => heap.view.setBigUint64(at, value, true),
  lift: (_, args) => BigInt.asUintN(64, args.next() as bigint),
  lower: (value) => value,
};

export const bool: Type<boolean> = {
  ...(u8 as Type),
  load: (heap, at) => u8.load(heap, at) !== 0,
  store: (heap, at, value) => u8.store(heap, at, Number(value)),
  lift: (_, args) => args.next() !== 0,
  lower: Number,
};

// A pointer and a length.
function sequence<T>(read: (heap: Heap, at: number, length: number) => T, write: (heap: Heap, value: T) => readonly [number, number]): Type<T> {
  return {
    size: 8,
    align: 4,
    flat: [false, false],
    load: (heap, at) => read(heap, u32.load(heap, at), u32.load(heap, at + 4)),
    store: (heap, at, value) => {
      const [from, length] = write(heap, value);
      u32.store(heap, at, from);
      u32.store(heap, at + 4, length);
    },
    lift: (heap, args) => {
      const at = u32.lift(heap, args);
      return read(heap, at, u32.lift(heap, args));
    },
    lower: none,
  };
}

function none(): never {
  throw new Misuse('no single core value');
}

const putBytes = (heap: Heap, bytes: Uint8Array): readonly [number, number] => {
  const at = heap.room(1, bytes.length);
  heap.range(at, bytes.length).set(bytes);
  return [at, bytes.length];
};

/** A list of bytes. */
export const bytes = sequence<Uint8Array>((heap, at, length) => heap.range(at, length).slice(), putBytes);

export const text = sequence<string>(
  (heap, at, length) => {
    try {
      return strict.decode(heap.range(at, length).slice());
    } catch {
      throw new Misuse('a text that is not UTF-8');
    }
  },
  (heap, value) => putBytes(heap, encoder.encode(value)),
);

export function list<T>(item: Type<T>): Type<readonly T[]> {
  return sequence<readonly T[]>(
    (heap, at, length) => {
      heap.place(at, length * item.size, item.align);
      return Array.from({ length }, (_, index) => item.load(heap, at + index * item.size));
    },
    (heap, values) => {
      const at = heap.room(item.align, values.length * item.size);
      values.forEach((value, index) => item.store(heap, at + index * item.size, value));
      return [at, values.length];
    },
  );
}

const aligned = (at: number, align: number): number => Math.ceil(at / align) * align;

/** A record or a tuple. */
export function record(...members: readonly Type[]): Type<readonly any[]> {
  let end = 0;
  const places = members.map(({ size, align }) => {
    const at = aligned(end, align);
    end = at + size;
    return at;
  });
  const align = Math.max(1, ...members.map((member) => member.align));
  return {
    size: aligned(end, align),
    align,
    flat: members.flatMap(({ flat }) => flat),
    load: (heap, at) => members.map((member, index) => member.load(heap, at + places[index]!)),
    store: (heap, at, values) => members.forEach((member, index) => member.store(heap, at + places[index]!, values[index])),
    lift: (heap, args) => members.map((member) => member.lift(heap, args)),
    lower: none,
  };
}

/** A case of a variant, by its number, and its payload. */
export type Case = readonly [number, any?];

/** A variant of at most 256 cases, each with a payload or without. */
export function variant(...cases: readonly (Type | undefined)[]): Type<Case> {
  const payloads = cases.filter((one) => one !== undefined);
  const align = Math.max(1, ...payloads.map((one) => one.align));
  const at = aligned(1, align);
  // The core values of all payloads lie one upon the other; of two sizes the greater one holds both.
  const joined: boolean[] = [];
  for (const { flat } of payloads) flat.forEach((isLong, index) => (joined[index] ||= isLong));
  const checked = (index: number): number => {
    if (index >= cases.length) throw new Misuse('a case that a variant has not');
    return index;
  };
  return {
    size: aligned(at + Math.max(0, ...payloads.map(({ size }) => size)), align),
    align,
    flat: [false, ...joined],
    load: (heap, from) => {
      const index = checked(u8.load(heap, from));
      return [index, cases[index]?.load(heap, from + at)];
    },
    store: (heap, to, [index, payload]) => {
      u8.store(heap, to, index);
      cases[index]?.store(heap, to + at, payload);
    },
    lift: (heap, args) => {
      const index = checked(u32.lift(heap, args));
      const values = joined.map(() => args.next());
      const flat = cases[index]?.flat ?? [];
      const own = flat.map((isLong, position) => (isLong ? values[position]! : Number(BigInt.asUintN(32, BigInt(values[position]!)))));
      return [index, cases[index]?.lift(heap, new Args(own))];
    },
    lower: ([index]) => index,
  };
}

/** `[0, value]` or `[1, error]`. */
export function result(ok?: Type, error?: Type): Type<Case> {
  return variant(ok, error);
}

/** A value, or `undefined`. */
export function option<T>(some: Type<T>): Type<T | undefined> {
  const either = variant(undefined, some);
  return {
    ...(either as Type),
    load: (heap, at) => either.load(heap, at)[1],
    store: (heap, at, value) => either.store(heap, at, value === undefined ? [0] : [1, value]),
    lift: (heap, args) => either.lift(heap, args)[1],
  };
}

/** A function of the host: its types, and what it does. */
export interface HostFunction {
  readonly params: readonly Type[];
  readonly result: Type | undefined;
  readonly run: (...values: any[]) => unknown;
}

// Parameters of more core values come in memory, and so do results of more than one.
const FLAT_PARAMS_MAX = 16;

/** The function as a core module calls it. */
export function lowered({ params, result: type, run }: HostFunction, heap: Heap): (...args: Flat[]) => Flat | void {
  const all = record(...params);
  const isFlat = all.flat.length <= FLAT_PARAMS_MAX;
  const pointer = (value: Flat | undefined, { size, align }: Type): number => heap.place((value as number) >>> 0, size, align);
  return (...args) => {
    moved = 0;
    const values = isFlat ? all.lift(heap, new Args(args)) : all.load(heap, pointer(args[0], all));
    const value = run(...values);
    if (type?.flat.length === 1) return type.lower(value);
    return type?.store(heap, pointer(args.at(-1), type), value);
  };
}
