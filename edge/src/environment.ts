// The variables that a guest finds, as on the node (docs/guest-abi.md).

import type { EdgeFunction } from './manifest.js';

/** Those of a call that has so many milliseconds left, each as `NAME=value`. */
export function variables({ env, handler, limits }: EdgeFunction, left: number): string[] {
  return [
    ...Object.entries(env).map((variable) => variable.join('=')),
    `SERVERLEDGE_HANDLER=${handler}`,
    `SERVERLEDGE_INVOCATION_ID=${crypto.randomUUID()}`,
    `SERVERLEDGE_DEADLINE_MS=${(Date.now() + left).toFixed()}`,
    `SERVERLEDGE_MEMORY_MB=${limits.memory_bytes >> 20}`,
  ];
}
