/** Archives (POSIX tar) as uploads and exports have them: files with their bytes, no links. */

export interface TarFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
}

const BLOCK = 512;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Whether bytes are a tar. */
export function isTar(bytes: Uint8Array): boolean {
  return decoder.decode(bytes.subarray(257, 262)) === 'ustar';
}

/** The files of a tar, with the long names of GNU and PAX. Throws if it breaks off. */
export function readTar(bytes: Uint8Array): TarFile[] {
  const files: TarFile[] = [];
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= bytes.length;) {
    const head = bytes.subarray(at, at + BLOCK);
    if (head.every((byte) => byte === 0)) break;
    const size = octal(head, 124, 12);
    const begin = at + BLOCK;
    if (begin + size > bytes.length) throw new Error('the tar breaks off');
    const contents = bytes.subarray(begin, begin + size);
    const kind = String.fromCharCode(head[156] ?? 0);
    if (kind === 'L') {
      longName = text(contents, 0, size);
    } else if (kind === 'x') {
      longName = paxPath(contents) ?? longName;
    } else {
      const prefix = text(head, 345, 155);
      const name = longName ?? (prefix === '' ? '' : `${prefix}/`) + text(head, 0, 100);
      longName = undefined;
      if (kind === '0' || kind === '\0') {
        files.push({ path: name.replace(/^(\.\/)+/, ''), bytes: contents, mode: octal(head, 100, 8) & 0o777 });
      }
    }
    at = begin + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return decoder.decode(end < 0 ? field : field.subarray(0, end));
}

function octal(bytes: Uint8Array, at: number, length: number): number {
  return Number.parseInt(text(bytes, at, length).trim() || '0', 8);
}

/** The path among records of the form "LENGTH KEY=VALUE\n". */
function paxPath(bytes: Uint8Array): string | undefined {
  let path: string | undefined;
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at);
    const length = Number(decoder.decode(bytes.subarray(at, space)));
    if (space < 0 || !(length > 0)) break;
    const record = decoder.decode(bytes.subarray(space + 1, at + length - 1));
    if (record.startsWith('path=')) path = record.slice(5);
    at += length;
  }
  return path;
}

/** A tar of files. */
export function writeTar(files: readonly TarFile[]): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = [];
  const push = (bytes: Uint8Array): void => {
    blocks.push(bytes);
    const rest = bytes.length % BLOCK;
    if (rest > 0) blocks.push(new Uint8Array(BLOCK - rest));
  };
  for (const { path, bytes, mode } of files) {
    const name = encoder.encode(path);
    if (name.length > 100) {
      const long = new Uint8Array(name.length + 1);
      long.set(name);
      blocks.push(head(encoder.encode('././@LongLink'), long.length, 0o644, 'L'));
      push(long);
    }
    blocks.push(head(name.subarray(0, 100), bytes.length, mode, '0'));
    push(bytes);
  }
  blocks.push(new Uint8Array(2 * BLOCK));
  const whole = new Uint8Array(blocks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const block of blocks) {
    whole.set(block, at);
    at += block.length;
  }
  return whole;
}

function head(name: Uint8Array, size: number, mode: number, kind: string): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, value: string): void => block.set(encoder.encode(value), at);
  block.set(name);
  put(100, `${mode.toString(8).padStart(7, '0')}\0`);
  put(108, '0000000\0');
  put(116, '0000000\0');
  put(124, `${size.toString(8).padStart(11, '0')}\0`);
  put(136, '00000000000\0');
  put(148, '        ');
  put(156, kind);
  put(257, 'ustar\0');
  put(263, '00');
  const sum = block.reduce((before, byte) => before + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return block;
}
