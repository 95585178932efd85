/** The runtimes: what they are, and what their functions have. */
import type { Runtime } from '../types';

/** What a runtime is, in words; in the order in which they are offered. */
export const RUNTIME_TEXTS: Readonly<Record<Runtime, string>> = {
  javascript: 'JavaScript, in WebAssembly',
  wasm: 'WebAssembly',
  'python-wasm': 'Python, in WebAssembly',
  python: 'Python, in a container',
  nodejs: 'Node.js, in a container',
  custom: 'an image of your own',
};

export const RUNTIMES = Object.keys(RUNTIME_TEXTS) as readonly Runtime[];

const CONTAINERS: readonly Runtime[] = ['python', 'nodejs', 'custom'];

/** Those whose functions may send requests to hosts that are named (`AllowHosts`). */
const WITH_HOSTS: readonly Runtime[] = ['wasm', 'javascript', 'python-wasm', 'python', 'nodejs'];

/** Those whose modules browsers get. */
const IN_BROWSERS: readonly Runtime[] = ['wasm', 'javascript'];

const isOneOf =
  (list: readonly Runtime[]) =>
  (runtime: Runtime | undefined): boolean =>
    runtime !== undefined && list.includes(runtime);

export const isContainer = isOneOf(CONTAINERS);
export const hasHosts = isOneOf(WITH_HOSTS);
export const runsInBrowsers = isOneOf(IN_BROWSERS);
