// WASI preview 1 as the node offers it (crates/serverledge-executor-wasm/src/wasi.rs): arguments, environment, clocks,
// randomness and the three standard streams. There are no files and no sockets.

import { CallError } from './errors.js';

// Error numbers.
const SUCCESS = 0;
const BADF = 8;
const FAULT = 21;
const INVAL = 28;
const NOSYS = 52;
const SPIPE = 70;
const NOTCAPABLE = 76;

// Most bytes of one read or write, buffers of one vectored call, and subscriptions of one poll.
const CALL_BYTES_MAX = 1 << 20;
const IOVS_MAX = 1024;
const SUBSCRIPTIONS_MAX = 64;
// Most bytes that a browser draws at once.
const RANDOM_BYTES_MAX = 65_536;
// From so many bytes on, a call looks whether its time is over.
const LONG_BYTES = 65_536;
const NANOSECONDS_PER_MICROSECOND = 1000n;
const NANOSECONDS_PER_MILLISECOND = 1e6;
const RESOLUTION = 1000n;
// So few bytes are copied one by one.
const SHORT_BYTES = 32;

/** The guest ended itself. */
export class Exit {
  constructor(readonly code: number) {}
}

/** Of `serverledge::call`: name, parameters and room for the reply, each with its length. */
export type Pointers = [number, number, number, number, number, number];

/** One run, as the host functions see it. */
export interface Guest {
  readonly name: string;
  readonly environment: readonly string[];
  /** What is left of stdin. */
  stdin: Uint8Array;
  readonly stdout: Output;
  readonly stderr: Output;
  /** `undefined` before the instance exists. */
  memory: WebAssembly.Memory | undefined;
  /** What a host function ended it with. */
  ended: unknown;
  /** The milliseconds that are left; ends the guest if there are none. */
  timeLeft(): number;
  /** Calls another function, or refuses with a code what only a node does, and gives the length of the reply. */
  callOther(pointers: Pointers, refusal?: string): bigint;
}

// The run whose instance is at work: one at a time, since calls within each other wait for each other.
let guest: Guest;

/** Makes this the run that host functions see; gives the one before. */
export function enter(next: Guest): Guest {
  const before = guest;
  guest = next;
  return before;
}

/** What a guest writes to a stream. */
export class Output {
  #buffer = new Uint8Array();
  #length = 0;

  /** `isTail`: of more than `max` bytes the last ones are kept; otherwise more is refused. `also`: gets the same. */
  constructor(
    readonly max: number,
    readonly isTail = false,
    readonly also?: Output,
  ) {}

