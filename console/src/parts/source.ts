/** The source of a function: its files, the language they are in, where they come from and how they are sent. */
import { ApiError, request } from '../api';
import { inApp, path } from '../base';
import type { EditorLanguage } from '../ui';
import type { FunctionInfo, Runtime } from '../types';
import { keep, keepNewest, kept } from './kept';
import { isTar, readTar, writeTar, type TarFile } from './tar';

/** Code as it is uploaded. */
export interface Source {
  readonly files: readonly TarFile[];
  /** One file that is sent as it is, without a tar around it. */
  readonly bare: boolean;
}

/** Bytes of an application's file that are read without being asked for. */
export const EXPORT_READ_MAX = 16_000_000;
/** Characters of a source that this browser keeps. */
const KEPT_CHARS_MAX = 300_000;
const KEPT_SOURCES = 40;

const strict = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

export function sourceOf(text: string, file: string): Source {
  return { files: [{ path: file, bytes: encoder.encode(text), mode: 0o644 }], bare: true };
}

/** What was uploaded: the files of a tar, or one file. */
export function readSource(bytes: Uint8Array, file: string): Source {
  if (isTar(bytes)) return { files: readTar(bytes), bare: false };
  return { files: [{ path: file, bytes, mode: 0o644 }], bare: true };
}

/** The text of a file; `undefined` if it is none, or too long to be edited. */
export function textOf(file: TarFile): string | undefined {
  if (file.bytes.length > 1_000_000) return undefined;
  try {
    const text = strict.decode(file.bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** The source with changed texts, by path. */
export function withTexts(source: Source, texts: Readonly<Record<string, string>>): Source {
  const files = source.files.map((file) => {
    const text = texts[file.path];
    return text === undefined ? file : { ...file, bytes: encoder.encode(text) };
  });
  return { ...source, files };
}

/** The file that somebody wants to see first. */
export function mainFile(source: Source, handler = ''): string | undefined {
  const stem = handler.split('.')[0] ?? '';
  const names = [stem, 'index', 'main', 'handler', 'function', 'app'].filter((name) => name !== '');
  for (const name of names) {
    const found = source.files.find(
      (file) => file.path.replace(/\.\w+$/, '') === name && languageOf(file.path) !== 'text',
    );
    if (found !== undefined) return found.path;
  }
  return (source.files.find((file) => /\.(py|[mc]?js)$/.test(file.path)) ?? source.files[0])?.path;
}

export function languageOf(file: string): EditorLanguage {
  if (/\.[mc]?js$/.test(file)) return 'javascript';
  if (file.endsWith('.py')) return 'python';
  return file.endsWith('.json') ? 'json' : 'text';
}

/** The name of the one file of a runtime. */
export function fileName(runtime: Runtime): string {
  return runtime === 'python' || runtime === 'python-wasm' ? 'main.py' : runtime === 'wasm' ? 'module.wat' : 'main.js';
}

/** The member `TarFunctionCode`. */
export function encoded(source: Source): Promise<string> {
  const [first] = source.files;
  return base64(source.bare && first !== undefined ? first.bytes : writeTar(source.files));
}

/** Base64 of bytes of any length. */
export function base64(bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(reader.error ?? new Error('the file cannot be read'));
    reader.readAsDataURL(new Blob([bytes as Uint8Array<ArrayBuffer>]));
  });
}

// === where sources come from ===

type KeptFiles = Record<string, string>;

/** Keeps a source that was deployed from here under the digest of its code; only texts. */
export function keepSource(digest: string, source: Source): void {
  const files: KeptFiles = {};
  let length = 0;
  for (const file of source.files) {
    const text = textOf(file);
    if (text === undefined) return;
    files[file.path] = text;
    length += text.length;
  }
  if (length > KEPT_CHARS_MAX) return;
  keep(`source.${digest}`, { files, bare: source.bare });
  keepNewest('source', KEPT_SOURCES);
}

/** The source of a code digest, if it was deployed from this browser. */
export function keptSource(digest: string): Source | undefined {
  const found = kept<{ files: KeptFiles; bare: boolean }>(`source.${digest}`);
  if (found === undefined) return undefined;
  const files = Object.entries(found.files).map(([file, text]) => sourceOf(text, file).files[0] as TarFile);
  return { files, bare: found.bare };
}

/** The code is in the file of the application, which is longer than what is read unasked. */
export class LongExport extends Error {
  constructor(readonly bytes: number) {
    super(`the file of the application has ${bytes} bytes`);
  }
}

/** The source of an application's function and its variables, out of the application's file. */
export async function exportedSource(
  app: string,
  info: FunctionInfo,
  { signal, whole }: { signal?: AbortSignal; whole: boolean },
): Promise<{ source: Source; env: Readonly<Record<string, string>> }> {
  const response = await request('GET', inApp(app, '/export'), signal === undefined ? {} : { signal });
  const length = Number(response.headers.get('content-length') ?? 0);
  if (!whole && length > EXPORT_READ_MAX) {
    await response.body?.cancel();
    throw new LongExport(length);
  }
  const files = readTar(new Uint8Array(await response.arrayBuffer()));
  const code = files.find((file) => file.path === path`code/${info.Name}`);
  if (code === undefined)
    throw new ApiError(0, 'source_missing', 'the file of the application does not have this function');
  const manifest = files.find((file) => file.path === 'application.json');
  const { functions } = JSON.parse(textOf(manifest ?? code) ?? '{"functions":[]}') as {
    functions: { body: { Name: string; Env?: Record<string, string> } }[];
  };
  const env = functions.find(({ body }) => body.Name === info.Name)?.body.Env ?? {};
  return { source: readSource(code.bytes.slice(), fileName(info.Runtime)), env };
}
