/** Parameters of a call: an editor with a history and with samples. */
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { useDraft } from '../hooks';
import type { FunctionInfo, Parameter } from '../types';
import { Button, Editor, formatAgo } from '../ui';
import { namedParameters, sample } from './guess';
import { useHistory, type Past } from './history';
import { declaredInputs } from './program';
import { keptSource, mainFile, textOf } from './source';

export interface Params {
  readonly text: string;
  readonly set: (text: string) => void;
  /** The text as JSON that can be sent; `undefined` with `fault` if it is none. */
  readonly json: string | undefined;
  readonly fault: string | undefined;
  readonly past: readonly Past<string>[];
  readonly remember: (ok: boolean) => void;
  readonly nextSample: () => void;
  readonly inputs: readonly Parameter[];
}

/** What the function takes: its signature or its arguments say it, or its source if it was deployed from here. */
function inputsOf(info: FunctionInfo): readonly Parameter[] {
  const declared = declaredInputs(info);
  if (declared.length > 0) return declared;
  const source = keptSource(info.Code);
  const main = source?.files.find(({ path }) => path === mainFile(source, info.Handler));
  const text = main === undefined ? undefined : textOf(main);
  return namedParameters(text ?? '');
}

const shown = (value: unknown): string => JSON.stringify(value, null, 2);

export function useParams(info: FunctionInfo, app: string | undefined): Params {
  const key = `${app ?? ''}/${info.Name}`;
  const inputs = useMemo(() => inputsOf(info), [info.Code, info.Signature, info.Arguments]);
  const { past, add } = useHistory<string>('params', key);
  const first = past[0]?.value ?? shown(sample(inputs, 0));
  const draft = useDraft<string>(`params.${key}`, first);
  const [count, setCount] = useState(0);
  const text = draft.value;
  const [json, fault] = useMemo(() => checked(text), [text]);
  return {
    text,
    set: draft.set,
    json,
    fault,
    past,
    remember: (ok) => add(text, ok),
    nextSample: () => {
      // The first one may be there already.
      const next = shown(sample(inputs, count)) === text ? count + 1 : count;
      draft.set(shown(sample(inputs, next)));
      setCount(next + 1);
    },
    inputs,
  };
}

function checked(text: string): [json: string | undefined, fault: string | undefined] {
  if (text.trim() === '') return ['{}', undefined];
  try {
    JSON.parse(text);
    return [text, undefined];
  } catch (error) {
    return [undefined, `Not JSON: ${error instanceof Error ? error.message : String(error)}`];
  }
}

export function ParamsEditor({
  of,
  onRun,
  label = 'Parameters as JSON',
}: {
  readonly of: Params;
  readonly onRun: () => void;
  readonly label?: string;
}): JSX.Element {
  return (
    <div class="stack tight">
      <Editor label={label} language="json" short value={of.text} onChange={of.set} onRun={onRun} />
      {of.fault !== undefined && (
        <p class="field-error" role="status">
          {of.fault}
        </p>
      )}
      <div class="row">
        {of.inputs.length > 0 && (
          <Button small icon="refresh" onClick={of.nextSample} title="Other values for each parameter">
            Sample
          </Button>
        )}
        <HistorySelect
          past={of.past}
          onPick={of.set}
          label="Earlier parameters"
          text={(value) => value.replace(/\s+/g, ' ')}
        />
      </div>
    </div>
  );
}

/** A choice among earlier values. */
export function HistorySelect<T>({
  past,
  onPick,
  label,
  text,
}: {
  readonly past: readonly Past<T>[];
  readonly onPick: (value: T) => void;
  readonly label: string;
  readonly text: (value: T) => string;
}): JSX.Element | null {
  if (past.length === 0) return null;
  const cut = (value: string): string => (value.length > 60 ? `${value.slice(0, 59)}…` : value);
  return (
    <select
      class="past-values"
      aria-label={label}
      value=""
      onChange={({ currentTarget }) => {
        const one = past[Number(currentTarget.value)];
        currentTarget.value = '';
        if (one !== undefined) onPick(one.value);
      }}
    >
      <option value="" disabled>
        {label}…
      </option>
      {past.map(({ value, at, ok }, index) => (
        <option key={at} value={index}>{`${cut(text(value))}  · ${formatAgo(at)}${ok ? '' : ', failed'}`}</option>
      ))}
    </select>
  );
}
