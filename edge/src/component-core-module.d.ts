// `component-core.ts` as a function that needs nothing around it (build.mjs).

declare module 'component-core:' {
  export const makeCore: () => typeof import('./component-core.js');
}
