/** Files from this machine: a button that takes one, and the list of what is in it. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, Bytes, Problem, Table } from '../ui';
import { ApiError } from '../api';
import type { Source } from './source';
import type { TarFile } from './tar';

const BYTES_MAX = 64 * 1024 * 1024;
const ENDINGS = '.wasm,.wat,.js,.mjs,.cjs,.py,.tar';

async function read(file: File): Promise<Uint8Array> {
  if (/\.(ts|tsx|jsx|mts|cts)$/.test(file.name)) {
    throw new ApiError(
      0,
      'needs_bundling',
      `${file.name} has to be translated first: serverledge-cli create ${file.name} does it`,
    );
  }
  if (/\.(gz|tgz|zip)$/.test(file.name)) {
    throw new ApiError(0, 'compressed', `${file.name} is compressed: a node takes a plain .tar`);
  }
  if (file.size > BYTES_MAX) throw new ApiError(0, 'code_too_large', `${file.name} has more than 64 MiB`);
  return new Uint8Array(await file.arrayBuffer());
}

/** A button that asks for a file. Files that are dropped on the page are taken as well. */
export function UploadButton({
  label,
  onFile,
  accept = ENDINGS,
}: {
  readonly label: string;
  readonly onFile: (bytes: Uint8Array, name: string) => void;
  readonly accept?: string;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const [error, setError] = useState<ApiError>();
  const latest = useRef(onFile);
  latest.current = onFile;
  const take = (file: File | null | undefined): void => {
    if (file == null) return;
    setError(undefined);
    read(file).then(
      (bytes) => latest.current(bytes, file.name),
      (fault: unknown) => setError(fault instanceof ApiError ? fault : new ApiError(0, 'unreadable', String(fault))),
    );
  };
  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
    const over = (event: DragEvent): void => {
      if (hasFiles(event)) event.preventDefault();
    };
    const drop = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      take(event.dataTransfer?.files[0]);
    };
    addEventListener('dragover', over);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('drop', drop);
    };
  }, []);
  return (
    <>
      <input
        ref={input}
        type="file"
        class="offscreen"
        tabIndex={-1}
        aria-label={label}
        accept={accept}
        onChange={(event) => {
          take(event.currentTarget.files?.[0]);
          event.currentTarget.value = '';
        }}
      />
      <Button onClick={() => input.current?.click()}>{label}</Button>
      <Problem error={error} />
    </>
  );
}

/** The files of a source that is not edited here. */
export function SourceFiles({ source }: { readonly source: Source }): JSX.Element {
  return (
    <Table<TarFile>
      caption="Files"
      rows={source.files}
      rowKey={({ path }) => path}
      step={50}
      columns={[
        { key: 'path', label: 'File', bare: true, sort: ({ path }) => path, cell: ({ path }) => <code>{path}</code> },
        {
          key: 'bytes',
          label: 'Size',
          end: true,
          sort: ({ bytes }) => bytes.length,
          cell: ({ bytes }) => <Bytes n={bytes.length} />,
        },
      ]}
    />
  );
}
