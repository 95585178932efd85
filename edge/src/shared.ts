// The code that the page shares with its Worker. It is in the library once, as a function: the page calls it, and the
// Worker gets its text.

import { makeCore } from 'core:';

export const { canonical, CallError, memberText, problemOf } = makeCore();
export type CallError = InstanceType<typeof CallError>;

/** The Worker's program. */
export const WORKER_SOURCE = `(${makeCore})().serve()`;
