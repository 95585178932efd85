// The code that the page shares with its Worker. It is in the library once, as a function: the page calls it, and the
// Worker gets its text.

import { makeCore } from 'core:';

const core = makeCore();

/** What both parts of the library use. */
export type Core = typeof core;

export { core };
export const { canonical, CallError, overdue, problemOf, Results } = core;
export type CallError = InstanceType<typeof CallError>;

/** The Worker's program. */
export const WORKER_SOURCE = `(${makeCore})().serve()`;
