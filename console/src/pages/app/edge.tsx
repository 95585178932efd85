/** Which functions pages may run themselves, and a page that does. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, get, patch } from '../../api';
import { apiUrl, functionPage, path } from '../../base';
import { useAction, useRead } from '../../hooks';
import { addressOf } from '../../parts/addresses';
import { sampleArguments, useFunctionInfos } from '../../parts/app-functions';
import { componentPage, connectLines, functionPageSample } from '../../parts/edge-sample';
import { isContainer, runsInBrowsers } from '../../parts/runtimes';
import { Link } from '../../router';
import type { FunctionInfo, Updated } from '../../types';
import { Await, Badge, Button, CodeBlock, Empty, formatBytes, Problem, Section, Select, Table, toast } from '../../ui';
import type { AppTabProps } from './index';

/** A function or component of the signed list. */
interface EdgeEntry {
  readonly name: string;
  readonly kind: string;
  readonly bytes: number;
  readonly delta?: { readonly bytes: number };
}

interface Manifest {
  readonly functions: readonly EdgeEntry[];
  readonly components?: readonly EdgeEntry[];
}

/** What the application hands out now; `undefined` while it does not run. */
function useManifest(app: string, up: boolean, version: string) {
  return useRead(up ? `${app} ${version}` : null, async (signal) => {
    try {
      const { manifest } = await get<{ manifest: string }>(path`/app/${app}/edge/manifest`, { signal });
      const { functions, components = [] } = JSON.parse(manifest) as Manifest;
      return new Map([...functions, ...components].map((entry) => [entry.name, entry]));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return new Map<string, EdgeEntry>();
      throw error;
    }
  });
}

export function EdgeTab({ app, info }: AppTabProps): JSX.Element {
  const infos = useFunctionInfos(app, info.functions);
  const [remarks, setRemarks] = useState<readonly string[]>([]);
  const versions = [...(infos.data?.values() ?? [])].map((one) => `${one.Version}${one.Edge}`).join();
  const manifest = useManifest(app, info.up, versions);
  const handed = manifest.data ?? new Map<string, EdgeEntry>();
  return (
    <div class="stack">
      <p class="muted">
        A page can run these functions itself: the same modules, checked, and under the same limits. That makes three
        things public: a function's code, its plain variables, and the right to call it. Visitors may make its results
        up, so allow no function whose results you have to trust, such as a price.
      </p>
      {info.functions.length === 0
        ? <Empty title="No functions yet">Write one, and allow it in browsers here.</Empty>
        : (
          <Await of={infos}>
            {(all) => (
              <Functions
                app={app}
                up={info.up}
                infos={[...all.values()]}
                handed={handed}
                onChanged={(changed) => {
                  infos.set(new Map(all).set(changed.Function.Name, changed.Function));
                  setRemarks(changed.Remarks ?? []);
                }}
              />
            )}
          </Await>
        )}
      {remarks.length > 0 && (
        <div class="notice warn" role="status">
          <ul class="plain-list">{remarks.map((one) => <li key={one}>{one}</li>)}</ul>
        </div>
      )}
      <Problem error={manifest.error} onRetry={manifest.reload} />
      <Sample app={app} info={info} infos={infos.data} handed={handed} />
    </div>
  );
}

function Functions(
  { app, up, infos, handed, onChanged }: {
    readonly app: string;
    readonly up: boolean;
    readonly infos: readonly FunctionInfo[];
    readonly handed: ReadonlyMap<string, EdgeEntry>;
    readonly onChanged: (changed: Updated) => void;
  },
): JSX.Element {
  const [changing, setChanging] = useState('');
  const toggle = useAction(async ({ Name: name, Edge: edge }: FunctionInfo) => {
    onChanged(await patch<Updated>(path`/apps/${app}/functions/${name}`, { Edge: !edge }));
    toast(edge ? `${name} runs at the node only` : `${name} may run in browsers`);
  });
  return (
    <>
      <Problem error={toggle.error} />
      <Table
        caption="Functions and whether browsers run them"
        rows={infos}
        rowKey={({ Name }) => Name}
        sortBy="name"
        columns={[
          {
            key: 'name',
            label: 'Function',
            bare: true,
            sort: ({ Name }) => Name,
            cell: ({ Name }) => <Link to={functionPage(Name, app)}><strong>{Name}</strong></Link>,
          },
          { key: 'runtime', label: 'Runtime', sort: ({ Runtime }) => Runtime, cell: ({ Runtime }) => Runtime },
          { key: 'state', label: 'In browsers', cell: (one) => <State info={one} up={up} handed={handed} /> },
          {
            key: 'bytes',
            label: 'A page loads',
            end: true,
            cell: ({ Name }) => <Size entry={handed.get(Name)} />,
          },
          {
            key: 'change',
            label: 'Change',
            bare: true,
            end: true,
            cell: (one) => (
              <Button
                small
                busy={toggle.busy && changing === one.Name}
                disabled={toggle.busy}
                label={`${one.Edge ? 'Keep at the node' : 'Allow'}: ${one.Name}`}
                onClick={() => {
                  setChanging(one.Name);
                  void toggle.run(one);
                }}
              >
                {one.Edge ? 'Keep at the node' : 'Allow'}
              </Button>
            ),
          },
        ]}
      />
    </>
  );
}

