/** Calling an endpoint as a visitor does: arguments, the response, and commands for the terminal. */
import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { errorOf, send } from '../api';
import { functionPage, path } from '../base';
import { useAction, useDraft, useFetch } from '../hooks';
import { Link } from '../router';
import type { AppInfo, EndpointInfo, FunctionInfo, FunctionVersions } from '../types';
import {
  Badge, Button, CodeBlock, Duration, Editor, formatBytes, Problem, Section, TextArea, TextField, type Tone,
} from '../ui';
import {
  addressOf, argumentQuery, curl, hasNoBody, hostAddressOf, keyOf, pathOf, queryOf, type Sent,
} from './addresses';
import { sampleArguments } from './app-functions';
import { fileNameOf, isJson, textOf } from './bytes';
import { hasBytes } from './program';
import { ResultView } from './result-view';
import { StartStop } from './start-stop';

interface Answer {
  readonly status: number;
  readonly bytes: Blob;
  /** The bytes, if they are text. */
  readonly text: string | undefined;
  readonly us: number;
}

interface CallProps {
  readonly info: AppInfo;
  readonly endpoint: EndpointInfo;
  readonly onChanged: () => void;
}

const SHOWN_MAX = 100_000;

export function CallEndpoint({ info, endpoint, onChanged }: CallProps): JSX.Element {
  const { name: app, up } = info;
  const functionRoute = path`/apps/${app}/functions/${endpoint.function}`;
  const there = info.functions.includes(endpoint.function);
  const about = useFetch<FunctionInfo>(there ? functionRoute : null);
  const versions = useFetch<FunctionVersions>(there ? `${functionRoute}/versions` : null);
  const byRequest = versions.data?.Versions.find(({ Current }) => Current)?.Interface === 'http';
  // A program that reads no body has its arguments in the form of endpoints.
  const readsArguments = about.data !== undefined && hasBytes(about.data) && about.data.Stdin !== 'body';
  const takesHttp = byRequest && !readsArguments;
  const draft = useDraft(`app.${info.id}.call.${keyOf(endpoint)}`, '');
  const text = draft.value !== '' || takesHttp ? draft.value : JSON.stringify(sampleArguments(about.data), null, 2);
  const [type, setType] = useState('text/plain');
  const readsBody = about.data?.Stdin === 'body';
  const parameters = argumentQuery(sampleArguments(readsBody ? about.data : undefined)).slice(1);
  const query = useDraft(`app.${info.id}.query.${keyOf(endpoint)}`, parameters);
  const [answer, setAnswer] = useState<Answer>();
  const aborter = useRef<AbortController | undefined>(undefined);
  const args = parsed(text);
  const sent: Sent = takesHttp ? { text, type, query: query.value } : { args: args.value };
  const file = about.data?.Stdout === 'raw' ? fileNameOf(about.data.StdoutType ?? '') : undefined;
  const call = useAction(async () => {
    setAnswer(undefined);
    aborter.current = new AbortController();
    const begun = performance.now();
    const { route, ...request } = requestOf(app, endpoint, sent);
    const options = { ...request, signal: aborter.current.signal };
    const response = await send(endpoint.method as 'GET', route, options);
    const answered = response.headers.get('content-type') ?? '';
    if (!response.ok && answered.includes('problem+json')) throw await errorOf(response);
    const bytes = await response.blob();
    const us = (performance.now() - begun) * 1000;
    setAnswer({ status: response.status, bytes, text: await textOf(bytes), us });
  });
  const run = (): void => {
    if (up && there && (takesHttp || args.error === undefined)) void call.run();
  };
  return (
    <div id="call-endpoint">
      <Section
        title={`Call ${keyOf(endpoint)}`}
        actions={there && <Link to={functionPage(endpoint.function, app)}>{endpoint.function}</Link>}
      >
        {takesHttp
          ? (
            <>
              <TextField
                label="Query"
                mono
                placeholder="name=value&other=value"
                hint={readsBody ? 'The parameters of the program.' : undefined}
                value={query.value}
                onChange={query.set}
              />
              <HttpBody method={endpoint.method} text={text} onText={draft.set} type={type} onType={setType} />
            </>
          )
          : (
            <>
              <Editor
                label={`Arguments of ${keyOf(endpoint)}, as JSON`}
                language="json"
                short
                value={text}
                onChange={draft.set}
                onRun={run}
              />
              {args.error !== undefined && <p class="field-error">The arguments are no JSON: {args.error}</p>}
            </>
          )}
        {up
          ? (
            <div class="row">
              <Button
                look="primary"
                icon="play"
                busy={call.busy}
                disabled={!there || (!takesHttp && args.error !== undefined)}
                onClick={run}
              >
                Call it
              </Button>
              {call.busy && <Button look="quiet" onClick={() => aborter.current?.abort()}>Give up</Button>}
              <span class="muted">As any visitor would, without your account. Ctrl-Enter calls as well.</span>
            </div>
          )
          : (
            <div class="row">
              <StartStop app={app} up={false} onChanged={onChanged} />
              <span class="muted">The application is stopped: start it, and its endpoints answer.</span>
            </div>
          )}
        <Problem error={call.error} />
        {call.error !== undefined && there && (
          <p class="muted">
            Visitors do not see the function's log and stack. You do:{' '}
            <Link to={functionPage(endpoint.function, app, 'log')}>log</Link>,{' '}
            <Link to={functionPage(endpoint.function, app, 'runs')}>runs</Link>.
          </p>
        )}
        {answer !== undefined && <Response answer={answer} />}
        <Commands app={app} endpoint={endpoint} sent={sent} file={file} />
      </Section>
    </div>
  );
}

