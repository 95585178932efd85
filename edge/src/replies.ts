// Replies of the node: the result in one, or the error that it is.

import { memberText } from './canonical.js';
import { CallError } from './errors.js';

/** The error in a response of the node that is no success. */
export function problemOf(status: number, body: string): CallError {
  let problem: { readonly code?: unknown; readonly detail?: unknown } = {};
  try {
    problem = Object(JSON.parse(body));
  } catch {
    // No problem document: a proxy's page, for instance.
  }
  const { code, detail } = problem;
  if (typeof code === 'string') return new CallError(code, String(detail ?? code));
  return new CallError('node_unreachable', `the node's address answered ${status} without a result`);
}

/** The result's JSON in a reply to a call. A reply without one is not the node's. */
export function resultOf(status: number, body: string): string {
  let result: string | undefined;
  try {
    JSON.parse(body);
    if (status === 200) result = memberText(body, 'result');
  } catch {
    // A proxy's page again.
  }
  if (result === undefined) throw problemOf(status, body);
  return result;
}
