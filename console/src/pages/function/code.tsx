/** The code of a function: editor, deploy with progress, test of unsaved code. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { withProgress, type ApiError } from '../../api';
import { functionPage, inApp, path } from '../../base';
import { TestRun } from '../../parts/test-run';
import { faultOf } from '../../parts/fault';
import { hasBytes } from '../../parts/program';
import { ProgressView, useProgress } from '../../parts/progress';
import {
  encoded,
  exportedSource,
  fileName,
  keepSource,
  keptSource,
  languageOf,
  LongExport,
  mainFile,
  readSource,
  sourceOf,
  textOf,
  withTexts,
  type Source,
} from '../../parts/source';
import { SourceFiles, UploadButton } from '../../parts/upload';
import { useDraft, useRead } from '../../hooks';
import { Link } from '../../router';
import type { FunctionInfo, Updated, VersionInfo } from '../../types';
import {
  Badge,
  Button,
  Bytes,
  Editor,
  Empty,
  Facts,
  Loading,
  Problem,
  Section,
  Select,
  Time,
  formatBytes,
  shortDigest,
  toast,
} from '../../ui';
import type { FunctionTabProps } from './index';

export default function CodeTab(props: FunctionTabProps): JSX.Element {
  const { info, name, app } = props;
  if (info.Runtime === 'custom') {
    return (
      <Empty title="This function is an image">
        Its code is in <code>{info.Image}</code>. Another image is named in the{' '}
        <Link to={functionPage(name, app, 'settings')}>settings</Link>.
      </Empty>
    );
  }
  return info.Runtime === 'wasm' ? <Module {...props} /> : <Script {...props} />;
}

/** Sends new code; everything else of the function stays. */
function useDeploy({ name, app, fetched }: FunctionTabProps, then: (source: Source, code: string) => void) {
  const [updated, setUpdated] = useState<Updated>();
  const progress = useProgress(async (onStep, source: Source) => {
    setUpdated(undefined);
    const json = { TarFunctionCode: await encoded(source) };
    const answer = await withProgress<Updated>('PATCH', inApp(app, path`/functions/${name}`), { json, onStep });
    keepSource(answer.Function.Code, source);
    then(source, answer.Function.Code);
    setUpdated(answer);
    fetched.set(answer.Function);
    toast(answer.Changes.length === 0 ? 'Nothing has changed' : `${name} is deployed`);
  });
  return { progress, updated };
}

