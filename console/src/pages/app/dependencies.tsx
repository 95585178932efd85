/** The packages of an application's functions: one file for those in Python, one for those in Node.js. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, getText } from '../../api';
import { functionPage, path, query } from '../../base';
import { useAction, useDraft, useRead } from '../../hooks';
import { StartAgain } from '../../parts/start-stop';
import { Link } from '../../router';
import type { DependenciesInfo } from '../../types';
import { Await, Badge, Button, Editor, formatBytes, Problem, Section, toast, type EditorLanguage } from '../../ui';
import type { AppTabProps } from './index';

interface DependencyFile {
  readonly name: 'requirements.txt' | 'package.json';
  readonly language: EditorLanguage;
  readonly runtime: string;
  readonly placeholder: string;
}

const FILES: readonly DependencyFile[] = [
  {
    name: 'requirements.txt',
    language: 'text',
    runtime: 'Python',
    placeholder: 'six==1.17.0',
  },
  {
    name: 'package.json',
    language: 'json',
    runtime: 'Node.js',
    placeholder: '{"dependencies": {"ms": "2.1.3"}}',
  },
];

const BYTES_MAX = 64 * 1024;

export function DependenciesTab(props: AppTabProps): JSX.Element {
  const { app, info, fetched } = props;
  const [outdated, setOutdated] = useState<readonly string[]>([]);
  const saved = (answer: DependenciesInfo): void => {
    setOutdated(answer.outdated);
    fetched.reload();
  };
  return (
    <div class="stack">
      <p class="muted">
        Functions in containers get these packages when they are deployed. A function whose own upload has such a file
        keeps its own. Functions in WebAssembly bring their packages with them.
      </p>
      {outdated.length > 0 && (
        <div class="notice warn" role="status">
          <div class="stack">
            <p>
              These functions still run with other packages:{' '}
              {outdated.map((name, index) => (
                <span key={name}>{index > 0 && ', '}<Link to={functionPage(name, app)}>{name}</Link></span>
              ))}
              . They get the new ones when the application starts, or each with its next deploy.
            </p>
            {info.up && (
              <span>
                <StartAgain
                  app={app}
                  onChanged={() => {
                    setOutdated([]);
                    fetched.reload();
                  }}
                />
              </span>
            )}
          </div>
        </div>
      )}
      <div class="columns">
        {FILES.map((file) => <FileEditor key={file.name} file={file} {...props} onSaved={saved} />)}
      </div>
    </div>
  );
}

function FileEditor(
  { app, info, file, onSaved }: AppTabProps & {
    readonly file: DependencyFile;
    readonly onSaved: (answer: DependenciesInfo) => void;
  },
): JSX.Element {
  const route = path`/apps/${app}/dependencies` + query({ file: file.name });
  const stored = useRead(route, (signal) => getText(route, { signal }));
  return (
    <Section
      title={file.name}
      actions={<span class="muted">for functions in {file.runtime}</span>}
    >
      <Await of={stored}>
        {(text) => (
          <Saved
            file={file}
            route={route}
            draftKey={`app.${info.id}.${file.name}`}
            stored={text}
            onSaved={(answer, now) => {
              stored.set(now);
              onSaved(answer);
            }}
          />
        )}
      </Await>
    </Section>
  );
}

function Saved(
  { file, route, draftKey, stored, onSaved }: {
    readonly file: DependencyFile;
    readonly route: string;
    readonly draftKey: string;
    readonly stored: string;
    readonly onSaved: (answer: DependenciesInfo, text: string) => void;
  },
): JSX.Element {
  const draft = useDraft(draftKey, stored);
  const save = useAction(async () => {
    const text = draft.value.trim() === '' ? '' : draft.value;
    const headers = { 'content-type': 'text/plain' };
    const answer = await call<DependenciesInfo>('PUT', route, { body: text, headers });
    draft.clear();
    toast(text === '' ? `${file.name} is removed` : `${file.name} is saved`);
    onSaved(answer, text);
  });
  const bytes = new Blob([draft.value]).size;
  const run = (): void => {
    if (draft.dirty) void save.run();
  };
  return (
    <>
      <Editor
        label={file.name}
        language={file.language}
        short
        value={draft.value}
        placeholder={file.placeholder}
        onChange={draft.set}
        onSave={run}
      />
      {bytes > BYTES_MAX && (
        <p class="field-error">{formatBytes(bytes)} are too many: a file has at most 64 KiB.</p>
      )}
      <Problem error={save.error} />
      <div class="row">
        <Button
          look={draft.dirty ? 'primary' : 'normal'}
          busy={save.busy}
          disabled={!draft.dirty || bytes > BYTES_MAX}
          onClick={run}
        >
          {draft.value.trim() === '' && stored !== '' ? `Remove ${file.name}` : `Save ${file.name}`}
        </Button>
        {draft.dirty && (
          <>
            <Button look="quiet" onClick={draft.clear}>Discard changes</Button>
            <Badge tone="warn">not saved</Badge>
          </>
        )}
      </div>
    </>
  );
}
