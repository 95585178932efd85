// wasi:http of WASI 0.2: a request comes in and its response goes out. Requests of the component's own are denied, as
// at the node.

import { here, ResponseBody } from './component-call.js';
import { functions, InputStream, IoError, methods, OutputStream, Pollable, type Definition, type HostFunctions } from './component-io.js';
import { bool, bytes, handle, list, option, record, result, text, u16, u32, u64, u8, variant, Misuse, type Case, type Type } from './component-types.js';
import { Output } from './wasi.js';

// Headers that a component neither sees nor sets: they are the connection's.
const FORBIDDEN = /^(connection|keep-alive|proxy-authenticate|proxy-authorization|proxy-connection|transfer-encoding|upgrade|host|http2-settings)$/;
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];
// As at the node (wasmtime's `DEFAULT_FIELD_SIZE_LIMIT`), with something for each entry.
const FIELDS_BYTES_MAX = 128 << 10;
const ENTRY_BYTES = 64;
// Cases of header-error and error-code.
const INVALID_SYNTAX = 0;
const FORBIDDEN_HEADER = 1;
const IMMUTABLE = 2;
const REQUEST_DENIED = 15;
const URI_INVALID = 19;
const BODY_SIZE = 28;
const PROTOCOL_ERROR = 35;
// The case of schemes that are neither http nor https.
const OTHER_SCHEME = 2;

const method = variant(...Array<undefined>(METHODS.length), text);
const scheme = variant(undefined, undefined, text);
const fieldSize = record(option(text), option(u32));
const sizeError = option(u32);
const errorCode = variant(
  ...[undefined, record(option(text), option(u16))],
  ...Array<undefined>(12),
  ...[record(option(u8), option(text)), undefined, undefined, option(u64), undefined, undefined, undefined],
  ...[sizeError, option(fieldSize), sizeError, fieldSize, undefined, sizeError, fieldSize, option(u64), sizeError, fieldSize],
  ...[option(text), option(text)],
  ...Array<undefined>(5),
  option(text),
);
const headerError = variant(undefined, undefined, undefined);
const headerResult = result(undefined, headerError);
const entry = record(text, bytes);
const plain = result();

const latin1 = (value: Uint8Array): string => Array.from(value, (byte) => String.fromCharCode(byte)).join('');
const fromLatin1 = (value: string): Uint8Array => Uint8Array.from(value, (character) => character.charCodeAt(0));
const isValue = (value: Uint8Array): boolean => value.every((byte) => (byte >= 32 && byte !== 127) || byte === 9);
const add = (value: object, parent?: number): number => here().resources.add(value, parent);

// All digits of a length fit into 64 bits.
const isLength = (digits: string): boolean => /^[0-9]+$/.test(digits) && BigInt(digits) < 1n << 64n;
const bytesOf = (name: string, values: readonly Uint8Array[]): number => values.reduce((sum, { length }) => sum + length + name.length + ENTRY_BYTES, 0);

/** Headers or trailers. */
class Fields {
  #bytes = 0;

