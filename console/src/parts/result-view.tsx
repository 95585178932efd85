/** A result: JSON with indents, other text as it is, pictures as pictures, else the size; and a way to save bytes. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { Bytes, Button, CodeBlock, formatBytes } from '../ui';
import { dataUrl, fileNameOf, isImage, isJson, rawResult, textOf } from './bytes';

/** Characters of a result that are shown at first. */
const SHOWN_MAX = 100_000;
/** Bytes of a picture that is shown: they become an address. */
const PICTURE_BYTES_MAX = 16_000_000;

export function ResultView({
  text,
  bytes,
}: {
  /** The result, if it is text. */
  readonly text: string | undefined;
  /** The result with its type; absent: JSON. */
  readonly bytes: Blob | undefined;
}): JSX.Element | null {
  const type = bytes?.type ?? '';
  if (text === undefined && bytes === undefined) return null;
  if (text === '' || bytes?.size === 0) return <p class="muted">The answer has no body.</p>;
  const picture = bytes !== undefined && isImage(type) && bytes.size <= PICTURE_BYTES_MAX;
  return (
    <div class="stack tight result-body">
      {picture && <Picture bytes={bytes} />}
      {text !== undefined &&
        (picture ? (
          <details class="more">
            <summary>The picture as text</summary>
            <Text text={text} />
          </details>
        ) : (
          <Text text={text} json={type === '' || isJson(type)} />
        ))}
      {text === undefined && !picture && <p>The answer is no text.</p>}
      {bytes !== undefined && <Saving bytes={bytes} />}
    </div>
  );
}

/** The JSON of a result. What a program wrote as bytes is shown as such, too. */
export function JsonResult({ value }: { readonly value: unknown }): JSX.Element {
  const bytes = useMemo(() => rawResult(value), [value]);
  const [read, setRead] = useState<{ readonly text: string | undefined }>();
  useEffect(() => {
    let gone = false;
    setRead(undefined);
    if (bytes !== undefined) void textOf(bytes).then((text) => !gone && setRead({ text }));
    return () => {
      gone = true;
    };
  }, [bytes]);
  const json = <CodeBlock label="Result" text={JSON.stringify(value, null, 2)} wrap />;
  if (bytes === undefined) return json;
  return (
    <div class="stack tight">
      {read !== undefined && <ResultView text={read.text} bytes={bytes} />}
      <details class="more">
        <summary>The result as JSON</summary>
        {json}
      </details>
    </div>
  );
}

function Text({ text, json = false }: { readonly text: string; readonly json?: boolean }): JSX.Element {
  const [whole, setWhole] = useState(false);
  const shown = useMemo(() => (json ? pretty(text) : text), [text, json]);
  useEffect(() => setWhole(false), [text]);
  const cut = !whole && shown.length > SHOWN_MAX;
  return (
    <>
      <CodeBlock label="Result" wrap text={cut ? shown.slice(0, SHOWN_MAX) : shown} />
      {cut && (
        <div class="row">
          <span class="muted">
            The first {formatBytes(SHOWN_MAX)} of {formatBytes(shown.length)}.
          </span>
          <Button small onClick={() => setWhole(true)}>
            Show all of it
          </Button>
        </div>
      )}
    </>
  );
}

function pretty(text: string): string {
  if (text.length > 1_000_000) return text;
  try {
    const value: unknown = JSON.parse(text);
    // A number that JavaScript would round stays as it came.
    return /\d{16}/.test(text) ? text : JSON.stringify(value, null, 2);
  } catch {
    return text;
  }
}

/** No script of it runs: a picture has none, whatever its bytes are. */
function Picture({ bytes }: { readonly bytes: Blob }): JSX.Element {
  const [url, setUrl] = useState<string>();
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    let gone = false;
    setUrl(undefined);
    setBroken(false);
    dataUrl(bytes).then(
      (read) => !gone && setUrl(read),
      () => !gone && setBroken(true),
    );
    return () => {
      gone = true;
    };
  }, [bytes]);
  if (broken) return <p class="muted">The browser cannot show this picture.</p>;
  if (url === undefined) return <p class="muted">The picture is read…</p>;
  return <img class="picture" src={url} alt={`Result of type ${bytes.type}`} onError={() => setBroken(true)} />;
}

function Saving({ bytes }: { readonly bytes: Blob }): JSX.Element {
  const save = (): void => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(bytes);
    link.download = fileNameOf(bytes.type);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  return (
    <p class="row">
      <span>
        <Bytes n={bytes.size} /> of <code>{bytes.type || 'unknown type'}</code>
      </span>
      <Button small onClick={save}>
        Save
      </Button>
    </p>
  );
}
