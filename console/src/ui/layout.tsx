/** Pages and what divides them: headings, sections, tabs, figures, dialogs. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { useAction } from '../hooks';
import { Link, place } from '../router';
import { Button } from './controls';
import { Problem } from './feedback';

/** A page: its heading is the document's title, and has the focus after a link was followed. */
export function Page(
  props: {
    readonly title: string;
    /** Pages above this one: `[['/functions', 'Functions']]`. */
    readonly above?: readonly (readonly [to: string, text: string])[];
    /** Beside the heading: badges. */
    readonly facts?: ComponentChildren;
    readonly actions?: ComponentChildren;
    readonly children?: ComponentChildren;
  },
): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.title} · Serverledge`;
  }, [props.title]);
  useEffect(() => {
    if (place.value.moved) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div class="page">
      <header class="page-head">
        {props.above !== undefined && (
          <nav class="crumbs" aria-label="Above">
            {props.above.map(([to, text]) => <Link key={to} to={to}>{text}</Link>)}
          </nav>
        )}
        <div class="page-title">
          <h1 ref={heading} tabIndex={-1}>{props.title}</h1>
          {props.facts}
        </div>
        {props.actions !== undefined && <div class="page-actions">{props.actions}</div>}
      </header>
      {props.children}
    </div>
  );
}

/** A part of a page. `plain`: without a frame, for tables that have their own. */
export function Section(
  props: {
    readonly title: string;
    readonly actions?: ComponentChildren;
    readonly plain?: boolean;
    readonly children?: ComponentChildren;
  },
): JSX.Element {
  const id = useId();
  return (
    <section class={props.plain === true ? 'section plain' : 'section'} aria-labelledby={id}>
      <div class="section-head">
        <h2 id={id}>{props.title}</h2>
        {props.actions !== undefined && <div class="section-actions">{props.actions}</div>}
      </div>
      {props.children}
    </section>
  );
}

/** Figures in a row. */
export function Stats({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <dl class="stats">{children}</dl>;
}

export function Stat(
  { label, children, note }: {
    readonly label: string;
    readonly children: ComponentChildren;
    readonly note?: ComponentChildren;
  },
): JSX.Element {
  return (
    <div class="stat">
      <dt>{label}</dt>
      <dd>{children}{note !== undefined && <span class="stat-note">{note}</span>}</dd>
    </div>
  );
}

/** Names and values in two columns. */
export function Facts(
  { of }: { readonly of: readonly (readonly [name: string, value: ComponentChildren] | null | false)[] },
): JSX.Element {
  return (
    <dl class="facts">
      {of.map((row) => row && <div key={row[0]}><dt>{row[0]}</dt><dd>{row[1]}</dd></div>)}
    </dl>
  );
}

export interface Tab {
  readonly id: string;
  readonly label: ComponentChildren;
  readonly panel: () => ComponentChildren;
}

/** Tabs after the ARIA pattern: arrows move, Home and End go to the ends. Only the selected panel exists. */
export function Tabs(
  props: {
    readonly label: string;
    readonly tabs: readonly Tab[];
    readonly selected: string;
    readonly onSelect: (id: string) => void;
  },
): JSX.Element {
  const base = useId();
  const list = useRef<HTMLDivElement>(null);
  const selected = Math.max(0, props.tabs.findIndex(({ id }) => id === props.selected));
  const go = (event: KeyboardEvent): void => {
    const last = props.tabs.length - 1;
    const next = { ArrowRight: selected + 1, ArrowLeft: selected - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const index = (next + props.tabs.length) % props.tabs.length;
    const tab = props.tabs[index];
    if (tab === undefined) return;
    props.onSelect(tab.id);
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[index]?.focus();
  };
  useEffect(() => {
    // On a phone the list is longer than the screen.
    list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [selected]);
  const shown = props.tabs[selected];
  return (
    <div class="tabs">
      <div class="tab-list" role="tablist" aria-label={props.label} ref={list} onKeyDown={go}>
        {props.tabs.map((tab, index) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`${base}-${tab.id}`}
            aria-selected={index === selected}
            aria-controls={index === selected ? `${base}-panel` : undefined}
            tabIndex={index === selected ? 0 : -1}
            onClick={() => props.onSelect(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      {shown !== undefined && (
        <div key={shown.id} role="tabpanel" id={`${base}-panel`} aria-labelledby={`${base}-${shown.id}`} tabIndex={-1}>
          {shown.panel()}
        </div>
      )}
    </div>
  );
}

interface DialogProps {
  readonly title: string;
  readonly open: boolean;
  readonly onClose: () => void;
  readonly wide?: boolean;
  readonly children?: ComponentChildren;
}

/** A modal dialog. Its content exists only while it is open. */
export function Dialog(props: DialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element === null) return;
    if (props.open && !element.open) element.showModal();
    if (!props.open && element.open) element.close();
  }, [props.open]);
  return (
    <dialog
      ref={dialog}
      class={props.wide === true ? 'dialog wide' : 'dialog'}
      aria-labelledby={id}
      onClose={props.onClose}
    >
      {props.open && (
        <>
          <header class="dialog-head">
            <h2 id={id}>{props.title}</h2>
            <Button look="quiet" small icon="close" label="Close" onClick={props.onClose} />
          </header>
          <div class="dialog-body">{props.children}</div>
        </>
      )}
    </dialog>
  );
}

/** Asks before something that cannot be undone. With `name`, that name has to be typed. */
export function Confirm(
  props: DialogProps & {
    readonly action: string;
    readonly onConfirm: () => Promise<unknown>;
    readonly name?: string;
    readonly look?: 'danger' | 'primary';
  },
): JSX.Element {
  const { title, open, onClose, children } = props;
  return (
    <Dialog title={title} open={open} onClose={onClose}>
      <ConfirmBody {...props}>{children}</ConfirmBody>
    </Dialog>
  );
}

function ConfirmBody(props: Parameters<typeof Confirm>[0]): JSX.Element {
  const [typed, setTyped] = useState('');
  const id = useId();
  const action = useAction(async () => {
    await props.onConfirm();
    props.onClose();
  });
  const ready = props.name === undefined || typed === props.name;
  const submit = (event: Event): void => {
    event.preventDefault();
    if (ready) void action.run();
  };
  return (
    <form class="form" onSubmit={submit}>
      {props.children}
      {props.name !== undefined && (
        <div class="field">
          <label for={id}>Type <code>{props.name}</code> to go on</label>
          <input
            id={id}
            class="mono"
            autofocus
            value={typed}
            autoComplete="off"
            spellcheck={false}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </div>
      )}
      <Problem error={action.error} />
      <div class="form-actions">
        <Button type="submit" look={props.look ?? 'danger'} busy={action.busy} disabled={!ready}>{props.action}</Button>
        <Button onClick={props.onClose}>Cancel</Button>
      </div>
    </form>
  );
}