function Outcome({ updated }: { readonly updated: Updated | undefined }): JSX.Element | null {
  if (updated === undefined) return null;
  return (
    <div class="stack tight">
      <p>
        {updated.Changes.length === 0 ? 'The code is what it was: version ' : 'Calls get version '}
        <code>{shortDigest(updated.Function.Version)}</code>
        {updated.Changes.length === 0 ? '.' : ' from now on.'}
      </p>
      {(updated.Remarks ?? []).length > 0 && (
        <ul class="plain-list">
          {updated.Remarks?.map((remark) => (
            <li key={remark}>{remark}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

// === modules ===

function Module(props: FunctionTabProps): JSX.Element {
  const { info, current, codeBytes } = props;
  const [upload, setUpload] = useState<Source>();
  const { progress, updated } = useDeploy(props, () => setUpload(undefined));
  return (
    <div class="stack">
      <Section title="Module">
        <Facts
          of={[
            ['Digest', <code>{info.Code}</code>],
            codeBytes !== undefined && ['Size', <Bytes n={codeBytes} />],
            current !== undefined && ['Interface', interfaceText(current, info)],
            current !== undefined && ['Deployed', <Time ms={current.DeployedUnixMs} />],
          ]}
        />
        <p class="muted">A WebAssembly file is built elsewhere and uploaded as a whole.</p>
      </Section>
      <Section title="A new version">
        <div class="row">
          <UploadButton
            label="Choose a file"
            accept=".wasm,.wat,.tar"
            onFile={(bytes, file) => setUpload(readSource(bytes, file))}
          />
          <span class="muted">
            A .wasm or .wat file, or a .tar with a module and the files that it reads. Settings stay; files that are
            not in it are gone.
          </span>
        </div>
        {upload !== undefined && <SourceFiles source={upload} />}
        <ProgressView of={progress} done="Deployed" />
        <Outcome updated={updated} />
        {upload !== undefined && (
          <Button look="primary" busy={progress.busy} onClick={() => progress.run(upload)}>
            Deploy
          </Button>
        )}
      </Section>
    </div>
  );
}

function interfaceText({ Interface }: VersionInfo, info: FunctionInfo): string {
  if (Interface === 'json') return 'JSON';
  return hasBytes(info) ? 'HTTP (a program that reads or writes bytes)' : 'HTTP (wasi:http)';
}

// === scripts ===

interface Read {
  readonly source?: Source;
  /** The file of the application is this long, and is read when somebody asks for it. */
  readonly long?: number;
}

/** Where the source is: kept in this browser, or in the file of the application. */
function useSource({ app, info }: FunctionTabProps, whole: boolean) {
  const key = `${app ?? ''}/${info.Name}/${info.Code}/${whole}`;
  return useRead<Read>(key, async (signal) => {
    const own = keptSource(info.Code);
    if (own !== undefined) return { source: own };
    if (app === undefined) return {};
    try {
      return { source: (await exportedSource(app, info, { signal, whole })).source };
    } catch (error) {
      if (error instanceof LongExport) return { long: error.bytes };
      throw error;
    }
  });
}

interface Draft {
  /** The digest of the code that it began with. */
  readonly base: string;
  /** Changed files. */
  readonly texts: Readonly<Record<string, string>>;
}

function Script(props: FunctionTabProps): JSX.Element {
  const { info, app, name } = props;
  const [whole, setWhole] = useState(false);
  const read = useSource(props, whole);
  const draft = useDraft<Draft>(`code.${app ?? ''}/${name}`, { base: info.Code, texts: {} });
  // What was deployed here is there already, so the editor keeps its cursor.
  const [own, setOwn] = useState<{ readonly source: Source; readonly code: string }>();
  const found = own?.code === info.Code ? own.source : read.data?.source;
  const long = found === undefined ? read.data?.long : undefined;
  if (found === undefined && read.data === undefined && read.loading) return <Loading what="Reading the source" />;
  if (long !== undefined) {
    return (
      <Empty
        title="The source is in a long file"
        action={<Button onClick={() => setWhole(true)}>Read {formatBytes(long)}</Button>}
      >
        The node gives the source of an application’s functions as one file.
      </Empty>
    );
  }
  return (
    <Files
      {...props}
      draft={draft}
      source={found}
      error={found === undefined ? read.error : undefined}
      onDeployed={(source, code) => setOwn({ source, code })}
    />
  );
}

function Files(
  props: FunctionTabProps & {
    readonly draft: ReturnType<typeof useDraft<Draft>>;
    readonly source: Source | undefined;
    readonly error: ApiError | undefined;
    readonly onDeployed: (source: Source, code: string) => void;
  },
): JSX.Element {
  const { info, app, draft, source: found, error } = props;
  const [upload, setUpload] = useState<Source>();
  const stored = upload ?? found ?? sourceOf('', fileName(info.Runtime));
  const missing = upload === undefined && found === undefined;
  const texts = draft.value.texts;
  const source = useMemo(() => withTexts(stored, texts), [stored, texts]);
  const [picked, setPicked] = useState<string>();
  const file =
    picked !== undefined && source.files.some(({ path: one }) => one === picked)
      ? picked
      : (mainFile(source, info.Handler) ?? '');
  const shown = source.files.find(({ path: one }) => one === file);
  const text = shown === undefined ? undefined : textOf(shown);
  const changed = upload !== undefined || Object.keys(texts).length > 0;
  const { progress, updated } = useDeploy(props, (deployed, code) => {
    draft.clear();
    setUpload(undefined);
    props.onDeployed(deployed, code);
  });
  // Of the last deploy or test.
  const [failure, setFailure] = useState<ApiError>();
  useEffect(() => setFailure(progress.error), [progress.error]);
  const fault = useMemo(() => {
    const one = faultOf(failure);
    return one !== undefined && (source.bare || one.file === undefined || file.endsWith(one.file)) ? one : undefined;
  }, [failure]);
  const deploy = (): void => {
    if (changed) void progress.run(source);
  };
  const outdated = changed && draft.value.base !== info.Code;
  return (
    <div class="stack">
      <Problem error={error} />
      {missing && <Missing {...props} />}
      {outdated && (
        <p class="notice warn">
          Another version was deployed since this text was begun. A deploy of it replaces that version.
        </p>
      )}
      <Section
        title={source.files.length > 1 ? 'Files' : file}
        actions={
          <>
            {changed && <Badge tone="warn">not deployed</Badge>}
            <UploadButton
              label="Upload"
              onFile={(bytes, name) => {
                draft.clear();
                setUpload(readSource(bytes, name));
              }}
            />
          </>
        }
      >
        {source.files.length > 1 && (
          <Select
            label="File"
            value={file}
            onChange={setPicked}
            options={source.files.map(
              ({ path: one }) => [one, texts[one] === undefined ? one : `${one} (changed)`] as const,
            )}
          />
        )}
        {text === undefined ? (
          <p class="muted">
            {shown === undefined ? 'There is no file.' : `${file} is no text, or too long to be edited here.`}
          </p>
        ) : (
          <Editor
            key={file}
            label={`Code of ${file}`}
            language={languageOf(file)}
            value={text}
            fault={fault}
            onSave={deploy}
            placeholder={missing ? 'Paste the source here, or upload it.' : undefined}
            onChange={(next) =>
              draft.set({ base: changed ? draft.value.base : info.Code, texts: { ...texts, [file]: next } })
            }
          />
        )}
        <ProgressView of={progress} done="Deployed" />
        <Outcome updated={updated} />
        <div class="form-actions">
          <Button look="primary" busy={progress.busy} disabled={!changed} onClick={deploy}>
            Deploy as a new version
          </Button>
          {changed && !progress.busy && (
            <Button
              look="quiet"
              onClick={() => {
                draft.clear();
                setUpload(undefined);
              }}
            >
              Discard the changes
            </Button>
          )}
          <span class="muted">Ctrl-S deploys. Memory, variables and flags stay.</span>
        </div>
      </Section>
      {app === undefined ? (
        <p class="muted">
          Code can be tested before it is deployed in functions of <Link to="/apps">applications</Link>.
        </p>
      ) : !missing || changed ? (
        <TestRun info={info} app={app} source={source} onRun={progress.clear} onError={setFailure} />
      ) : null}
    </div>
  );
}

function Missing({ app }: FunctionTabProps): JSX.Element {
  return (
    <p class="notice">
      {app === undefined
        ? 'The node does not give back the source of a function outside of applications, and this one was not ' +
          'deployed from this browser. Paste the source or upload it: a deploy replaces the code and nothing else.'
        : 'The source could not be read. Paste it or upload it: a deploy replaces the code and nothing else.'}
    </p>
  );
}