function State(
  { info, up, handed }: {
    readonly info: FunctionInfo;
    readonly up: boolean;
    readonly handed: ReadonlyMap<string, EdgeEntry>;
  },
): JSX.Element {
  if (!info.Edge) return <span class="muted">no</span>;
  if (!up) return <Badge tone="off" title="As soon as the application runs">allowed; stopped</Badge>;
  if (handed.has(info.Name)) return <Badge tone="good">runs there</Badge>;
  const why = isContainer(info.Runtime)
    ? 'It runs in a container'
    : !runsInBrowsers(info.Runtime) ? 'It runs at nodes only'
    : (info.Secrets ?? []).length > 0 ? 'It has secrets' : 'Its module cannot run in a page';
  return <Badge tone="warn" title={why}>allowed; {why.toLowerCase()}</Badge>;
}

function Size({ entry }: { readonly entry: EdgeEntry | undefined }): JSX.Element {
  if (entry === undefined) return <span class="muted">–</span>;
  if (entry.delta === undefined) return <>{formatBytes(entry.bytes)}</>;
  const title = `${formatBytes(entry.bytes)} alone; ${formatBytes(entry.delta.bytes)} once another script is there`;
  return <span title={title}>{formatBytes(entry.delta.bytes)} to {formatBytes(entry.bytes)}</span>;
}

function Sample(
  { app, info, infos, handed }: {
    readonly app: string;
    readonly info: AppTabProps['info'];
    readonly infos: ReadonlyMap<string, FunctionInfo> | undefined;
    readonly handed: ReadonlyMap<string, EdgeEntry>;
  },
): JSX.Element | null {
  const [picked, setPicked] = useState('');
  const names = info.functions.filter((name) => handed.has(name) || (!info.up && infos?.get(name)?.Edge === true));
  const name = names.includes(picked) ? picked : names[0];
  if (name === undefined) return null;
  const sdk = apiUrl('/sdk/edge.js').href;
  const component = handed.get(name)?.kind === 'component';
  const args = sampleArguments(infos?.get(name));
  const page = component
    ? componentPage(sdk, addressOf(app), name)
    : functionPageSample(sdk, addressOf(app), name, args);
  return (
    <Section
      title="In your page"
      actions={<Button small onClick={() => download(`${app}-${name}.html`, page)}>Download the page</Button>}
    >
      {names.length > 1 && (
        <Select label="Function" value={name} options={names.map((one) => [one, one] as const)} onChange={setPicked} />
      )}
      <Origins app={app} info={info} />
      <CodeBlock label="A script" text={connectLines(sdk, addressOf(app), name, args, component)} />
      <CodeBlock label="A whole page to begin with" text={page} />
    </Section>
  );
}

function Origins({ app, info }: Pick<AppTabProps, 'app' | 'info'>): JSX.Element {
  const settings = <Link to={path`/apps/${app}/settings`}>settings</Link>;
  if (info.cors === 'any') return <p class="muted">Pages of all origins may use the application.</p>;
  if (info.cors === 'closed') {
    return (
      <p class="notice warn">
        <span>Pages of other origins may not use the application yet. Name their origin in the {settings}.</span>
      </p>
    );
  }
  return <p class="muted">Pages of {info.cors.join(', ')} may use the application ({settings}).</p>;
}

/** Saves a text as a file. */
function download(file: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/html' }));
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
