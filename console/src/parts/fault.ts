/** The place in a source that an error names. */
import type { ApiError } from '../api';

export interface Fault {
  readonly file: string | undefined;
  readonly line: number;
  readonly text: string;
}

const PLACES = [
  // A frame of a script, or an error of the compiler: `main.js:3:7`.
  /(?:^|[\s("'])([\w@./-]+\.(?:[mc]?js|py|wat))["']?:(\d+)(?::\d+)?/,
  // A frame of Python.
  /File "(?:[^"]*\/)?([\w.-]+\.py)", line (\d+)/g,
  /()\bline (\d+)/,
];

/** Where an error is, if it says so. */
export function faultOf(error: ApiError | undefined): Fault | undefined {
  if (error === undefined) return undefined;
  const { stack = '', output = '' } = error.problem ?? {};
  for (const text of [error.detail, stack, output]) {
    for (const pattern of PLACES) {
      // Of the frames of Python the last one is where it happened.
      const found = pattern.global ? [...text.matchAll(pattern)].at(-1) : pattern.exec(text);
      if (found != null) {
        const [, file = '', line = ''] = found;
        const [first = ''] = error.detail.split('\n');
        return { file: file === '' ? undefined : file, line: Number(line), text: first };
      }
    }
  }
  return undefined;
}
