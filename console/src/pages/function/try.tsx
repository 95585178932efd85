/** Calling a function: parameters, result, phases, log; on the node and in this browser. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { isAbort, post, toApiError } from '../../api';
import { apiRoot, functionPage, inApp, path } from '../../base';
import { disconnect, fetchHere, refusal, runHere, sameJson } from '../../parts/browser-run';
import {
  callHttp,
  httpAsCurl,
  httpUrl,
  invoke,
  invokeAsCli,
  invokeAsCurl,
  paramsAsCurl,
  requestOf,
  type HttpCall,
  type Outcome,
} from '../../parts/calls';
import { fileNameOf, sameBytes } from '../../parts/bytes';
import { CallResult } from '../../parts/call-result';
import { useHistory } from '../../parts/history';
import { firstCall, HttpCallFields } from '../../parts/http-call';
import { LiveLog } from '../../parts/live-log';
import { HistorySelect, ParamsEditor, useParams } from '../../parts/params';
import { hasBytes, isProgram } from '../../parts/program';
import { isContainer, runsInBrowsers } from '../../parts/runtimes';
import { rememberSubmitted } from '../../parts/submitted';
import { joinWords } from '../../parts/words';
import { useAction, useDraft, useFetch, useRead } from '../../hooks';
import { Link, navigate } from '../../router';
import { session } from '../../session';
import { useStore } from '../../store';
import type { AcceptedInvocation, AppInfo, FunctionInfo } from '../../types';
import { Badge, Button, CodeBlock, Problem, Section, Select, formatDuration, toast } from '../../ui';
import type { FunctionTabProps } from './index';

type Where = 'node' | 'browser' | 'both';

interface Results {
  readonly node?: Outcome;
  readonly browser?: Outcome;
  /** Whether both gave the same; absent with one of them. */
  readonly equal?: boolean;
}

export default function TryTab({ name, app, info, current }: FunctionTabProps): JSX.Element {
  const key = `${app ?? ''}/${name}`;
  // Programs take parameters as well, whatever they read and write.
  const isHttp = current?.Interface === 'http' && !hasBytes(info);
  const way = useDraft<'params' | 'http' | ''>(`try.way.${key}`, '');
  const usual = info.Stdin === 'body' ? 'http' : 'params';
  const chosen = isHttp ? 'http' : way.value === '' ? usual : way.value;
  const params = useParams(info, app);
  const call = useDraft<HttpCall>(`try.http.${key}`, firstCall(info));
  const requests = useHistory<HttpCall>('request', key);
  const [file, setFile] = useState<File>();
  const [results, setResults] = useState<Results>({});
  const aborter = useRef<AbortController | undefined>(undefined);
  const here = useHere(app, info);
  const loggedIn = useStore(session).state === 'in';
  useEffect(
    () => () => {
      aborter.current?.abort();
      if (app !== undefined) disconnect(app);
    },
    [app],
  );

  const onNode = (signal: AbortSignal): Promise<Outcome> =>
    chosen === 'params'
      ? invoke(info, app, params.json ?? '{}', signal)
      : callHttp(requestOf(httpUrl(name, app, call.value.target), call.value, file), signal);
  const inBrowser = (): Promise<Outcome> => {
    if (app === undefined) throw new Error('the function is of no application');
    if (chosen === 'params') return runHere(app, info, params.json ?? '{}');
    return fetchHere(app, info, requestOf(httpUrl(name, app, call.value.target), call.value, file));
  };
  const action = useAction(async (where: Where) => {
    const begun = new AbortController();
    aborter.current = begun;
    setResults({});
    // One after the other, so that neither slows the other down.
    let found: Results = {};
    if (where !== 'browser') {
      found = { node: await caught('node', onNode(begun.signal)) };
      setResults(found);
    }
    if (where !== 'node') {
      found = { ...found, browser: await caught('browser', inBrowser()) };
      if (found.node !== undefined && app !== undefined) found = { ...found, equal: await same(app, found) };
      setResults(found);
    }
    const ok = [found.node, found.browser].every((one) => one?.error === undefined);
    if (chosen === 'params') params.remember(ok);
    else requests.add(call.value, ok);
  });
  const later = useAction(async () => {
    const body = `{"Params":${params.json ?? '{}'}}`;
    const headers = { 'content-type': 'application/json' };
    const route = inApp(app, path`/functions/${name}/invocations`);
    const { id } = await post<AcceptedInvocation>(route, undefined, { body, headers });
    params.remember(true);
    rememberSubmitted(id, name, app);
    toast('Accepted: it runs in the background');
    navigate(inApp(app, path`/runs/${id}`));
  });
  const blocked = chosen === 'params' && params.json === undefined;
  const run = (where: Where): void => {
    if (!blocked) void action.run(where);
  };

  return (
    <div class="stack">
      <Section
        title="Call"
        actions={
          !isHttp && (
            <Select
              label="As"
              value={chosen}
              onChange={way.set}
              options={[
                ['params', 'Parameters, by /invoke'],
                ['http', 'HTTP request, by /fn'],
              ]}
            />
          )
        }
      >
        <ProgramNote info={info} way={chosen} />
        {chosen === 'params' ? (
          <ParamsEditor of={params} onRun={() => run('node')} />
        ) : (
          <>
            <HttpCallFields
              value={call.value}
              onChange={call.set}
              file={file}
              onFile={setFile}
              onRun={() => run('node')}
              root={inApp(app, path`/fn/${name}`)}
            />
            <HistorySelect
              past={requests.past}
              onPick={call.set}
              label="Earlier requests"
              text={({ method, target }) => `${method} ${target}`}
            />
          </>
        )}
        <div class="form-actions">
          <Button look="primary" icon="play" busy={action.busy} disabled={blocked} onClick={() => run('node')}>
            Run on the node
          </Button>
          {here.possible && (
            <>
              <Button disabled={blocked || action.busy} onClick={() => run('browser')}>
                Run in this browser
              </Button>
              <Button disabled={blocked || action.busy} onClick={() => run('both')}>
                Run on both and compare
              </Button>
            </>
          )}
          {action.busy && (
            <Button look="quiet" onClick={() => aborter.current?.abort()}>
              Stop waiting
            </Button>
          )}
          {chosen === 'params' && !action.busy && (
            <Button look="quiet" disabled={blocked} busy={later.busy} onClick={() => later.run()}>
              Run in the background
            </Button>
          )}
        </div>
        {!here.possible && <p class="muted here-not">{here.why}</p>}
        <Problem error={action.error} />
        <Problem error={later.error} />
      </Section>
      <LiveLog name={name} app={app} running={action.busy} />
      <Outcomes results={results} name={name} app={app} />
      <Commands
        texts={
          chosen === 'params'
            ? paramsCommands(info, app, params.json ?? '{}', loggedIn)
            : [['curl', curlOf(info, app, call.value, loggedIn)]]
        }
      />
    </div>
  );
}