  push(bytes: Uint8Array, from: number, length: number): void {
    this.also?.push(bytes, from, length);
    if (!this.isTail) checkOutput(this.#length + length, this.max);
    if (this.#length + length > this.#buffer.length) {
      const kept = this.bytes();
      this.#buffer = new Uint8Array(2 * (kept.length + length));
      this.#buffer.set(kept);
      this.#length = kept.length;
    }
    if (length < SHORT_BYTES) {
      for (let at = 0; at < length; at += 1) this.#buffer[this.#length + at] = bytes[from + at] as number;
    } else {
      this.#buffer.set(bytes.subarray(from, from + length), this.#length);
    }
    this.#length += length;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(Math.max(0, this.#length - this.max), this.#length);
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }
}

/** Stops a guest that gave more than it may. */
export function checkOutput(length: number, max: number): void {
  if (length > max) throw new CallError('function_output_too_large', `the function wrote more than ${max} bytes of output`);
}

// The guest's memory as it was seen last.
let seen: WebAssembly.Memory | undefined;
let memory: Uint8Array<ArrayBuffer>;
let view: DataView;

// An address, which comes signed, of so many bytes within the memory. One that has grown is seen anew: what was seen of
// it has no bytes any more.
function place(at: number, length: number): number {
  if (seen !== guest.memory || !memory?.length) {
    seen = guest.memory;
    const buffer = (seen?.buffer ?? new ArrayBuffer()) as ArrayBuffer;
    memory = new Uint8Array(buffer);
    view = new DataView(buffer);
  }
  const from = at >>> 0;
  if (from + length > memory.length) throw FAULT;
  return from;
}

/** A range of the guest's memory, checked. */
export function range(at: number, length: number): Uint8Array<ArrayBuffer> {
  const from = place(at, length);
  return memory.subarray(from, from + length);
}

type HostFunction = (...args: any[]) => unknown;

// The functions of `wasi_snapshot_preview1`.
function wasi(): Record<string, HostFunction> {
  const encoder = new TextEncoder();
  const putBytes = (at: number, bytes: Uint8Array): void => range(at, bytes.length).set(bytes);
  const get = (at: number): number => {
    const from = place(at, 4);
    return view.getUint32(from, true);
  };
  const put = (at: number, value: number): void => {
    const to = place(at, 4);
    view.setUint32(to, value, true);
  };
  const putLong = (at: number, value: bigint): void => {
    const to = place(at, 8);
    view.setBigUint64(to, value, true);
  };

  const putStrings = (list: number, buffer: number, strings: readonly string[]): void => {
    let entry = list >>> 0;
    let at = buffer >>> 0;
    for (const string of strings) {
      const bytes = encoder.encode(`${string}\0`);
      put(entry, at);
      putBytes(at, bytes);
      entry += 4;
      at += bytes.length;
    }
  };
  const putSizes = (count: number, bytes: number, strings: readonly string[]): void => {
    put(count, strings.length);
    put(bytes, strings.reduce((sum, string) => sum + encoder.encode(string).length + 1, 0));
  };

  // The buffers of a vectored call, cut to what one call may move, until `take` uses nothing of a buffer that has room.
  const vectored = (iovs: number, count: number, take: (at: number, length: number) => number): number => {
    let total = 0;
    for (let index = 0; index < Math.min(count >>> 0, IOVS_MAX) && total < CALL_BYTES_MAX; index += 1) {
      const at = (iovs >>> 0) + index * 8;
      const length = Math.min(get(at + 4), CALL_BYTES_MAX - total);
      const taken = take(get(at), length);
      total += taken;
      if (taken < length) break;
    }
    return total;
  };

  const subscription = (at: number, now: readonly number[]): { due: number; errno: number; kind: number; user: bigint } => {
    const from = place(at, 48);
    const kind = view.getUint8(from + 8);
    const word = view.getUint32(from + 16, true);
    const user = view.getBigUint64(from, true);
    if (kind > 2) throw INVAL;
    if (kind > 0) return { due: 0, errno: word <= 2 ? SUCCESS : BADF, kind, user };
    if (word > 1) return { due: 0, errno: INVAL, kind, user };
    const milliseconds = Number(view.getBigUint64(from + 24, true)) / NANOSECONDS_PER_MILLISECOND;
    const isAbsolute = (view.getUint16(from + 40, true) & 1) === 1;
    return { due: isAbsolute ? Math.max(0, milliseconds - (now[word] ?? 0)) : milliseconds, errno: SUCCESS, kind, user };
  };
  const poll = (subscriptions: number, events: number, count: number, written: number): void => {
    if (count === 0 || count >>> 0 > SUBSCRIPTIONS_MAX) throw INVAL;
    const now = [Date.now(), performance.now()];
    const list = Array.from({ length: count }, (_, index) => subscription((subscriptions >>> 0) + index * 48, now));
    const first = Math.min(...list.map(({ due }) => due));
    sleep(Math.min(first, guest.timeLeft()));
    guest.timeLeft();
    let ready = 0;
    for (const { errno, kind, user } of list.filter(({ due }) => due <= first)) {
      const to = place((events >>> 0) + ready * 32, 32);
      memory.fill(0, to, to + 32);
      view.setBigUint64(to, user, true);
      view.setUint16(to + 8, errno, true);
      view.setUint8(to + 10, kind);
      ready += 1;
    }
    put(written, ready);
  };

  // Answers of functions on the three descriptors that exist, and on all others.
  const standard = (errno: number) => (fd: number): number => (fd >>> 0 <= 2 ? errno : BADF);
  const always = (errno: number) => (): number => errno;

  const some: Record<string, HostFunction> = {
    args_sizes_get: (count: number, bytes: number) => putSizes(count, bytes, [guest.name]),
    args_get: (list: number, buffer: number) => putStrings(list, buffer, [guest.name]),
    environ_sizes_get: (count: number, bytes: number) => putSizes(count, bytes, guest.environment),
    environ_get: (list: number, buffer: number) => putStrings(list, buffer, guest.environment),
    clock_res_get: (clock: number, at: number) => {
      if (clock >>> 0 > 1) throw INVAL;
      putLong(at, RESOLUTION);
    },
    clock_time_get: (clock: number, _precision: bigint, at: number) => {
      if (clock >>> 0 > 1) throw INVAL;
      const microseconds = Math.round((clock === 0 ? Date.now() : performance.now()) * 1000);
      putLong(at, BigInt(microseconds) * NANOSECONDS_PER_MICROSECOND);
    },
    random_get: (at: number, length: number) => {
      const target = range(at, length >>> 0);
      for (let from = 0; from < target.length; from += RANDOM_BYTES_MAX) {
        guest.timeLeft();
        crypto.getRandomValues(target.subarray(from, from + RANDOM_BYTES_MAX));
      }
    },
    poll_oneoff: poll,
    fd_read: (fd: number, iovs: number, count: number, read: number) => {
      if (fd !== 0) throw BADF;
      const total = vectored(iovs, count, (at, length) => {
        const piece = guest.stdin.subarray(0, length);
        putBytes(at, piece);
        guest.stdin = guest.stdin.subarray(piece.length);
        return piece.length;
      });
      put(read, total);
    },
    fd_write: (fd: number, iovs: number, count: number, written: number) => {
      if (fd !== 1 && fd !== 2) throw BADF;
      const stream = fd === 1 ? guest.stdout : guest.stderr;
      const total = vectored(iovs, count, (at, length) => {
        const from = place(at, length);
        if (length >= LONG_BYTES) guest.timeLeft();
        stream.push(memory, from, length);
        return length;
      });
      put(written, total);
    },
    // The descriptors that exist are pipes, for which there is no file type: they have no position.
    fd_fdstat_get: (fd: number, at: number) => {
      if (fd >>> 0 > 2) throw BADF;
      putBytes(at, new Uint8Array(24));
      putLong(at + 8, fd === 0 ? 2n : 64n);
    },
    fd_filestat_get: (fd: number, at: number) => {
      if (fd >>> 0 > 2) throw BADF;
      putBytes(at, new Uint8Array(64));
    },
  };
  const functions: Record<string, HostFunction> = {
    proc_exit: hosted((code: number) => {
      throw new Exit(code >>> 0);
    }),
    proc_raise: always(NOSYS),
    sched_yield: always(SUCCESS),
  };
  for (const [name, offer] of Object.entries(some)) functions[name] = hosted(offer);
  for (const name of ['close', 'sync', 'datasync', 'fdstat_set_flags', 'fdstat_set_rights']) functions[`fd_${name}`] = standard(SUCCESS);
  for (const name of ['seek', 'tell', 'advise', 'pread', 'pwrite']) functions[`fd_${name}`] = standard(SPIPE);
  for (const name of ['allocate', 'filestat_set_size', 'filestat_set_times', 'readdir']) functions[`fd_${name}`] = standard(INVAL);
  // There are no sockets and no files, and no descriptors that were opened in advance.
  return new Proxy(functions, { get: (known, name: string) => known[name] ?? always(name.startsWith('path_') ? NOTCAPABLE : BADF) });
}

// The smallest module that traps when it is instantiated.
const TRAPPING = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 5, 1, 3, 0, 0, 11];