  constructor(
    readonly map = new Map<string, readonly Uint8Array[]>(),
    readonly isFixed = false,
  ) {
    for (const [name, values] of map) this.#bytes += bytesOf(name, values);
    here().hold(this.#bytes);
  }

  /** Changes the values of a name. */
  change(name: string, added: readonly Uint8Array[], isMore: boolean): Case {
    const key = name.toLowerCase();
    if (!NAME.test(key)) return [1, [INVALID_SYNTAX]];
    if (FORBIDDEN.test(key)) return [1, [FORBIDDEN_HEADER]];
    if (this.isFixed) return [1, [IMMUTABLE]];
    if (!added.every(isValue)) return [1, [INVALID_SYNTAX]];
    const before = (isMore && this.map.get(key)) || [];
    const values = [...before, ...added];
    if (key === 'content-length') {
      const [length] = values;
      const digits = length && latin1(length);
      if (values.length > 1 || (digits !== undefined && !isLength(digits))) return [1, [INVALID_SYNTAX]];
      if (digits !== undefined) values[0] = fromLatin1(`${BigInt(digits)}`);
    }
    this.#bytes += bytesOf(key, values) - bytesOf(key, this.map.get(key) ?? []);
    if (this.#bytes > FIELDS_BYTES_MAX) throw new Misuse(`headers of more than ${FIELDS_BYTES_MAX} bytes`);
    here().hold(bytesOf(key, added));
    if (values.length > 0) this.map.set(key, values);
    else this.map.delete(key);
    return [0];
  }

  copy(isFixed: boolean): Fields {
    return new Fields(new Map(this.map), isFixed);
  }

  /** The length of a body with these headers; NaN if they name none that can be. */
  get length(): number | undefined {
    const [value] = this.map.get('content-length') ?? [];
    if (!value) return undefined;
    const digits = latin1(value);
    return /^[0-9]+$/.test(digits) ? Number(digits) : NaN;
  }
}

class IncomingRequest {
  isConsumed = false;
}

class IncomingBody {
  isTaken = false;
}

/** What comes once, and is there at once: a result of `future.get`. */
class Future {
  constructor(public value: Case | undefined) {}
}

class Outgoing {
  status = 200;
  method: Case = [0];
  path: string | undefined;
  scheme: Case | undefined;
  authority: string | undefined;
  body: ResponseBody | undefined;

  constructor(readonly headers: Fields) {}
}

class OutgoingRequest extends Outgoing {}
class OutgoingResponse extends Outgoing {}

class OutgoingBody {
  isTaken = false;

  constructor(readonly body: ResponseBody) {}

  write(data: Uint8Array): IoError | undefined {
    const { body } = this;
    body.written += data.length;
    if (body.sent) here().write(data.length);
    body.sent?.push(data, 0, data.length);
    const isTooMuch = body.declared !== undefined && body.written > body.declared;
    return isTooMuch ? new IoError([BODY_SIZE, BigInt(body.written)], `HttpResponseBodySize(Some(${body.written}))`) : undefined;
  }
}

class RequestOptions {
  readonly times: (bigint | undefined)[] = [];
}

class Outparam {}

const headersOf: Definition = [[], handle, (self: Outgoing) => add(self.headers.copy(true))];
// A body, once. What a response says of its length is checked when it is written; the answer to `HEAD` is not kept. Its
// status may still change.
const bodyOf: Definition = [[], result(handle), (self: Outgoing) => {
  const declared = self.headers.length;
  if (self.body || Number.isNaN(declared)) return [1];
  const isSent = self instanceof OutgoingResponse && here().request.method !== 'HEAD';
  self.body = new ResponseBody(declared, isSent ? new Output(here().wanted.limits.output_bytes) : undefined);
  return [0, add(new OutgoingBody(self.body))];
}];
const property = (type: Type, name: 'method' | 'path' | 'scheme' | 'authority', isValid: (value: any) => boolean): [Definition, Definition] => [
  [[], type, (self: OutgoingRequest) => self[name]],
  [[type], plain, (self: OutgoingRequest, value: any) => {
    if (!isValid(value)) return [1];
    if (typeof value === 'string') here().hold(value.length);
    self[name] = value as never;
    return [0];
  }],
];
const [getMethod, setMethod] = property(method, 'method', ([index, name]: Case) => index < METHODS.length || NAME.test(name.toLowerCase()));
const [getPath, setPath] = property(option(text), 'path', (path) => path === undefined || /^[!-~]*$/.test(path));
const [getScheme, setScheme] = property(option(scheme), 'scheme', (value) => value?.[0] !== OTHER_SCHEME || /^[a-z][a-z0-9+.-]*$/i.test(value[1]));
const [getAuthority, setAuthority] = property(option(text), 'authority', (value) => value === undefined || /^[!-~]+$/.test(value));

const future = (inner: Type): Record<string, Definition> => ({
  get: [[], option(result(inner)), (self: Future) => {
    const { value } = self;
    self.value = undefined;
    return value ? [0, value] : [1];
  }],
  subscribe: [[], handle, (_self, own: number) => add(new Pollable(), own)],
});

const timeout = (index: number): [Definition, Definition] => [
  [[], option(u64), (self: RequestOptions) => self.times[index]],
  [[option(u64)], plain, (self: RequestOptions, time: bigint | undefined) => {
    self.times[index] = time;
    return [0];
  }],
];
const [[getConnect, setConnect], [getFirst, setFirst], [getBetween, setBetween]] = [timeout(0), timeout(1), timeout(2)];

function setResponse(out: number, [failed, value]: Case): void {
  const call = here();
  call.resources.take(out, Outparam);
  if (failed) {
    call.outcome = (value as Case)[0];
  } else {
    const { status, headers, body } = call.resources.take(value as number, OutgoingResponse);
    call.outcome = { status, headers: headers.map, body };
  }
}

function finish(own: number, trailers: number | undefined): Case {
  const { body } = here().resources.take(own, OutgoingBody);
  if (trailers !== undefined) here().resources.take(trailers, Fields);
  const { declared, written } = body;
  // In the answer to `HEAD` none is sent, so that it need not be as long as its head says.
  if (declared !== undefined && declared !== written && here().request.method !== 'HEAD') return [1, [BODY_SIZE, BigInt(written)]];
  body.isFinished = true;
  return [0];
}

const TYPES = 'wasi:http/types';

/** See the file. */
export const HTTP: HostFunctions = {
  ...functions(TYPES, {
    '[constructor]fields': [[], handle, () => add(new Fields())],
    '[static]fields.from-list': [[list(entry)], result(handle, headerError), (entries: readonly [string, Uint8Array][]) => {
      const made = new Fields();
      for (const [name, value] of entries) {
        const changed = made.change(name, [value], true);
        if (changed[0]) return changed;
      }
      return [0, add(made)];
    }],
    '[constructor]outgoing-response': [[handle], handle, (own: number) => add(new OutgoingResponse(here().resources.take(own, Fields).copy(true)))],
    '[constructor]outgoing-request': [[handle], handle, (own: number) => add(new OutgoingRequest(here().resources.take(own, Fields).copy(true)))],
    '[constructor]request-options': [[], handle, () => add(new RequestOptions())],
    '[static]response-outparam.set': [[handle, result(handle, errorCode)], undefined, setResponse],
    '[static]incoming-body.finish': [[handle], handle, (own: number) => {
      here().resources.take(own, IncomingBody);
      return add(new Future([0, undefined]));
    }],
    '[static]outgoing-body.finish': [[handle, option(handle)], result(undefined, errorCode), finish],
    'http-error-code': [[handle], option(errorCode), (own: number) => here().resources.get(own, IoError).code],
  }),
  ...methods(TYPES, 'fields', Fields, {
    get: [[text], list(bytes), (self: Fields, name: string) => self.map.get(name.toLowerCase()) ?? []],
    has: [[text], bool, (self: Fields, name: string) => self.map.has(name.toLowerCase())],
    set: [[text, list(bytes)], headerResult, (self: Fields, name: string, values: readonly Uint8Array[]) => self.change(name, values, false)],
    delete: [[text], headerResult, (self: Fields, name: string) => self.change(name, [], false)],
    append: [[text, bytes], headerResult, (self: Fields, name: string, value: Uint8Array) => self.change(name, [value], true)],
    entries: [[], list(entry), (self: Fields) => [...self.map].flatMap(([name, values]) => values.map((value) => [name, value]))],
    clone: [[], handle, (self: Fields) => add(self.copy(false))],
  }),
  ...methods(TYPES, 'incoming-request', IncomingRequest, {
    method: [[], method, () => {
      const index = METHODS.indexOf(here().request.method);
      return index < 0 ? [METHODS.length, here().request.method] : [index];
    }],
    'path-with-query': [[], option(text), () => here().request.target],
    scheme: [[], option(scheme), () => [Number(here().request.scheme === 'https')]],
    authority: [[], option(text), () => here().request.authority],
    headers: [[], handle, () => {
      const map = new Map<string, readonly Uint8Array[]>();
      for (const [name, value] of here().request.headers) if (!FORBIDDEN.test(name)) map.set(name, [fromLatin1(value)]);
      return add(new Fields(map, true));
    }],
    consume: [[], result(handle), (self: IncomingRequest) => {
      if (self.isConsumed) return [1];
      self.isConsumed = true;
      return [0, add(new IncomingBody())];
    }],
  }),
  ...methods(TYPES, 'incoming-body', IncomingBody, {
    stream: [[], result(handle), (self: IncomingBody, own: number) => {
      if (self.isTaken) return [1];
      self.isTaken = true;
      return [0, add(new InputStream(here().request.body), own)];
    }],
  }),
  ...methods(TYPES, 'outgoing-response', OutgoingResponse, {
    'status-code': [[], u16, (self: OutgoingResponse) => self.status],
    'set-status-code': [[u16], plain, (self: OutgoingResponse, status: number) => {
      if (status < 100 || status > 999) return [1];
      self.status = status;
      return [0];
    }],
    headers: headersOf,
    body: bodyOf,
  }),
  ...methods(TYPES, 'outgoing-request', OutgoingRequest, {
    method: getMethod,
    'set-method': setMethod,
    'path-with-query': getPath,
    'set-path-with-query': setPath,
    scheme: getScheme,
    'set-scheme': setScheme,
    authority: getAuthority,
    'set-authority': setAuthority,
    headers: headersOf,
    body: bodyOf,
  }),
  ...methods(TYPES, 'outgoing-body', OutgoingBody, {
    write: [[], result(handle), (self: OutgoingBody, own: number) => {
      if (self.isTaken) return [1];
      self.isTaken = true;
      return [0, add(new OutputStream((data) => self.write(data)), own)];
    }],
  }),
  ...methods(TYPES, 'request-options', RequestOptions, {
    'connect-timeout': getConnect,
    'set-connect-timeout': setConnect,
    'first-byte-timeout': getFirst,
    'set-first-byte-timeout': setFirst,
    'between-bytes-timeout': getBetween,
    'set-between-bytes-timeout': setBetween,
  }),
  ...methods(TYPES, 'future-trailers', Future, future(result(option(handle), errorCode))),
  ...methods(TYPES, 'future-incoming-response', Future, future(result(handle, errorCode))),
  ...functions('wasi:http/outgoing-handler', {
    handle: [[handle, option(handle)], result(handle, errorCode), (own: number) => {
      const request = here().resources.take(own, OutgoingRequest);
      if (request.scheme?.[0] === OTHER_SCHEME) return [1, [PROTOCOL_ERROR]];
      if (!request.authority) return [1, [URI_INVALID]];
      if (request.path === undefined) return [1, [PROTOCOL_ERROR]];
      return [0, add(new Future([1, [REQUEST_DENIED]]))];
    }],
  }),
};

/** The two arguments of a component's handler. */
export function argumentsOf(): readonly [number, number] {
  return [add(new IncomingRequest()), add(new Outparam())];
}

/** Headers as the page gets them. */
export function headerList(headers: ReadonlyMap<string, readonly Uint8Array[]>): readonly (readonly [string, string])[] {
  return [...headers].flatMap(([name, values]) => values.map((value) => [name, latin1(value)] as const));
}