/** The outcome of a call, also of one that got no answer. */
async function caught(where: Outcome['where'], outcome: Promise<Outcome>): Promise<Outcome> {
  const begun = performance.now();
  try {
    return await outcome;
  } catch (error) {
    if (isAbort(error)) throw error;
    return { where, headers: [], took: (performance.now() - begun) * 1000, error: toApiError(error) };
  }
}

async function same(app: string, { node, browser }: Results): Promise<boolean> {
  if (node?.error !== undefined || browser?.error !== undefined) return node?.error?.code === browser?.error?.code;
  if (node?.status !== (browser?.status ?? node?.status)) return false;
  if (node?.text === undefined || browser?.text === undefined) return sameBytes(node?.bytes, browser?.bytes);
  return sameJson(app, node.text, browser.text);
}

/** How a program gets what is typed here. */
function ProgramNote({
  info,
  way,
}: {
  readonly info: FunctionInfo;
  readonly way: 'params' | 'http';
}): JSX.Element | null {
  if (!isProgram(info)) return null;
  const args = joinWords(info.Arguments ?? []);
  return (
    <p class="muted">
      {args !== '' && (
        <>
          Runs with the arguments <code>{args}</code>.{' '}
        </>
      )}
      {info.Stdin === 'none'
        ? 'The program reads nothing.'
        : info.Stdin !== 'body'
          ? 'The program reads the parameters as JSON.'
          : way === 'http'
            ? 'The program reads the body as it is; parameters are those of the query.'
            : 'Here is no body, so the program reads the parameters as JSON. An HTTP request has one.'}
    </p>
  );
}

type CommandTexts = readonly (readonly [label: string, text: string])[];

function paramsCommands(info: FunctionInfo, app: string | undefined, params: string, loggedIn: boolean): CommandTexts {
  const bytes = paramsAsCurl(info, app, params, loggedIn);
  return [
    ['curl', invokeAsCurl(info, app, params, loggedIn)],
    ...(bytes === undefined ? [] : [['curl, over HTTP', bytes] as const]),
    ['Command line', invokeAsCli(info, app, params)],
  ];
}

