// The module that build.mjs makes of core.ts.

declare module 'core:' {
  export const makeCore: () => typeof import('./core.js');
}
