/** Programs as they are: their arguments and standard streams, as the fields hold them and as the node has them. */
import type { FunctionInfo, FunctionPatch, NewFunction, Parameter } from '../types';
import { joinWords, splitWords } from './words';

/** The settings of a program, as texts. */
export interface ProgramSettings {
  /** Split as a shell does it. */
  readonly args: string;
  readonly stdin: 'params' | 'body' | 'none';
  readonly stdout: 'json' | 'raw';
  /** Empty: the default. */
  readonly stdoutType: string;
}

export const PROGRAM_DEFAULTS: ProgramSettings = { args: '', stdin: 'params', stdout: 'json', stdoutType: '' };
/** The content type of raw output that names none. */
export const TYPE_DEFAULT = 'application/octet-stream';

/** The node's own bounds. */
const ARGS_MAX = 64;
const ARGS_BYTES_MAX = 8 * 1024;
const TYPE_BYTES_MAX = 128;

export function programOf(info: FunctionInfo): ProgramSettings {
  return {
    args: joinWords(info.Arguments ?? []),
    stdin: info.Stdin ?? 'params',
    stdout: info.Stdout ?? 'json',
    stdoutType: info.StdoutType ?? '',
  };
}

/** Whether a program reads a body or writes bytes: it is called by requests then. */
export function hasBytes(info: FunctionInfo): boolean {
  return info.Stdin === 'body' || info.Stdout === 'raw';
}

/** Whether anything is set, so that the function stays at the node. */
export function isProgram(info: FunctionInfo): boolean {
  return (info.Arguments ?? []).length > 0 || info.Stdin !== undefined || info.Stdout !== undefined;
}

/** The inputs that are declared, else the parameters that arguments name. */
export function declaredInputs(info: FunctionInfo): readonly Parameter[] {
  const declared = info.Signature?.Inputs ?? [];
  return declared.length > 0 ? declared : argumentNames(info.Arguments ?? []).map((Name) => ({ Name, Type: '' }));
}

/** Whether the fields hold something. */
export function isSet({ args, stdin, stdout }: ProgramSettings): boolean {
  return args !== '' || stdin !== 'params' || stdout !== 'json';
}

/** The names of parameters inside arguments, each once. */
function argumentNames(args: readonly string[]): string[] {
  const found = args.flatMap((arg) => [...arg.matchAll(/\{\{|\}\}|\{([^{}]+)\}/g)].map(([, name]) => name));
  return [...new Set(found)].filter((name) => name !== undefined);
}

// === members ===

/** The members of a deploy; absent ones have their default. */
export function programMembers(of: ProgramSettings): Partial<NewFunction> {
  const { words } = splitWords(of.args);
  const type = of.stdoutType.trim();
  return {
    ...(words.length === 0 ? {} : { Arguments: [...words] }),
    ...(of.stdin === 'params' ? {} : { Stdin: of.stdin }),
    ...(of.stdout === 'json' ? {} : { Stdout: of.stdout }),
    ...(of.stdout === 'json' || type === '' ? {} : { StdoutType: type }),
  };
}

/** The members that differ. The type goes with raw output: without it, the node drops the type by itself. */
export function changedProgram(before: ProgramSettings, after: ProgramSettings): FunctionPatch {
  const patch: FunctionPatch = {};
  const [from, to] = [programMembers(before), programMembers(after)];
  if (splitWords(after.args).fault === undefined && JSON.stringify(from.Arguments) !== JSON.stringify(to.Arguments)) {
    patch.Arguments = to.Arguments ?? null;
  }
  if (from.Stdin !== to.Stdin) patch.Stdin = to.Stdin ?? null;
  if (from.Stdout !== to.Stdout) patch.Stdout = to.Stdout ?? null;
  const typeOf = (members: Partial<NewFunction>): string => members.StdoutType ?? TYPE_DEFAULT;
  if (to.Stdout === 'raw' && typeOf(from) !== typeOf(to)) patch.StdoutType = to.StdoutType ?? null;
  return patch;
}

// === faults ===

export interface ProgramFaults {
  readonly args?: string;
  readonly stdoutType?: string;
}

/** What no program can have, by field. */
export function programFaults(of: ProgramSettings): ProgramFaults {
  const args = argsFault(of.args);
  const stdoutType = of.stdout === 'raw' ? typeFault(of.stdoutType.trim()) : undefined;
  return { ...(args === undefined ? {} : { args }), ...(stdoutType === undefined ? {} : { stdoutType }) };
}

/** The first of the faults. */
export function firstFault({ args, stdoutType }: ProgramFaults): string | undefined {
  return args ?? stdoutType;
}

function argsFault(text: string): string | undefined {
  const { words, fault } = splitWords(text);
  if (fault !== undefined) return `${fault.charAt(0).toUpperCase()}${fault.slice(1)}.`;
  if (words.length > ARGS_MAX) return `These are ${words.length} arguments; at most ${ARGS_MAX} are allowed.`;
  const bytes = words.reduce((sum, word) => sum + bytesOf(word), 0);
  if (bytes > ARGS_BYTES_MAX) return `These are ${bytes} bytes; at most ${ARGS_BYTES_MAX} are allowed.`;
  for (const word of words) {
    const why = templateFault(word);
    if (why !== undefined) return `In ${word}: ${why}.`;
  }
  return undefined;
}

function templateFault(arg: string): string | undefined {
  if (arg.includes('\0')) return 'it contains NUL';
  const rest = arg.replace(/^(?:\{\{|\}\}|\{[^{}]+\}|[^{}])+/, '');
  if (rest === '') return undefined;
  if (rest.startsWith('{}')) return '{} names no parameter';
  return rest.startsWith('{') ? 'a { begins no {name}; {{ is a brace' : 'a } ends no {name}; }} is a brace';
}

/** A media type, perhaps with parameters, that a header can carry. */
function typeFault(type: string): string | undefined {
  const isType = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+ *(;[ -~]*)?$/.test(type);
  if (type === '' || (isType && bytesOf(type) <= TYPE_BYTES_MAX)) return undefined;
  return `This is no content type: one looks like image/svg+xml and has at most ${TYPE_BYTES_MAX} bytes.`;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
