// WASI 0.2 but for HTTP, as the node offers it to components: nothing is granted.

import { Ended, here } from './component-call.js';
import { bool, bytes, handle, list, Misuse, option, record, result, text, u32, u64, u8, variant, type HostFunction, type Type } from './component-types.js';

/** Functions by interface and name, as plans name them. */
export type HostFunctions = Record<string, HostFunction>;

/** Parameters, result and function. */
export type Definition = readonly [readonly Type[], Type | undefined, (...values: any[]) => unknown];

/** Functions of an interface. */
export function functions(of: string, definitions: Record<string, Definition>): HostFunctions {
  return Object.fromEntries(Object.entries(definitions).map(([name, [params, type, run]]) => [`${of}#${name}`, { params, result: type, run }]));
}

/** Methods of a resource. They get it, and its handle behind their parameters. */
export function methods<T>(of: string, name: string, kind: new (...args: any[]) => T, definitions: Record<string, Definition>): HostFunctions {
  const entries = Object.entries(definitions).map(([method, [params, type, run]]): [string, Definition] => [
    `[method]${name}.${method}`,
    [[handle, ...params], type, (self: number, ...values) => run(here().resources.get(self, kind), ...values, self)],
  ]);
  return functions(of, Object.fromEntries(entries));
}

const NANOSECONDS_PER_MILLISECOND = 1e6;
const NANOSECONDS_PER_MICROSECOND = 1000n;
const MICROSECONDS_PER_SECOND = 1_000_000n;
const RESOLUTION = 1000n;
// Most bytes of one read, and of one write: a blocking one has less room.
const PIECE_BYTES_MAX = 64 << 10;
const BLOCKING_BYTES_MAX = 4096n;
// Most bytes that a browser draws at once, and that a guest may ask for.
const DRAWN_BYTES_MAX = 65_536;
const RANDOM_BYTES_MAX = 64 << 20;
const ACCESS_DENIED = 1;

/** An error of a stream. */
export class IoError {
  /** `code`: the error of wasi:http that it is. */
  constructor(readonly code: readonly [number, any?] | undefined, readonly words: string) {}
}

/** Bytes that are read once. */
export class InputStream {
  constructor(public left: Uint8Array) {}

  read(length: bigint): Uint8Array | undefined {
    if (this.left.length === 0 && length > 0n) return undefined;
    const piece = this.left.subarray(0, Math.min(Number(length), PIECE_BYTES_MAX));
    this.left = this.left.subarray(piece.length);
    return piece;
  }
}

/** A place for bytes. `write` gives the error that comes of it, if one does. */
export class OutputStream {
  constructor(readonly write: (bytes: Uint8Array) => IoError | undefined) {}
}

/** Something to wait for: a time, or what is ready. */
export class Pollable {
  constructor(readonly due = 0) {}
}

/** Of resources that a guest cannot get here. */
export class Nothing {}

const add = (value: object, parent?: number): number => here().resources.add(value, parent);
const subscribe: Definition = [[], handle, (_self, own: number) => add(new Pollable(), own)];

const CLOSED = [1, [1]] as const;
const streamError = variant(handle, undefined);
const read: Definition = [[u64], result(bytes, streamError), (self: InputStream, length: bigint) => {
  const piece = self.read(length);
  return piece ? [0, piece] : CLOSED;
}];
const skip: Definition = [[u64], result(u64, streamError), (self: InputStream, length: bigint) => {
  const piece = self.read(length);
  return piece ? [0, BigInt(piece.length)] : CLOSED;
}];

function write(self: OutputStream, data: Uint8Array): readonly [number, unknown?] {
  const error = self.write(data);
  return error ? [1, [0, add(error)]] : [0];
}

const written = result(undefined, streamError);
const writing = (max: bigint): Definition => [[bytes], written, (self: OutputStream, data: Uint8Array) => {
  if (data.length > max) throw new Misuse(`a write of more than ${max} bytes`);
  return write(self, data);
}];
const zeroes = (max: bigint): Definition => [[u64], written, (self: OutputStream, length: bigint) => {
  if (length > max) throw new Misuse(`a write of more than ${max} bytes`);
  return write(self, new Uint8Array(Number(length)));
}];
const flush: Definition = [[], written, () => [0]];
const splice: Definition = [[handle, u64], result(u64, streamError), (self: OutputStream, from: number, length: bigint) => {
  const piece = here().resources.get(from, InputStream).read(length);
  if (!piece) return CLOSED;
  const [failed, error] = write(self, piece);
  return failed ? [1, error] : [0, BigInt(piece.length)];
}];

let bed: Int32Array | undefined;

// Only shared memory can be waited on. A shared one of WebAssembly needs no isolation of the page.
function wait(pollables: readonly Pollable[]): void {
  bed ??= new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
  const first = pollables.reduce((soonest, { due }) => Math.min(soonest, due), Infinity);
  const milliseconds = Math.min(first - performance.now(), here().remaining());
  if (milliseconds > 0) Atomics.wait(bed, 0, 0, milliseconds);
  here().remaining();
}

const isReady = ({ due }: Pollable): boolean => due <= performance.now();

function poll(handles: readonly number[]): readonly number[] {
  if (handles.length === 0) throw new Misuse('a wait for nothing');
  const pollables = handles.map((one) => here().resources.get(one, Pollable));
  while (!pollables.some(isReady)) wait(pollables);
  return pollables.flatMap((one, index) => (isReady(one) ? [index] : []));
}

