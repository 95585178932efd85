/** The code editor, CodeMirror. A chunk of its own: import it from `lazy`. */
import {
  autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import {
  bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting,
} from '@codemirror/language';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { Annotation, Compartment, EditorState, StateEffect, StateField, type Extension } from '@codemirror/state';
import {
  Decoration, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap,
  lineNumbers, placeholder, rectangularSelection, WidgetType, type DecorationSet,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { isDark } from '../hooks';
import { useStore } from '../store';

export type EditorLanguage = 'javascript' | 'python' | 'json' | 'text';

export interface EditorProps {
  /** What is edited, for screen readers. */
  readonly label: string;
  readonly value: string;
  readonly language: EditorLanguage;
  readonly onChange?: (value: string) => void;
  readonly readOnly?: boolean;
  readonly placeholder?: string;
  /** Few lines: for parameters. */
  readonly short?: boolean;
  /** Ctrl-Enter and Cmd-Enter. */
  readonly onRun?: () => void;
  /** Ctrl-S and Cmd-S. */
  readonly onSave?: () => void;
  /** An error that names a line, from 1: shown below that line. Another object shows it anew. */
  readonly fault?: { readonly line: number; readonly text: string } | undefined;
}

async function languageOf(name: EditorLanguage): Promise<Extension> {
  switch (name) {
    case 'javascript': return (await import('@codemirror/lang-javascript')).javascript();
    case 'python': return [(await import('@codemirror/lang-python')).python(), indentUnit.of('    ')];
    case 'json': return (await import('@codemirror/lang-json')).json();
    case 'text': return [];
  }
}

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.controlKeyword, tags.operatorKeyword], color: 'var(--code-keyword)' },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: 'var(--code-number)' },
  { tag: [tags.comment], color: 'var(--code-comment)', fontStyle: 'italic' },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: 'var(--code-function)' },
  { tag: [tags.definition(tags.variableName), tags.className, tags.typeName], color: 'var(--code-function)' },
  { tag: [tags.propertyName, tags.attributeName], color: 'var(--code-property)' },
  { tag: tags.invalid, color: 'var(--tone-bad)' },
]);

// Variables reach through the shadow root, so light and dark need no second theme.
const look = EditorView.theme({
  '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--field)', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55', overflow: 'auto' },
  '.cm-content': { caretColor: 'var(--text)', padding: '8px 0' },
  '.cm-cursor, .cm-dropCursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--field)', color: 'var(--text-muted)', border: 'none', paddingLeft: '4px' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--code-line)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': {
    backgroundColor: 'var(--code-selection)',
  },
  '.cm-selectionMatch': { backgroundColor: 'var(--code-match)' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--code-match)', outline: '1px solid var(--line-strong)' },
  '.cm-fault': { backgroundColor: 'var(--soft-bad)' },
  '.cm-fault-text': { padding: '2px 8px', color: 'var(--tone-bad)', whiteSpace: 'pre-wrap', fontFamily: 'var(--sans)' },
  '.cm-placeholder': { color: 'var(--text-muted)' },
  '.cm-panels, .cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--text)', borderColor: 'var(--line)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-textfield': { backgroundColor: 'var(--field)', color: 'var(--text)', border: '1px solid var(--line-strong)' },
  '.cm-button': { backgroundImage: 'none', backgroundColor: 'var(--field)', color: 'var(--text)' },
  '.cm-foldPlaceholder': { backgroundColor: 'var(--raised)', color: 'var(--text-muted)', borderColor: 'var(--line)' },
});

/** A change that a page made, not the person at the keyboard. */
const fromOutside = Annotation.define<boolean>();

// === an error in its place ===

const setFault = StateEffect.define<EditorProps['fault']>();

class FaultText extends WidgetType {
  constructor(readonly text: string) {
    super();
  }

  override eq(other: FaultText): boolean {
    return other.text === this.text;
  }

  override toDOM(): HTMLElement {
    const element = document.createElement('div');
    element.className = 'cm-fault-text';
    element.textContent = this.text;
    return element;
  }
}

function marks(state: EditorState, fault: EditorProps['fault']): DecorationSet {
  if (fault === undefined || fault.line < 1 || fault.line > state.doc.lines) return Decoration.none;
  const { from, to } = state.doc.line(fault.line);
  const below = Decoration.widget({ widget: new FaultText(fault.text), block: true, side: 1 });
  return Decoration.set([Decoration.line({ class: 'cm-fault' }).range(from), below.range(to)]);
}

