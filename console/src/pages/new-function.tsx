/** A new function: from a template, a file or an image. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { ApiError, get, withProgress } from '../api';
import { functionPage, inApp, path } from '../base';
import { useDraft, useFetch } from '../hooks';
import { Link, navigate, type PageProps } from '../router';
import { faultOf } from '../parts/fault';
import {
  DEFAULTS,
  deployMembers,
  FlagFields,
  LimitFields,
  SignatureFields,
  VariableFields,
  variables,
  type Settings,
  type Variable,
} from '../parts/function-fields';
import { guessRuntime } from '../parts/guess';
import { firstFault, isSet, programFaults } from '../parts/program';
import { ProgramFields } from '../parts/program-fields';
import { ProgressView, useProgress } from '../parts/progress';
import { RUNTIME_TEXTS, RUNTIMES } from '../parts/runtimes';
import { encoded, fileName, keepSource, languageOf, readSource, sourceOf, textOf, type Source } from '../parts/source';
import { TEMPLATES, type Template } from '../parts/templates';
import { SourceFiles, UploadButton } from '../parts/upload';
import type { Created, FunctionInfo, NewFunction as NewFunctionBody, Runtime } from '../types';
import { Button, ButtonLink, CodeBlock, Confirm, Editor, Page, Section, Select, TextField, toast } from '../ui';

interface Draft {
  readonly name: string;
  /** The template that it began with. */
  readonly template: string;
  readonly file: string;
  readonly code: string;
  /** Empty: as guessed. */
  readonly runtime: Runtime | '';
  readonly settings: Settings;
  readonly env: readonly Variable[];
}

function draftOf(template: Template, taken: readonly string[] = []): Draft {
  return {
    name: freeName(template.name, taken),
    template: template.id,
    file: fileName(template.runtime),
    code: template.code,
    runtime: '',
    env: [],
    settings: {
      ...DEFAULTS,
      idempotent: template.idempotent === true,
      edge: template.edge === true,
      inputs: template.signature.Inputs,
      outputs: template.signature.Outputs,
    },
  };
}

const [HELLO] = TEMPLATES as readonly [Template, ...Template[]];

