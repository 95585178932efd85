/** A password that can be shown while it is typed, and what the node wants of a new one. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Button, Field } from '../ui';

export const PASSWORD_MIN = 12;
export const PASSWORD_MAX = 128;

const RULE = `${PASSWORD_MIN} to ${PASSWORD_MAX} characters. Several words that do not belong together are good.`;

export function PasswordField(
  props: {
    readonly label: string;
    readonly value: string;
    readonly onChange: (value: string) => void;
    /** It is to be chosen now: with its rule, and for the browser's password manager. */
    readonly fresh?: boolean;
    readonly hint?: string;
  },
): JSX.Element {
  const [shown, setShown] = useState(false);
  const fresh = props.fresh === true;
  return (
    <Field label={props.label} hint={props.hint ?? (fresh ? RULE : undefined)}>
      {(ids) => (
        <div class="beside">
          <input
            {...ids}
            type={(shown ? 'text' : 'password') as 'password'}
            autoComplete={fresh ? 'new-password' : 'current-password'}
            required
            minLength={fresh ? PASSWORD_MIN : undefined}
            maxLength={PASSWORD_MAX}
            spellcheck={false}
            autoCapitalize="none"
            value={props.value}
            onInput={(event) => props.onChange(event.currentTarget.value)}
          />
          <Button pressed={shown} onClick={() => setShown(!shown)}>{shown ? 'Hide' : 'Show'}</Button>
        </div>
      )}
    </Field>
  );
}
