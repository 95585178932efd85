/** Calls of a function at the node, as the page for trying them makes them, and the same as commands. */
import { ApiError, errorOf, isAbort, send } from '../api';
import { apiRoot, apiUrl, inApp, path } from '../base';
import type { FunctionInfo, InvocationResponse } from '../types';
import { fileNameOf, rawResult, textOf } from './bytes';

/** Phases of a call at the node, in microseconds. */
export interface Phases {
  readonly queue: number;
  readonly start: number;
  readonly execution: number;
  readonly total: number;
}

/** What came of a call. */
export interface Outcome {
  readonly where: 'node' | 'browser';
  /** HTTP status, where there is one. */
  readonly status?: number;
  readonly error?: ApiError;
  /** The result, if it is text. */
  readonly text?: string;
  /** The result with its type; absent: JSON. */
  readonly bytes?: Blob;
  readonly headers: readonly (readonly [string, string])[];
  /** Microseconds until the whole answer was here. */
  readonly took: number;
  readonly phases?: Phases;
  /** The look-up that answered; absent: the function ran. */
  readonly cache?: string;
  readonly warm?: boolean;
  readonly ranOn?: string;
  /** The id of the invocation. */
  readonly id?: string;
  readonly log?: string;
  /** It includes loading the module. */
  readonly first?: boolean;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'];
export type BodyKind = 'none' | 'json' | 'text' | 'form' | 'file';

export interface Pair {
  readonly name: string;
  readonly value: string;
}

/** A request to a function over HTTP; the bytes of a file stand apart. */
export interface HttpCall {
  readonly method: Method;
  /** Path and query below the function: `/a?b=c`. */
  readonly target: string;
  readonly headers: readonly Pair[];
  readonly kind: BodyKind;
  readonly text: string;
  readonly form: readonly Pair[];
}

/** `Server-Timing` of the node. */
function phasesOf(headers: Headers): Phases | undefined {
  const found: Record<string, number> = {};
  for (const part of (headers.get('server-timing') ?? '').split(',')) {
    const [, name = '', ms = ''] = /^\s*(\w+);dur=([\d.]+)/.exec(part) ?? [];
    found[name] = Number(ms) * 1000;
  }
  const { queue, start, exec: execution, total } = found;
  if (queue === undefined || start === undefined || execution === undefined || total === undefined) return undefined;
  return { queue, start, execution, total };
}

function common(response: Response, begun: number): Omit<Outcome, 'where'> {
  const phases = phasesOf(response.headers);
  const cache = response.headers.get('serverledge-cache');
  const id = response.headers.get('x-request-id');
  return {
    status: response.status,
    headers: [...response.headers],
    took: (performance.now() - begun) * 1000,
    ...(phases === undefined ? {} : { phases }),
    ...(cache === null ? {} : { cache }),
    ...(id === null ? {} : { id }),
  };
}

/** Runs a function with parameters and waits for its result. Raw output is decoded. */
export async function invoke(
  info: FunctionInfo,
  app: string | undefined,
  params: string,
  signal: AbortSignal,
): Promise<Outcome> {
  const begun = performance.now();
  const route = inApp(app, path`/invoke/${info.Name}`);
  // The parameters as they were typed: a number of twenty digits stays one.
  const body = `{"Params":${params},"ReturnOutput":true}`;
  const response = await send('POST', route, { body, signal, headers: { 'content-type': 'application/json' } });
  if (!response.ok) {
    const error = await errorOf(response);
    const log = error.problem?.output;
    return { where: 'node', ...common(response, begun), error, ...(log === undefined ? {} : { log }) };
  }
  const answer = (await response.json()) as InvocationResponse;
  return {
    where: 'node',
    ...common(response, begun),
    ...(info.Stdout === 'raw' ? await rawAnswer(answer.Result) : { text: answer.Result }),
    warm: answer.IsWarmStart,
    log: answer.Output,
    ...(answer.ExecutionNode === undefined ? {} : { ranOn: `${answer.ExecutionArea ?? ''}/${answer.ExecutionNode}` }),
  };
}

/** What a program wrote, out of the JSON of its result. */
async function rawAnswer(result: string): Promise<Pick<Outcome, 'text' | 'bytes'>> {
  const bytes = rawResult(parsed(result));
  // The function may be another one since its settings were read.
  return bytes === undefined ? { text: result } : withText(bytes);
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

async function withText(bytes: Blob): Promise<Pick<Outcome, 'text' | 'bytes'>> {
  const text = await textOf(bytes);
  return { bytes, ...(text === undefined ? {} : { text }) };
}

/** The address of a function over HTTP. Throws if the target leads out of the function. */
export function httpUrl(name: string, app: string | undefined, target: string): URL {
  const root = apiUrl(inApp(app, path`/fn/${name}`));
  const url = new URL(root.href + (target === '' || /^[/?]/.test(target) ? target : `/${target}`));
  if (url.pathname !== root.pathname && !url.pathname.startsWith(`${root.pathname}/`)) {
    throw new ApiError(0, 'path_outside', 'the path leads out of the function');
  }
  url.hash = '';
  return url;
}

const CONTENT_TYPES: Readonly<Partial<Record<BodyKind, string>>> = {
  json: 'application/json',
  text: 'text/plain;charset=utf-8',
  form: 'application/x-www-form-urlencoded',
};

function form(pairs: readonly Pair[]): string {
  const named = pairs.filter(({ name }) => name !== '');
  return new URLSearchParams(named.map(({ name, value }) => [name, value])).toString();
}

/** The request that a call is. */
export function requestOf(url: URL, call: HttpCall, file: File | undefined): Request {
  const headers = new Headers();
  for (const { name, value } of call.headers) if (name.trim() !== '') headers.append(name.trim(), value);
  const type = CONTENT_TYPES[call.kind] ?? (call.kind === 'file' ? file?.type : undefined);
  const bodiless = call.method === 'GET' || call.method === 'HEAD' || call.kind === 'none';
  if (!bodiless && type !== undefined && type !== '' && !headers.has('content-type'))
    headers.set('content-type', type);
  const body = call.kind === 'form' ? form(call.form) : call.kind === 'file' ? (file ?? '') : call.text;
  return new Request(url, { method: call.method, headers, body: bodiless ? null : body, redirect: 'manual' });
}

/** Sends a request to a function. */
export async function callHttp(request: Request, signal: AbortSignal): Promise<Outcome> {
  const begun = performance.now();
  let response: Response;
  try {
    response = await fetch(request, { signal });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, 'no_answer', 'there is no answer: the node is away, or its answer broke off');
  }
  if (response.type === 'opaqueredirect') {
    throw new ApiError(
      0,
      'redirect_hidden',
      'the function answered with a redirect, which browsers hide from pages; curl below shows it',
    );
  }
  return readOutcome('node', response, begun);
}

/** The outcome that a response is; problems of the node are told from the answers of functions by their type. */
export async function readOutcome(where: Outcome['where'], response: Response, begun: number): Promise<Outcome> {
  const type = response.headers.get('content-type') ?? '';
  if (!response.ok && type.startsWith('application/problem+json')) {
    return { where, error: await errorOf(response.clone()), ...common(response, begun) };
  }
  return { where, ...(await withText(await response.blob())), ...common(response, begun) };
}

// === commands ===

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Text of JSON without line breaks, as a command line wants it. */
function oneLine(json: string): string {
  return json.includes('\n')
    ? json
        .split('\n')
        .map((line) => line.trim())
        .join(' ')
    : json;
}

function token(loggedIn: boolean): string {
  return loggedIn ? ' -H "Authorization: Bearer $SERVERLEDGE_TOKEN"' : '';
}

/** The end of a command whose answer has raw output in base64: it goes into a file. */
function decoding({ Stdout, StdoutType = '' }: FunctionInfo): string {
  return Stdout === 'raw' ? ` | jq -r '.Result | fromjson | .base64' | base64 -d > ${fileNameOf(StdoutType)}` : '';
}

export function invokeAsCurl(info: FunctionInfo, app: string | undefined, params: string, loggedIn: boolean): string {
  const { href } = apiUrl(inApp(app, path`/invoke/${info.Name}`));
  const body = quoted(`{"Params":${oneLine(params)}}`);
  return `curl${token(loggedIn)} --json ${body} ${quoted(href)}${decoding(info)}`;
}

/** The same call over HTTP, for bytes as they are; `undefined` where HTTP has the parameters elsewhere. */
export function paramsAsCurl(
  info: FunctionInfo,
  app: string | undefined,
  params: string,
  loggedIn: boolean,
): string | undefined {
  if (info.Stdout !== 'raw' || info.Stdin === 'body') return undefined;
  const { href } = apiUrl(inApp(app, path`/fn/${info.Name}`));
  const file = fileNameOf(info.StdoutType ?? '');
  return `curl -o ${file}${token(loggedIn)} --json ${quoted(oneLine(params))} ${quoted(href)}`;
}

export function invokeAsCli(info: FunctionInfo, app: string | undefined, params: string): string {
  const url = apiRoot.href.replace(/\/$/, '');
  const node = /^http:\/\/(127\.0\.0\.1|localhost):1323$/.test(url) ? '' : `SERVERLEDGE_URL=${quoted(url)} `;
  const of = app === undefined ? '' : ` --app ${app}`;
  const call = `${node}serverledge-cli${of} invoke ${info.Name} --params-file -`;
  return `echo ${quoted(oneLine(params))} | ${call}${decoding(info)}`;
}

/** `file`: where the answer goes; its headers are shown in any case. */
export function httpAsCurl(url: URL, call: HttpCall, loggedIn: boolean, file?: string): string {
  const parts = [file === undefined || call.method === 'HEAD' ? 'curl -i' : `curl -D - -o ${file}`];
  if (call.method === 'HEAD') parts.push('--head');
  else if (call.method !== 'GET') parts.push(`-X ${call.method}`);
  const type = CONTENT_TYPES[call.kind];
  const given = call.headers.filter(({ name }) => name.trim() !== '');
  const bodiless = call.method === 'GET' || call.method === 'HEAD' || call.kind === 'none';
  if (!bodiless && type !== undefined && !given.some(({ name }) => name.trim().toLowerCase() === 'content-type')) {
    parts.push(`-H ${quoted(`Content-Type: ${type}`)}`);
  }
  for (const { name, value } of given) parts.push(`-H ${quoted(`${name.trim()}: ${value}`)}`);
  if (!bodiless) {
    parts.push(
      `--data-binary ${call.kind === 'file' ? '@FILE' : quoted(call.kind === 'form' ? form(call.form) : call.text)}`,
    );
  }
  return `${parts.join(' ')}${token(loggedIn)} ${quoted(url.href)}`;
}
