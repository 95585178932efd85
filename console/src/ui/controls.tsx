/** Buttons and the parts of forms. */
import type { ComponentChildren, JSX } from 'preact';
import { useId } from 'preact/hooks';
import { Link } from '../router';
import { useAction } from '../hooks';
import { Icon, type IconName } from './icons';
import { Problem } from './feedback';

type ButtonLook = 'normal' | 'primary' | 'danger' | 'quiet';

interface ButtonProps {
  readonly look?: ButtonLook;
  readonly small?: boolean;
  readonly icon?: IconName;
  /** Work is under way: it cannot be pressed again. */
  readonly busy?: boolean;
  readonly disabled?: boolean;
  readonly type?: 'button' | 'submit';
  /** What it does, where its content is an icon alone. */
  readonly label?: string;
  readonly title?: string;
  readonly pressed?: boolean;
  readonly onClick?: (event: MouseEvent) => unknown;
  readonly children?: ComponentChildren;
}

function looks(look: ButtonLook, small: boolean, alone: boolean): string {
  return `button ${look}${small ? ' small' : ''}${alone ? ' icon-only' : ''}`;
}

export function Button(props: ButtonProps): JSX.Element {
  const { look = 'normal', small = false, icon, busy = false, disabled = false, type = 'button' } = props;
  return (
    <button
      class={looks(look, small, props.children === undefined)}
      type={type}
      disabled={disabled || busy}
      aria-busy={busy}
      aria-label={props.label}
      aria-pressed={props.pressed}
      title={props.title ?? props.label}
      onClick={props.onClick}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon !== undefined && <Icon name={icon} />}
      {props.children}
    </button>
  );
}

/** A link that looks like a button. */
export function ButtonLink(
  props: { readonly to: string } & Pick<ButtonProps, 'look' | 'small' | 'icon' | 'children'>,
): JSX.Element {
  return (
    <Link to={props.to} class={looks(props.look ?? 'normal', props.small ?? false, false)}>
      {props.icon !== undefined && <Icon name={props.icon} />}
      {props.children}
    </Link>
  );
}

/** What a control needs so that its label, hint and error belong to it. */
export interface ControlIds {
  readonly id: string;
  readonly 'aria-describedby': string | undefined;
  readonly 'aria-invalid': boolean;
}

interface FieldTexts {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly error?: string;
}

/** A label, a control, a hint and an error. */
export function Field(props: FieldTexts & { readonly children: (ids: ControlIds) => ComponentChildren }): JSX.Element {
  const id = useId();
  const told = [props.error !== undefined && `${id}-error`, props.hint !== undefined && `${id}-hint`].filter(Boolean);
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children({
        id,
        'aria-describedby': told.length === 0 ? undefined : told.join(' '),
        'aria-invalid': props.error !== undefined,
      })}
      {props.error !== undefined && <p class="field-error" id={`${id}-error`}>{props.error}</p>}
      {props.hint !== undefined && <p class="field-hint" id={`${id}-hint`}>{props.hint}</p>}
    </div>
  );
}

interface TextProps extends FieldTexts {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly disabled?: boolean;
  readonly mono?: boolean;
}

export function TextField(
  props: TextProps & {
    readonly type?: 'text' | 'email' | 'password' | 'number' | 'search' | 'url';
    readonly autoComplete?: string;
    /** The first field of a dialog. */
    readonly autofocus?: boolean;
    readonly min?: number;
    readonly max?: number;
    readonly step?: number | 'any';
    readonly minLength?: number;
    readonly maxLength?: number;
    readonly pattern?: string;
  },
): JSX.Element {
  return (
    <Field label={props.label} hint={props.hint} error={props.error}>
      {(ids) => (
        <input
          {...ids}
          class={props.mono === true ? 'mono' : undefined}
          type={(props.type ?? 'text') as 'text'}
          value={props.value}
          placeholder={props.placeholder}
          required={props.required}
          disabled={props.disabled}
          autoComplete={props.autoComplete ?? 'off'}
          autofocus={props.autofocus}
          min={props.min}
          max={props.max}
          step={props.step}
          minLength={props.minLength}
          maxLength={props.maxLength}
          pattern={props.pattern}
          spellcheck={false}
          onInput={(event) => props.onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function TextArea(props: TextProps & { readonly rows?: number }): JSX.Element {
  return (
    <Field label={props.label} hint={props.hint} error={props.error}>
      {(ids) => (
        <textarea
          {...ids}
          class={props.mono === true ? 'mono' : undefined}
          rows={props.rows ?? 4}
          value={props.value}
          placeholder={props.placeholder}
          required={props.required}
          disabled={props.disabled}
          spellcheck={false}
          onInput={(event) => props.onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function Select<T extends string>(
  props: FieldTexts & {
    readonly value: T;
    readonly options: readonly (readonly [value: T, text: string])[];
    readonly onChange: (value: T) => void;
    readonly disabled?: boolean;
  },
): JSX.Element {
  return (
    <Field label={props.label} hint={props.hint} error={props.error}>
      {(ids) => (
        <select
          {...ids}
          value={props.value}
          disabled={props.disabled}
          onChange={(event) => props.onChange(event.currentTarget.value as T)}
        >
          {props.options.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
        </select>
      )}
    </Field>
  );
}

export function Checkbox(
  props: {
    readonly label: ComponentChildren;
    readonly checked: boolean;
    readonly onChange: (checked: boolean) => void;
    readonly hint?: ComponentChildren;
    readonly disabled?: boolean;
  },
): JSX.Element {
  const id = useId();
  return (
    <div class="field checkbox">
      <input
        id={id}
        type="checkbox"
        checked={props.checked}
        disabled={props.disabled}
        aria-describedby={props.hint === undefined ? undefined : `${id}-hint`}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <label for={id}>{props.label}</label>
      {props.hint !== undefined && <p class="field-hint" id={`${id}-hint`}>{props.hint}</p>}
    </div>
  );
}

/** A form that does something: its button is busy meanwhile, its error stands above the buttons. */
export function Form(
  props: {
    readonly submit: string;
    readonly onSubmit: () => Promise<unknown>;
    readonly look?: ButtonLook;
    readonly disabled?: boolean;
    /** More buttons. */
    readonly actions?: ComponentChildren;
    readonly children: ComponentChildren;
  },
): JSX.Element {
  const action = useAction(props.onSubmit);
  const submit = (event: Event): void => {
    event.preventDefault();
    void action.run();
  };
  return (
    <form class="form" onSubmit={submit}>
      {props.children}
      <Problem error={action.error} />
      <div class="form-actions">
        <Button type="submit" look={props.look ?? 'primary'} busy={action.busy} disabled={props.disabled ?? false}>
          {props.submit}
        </Button>
        {props.actions}
      </div>
    </form>
  );
}
