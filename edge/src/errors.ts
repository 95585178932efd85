// The one error of this library.

/**
 * A call that gave no result. `code` is one of the node's codes (docs/errors.md), or of a page's own: `module_refused`,
 * `manifest_refused`, `node_unreachable`, `edge_unsupported`.
 */
export class CallError extends Error {
  override readonly name = 'CallError';

  constructor(
    readonly code: string,
    message: string,
    /** The function's own stack trace, if it gave one. */
    readonly trace?: string,
  ) {
    super(message);
  }
}

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
  return new CallError('node_unreachable', `the node's address answered ${status}`);
}
