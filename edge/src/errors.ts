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
    readonly trace?: string | undefined,
  ) {
    super(message);
  }
}

/** The error of a call that took longer than its time. */
export function overdue(milliseconds: number): CallError {
  return new CallError('function_timeout', `the function ran longer than its limit of ${milliseconds} ms`);
}