function curlOf(info: FunctionInfo, app: string | undefined, call: HttpCall, loggedIn: boolean): string {
  const file = info.Stdout === 'raw' ? fileNameOf(info.StdoutType ?? '') : undefined;
  try {
    return httpAsCurl(httpUrl(info.Name, app, call.target), call, loggedIn, file);
  } catch (error) {
    return `# ${toApiError(error).detail}`;
  }
}

// === in this browser ===

interface Here {
  readonly possible: boolean;
  readonly why?: ComponentChildren;
}

/** Whether this browser can run the function; else why not, and what to do. */
function useHere(app: string | undefined, info: FunctionInfo): Here {
  const of = useFetch<AppInfo>(app === undefined || !info.Edge ? null : path`/apps/${app}`);
  const up = of.data?.up === true;
  const asked = useRead(up && app !== undefined ? `${app}/${info.Name}/${info.Version}` : null, async () =>
    app === undefined ? undefined : { why: await refusal(app, info) },
  );
  const settings = functionPage(info.Name, app, 'settings');
  const not = (why: ComponentChildren): Here => ({ possible: false, why: <>In this browser: {why}</> });
  if (app === undefined) {
    return not(
      <>
        only functions of a running application can; deploy it to one of your <Link to="/apps">applications</Link>.
      </>,
    );
  }
  if (!runsInBrowsers(info.Runtime)) {
    const why = isContainer(info.Runtime) ? 'needs a container' : 'runs at nodes only';
    return not(<>a {info.Runtime} function {why}; the runtimes javascript and wasm run in browsers.</>);
  }
  if (isProgram(info)) return not('its arguments or its streams are set, so that it runs at the node alone.');
  if (!info.Edge)
    return not(
      <>
        it does not have the flag “edge”; set it in the <Link to={settings}>settings</Link>.
      </>,
    );
  if ((info.Secrets ?? []).length > 0) {
    return not(
      <>
        it has secrets, which whoever runs it could read; remove them in the <Link to={settings}>settings</Link>.
      </>,
    );
  }
  if (of.error !== undefined) return not(of.error.detail);
  if (!up) {
    return not(
      of.loading && of.data === undefined ? (
        'asking for the application…'
      ) : (
        <>
          the application is stopped; start it on <Link to={path`/apps/${app}`}>its page</Link>.
        </>
      ),
    );
  }
  if (asked.error !== undefined) return not(`${asked.error.detail} (${asked.error.code}).`);
  if (asked.data === undefined) return not('loading the library…');
  return asked.data.why === undefined ? { possible: true } : not(asked.data.why);
}

// === results ===

function Outcomes({
  results,
  name,
  app,
}: {
  readonly results: Results;
  readonly name: string;
  readonly app: string | undefined;
}): JSX.Element | null {
  const { node, browser, equal } = results;
  if (node === undefined && browser === undefined) return null;
  const scale = node !== undefined && browser !== undefined ? Math.max(node.took, browser.took) : undefined;
  return (
    <>
      {equal !== undefined && node !== undefined && browser !== undefined && (
        <Comparison node={node} browser={browser} equal={equal} />
      )}
      <div class="columns">
        {node !== undefined && (
          <Section title="On the node">
            <CallResult outcome={node} name={name} app={app} scale={scale} />
          </Section>
        )}
        {browser !== undefined && (
          <Section title="In this browser">
            <CallResult outcome={browser} name={name} app={app} scale={scale} />
          </Section>
        )}
      </div>
    </>
  );
}

function Comparison({
  node,
  browser,
  equal,
}: {
  readonly node: Outcome;
  readonly browser: Outcome;
  readonly equal: boolean;
}): JSX.Element {
  const inNode = node.phases?.total;
  return (
    <p class="row" role="status">
      <Badge tone={equal ? 'good' : 'bad'}>{equal ? 'equal results' : 'different results'}</Badge>
      <span>
        Here {formatDuration(browser.took)}
        {browser.first === true ? ', with loading the module' : ''}; over the node {formatDuration(node.took)}
        {inNode === undefined ? '' : `, of which ${formatDuration(inNode)} at the node`}.
      </span>
      {!equal && node.error === undefined && browser.error === undefined && (
        <span class="muted">
          A function that depends on time, chance, earlier calls or a browser’s own headers gives other results each
          time.
        </span>
      )}
    </p>
  );
}

function Commands({ texts }: { readonly texts: CommandTexts }): JSX.Element {
  const all = useMemo(() => texts, [JSON.stringify(texts)]);
  return (
    <details class="more section">
      <summary>The same as a command{apiRoot.hostname === '' ? '' : ` for ${apiRoot.host}`}</summary>
      <div class="stack">
        {all.map(([label, text]) => (
          <CodeBlock key={label} label={label} text={text} wrap />
        ))}
      </div>
    </details>
  );
}
