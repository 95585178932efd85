/** The fields of a program: its arguments and its standard streams. */
import type { JSX } from 'preact';
import { Select, TextField } from '../ui';
import { programFaults, TYPE_DEFAULT, type ProgramSettings } from './program';
import { splitWords } from './words';

export function ProgramFields<T extends ProgramSettings>({
  value,
  onChange,
}: {
  readonly value: T;
  readonly onChange: (value: T) => void;
}): JSX.Element {
  const set = (change: Partial<ProgramSettings>): void => onChange({ ...value, ...change });
  const faults = programFaults(value);
  return (
    <div class="stack">
      <p class="muted">
        For a WASI command or a wasi:cli component that takes options, reads a file or writes one. Other functions have
        none of these settings. A function with one of them runs at the node alone.
      </p>
      <TextField
        label="Arguments"
        mono
        placeholder="--width {width} - -"
        hint={
          <>
            What follows the program’s name, split as by a shell. <code>{'{name}'}</code> becomes that parameter;{' '}
            <code>{'{{'}</code> and <code>{'}}'}</code> are braces.
          </>
        }
        {...(faults.args === undefined ? {} : { error: faults.args })}
        value={value.args}
        onChange={(args) => set({ args })}
      />
      {faults.args === undefined && <Arguments of={splitWords(value.args).words} />}
      <div class="fields">
        <Select
          label="Standard input"
          value={value.stdin}
          onChange={(stdin) => set({ stdin })}
          options={[
            ['params', 'the parameters, as JSON'],
            ['body', 'the body of the request'],
            ['none', 'nothing'],
          ]}
          hint={
            value.stdin === 'body'
              ? 'As it came; parameters are those of the query. Calls are not cached.'
              : 'What the program reads.'
          }
        />
        <Select
          label="Standard output"
          value={value.stdout}
          onChange={(stdout) => set({ stdout })}
          options={[
            ['json', 'one JSON value'],
            ['raw', 'bytes of any kind'],
          ]}
          hint={
            value.stdout === 'raw'
              ? 'The answer over HTTP; in base64 through /invoke. Calls are not cached.'
              : 'What the program writes: the result.'
          }
        />
        {value.stdout === 'raw' && (
          <TextField
            label="Type of the output"
            mono
            placeholder={TYPE_DEFAULT}
            hint="A content type, such as image/svg+xml or text/csv. It is never guessed."
            {...(faults.stdoutType === undefined ? {} : { error: faults.stdoutType })}
            value={value.stdoutType}
            onChange={(stdoutType) => set({ stdoutType })}
          />
        )}
      </div>
    </div>
  );
}

/** The arguments one by one, so that quotes can be checked. */
function Arguments({ of }: { readonly of: readonly string[] }): JSX.Element | null {
  if (of.length === 0) return null;
  return (
    <ol class="words" aria-label="Arguments one by one">
      {of.map((word, index) => (
        <li key={index}>
          <code>{word === '' ? '(empty)' : word}</code>
        </li>
      ))}
    </ol>
  );
}
