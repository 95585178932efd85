/** The runtime that code is for, and the parameters that it seems to take. */
import type { Parameter, Runtime } from '../types';
import { needsContainer } from './python';
import { textOf, type Source } from './source';

export interface Guess {
  readonly runtime: Runtime;
  /** Why, as the end of a sentence. */
  readonly because: string;
}

// Names that Node.js has and a script in WebAssembly has not; see docs/javascript.md.
const NODE_NAMES = [
  'Atomics',
  'BroadcastChannel',
  'EventSource',
  'SharedArrayBuffer',
  'WebAssembly',
  'WebSocket',
  'Worker',
  'XMLHttpRequest',
  '__dirname',
  '__filename',
];

// Modules that a script in WebAssembly has, with `node:` before them or without.
const ENGINE_MODULES =
  /^(?:serverledge|bcrypt(?:js)?|(?:node:)?(?:assert(?:\/strict)?|buffer|crypto|events|path(?:\/posix)?|querystring|string_decoder|url|util(?:\/types)?))$/;

/** Without comments and texts in quotes, in which names mean nothing. */
function bare(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, (part) =>
    /^['"]/.test(part) ? '""' : ' ',
  );
}

/** What of Node.js a script uses; `undefined`: nothing that was seen. */
function usesNode(code: string): string | undefined {
  const modules = code.matchAll(/(?:\brequire\(\s*|\bfrom\s+|\bimport\s+|\bimport\(\s*)['"]([^'"]+)['"]/g);
  for (const [, module] of modules) if (module !== undefined && !ENGINE_MODULES.test(module)) return `imports ${module}`;
  const rest = bare(code);
  const member = /\bprocess\.(?!env\b)(\w+)/.exec(rest);
  if (member !== null) return `uses process.${member[1]}`;
  const name = NODE_NAMES.find(
    (one) =>
      new RegExp(`(?<![.\\w$])${one}(?![\\w$])(?!\\s*:)`).test(rest) && !new RegExp(`typeof\\s+${one}\\b`).test(rest),
  );
  return name === undefined ? undefined : `uses ${name}`;
}

/** The runtime of an upload with this handler; `undefined` if it is nothing that a node runs. */
export function guessRuntime(source: Source, handler: string): Guess | undefined {
  const [first] = source.files;
  if (first === undefined) return undefined;
  const names = source.files.map(({ path }) => path);
  const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  const [a, b, c, d] = first.bytes;
  if (source.bare && a === 0 && b === 0x61 && c === 0x73 && d === 0x6d) {
    return { runtime: 'wasm', because: 'it is a WebAssembly file' };
  }
  if (source.bare && /\.wa[st]m?$/.test(first.path)) return { runtime: 'wasm', because: 'it is WebAssembly as text' };
  if (has(/(^|\/)requirements\.txt$/)) {
    return { runtime: 'python', because: 'the packages of its requirements.txt are installed there' };
  }
  if (has(/(^|\/)package(-lock)?\.json$/)) return { runtime: 'nodejs', because: 'there is a package.json' };
  if (!source.bare && has(/\.wa(sm|t)$/i)) return { runtime: 'wasm', because: 'it has a WebAssembly file' };
  if (has(/\.py$/)) {
    const why = needsContainer(source, handler);
    return why === undefined
      ? { runtime: 'python-wasm', because: 'it needs nothing that only a container has' }
      : { runtime: 'python', because: why };
  }
  const scripts = source.files.filter(({ path }) => /\.[mc]?js$/.test(path));
  if (scripts.length > 1) return { runtime: 'nodejs', because: 'it has several scripts' };
  const [script] = scripts;
  if (script === undefined) return undefined;
  const why = usesNode(textOf(script) ?? '');
  return why === undefined
    ? { runtime: 'javascript', because: 'it is a script that needs nothing of Node.js' }
    : { runtime: 'nodejs', because: `it ${why}` };
}

/**
 * Parameters that a source names: `({ a, b = 2 }) =>`, `params.a`, `params["a"]`, `params.get("a", 1)`. A default tells
 * the type.
 */
export function namedParameters(code: string): Parameter[] {
  const found = new Map<string, string>();
  const add = (name: string | undefined, value: string | undefined): void => {
    if (name !== undefined && (found.get(name) ?? '') === '') found.set(name, typeOf(value?.trim() ?? ''));
  };
  const object = /(?:exports\s*=|default|handler\s*=)\s*(?:async\s+)?(?:function\s*\w*\s*)?\(\s*\{([^}]*)\}/.exec(
    code,
  );
  for (const [, name, value] of object?.[1]?.matchAll(/(?:^|,)\s*([A-Za-z_]\w*)(?:\s*=\s*([^,]*))?/g) ?? [])
    add(name, value);
  for (const [, name, value] of code.matchAll(/\b(?:params|args)\.get\(\s*["'](\w+)["'](?:\s*,\s*([^)]*))?/g))
    add(name, value);
  for (const [, item, member] of code.matchAll(
    /\b(?:params|args)(?:\[\s*["'](\w+)["']\]|\.(?!get\()(\w+)\b(?!\s*\())/g,
  )) {
    add(item ?? member, undefined);
  }
  return [...found].slice(0, 12).map(([Name, Type]) => ({ Name, Type }));
}

/** The type of a literal; empty if it tells none. */
function typeOf(literal: string): string {
  if (/^-?\d+$/.test(literal)) return 'Int';
  if (/^-?\d*\.\d+$/.test(literal)) return 'Float';
  if (/^(true|false)$/i.test(literal)) return 'Bool';
  if (/^["'`]/.test(literal)) return 'Text';
  return literal.startsWith('[') ? 'ArrayText' : '';
}

// === samples ===

const WORDS: readonly (readonly [RegExp, readonly unknown[]])[] = [
  [/name$/i, ['Ada', 'Grace', 'Zoë']],
  [/mail/i, ['ada@example.org', 'not an address']],
  [/(url|link)$/i, ['https://example.org/']],
  [/(lang|language|locale)$/i, ['en', 'de']],
  [/(text|message|body|markdown|html)$/i, ['Hello, world', '# Title\n\nSome *text*.', '']],
  [/(limit|max|count|size|number|^n$)/i, [1000, 10, 0]],
  [/(seconds|times|index|page|amount|price|quantity|width|height)$/i, [3, 1, 0]],
  [/^[a-c]$|^[x-z]$/, [2, 3, -1]],
];

const VALUES: Readonly<Record<string, readonly unknown[]>> = {
  Int: [7, 0, -3, 1_000_000],
  Float: [1.5, 0, -0.25],
  Text: ['Ada', '', 'Grüße, 世界'],
  Bool: [true, false],
  Void: [null],
  ArrayInt: [[1, 2, 3], [], [5]],
  ArrayFloat: [[0.5, 1.5], []],
  ArrayBool: [[true, false], []],
  ArrayText: [['a', 'b'], []],
  ArrayArrayInt: [
    [
      [1, 2],
      [3, 4],
    ],
    [[]],
  ],
  ArrayArrayFloat: [[[0.5], [1.5]], [[]]],
};

/** Types of a signature. */
export const TYPES = Object.keys(VALUES);

function valueOf({ Name, Type }: Parameter, index: number): unknown {
  const byName = WORDS.find(([pattern]) => pattern.test(Name))?.[1];
  const values = VALUES[Type] ?? [];
  const fits = byName !== undefined && (Type === '' || typeof byName[0] === typeof values[0]);
  const from = fits ? byName : values.length > 0 ? values : ['Ada', 1, true];
  return from[index % from.length];
}

/** Sample parameters; each index gives others: usual ones first, then empty and odd ones. */
export function sample(inputs: readonly Parameter[], index: number): Record<string, unknown> {
  return Object.fromEntries(
    inputs.map((input, place) => [input.Name, valueOf(input, index + (index > 0 ? place % 2 : 0))]),
  );
}
