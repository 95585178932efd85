/** Bytes that functions answer with: their text, their form for pictures and files. */

/** Types whose bytes are no text, even if they could be decoded. */
const NO_TEXT = /^((image(?!\/svg\+xml)|audio|video|font)\/|application\/(gzip|pdf|wasm|zip)\b)/;

/** The bytes that raw output is in a JSON result; `undefined` if it is something else. */
export function rawResult(value: unknown): Blob | undefined {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 2) return undefined;
  const { base64, type } = value as { base64?: unknown; type?: unknown };
  if (typeof base64 !== 'string' || typeof type !== 'string') return undefined;
  try {
    return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type });
  } catch {
    return undefined;
  }
}

/** Bytes as text; `undefined` if they are none. */
export async function textOf(bytes: Blob): Promise<string | undefined> {
  if (NO_TEXT.test(bytes.type)) return undefined;
  const [, charset = 'utf-8'] = /;\s*charset="?([\w.:-]+)/.exec(bytes.type) ?? [];
  try {
    const text = new TextDecoder(charset, { fatal: true }).decode(await bytes.arrayBuffer());
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

export function isImage(type: string): boolean {
  return type.startsWith('image/');
}

export function isJson(type: string): boolean {
  return /^[^;]+[/+]json\s*(;|$)/.test(type);
}

/** Whether two have the same bytes. */
export async function sameBytes(a: Blob | undefined, b: Blob | undefined): Promise<boolean> {
  if (a === undefined || b === undefined || a.size !== b.size) return a === b;
  const [left, right] = (await Promise.all([a.arrayBuffer(), b.arrayBuffer()])).map((one) => new Uint8Array(one));
  return left?.every((byte, index) => byte === right?.[index]) === true;
}

/** An address with the bytes in it: the page's policy allows no other for pictures. */
export function dataUrl(bytes: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error('the bytes cannot be read'));
    reader.readAsDataURL(bytes);
  });
}

const ENDINGS: Readonly<Record<string, string>> = {
  '': 'bin',
  'application/octet-stream': 'bin',
  'image/jpeg': 'jpg',
  'text/javascript': 'js',
  'text/markdown': 'md',
  'text/plain': 'txt',
};

/** A name for a file with bytes of a type: `result.svg` for `image/svg+xml`. */
export function fileNameOf(type: string): string {
  const essence = (type.split(';')[0] ?? '').trim().toLowerCase();
  const [, subtype] = /\/(?:x-)?([a-z0-9]{1,8})(?:\+|$)/.exec(essence) ?? [];
  return `result.${ENDINGS[essence] ?? (essence.endsWith('+json') ? 'json' : (subtype ?? 'bin'))}`;
}