let trap: WebAssembly.Module | undefined;

// A host function. A number that it throws is the guest's errno. All else ends the guest with a trap, uncatchable.
function hosted<Args extends unknown[], T>(run: (...args: Args) => T): (...args: Args) => T | number {
  return (...args) => {
    try {
      return run(...args) ?? SUCCESS;
    } catch (error) {
      if (typeof error === 'number') return error;
      guest.ended = error;
      new WebAssembly.Instance((trap ??= new WebAssembly.Module(Uint8Array.from(TRAPPING))));
      throw error;
    }
  };
}

// A host function that takes a request and gives a reply, where there is a node.
const refusing = (code: string) =>
  hosted((request: number, length: number, out: number, room: number) =>
    guest.callOther([request, length, 0, 0, out, room], code),
  );

let offered: Record<string, Record<string, unknown>> | undefined;

/** What modules import, from a memory if they do that too. It is the same for all: host functions find their guest. */
export function imports(memory: WebAssembly.Memory | undefined): WebAssembly.Imports {
  offered ??= {
    wasi_snapshot_preview1: wasi(),
    serverledge: {
      call: hosted((...pointers: Pointers) => guest.callOther(pointers)),
      send: refusing('outbound_not_granted'),
      kv: refusing('kv_missing'),
    },
    serverledge_edge: { deadline: hosted(() => guest.timeLeft()) },
    env: { emscripten_notify_memory_growth: () => {} },
  };
  offered['serverledge_edge']!['memory'] = memory;
  return offered as WebAssembly.Imports;
}

let bed: Int32Array | undefined;

// Only shared memory can be waited on. A shared one of WebAssembly needs no isolation of the page.
function sleep(milliseconds: number): void {
  bed ??= new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
  if (milliseconds > 0) Atomics.wait(bed, 0, 0, milliseconds);
}
