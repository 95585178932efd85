/** The fields of a request to a function: method, path, headers, body. */
import type { JSX } from 'preact';
import type { FunctionInfo } from '../types';
import type { EditorLanguage } from '../ui';
import { Button, Editor, Field, Select, TextField } from '../ui';
import { argumentQuery } from './addresses';
import { METHODS, type BodyKind, type HttpCall, type Method, type Pair } from './calls';
import { sample } from './guess';
import { declaredInputs, hasBytes } from './program';

const FIRST_CALL: HttpCall = { method: 'GET', target: '/', headers: [], kind: 'none', text: '', form: [] };

/** A request to begin with: that to a program has its parameters, and a body if it reads one. */
export function firstCall(info: FunctionInfo): HttpCall {
  if (!hasBytes(info)) return FIRST_CALL;
  const target = `/${argumentQuery(sample(declaredInputs(info), 0))}`;
  return { ...FIRST_CALL, target, ...(info.Stdin === 'body' ? { method: 'POST', kind: 'text' } : {}) };
}

const KINDS: readonly (readonly [BodyKind, string])[] = [
  ['none', 'none'],
  ['json', 'JSON'],
  ['text', 'text'],
  ['form', 'a form'],
  ['file', 'a file'],
];
const LANGUAGES: Partial<Record<BodyKind, EditorLanguage>> = { json: 'json', text: 'text' };

export function HttpCallFields({
  value,
  onChange,
  file,
  onFile,
  onRun,
  root,
}: {
  readonly value: HttpCall;
  readonly onChange: (value: HttpCall) => void;
  readonly file: File | undefined;
  readonly onFile: (file: File | undefined) => void;
  readonly onRun: () => void;
  /** The path above the function's own. */
  readonly root: string;
}): JSX.Element {
  const set = (change: Partial<HttpCall>): void => onChange({ ...value, ...change });
  const bodiless = value.method === 'GET' || value.method === 'HEAD';
  const language = LANGUAGES[value.kind];
  return (
    <div class="stack">
      <div class="fields http-line">
        <Select<Method>
          label="Method"
          value={value.method}
          onChange={(method) => set({ method })}
          options={METHODS.map((method) => [method, method] as const)}
        />
        <TextField
          label="Path and query"
          mono
          value={value.target}
          placeholder="/"
          hint={
            <>
              Below <code>{root}</code>
            </>
          }
          onChange={(target) => set({ target })}
        />
        <Select<BodyKind>
          label="Body"
          value={bodiless ? 'none' : value.kind}
          disabled={bodiless}
          options={KINDS}
          onChange={(kind) => set({ kind })}
          hint={bodiless ? `${value.method} has none.` : undefined}
        />
      </div>
      {!bodiless && language !== undefined && (
        <Editor
          label="Body of the request"
          short
          language={language}
          value={value.text}
          onRun={onRun}
          onChange={(text) => set({ text })}
        />
      )}
      {!bodiless && value.kind === 'form' && (
        <Pairs title="Field" list={value.form} onChange={(form) => set({ form })} add="Add a field" />
      )}
      {!bodiless && value.kind === 'file' && (
        <Field label="File" hint={file === undefined ? 'It is sent as it is.' : `${file.name}, ${file.size} bytes`}>
          {(ids) => <input {...ids} type="file" onChange={(event) => onFile(event.currentTarget.files?.[0])} />}
        </Field>
      )}
      <Pairs title="Header" list={value.headers} onChange={(headers) => set({ headers })} add="Add a header" />
    </div>
  );
}

function Pairs({
  title,
  list,
  onChange,
  add,
}: {
  readonly title: string;
  readonly list: readonly Pair[];
  readonly onChange: (list: readonly Pair[]) => void;
  readonly add: string;
}): JSX.Element {
  const set = (index: number, change: Partial<Pair>): void =>
    onChange(list.map((one, place) => (place === index ? { ...one, ...change } : one)));
  return (
    <div class="stack tight">
      {list.map((one, index) => (
        <div class="pair" key={index}>
          <input
            class="mono"
            aria-label={`${title} ${index + 1}: name`}
            placeholder="name"
            value={one.name}
            spellcheck={false}
            autoComplete="off"
            onInput={(event) => set(index, { name: event.currentTarget.value })}
          />
          <input
            class="mono"
            aria-label={`${title} ${index + 1}: value`}
            placeholder="value"
            value={one.value}
            spellcheck={false}
            autoComplete="off"
            onInput={(event) => set(index, { value: event.currentTarget.value })}
          />
          <Button
            look="quiet"
            icon="close"
            label={`Remove ${one.name || index + 1}`}
            onClick={() => onChange(list.filter((_, place) => place !== index))}
          />
        </div>
      ))}
      <div class="row">
        <Button small icon="plus" onClick={() => onChange([...list, { name: '', value: '' }])}>
          {add}
        </Button>
      </div>
    </div>
  );
}