export default function NewFunction({ params, query }: PageProps): JSX.Element {
  const { app } = params;
  const asked = TEMPLATES.find(({ id }) => id === query.get('template'));
  const names = useFetch<string[]>(inApp(app, '/functions'));
  const draft = useDraft<Draft>(`new-function.${app ?? ''}`, draftOf(asked ?? HELLO, names.data));
  const { value, set } = draft;
  const [upload, setUpload] = useState<Source>();
  const [secrets, setSecrets] = useState<readonly Variable[]>([]);
  const [pending, setPending] = useState<Template>();
  const [created, setCreated] = useState<Created>();
  const source = useMemo(() => upload ?? sourceOf(value.code, value.file), [upload, value.code, value.file]);
  // A draft of an older console lacks some.
  const settings: Settings = { ...DEFAULTS, ...value.settings };
  const guess = useMemo(() => guessRuntime(source, settings.handler), [source, settings.handler]);
  const runtime = value.runtime === '' ? guess?.runtime : value.runtime;
  const custom = value.runtime === 'custom';
  const programFault = runtime === 'wasm' ? firstFault(programFaults(settings)) : undefined;
  const change = (part: Partial<Draft>): void => set({ ...value, ...part });
  const taken = names.data?.includes(value.name) === true && created === undefined;

  const typed = value.code !== (TEMPLATES.find(({ id }) => id === value.template)?.code ?? '');
  const choose = (template: Template): void => {
    if (typed || upload !== undefined) setPending(template);
    else set(draftOf(template, names.data));
  };
  useEffect(() => {
    if (asked !== undefined && asked.id !== value.template) choose(asked);
  }, []);

  const take = (bytes: Uint8Array, file: string): void => {
    const read = readSource(bytes, file);
    const [only] = read.files;
    const text = read.bare && only !== undefined && !/\.wa[st]m?$/.test(file) ? textOf(only) : undefined;
    const name = file
      .replace(/\.(tar|[a-z]+)$/, '')
      .replace(/[^A-Za-z0-9_.-]+/g, '-')
      .replace(/^[-.]+/, '');
    const fresh = { ...DEFAULTS, idempotent: value.settings.idempotent, edge: value.settings.edge };
    // A name that nobody typed gives way to that of the file.
    const given = TEMPLATES.some(
      (one) => freeName(one.name, names.data ?? []) === value.name || one.name === value.name,
    );
    const ownName = given || value.name === '' ? freeName(name, names.data ?? []) : value.name;
    const kept = value.template === '' ? value.settings : fresh;
    setUpload(text === undefined ? read : undefined);
    change({ file, code: text ?? value.code, template: '', runtime: '', name: ownName, settings: kept });
  };

  const deploy = useProgress(async (onStep) => {
    if (value.name === '') throw new ApiError(0, 'name_missing', 'the function needs a name');
    if (runtime === undefined) throw new ApiError(0, 'runtime_unknown', 'choose a runtime: nothing here tells it');
    if (programFault !== undefined) throw new ApiError(0, 'invalid_member', programFault);
    const body: NewFunctionBody = {
      Name: value.name,
      Runtime: runtime,
      ...deployMembers(settings, runtime),
      ...(custom ? { CustomImage: settings.image } : { TarFunctionCode: await encoded(source) }),
      ...(value.env.length === 0 ? {} : { Env: variables(value.env) }),
      ...(secrets.length === 0 ? {} : { Secrets: variables(secrets) }),
    };
    const answer = await withProgress<Created>('POST', inApp(app, '/create'), { json: body, onStep });
    draft.clear();
    setSecrets([]);
    if (!custom) await remember(app, value.name, source);
    if ((answer.Remarks ?? []).length === 0) {
      toast(`${value.name} is deployed`);
      navigate(functionPage(value.name, app, 'try'));
    } else {
      setCreated(answer);
    }
  });
  const submit = (): void => void deploy.run();
  const fault = useMemo(() => faultOf(deploy.error), [deploy.error]);

  if (created !== undefined) return <Deployed created={created} app={app} />;
  const above =
    app === undefined
      ? ([['/functions', 'Functions']] as const)
      : ([
          ['/apps', 'Applications'],
          [path`/apps/${app}`, app],
        ] as const);
  return (
    <Page title="New function" above={above}>
      <Section title="Begin with">
        <ul class="templates" aria-label="Templates">
          {TEMPLATES.map((template) => (
            <li key={template.id}>
              <button
                type="button"
                class="template"
                aria-pressed={template.id === value.template && upload === undefined}
                onClick={() => choose(template)}
              >
                <strong>{template.title}</strong>
                <span class="muted">{template.text}</span>
              </button>
            </li>
          ))}
        </ul>
        <div class="row">
          <UploadButton label="Upload a file" onFile={take} />
          <span class="muted">
            A .wasm, .wat, .js or .py file, or a .tar with sources. Files dropped here work too.
          </span>
        </div>
      </Section>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Section title="Function">
          <div class="fields">
            <TextField
              label="Name"
              mono
              required
              value={value.name}
              onChange={(name) => change({ name })}
              maxLength={128}
              pattern="[A-Za-z0-9_][A-Za-z0-9_.\-]*"
              hint="Letters, digits, -, _ and ."
              {...(taken ? { error: 'There is a function of this name. Its own page changes it.' } : {})}
            />
            <Select<Runtime | ''>
              label="Runtime"
              value={value.runtime}
              onChange={(chosen) => change({ runtime: chosen })}
              hint={value.runtime === '' ? whyGuessed(guess) : RUNTIME_TEXTS[value.runtime]}
              options={[
                ['', guess === undefined ? 'not recognised' : `${guess.runtime} (recognised)`],
                ...RUNTIMES.map((one) => [one, one === 'custom' ? 'custom image' : one] as const),
              ]}
            />
            {custom && (
              <TextField
                label="Image"
                mono
                required
                value={settings.image}
                placeholder="registry.example/team/image:tag"
                onChange={(image) => change({ settings: { ...settings, image } })}
                hint="It has to speak the executor protocol."
              />
            )}
          </div>
          {taken && (
            <p>
              <Link to={functionPage(value.name, app)}>To {value.name}</Link>
            </p>
          )}
          <details class="more">
            <summary>{flagText(settings)}</summary>
            <FlagFields value={settings} runtime={runtime} onChange={(next) => change({ settings: next })} />
          </details>
          {runtime === 'wasm' && (
            <details class="more" open={isSet(settings)}>
              <summary>Arguments and streams of a program</summary>
              <ProgramFields value={settings} onChange={(next) => change({ settings: next })} />
            </details>
          )}
          <details class="more">
            <summary>Memory, time and other limits</summary>
            <LimitFields
              value={settings}
              runtime={custom ? undefined : runtime}
              onChange={(next) => change({ settings: next })}
            />
          </details>
          <details class="more" open={value.env.length > 0}>
            <summary>Environment and secrets</summary>
            <div class="columns">
              <div class="stack">
                <h3>Variables</h3>
                <VariableFields list={value.env} onChange={(env) => change({ env })} />
              </div>
              <div class="stack">
                <h3>Secrets</h3>
                <VariableFields list={secrets} onChange={setSecrets} secret />
                <p class="muted">No page and no answer shows them again, and no draft keeps them.</p>
              </div>
            </div>
          </details>
          <details class="more">
            <summary>Signature</summary>
            <SignatureFields value={settings} onChange={(next) => change({ settings: next })} />
          </details>
        </Section>
        {!custom && (
          <Section
            title="Code"
            actions={
              upload !== undefined && (
                <Button small onClick={() => setUpload(undefined)}>
                  Write it here instead
                </Button>
              )
            }
          >
            {upload === undefined ? (
              <Editor
                label="Code of the function"
                language={languageOf(value.file)}
                value={value.code}
                fault={fault}
                onChange={(code) => change({ code })}
                onSave={submit}
              />
            ) : (
              <SourceFiles source={upload} />
            )}
          </Section>
        )}
        <ProgressView of={deploy} done="Deployed" />
        <div class="form-actions">
          <Button type="submit" look="primary" busy={deploy.busy} disabled={taken || programFault !== undefined}>
            Deploy
          </Button>
          {draft.dirty && !deploy.busy && (
            <Button look="quiet" onClick={draft.clear}>
              Start over
            </Button>
          )}
          <span class="muted">Ctrl-S in the editor deploys as well.</span>
        </div>
      </form>
      <Confirm
        title="Replace the code?"
        open={pending !== undefined}
        onClose={() => setPending(undefined)}
        look="primary"
        action={`Begin with “${pending?.title ?? ''}”`}
        onConfirm={async () => {
          setUpload(undefined);
          if (pending !== undefined) set(draftOf(pending, names.data));
        }}
      >
        <p>What you wrote here before is still there. The template takes its place.</p>
      </Confirm>
    </Page>
  );
}

