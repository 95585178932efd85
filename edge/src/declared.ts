// The library beside the types that edge.d.ts declares: this compiles only if they are the same. It is in no bundle.

import type * as Declared from '../edge.js';
import type * as Built from './index.js';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;
type Members<T> = { [Name in keyof T]: T[Name] };

export type Checks = [
  Built.App extends Declared.App ? true : never,
  Declared.App extends Members<Built.App> ? true : never,
  Same<Members<Built.Options>, Members<Declared.Options>>,
  Same<Members<Built.RunOptions>, Members<Declared.RunOptions>>,
  Same<Members<Built.Timing>, Members<Declared.Timing>>,
  Built.EdgeFunction extends Declared.EdgeFunction ? true : never,
  Declared.EdgeFunction extends Built.EdgeFunction ? true : never,
  Built.CallError extends Declared.CallError ? true : never,
  typeof Built.CallError extends typeof Declared.CallError ? true : never,
  typeof Built.connect extends typeof Declared.connect ? true : never,
  typeof Built.canonical extends typeof Declared.canonical ? true : never,
  Exclude<keyof typeof Declared, keyof typeof Built> extends never ? true : never,
];
export const CHECKS: Checks = [true, true, true, true, true, true, true, true, true, true, true, true];