const microseconds = (milliseconds: number): bigint => BigInt(Math.round(milliseconds * 1000));
const timer = (nanoseconds: bigint, from: number): number => add(new Pollable(from + Number(nanoseconds) / NANOSECONDS_PER_MILLISECOND));
const datetime = record(u64, u32);

function random(length: bigint): Uint8Array {
  if (length > RANDOM_BYTES_MAX) throw new Misuse('too many random bytes');
  const drawn = new Uint8Array(Number(length));
  for (let from = 0; from < drawn.length; from += DRAWN_BYTES_MAX) crypto.getRandomValues(drawn.subarray(from, from + DRAWN_BYTES_MAX));
  return drawn;
}

const randomNumber = (): bigint => crypto.getRandomValues(new BigUint64Array(1))[0] as bigint;
const end = (code: number): never => {
  throw new Ended(code);
};
const toLog = (): number => add(new OutputStream((data) => void here().log.push(data, 0, data.length)));
const nowhere = result(handle, variant(...Array<undefined>(21)));
const denied = (): readonly [number, unknown] => [1, [ACCESS_DENIED]];

/** See the file. */
export const IO: HostFunctions = {
  ...methods('wasi:io/error', 'error', IoError, { 'to-debug-string': [[], text, (self: IoError) => self.words] }),
  ...methods('wasi:io/poll', 'pollable', Pollable, {
    ready: [[], bool, isReady],
    block: [[], undefined, (_self, own: number) => void poll([own])],
  }),
  ...functions('wasi:io/poll', { poll: [[list(handle)], list(u32), poll] }),
  ...methods('wasi:io/streams', 'input-stream', InputStream, { read, 'blocking-read': read, skip, 'blocking-skip': skip, subscribe }),
  ...methods('wasi:io/streams', 'output-stream', OutputStream, {
    'check-write': [[], result(u64, streamError), () => [0, BigInt(PIECE_BYTES_MAX)]],
    write: writing(BigInt(PIECE_BYTES_MAX)),
    'blocking-write-and-flush': writing(BLOCKING_BYTES_MAX),
    flush,
    'blocking-flush': flush,
    'write-zeroes': zeroes(BigInt(PIECE_BYTES_MAX)),
    'blocking-write-zeroes-and-flush': zeroes(BLOCKING_BYTES_MAX),
    splice,
    'blocking-splice': splice,
    subscribe,
  }),
  ...functions('wasi:clocks/monotonic-clock', {
    now: [[], u64, () => microseconds(performance.now()) * NANOSECONDS_PER_MICROSECOND],
    resolution: [[], u64, () => RESOLUTION],
    'subscribe-instant': [[u64], handle, (when: bigint) => timer(when, 0)],
    'subscribe-duration': [[u64], handle, (length: bigint) => timer(length, performance.now())],
  }),
  ...functions('wasi:clocks/wall-clock', {
    now: [[], datetime, () => {
      const now = microseconds(Date.now());
      return [now / MICROSECONDS_PER_SECOND, Number((now % MICROSECONDS_PER_SECOND) * NANOSECONDS_PER_MICROSECOND)];
    }],
    resolution: [[], datetime, () => [0n, Number(RESOLUTION)]],
  }),
  ...functions('wasi:random/random', { 'get-random-bytes': [[u64], bytes, random], 'get-random-u64': [[], u64, randomNumber] }),
  ...functions('wasi:random/insecure', {
    'get-insecure-random-bytes': [[u64], bytes, random],
    'get-insecure-random-u64': [[], u64, randomNumber],
  }),
  ...functions('wasi:random/insecure-seed', { 'insecure-seed': [[], record(u64, u64), () => [randomNumber(), randomNumber()]] }),
  ...functions('wasi:cli/environment', {
    'get-environment': [[], list(record(text, text)), () => here().environment()],
    'get-arguments': [[], list(text), () => [here().wanted.name]],
    'initial-cwd': [[], option(text), () => undefined],
  }),
  ...functions('wasi:cli/exit', {
    exit: [[result()], undefined, ([code]: readonly [number]) => end(code)],
    'exit-with-code': [[u8], undefined, end],
  }),
  ...functions('wasi:cli/stdin', { 'get-stdin': [[], handle, () => add(new InputStream(new Uint8Array()))] }),
  ...functions('wasi:cli/stdout', { 'get-stdout': [[], handle, toLog] }),
  ...functions('wasi:cli/stderr', { 'get-stderr': [[], handle, toLog] }),
  ...functions('wasi:cli/terminal-stdin', { 'get-terminal-stdin': [[], option(handle), () => undefined] }),
  ...functions('wasi:cli/terminal-stdout', { 'get-terminal-stdout': [[], option(handle), () => undefined] }),
  ...functions('wasi:cli/terminal-stderr', { 'get-terminal-stderr': [[], option(handle), () => undefined] }),
  ...functions('wasi:filesystem/preopens', { 'get-directories': [[], list(record(handle, text)), () => []] }),
  ...functions('wasi:filesystem/types', { 'filesystem-error-code': [[handle], option(u8), () => undefined] }),
  ...functions('wasi:sockets/instance-network', { 'instance-network': [[], handle, () => add(new Nothing())] }),
  ...functions('wasi:sockets/tcp-create-socket', { 'create-tcp-socket': [[u8], nowhere, denied] }),
  ...functions('wasi:sockets/udp-create-socket', { 'create-udp-socket': [[u8], nowhere, denied] }),
  ...functions('wasi:sockets/ip-name-lookup', { 'resolve-addresses': [[handle, text], nowhere, denied] }),
};