function flagText({ idempotent, edge, isolation }: Settings): string {
  const set = [idempotent && 'idempotent', edge && 'edge', isolation === 'fresh' && 'fresh instances'].filter(Boolean);
  return `Flags: ${set.length === 0 ? 'none' : set.join(', ')}`;
}

/** The name, or with a number if there is such a function. */
function freeName(name: string, taken: readonly string[]): string {
  let free = name;
  for (let count = 2; taken.includes(free); count++) free = `${name}-${count}`;
  return free;
}

function whyGuessed(guess: ReturnType<typeof guessRuntime>): string {
  if (guess === undefined) return 'Nothing here tells it: choose one.';
  return `${RUNTIME_TEXTS[guess.runtime]}: ${guess.because}.`;
}

/** Keeps the source in this browser: the node does not show that of functions outside of applications. */
async function remember(app: string | undefined, name: string, source: Source): Promise<void> {
  try {
    const info = await get<FunctionInfo>(inApp(app, path`/functions/${name}`));
    keepSource(info.Code, source);
  } catch {
    // The function is deployed all the same.
  }
}

function Deployed({ created, app }: { readonly created: Created; readonly app: string | undefined }): JSX.Element {
  const name = created.Created;
  return (
    <Page title={`${name} is deployed`} above={[['/functions', 'Functions']]}>
      <Section title="The node remarks">
        <ul>
          {created.Remarks?.map((remark) => (
            <li key={remark}>{remark}</li>
          ))}
        </ul>
        <div class="row">
          <ButtonLink to={functionPage(name, app, 'try')} look="primary" icon="play">
            Try it
          </ButtonLink>
          <ButtonLink to={functionPage(name, app, 'code')}>Change the code</ButtonLink>
        </div>
        <CodeBlock
          label="With the command line"
          text={`serverledge-cli ${app === undefined ? '' : `--app ${app} `}invoke ${name}`}
        />
      </Section>
    </Page>
  );
}
