/** The node's API: requests, errors as they are shown, answers that come in lines. */
import { apiUrl } from './base';
import { answered, reachable, unanswered } from './connection';
import type { ProblemBody } from './types';

/** An error of the node, or of the way to it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** A stable word: see docs/errors.md. */
    readonly code: string,
    readonly detail: string,
    readonly requestId?: string,
    /** Seconds after which to try again. */
    readonly retryAfter?: number,
    /** The whole document, with `output` and `stack` of a function. */
    readonly problem?: ProblemBody,
  ) {
    super(detail);
    this.name = 'ApiError';
  }

  static of(problem: ProblemBody, retryAfter?: number): ApiError {
    return new ApiError(problem.status, problem.code, problem.detail, problem.request_id, retryAfter, problem);
  }
}

/** Any error as one that can be shown. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, 'console_error', error instanceof Error ? error.message : String(error));
}

/** Whether somebody gave the request up: nothing to show. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RequestOptions {
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: BodyInit;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** A 401 is an error like others, and does not lead to the page for logging in. */
  readonly anonymous?: boolean;
}

/** Called at a 401; the session sets it. */
let onUnauthorized = (): void => {};

export function whenUnauthorized(listener: () => void): void {
  onUnauthorized = listener;
}

/** Sends a request; gives the response whatever its status is. Throws only if there is none. */
export async function send(method: Method, route: string, options: RequestOptions = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (options.json !== undefined) headers.set('content-type', 'application/json');
  const body = options.json === undefined ? (options.body ?? null) : JSON.stringify(options.json);
  const init: RequestInit = { method, headers, body, signal: options.signal ?? null, redirect: 'error' };
  try {
    const response = await fetch(apiUrl(route), init);
    if (!reachable.value) answered();
    return response;
  } catch (error) {
    if (isAbort(error)) throw error;
    unanswered();
    throw new ApiError(0, 'node_away', 'the node does not answer');
  }
}

/** The error that a response stands for. */
export async function errorOf(response: Response): Promise<ApiError> {
  const after = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfter = Number.isFinite(after) ? after : undefined;
  const id = response.headers.get('x-request-id') ?? undefined;
  const text = await response.text().catch(() => '');
  try {
    const problem = JSON.parse(text) as ProblemBody;
    if (typeof problem.code === 'string') return ApiError.of(problem, retryAfter);
  } catch {
    // No problem document: of a proxy, perhaps.
  }
  const words = text.length > 0 && text.length < 300 && !text.startsWith('<') ? text.trim() : response.statusText;
  return new ApiError(response.status, `http_${response.status}`, words || `status ${response.status}`, id, retryAfter);
}

/** Sends a request and throws what is no success. */
export async function request(method: Method, route: string, options: RequestOptions = {}): Promise<Response> {
  const response = await send(method, route, options);
  if (response.ok) return response;
  const error = await errorOf(response);
  if (response.status === 401 && options.anonymous !== true) onUnauthorized();
  throw error;
}

/** The answer as JSON; `undefined` if it has no body. */
export async function call<T>(method: Method, route: string, options: RequestOptions = {}): Promise<T> {
  const headers = { accept: 'application/json', ...options.headers };
  const response = await request(method, route, { ...options, headers });
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

export const get = <T>(route: string, options?: RequestOptions): Promise<T> => call<T>('GET', route, options);
export const post = <T>(route: string, json?: unknown, options?: RequestOptions): Promise<T> =>
  call<T>('POST', route, { ...(json === undefined ? {} : { json }), ...options });
export const put = <T>(route: string, json?: unknown, options?: RequestOptions): Promise<T> =>
  call<T>('PUT', route, { ...(json === undefined ? {} : { json }), ...options });
export const patch = <T>(route: string, json: unknown, options?: RequestOptions): Promise<T> =>
  call<T>('PATCH', route, { json, ...options });
export const del = <T = void>(route: string, options?: RequestOptions): Promise<T> => call<T>('DELETE', route, options);

/** The answer as text. */
export async function getText(route: string, options?: RequestOptions): Promise<string> {
  return (await request('GET', route, options)).text();
}

/** The lines of an NDJSON answer as they come. */
export async function* lines<T>(method: Method, route: string, options: RequestOptions = {}): AsyncGenerator<T> {
  const headers = { accept: 'application/x-ndjson', ...options.headers };
  const response = await request(method, route, { ...options, headers });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const pieces = (rest + (value ?? '')).split('\n');
      rest = done ? '' : (pieces.pop() ?? '');
      for (const piece of pieces) if (piece.trim() !== '') yield JSON.parse(piece) as T;
      if (done) return;
    }
  } finally {
    // Whoever stops reading stops the answer.
    reader.cancel().catch(() => {});
  }
}

/** A request whose answer tells its steps: deploys, changes, starts, tests, imports. Gives the outcome. */
export async function withProgress<T>(
  method: Method,
  route: string,
  options: RequestOptions & { readonly onStep?: (text: string) => void },
): Promise<T> {
  for await (const line of lines<Record<string, unknown>>(method, route, options)) {
    if (typeof line['Progress'] === 'string') {
      options.onStep?.(line['Progress']);
    } else if (line['Problem'] !== undefined) {
      const after = line['RetryAfter'];
      throw ApiError.of(line['Problem'] as ProblemBody, typeof after === 'number' ? after : undefined);
    } else {
      // An empty object is a sign of life; else the one member is the outcome.
      const [outcome] = Object.values(line);
      if (outcome !== undefined) return outcome as T;
    }
  }
  throw new ApiError(0, 'answer_cut', 'the answer ended before its outcome; the node may have restarted');
}