function parsed(text: string): { value: unknown; error?: string } {
  try {
    return { value: text.trim() === '' ? {} : JSON.parse(text) };
  } catch (error) {
    return { value: {}, error: error instanceof Error ? error.message : String(error) };
  }
}

/** The request of a call. */
function requestOf(
  app: string,
  endpoint: EndpointInfo,
  sent: Sent,
): { route: string; json?: unknown; body?: string; headers?: Record<string, string> } {
  const { method } = endpoint;
  const route = path`/app/${app}` + pathOf(endpoint) + queryOf(sent, method);
  if (hasNoBody(method)) return { route };
  if ('args' in sent) return { route, json: { args: sent.args } };
  return { route, body: sent.text, headers: { 'content-type': sent.type } };
}

function HttpBody(
  props: {
    readonly method: string;
    readonly text: string;
    readonly onText: (text: string) => void;
    readonly type: string;
    readonly onType: (type: string) => void;
  },
): JSX.Element {
  if (hasNoBody(props.method)) return <p class="muted">The function gets the request itself, which has no body.</p>;
  return (
    <>
      <TextArea
        label="Body"
        mono
        hint="The function gets the request itself, with this body as it is."
        value={props.text}
        onChange={props.onText}
      />
      <TextField label="Content-Type" mono value={props.type} onChange={props.onType} />
    </>
  );
}

function toneOf(status: number): Tone {
  if (status < 300) return 'good';
  return status < 500 ? 'warn' : 'bad';
}

function Response({ answer }: { readonly answer: Answer }): JSX.Element {
  const { status, bytes, text, us } = answer;
  const whole = isJson(bytes.type) ? json(text ?? '') : undefined;
  const cache = isMember(whole, 'cache') ? whole.cache : undefined;
  const shown = isMember(whole, 'result') ? whole.result : whole;
  return (
    <div class="stack" role="status">
      <p class="row">
        <Badge tone={toneOf(status)}>{status}</Badge>
        <Duration us={us} />
        {shown !== undefined && <span class="muted">{formatBytes(bytes.size)}, {bytes.type}</span>}
      </p>
      {shown === undefined
        ? <ResultView text={text} bytes={bytes} />
        : (
          <CodeBlock
            label={isMember(whole, 'result') ? 'Result' : 'Body'}
            text={cut(JSON.stringify(shown, null, 2))}
            wrap
          />
        )}
      {isFilled(cache) && (
        <details>
          <summary>Entries for the caller's cache</summary>
          <p class="muted">A caller may send them back as <code>cache</code>. The node then repeats nothing of it.</p>
          <CodeBlock text={cut(JSON.stringify(cache, null, 2))} wrap />
        </details>
      )}
    </div>
  );
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isMember<Name extends string>(value: unknown, name: Name): value is Record<Name, unknown> {
  return typeof value === 'object' && value !== null && name in value;
}

function isFilled(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

function cut(text: string): string {
  const more = text.length - SHOWN_MAX;
  return more <= 0 ? text : `${text.slice(0, SHOWN_MAX)}\n… and ${formatBytes(more)} more`;
}

function Commands(
  { app, endpoint, sent, file }: {
    readonly app: string;
    readonly endpoint: EndpointInfo;
    readonly sent: Sent;
    readonly file: string | undefined;
  },
): JSX.Element {
  const host = hostAddressOf(app);
  return (
    <details open>
      <summary>From a terminal or a page</summary>
      <div class="stack">
        <CodeBlock label="By path" text={curl(addressOf(app), endpoint, sent, file)} wrap />
        {host === undefined
          ? (
            <p class="muted">
              The application has a host name as well: <code>{app}.</code> before the node's{' '}
              <code>platform.domain</code>, which its operator knows.
            </p>
          )
          : <CodeBlock label="By its own host name, on this machine" text={curl(host, endpoint, sent, file)} wrap />}
      </div>
    </details>
  );
}