const faults = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (before, { changes, effects, state }) => {
    for (const effect of effects) if (effect.is(setFault)) return marks(state, effect.value);
    return before.map(changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

function showFault(view: EditorView, fault: EditorProps['fault']): void {
  const line = fault !== undefined && fault.line >= 1 && fault.line <= view.state.doc.lines ? fault.line : undefined;
  const at = line === undefined ? undefined : view.state.doc.line(line).from;
  view.dispatch({
    effects: [setFault.of(fault), ...(at === undefined ? [] : [EditorView.scrollIntoView(at, { y: 'center' })])],
  });
}

/**
 * Puts in what is typed over a selection. Browsers would keep the look of what it replaces in an attribute `style`,
 * which the policy refuses with a message.
 */
const overSelection = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { data, inputType, isComposing } = event as InputEvent;
    const { main, ranges } = view.state.selection;
    if (inputType !== 'insertText' || isComposing || view.composing || view.state.readOnly) return false;
    if (data === null || data === '' || main.empty || ranges.length > 1) return false;
    const { from, to } = main;
    const insert = () => view.state.update({
      changes: { from, to, insert: data },
      selection: { anchor: from + data.length },
      userEvent: 'input.type',
      scrollIntoView: true,
    });
    const taken = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, data, insert));
    if (!taken) view.dispatch(insert());
    return true;
  },
});

/** Escape and then Tab leaves the editor: CodeMirror's own way, so that the keyboard is not caught. */
function basics(): Extension {
  return [
    lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), foldGutter(), drawSelection(),
    indentOnInput(), bracketMatching(), closeBrackets(), autocompletion(), rectangularSelection(),
    highlightActiveLine(), overSelection, highlightSelectionMatches(), EditorState.allowMultipleSelections.of(true),
    syntaxHighlighting(colours), look,
    keymap.of([
      ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap,
      indentWithTab,
    ]),
  ];
}

export default function Editor(props: EditorProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | undefined>(undefined);
  const parts = useRef({ language: new Compartment(), changing: new Compartment() });
  const latest = useRef(props);
  latest.current = props;
  // Texts that were told and that may still come back as `value`, while more is typed.
  const told = useRef<string[]>([]);
  const dark = useStore(isDark);
  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    // Styles of a shadow root are adopted, which a policy without inline styles allows.
    const root = element.shadowRoot ?? element.attachShadow({ mode: 'open' });
    const own = (key: string, name: 'onRun' | 'onSave') => ({
      key,
      run: () => {
        latest.current[name]?.();
        return latest.current[name] !== undefined;
      },
    });
    const made = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          keymap.of([own('Mod-Enter', 'onRun'), own('Mod-s', 'onSave')]),
          basics(),
          faults,
          parts.current.language.of([]),
          parts.current.changing.of(changing(latest.current, dark)),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged || update.transactions.some((one) => one.annotation(fromOutside) === true)) return;
            const text = update.state.doc.toString();
            told.current.push(text);
            latest.current.onChange?.(text);
          }),
        ],
      }),
    });
    view.current = made;
    return () => made.destroy();
  }, []);
  useEffect(() => {
    view.current?.dispatch({ effects: parts.current.changing.reconfigure(changing(latest.current, dark)) });
  }, [dark, props.readOnly, props.label, props.placeholder]);
  useEffect(() => {
    let wanted = true;
    void languageOf(props.language).then((language) => {
      if (wanted) view.current?.dispatch({ effects: parts.current.language.reconfigure(language) });
    });
    return () => {
      wanted = false;
    };
  }, [props.language]);
  useEffect(() => {
    const editor = view.current;
    const at = told.current.lastIndexOf(props.value);
    // An echo of what was typed here: the text may be further by now.
    if (at >= 0) told.current.splice(0, at + 1);
    if (editor === undefined || at >= 0 || editor.state.doc.toString() === props.value) return;
    told.current = [];
    const changes = { from: 0, to: editor.state.doc.length, insert: props.value };
    editor.dispatch({ changes, annotations: fromOutside.of(true) });
  }, [props.value]);
  useEffect(() => {
    if (view.current !== undefined) showFault(view.current, props.fault);
  }, [props.fault]);
  return <div ref={host} class={props.short === true ? 'editor-frame short' : 'editor-frame'} />;
}

function changing(props: EditorProps, dark: boolean): Extension {
  return [
    EditorState.readOnly.of(props.readOnly === true),
    EditorView.darkTheme.of(dark),
    EditorView.contentAttributes.of({ 'aria-label': props.label, tabindex: '0' }),
    props.placeholder === undefined ? [] : placeholder(props.placeholder),
  ];
}
