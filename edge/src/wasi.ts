// WASI preview 1 as the node offers it (crates/serverledge-executor-wasm/src/wasi.rs): arguments, environment, clocks,
// randomness and the three standard streams. There are no files and no sockets.

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
const NANOSECONDS_PER_MICROSECOND = 1000n;
const NANOSECONDS_PER_MILLISECOND = 1e6;
const RESOLUTION = 1000n;

/** The guest ended itself. */
export class Exit {
  constructor(readonly code: number) {}
}

/** The guest was stopped; `code` is the node's. */
export class Stop {
  constructor(
    readonly code: string,
    readonly message: string,
  ) {}
}

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
}

/** What a guest writes to a stream. */
export class Output {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** `isTail`: of more than `max` bytes the last ones are kept; otherwise more is refused. */
  constructor(
    readonly max: number,
    readonly isTail = false,
  ) {}

  push(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    if (!this.isTail) checkOutput(this.#length, this.max);
    while (this.#parts[0] !== undefined && this.#length - this.#parts[0].length >= this.max) {
      this.#length -= this.#parts[0].length;
      this.#parts.shift();
    }
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all.subarray(Math.max(0, this.#length - this.max));
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }
}

/** Stops a guest that gave more than it may. */
export function checkOutput(length: number, max: number): void {
  if (length > max) throw new Stop('function_output_too_large', `the function was stopped: it wrote more than ${max} bytes of output`);
}

/** The guest's memory as it is now: it moves when it grows. */
export function memoryOf(guest: Guest): Uint8Array<ArrayBuffer> {
  if (guest.memory === undefined) throw FAULT;
  return new Uint8Array(guest.memory.buffer as ArrayBuffer);
}

/** A range of guest memory, checked. Addresses come signed. */
export function range(guest: Guest, at: number, length: number): Uint8Array<ArrayBuffer> {
  const memory = memoryOf(guest);
  const from = at >>> 0;
  if (from + length > memory.length) throw FAULT;
  return memory.subarray(from, from + length);
}

type HostFunction = (...args: never[]) => number | void;

/** The functions of `wasi_snapshot_preview1`. */
export function wasi(guest: Guest): Record<string, HostFunction> {
  const encoder = new TextEncoder();
  const putBytes = (at: number, bytes: Uint8Array): void => range(guest, at, bytes.length).set(bytes);
  const view = (at: number, length: number): DataView => {
    const { buffer, byteOffset } = range(guest, at, length);
    return new DataView(buffer, byteOffset, length);
  };
  const get = (at: number): number => view(at, 4).getUint32(0, true);
  const put = (at: number, value: number): void => view(at, 4).setUint32(0, value, true);
  const putLong = (at: number, value: bigint): void => view(at, 8).setBigUint64(0, value, true);

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
    const raw = view(at, 48);
    const kind = raw.getUint8(8);
    const word = raw.getUint32(16, true);
    const user = raw.getBigUint64(0, true);
    if (kind > 2) throw INVAL;
    if (kind > 0) return { due: 0, errno: word <= 2 ? SUCCESS : BADF, kind, user };
    if (word > 1) return { due: 0, errno: INVAL, kind, user };
    const milliseconds = Number(raw.getBigUint64(24, true)) / NANOSECONDS_PER_MILLISECOND;
    const isAbsolute = (raw.getUint16(40, true) & 1) === 1;
    return { due: isAbsolute ? Math.max(0, milliseconds - (now[word] ?? 0)) : milliseconds, errno: SUCCESS, kind, user };
  };
  const poll = (subscriptions: number, events: number, count: number, written: number): void => {
    if (count === 0 || count >>> 0 > SUBSCRIPTIONS_MAX) throw INVAL;
    const now = [realtime(), performance.now()];
    const list = Array.from({ length: count }, (_, index) => subscription((subscriptions >>> 0) + index * 48, now));
    const first = Math.min(...list.map(({ due }) => due));
    sleep(first);
    let ready = 0;
    for (const { errno, kind, user } of list.filter(({ due }) => due <= first)) {
      const event = view((events >>> 0) + ready * 32, 32);
      for (let at = 0; at < 32; at += 8) event.setBigUint64(at, 0n, true);
      event.setBigUint64(0, user, true);
      event.setUint16(8, errno, true);
      event.setUint8(10, kind);
      ready += 1;
    }
    put(written, ready);
  };

  // Answers of functions on the three descriptors that exist, and on all others.
  const standard = (errno: number) => (fd: number): number => (fd >>> 0 <= 2 ? errno : BADF);
  const always = (errno: number) => (): number => errno;

  const offered: Record<string, (...args: any[]) => void> = {
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
      const microseconds = Math.round((clock === 0 ? realtime() : performance.now()) * 1000);
      putLong(at, BigInt(microseconds) * NANOSECONDS_PER_MICROSECOND);
    },
    random_get: (at: number, length: number) => {
      const target = range(guest, at, length >>> 0);
      for (let from = 0; from < target.length; from += RANDOM_BYTES_MAX) {
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
        stream.push(range(guest, at, length).slice());
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
    proc_exit: (code: number) => {
      throw new Exit(code >>> 0);
    },
    proc_raise: always(NOSYS),
    sched_yield: always(SUCCESS),
    fd_renumber: always(BADF),
    fd_prestat_get: always(BADF),
    fd_prestat_dir_name: always(BADF),
  };
  for (const [name, offer] of Object.entries(offered)) functions[name] = asErrno(offer);
  for (const name of ['close', 'sync', 'datasync', 'fdstat_set_flags', 'fdstat_set_rights']) functions[`fd_${name}`] = standard(SUCCESS);
  for (const name of ['seek', 'tell', 'advise', 'pread', 'pwrite']) functions[`fd_${name}`] = standard(SPIPE);
  for (const name of ['allocate', 'filestat_set_size', 'filestat_set_times', 'readdir']) functions[`fd_${name}`] = standard(INVAL);
  // There are no sockets and no files.
  return new Proxy(functions, { get: (known, name: string) => known[name] ?? always(name.startsWith('path_') ? NOTCAPABLE : BADF) });
}

// A thrown number is the guest's errno; everything else ends the guest.
function asErrno(run: (...args: never[]) => void): HostFunction {
  return (...args) => {
    try {
      run(...args);
      return SUCCESS;
    } catch (error) {
      if (typeof error === 'number') return error;
      throw error;
    }
  };
}

// Milliseconds since 1970, with their fraction.
function realtime(): number {
  return performance.timeOrigin + performance.now();
}

let bed: Int32Array | undefined;

// Only shared memory can be waited on. A shared one of WebAssembly needs no isolation of the page.
function sleep(milliseconds: number): void {
  bed ??= new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
  if (milliseconds > 0) Atomics.wait(bed, 0, 0, milliseconds);
}
