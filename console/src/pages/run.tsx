/** One run: its record, where its time went, its log, the calls around it; of asynchronous ones state and history. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { get, post } from '../api';
import { functionPage, href, inApp, path, query } from '../base';
import { useEvents } from '../events';
import { useFetch, useRead } from '../hooks';
import { AsyncState, Failure } from '../parts/async-state';
import { NodeName } from '../parts/node-name';
import { RunLog } from '../parts/run-log';
import { RunPhases } from '../parts/run-phases';
import { FunctionLink, fullName, startOf } from '../parts/run-table';
import { runKey, runPage } from '../parts/runs';
import { TraceTree, ownRecord } from '../parts/trace';
import { Link, type PageProps } from '../router';
import { session } from '../session';
import { useStore } from '../store';
import type { InvocationInfo, RequestInfo, Run, RunPage } from '../types';
import {
  Badge,
  Button,
  ButtonLink,
  Bytes,
  Confirm,
  CopyButton,
  Duration,
  Empty,
  Facts,
  Loading,
  Page,
  Problem,
  Section,
  Stat,
  Stats,
  Table,
  Time,
  shortDigest,
  shortId,
  toast,
} from '../ui';

/** While it has not ended; ends are told by events. */
const POLL_MS = 10_000;
const AROUND_MS = 5000;
const ABOVE = [['/runs', 'Runs']] as const;

export default function RunDetail({ params }: PageProps): JSX.Element {
  const { id = '', app } = params;
  const [open, setOpen] = useState(true);
  const fetched = useFetch<InvocationInfo>(inApp(app, path`/invocations/${id}`), open ? { pollMs: POLL_MS } : {});
  const missing = fetched.error?.status === 404;
  const others = useOthers(id, missing);
  const info = fetched.data;
  const ended = others !== undefined || (info !== undefined && !isOpen(info));
  if (open === ended) setOpen(!ended);
  useEvents(
    ended ? null : { kinds: ['run'], ...(app === undefined ? {} : { app }) },
    (kind, data) => {
      if (kind === 'run' && 'id' in data && data.id === id) fetched.reload();
    },
    fetched.reload,
  );
  const runs = info?.runs ?? others ?? [];
  const run = ownRecord(runs);
  if (info === undefined && run === undefined) {
    return (
      <Page title={`Run ${shortId(id)}`} above={ABOVE}>
        {missing ? (
          <Unknown id={id} reload={fetched.reload} />
        ) : fetched.error === undefined ? (
          <Loading />
        ) : (
          <Problem error={fetched.error} onRetry={fetched.reload} />
        )}
      </Page>
    );
  }
  return (
    <Page
      title={`Run ${shortId(id)}`}
      above={ABOVE}
      facts={
        <>
          <State info={info} run={run} />
          <CopyButton text={id} label="Copy the id" />
        </>
      }
      actions={<Actions info={info} run={run} app={run?.app ?? app} reload={fetched.reload} />}
    >
      {!missing && <Problem error={fetched.error} onRetry={fetched.reload} />}
      <Record info={info} run={run} runs={runs} app={run?.app ?? app} everybody={others !== undefined} />
    </Page>
  );
}

function isOpen(info: InvocationInfo): boolean {
  return info.state === 'queued' || info.state === 'running';
}

function isAsync(info: InvocationInfo): boolean {
  const { history, runs = [] } = info;
  return history.length > 0 || runs.length === 0 || runs.some(({ trigger }) => trigger === 'async');
}

/** Operators may see runs of others, which the route of one invocation does not show. An id says its time (UUID 7). */
function useOthers(id: string, wanted: boolean): readonly Run[] | undefined {
  const who = useStore(session);
  const operator = who.state === 'in' && who.account.role === 'operator';
  const at = Number.parseInt(id.replace('-', '').slice(0, 12), 16);
  const key = wanted && operator && Number.isFinite(at) ? id : null;
  const read = useRead<readonly Run[]>(key, async (signal) => {
    const span = { since: Math.max(at - AROUND_MS, 0), until: at + AROUND_MS, limit: 1000 };
    const page = await get<RunPage>(`/invocations${query({ ...span, cluster: true, all: true })}`, { signal });
    return page.runs.filter((run) => run.id === id).reverse();
  });
  return read.data?.length === 0 ? undefined : read.data;
}

function State({
  info,
  run,
}: {
  readonly info: InvocationInfo | undefined;
  readonly run: Run | undefined;
}): JSX.Element {
  const status = info !== undefined && isAsync(info) ? info.state : (run?.status ?? info?.state);
  return <Badge {...(status === undefined ? {} : { status })} />;
}

function Unknown({ id, reload }: { readonly id: string; readonly reload: () => void }): JSX.Element {
  return (
    <Empty title="No record of this run" action={<Button onClick={reload}>Look again</Button>}>
      If it still runs, its record appears here when it ends. A node keeps the latest runs in memory: a restart, or
      newer runs, remove older ones. The id is <code>{id}</code>.
    </Empty>
  );
}

function Actions(props: {
  readonly info: InvocationInfo | undefined;
  readonly run: Run | undefined;
  readonly app: string | undefined;
  readonly reload: () => void;
}): JSX.Element {
  const { info, app } = props;
  const [asks, setAsks] = useState(false);
  const name = info?.function ?? props.run?.function ?? '';
  const cancel = async (): Promise<void> => {
    await post(inApp(app, path`/invocations/${info?.id ?? ''}/cancel`));
    toast('Cancelled');
    props.reload();
  };
  return (
    <>
      {name !== '' && (
        <ButtonLink to={functionPage(name, app, 'try')} icon="play">
          Run again
        </ButtonLink>
      )}
      {info !== undefined && isOpen(info) && (
        <Button look="danger" onClick={() => setAsks(true)}>
          Cancel the run
        </Button>
      )}
      <Confirm
        title="Cancel this run?"
        open={asks}
        onClose={() => setAsks(false)}
        action="Cancel the run"
        onConfirm={cancel}
      >
        <p>It ends without a result, and is stopped wherever it runs. What it has done already stays done.</p>
      </Confirm>
    </>
  );
}

function Record({
  info,
  run,
  runs,
  app,
  everybody,
}: {
  readonly info: InvocationInfo | undefined;
  readonly run: Run | undefined;
  readonly runs: readonly Run[];
  readonly app: string | undefined;
  readonly everybody: boolean;
}): JSX.Element {
  const running = info !== undefined && isOpen(info);
  const id = info?.id ?? run?.id ?? '';
  const failure =
    info?.error ?? (run?.code === undefined ? undefined : { code: run.code, message: run.message ?? '' });
  return (
    <>
      {failure !== undefined && <Failure {...failure} />}
      {run !== undefined && <Figures run={run} />}
      {info !== undefined && isAsync(info) && <AsyncState info={info} app={app} />}
      <div class="columns">
        {run !== undefined && (
          <Section title="Where the time went">
            <RunPhases run={run} />
          </Section>
        )}
        <Section title="Record">
          <RecordFacts id={id} info={info} run={run} app={app} />
        </Section>
      </div>
      {run?.requests !== undefined && <Requests of={run.requests} more={run.more_requests ?? 0} />}
      <Section title={running ? 'Log, live' : 'Log'}>
        <RunLog id={id} app={app} function={info?.function ?? run?.function} running={running} />
      </Section>
      {run !== undefined && (
        <Section title="Trace" actions={<TraceId id={run.trace_id} />}>
          <TraceTree run={run} everybody={everybody} />
        </Section>
      )}
      {runs.length > 1 && <Records runs={runs} />}
      <p class="muted">
        Parameters are not stored. To run it again,{' '}
        <Link to={functionPage(info?.function ?? run?.function ?? '', app, 'try')}>open the function</Link> and type
        them anew.
      </p>
    </>
  );
}

function Figures({ run }: { readonly run: Run }): JSX.Element {
  return (
    <Stats>
      <Stat label="Duration">
        <Duration us={run.total_us} />
      </Stat>
      <Stat label="Execution">
        <Duration us={run.execution_us} />
      </Stat>
      <Stat label="Waited">
        <Duration us={run.queue_us} />
      </Stat>
      <Stat label="Start">{startOf(run)}</Stat>
      <Stat label="Result">
        <Bytes n={run.result_bytes} />
      </Stat>
    </Stats>
  );
}

function RecordFacts({
  id,
  info,
  run,
  app,
}: {
  readonly id: string;
  readonly info: InvocationInfo | undefined;
  readonly run: Run | undefined;
  readonly app: string | undefined;
}): JSX.Element {
  const who = useStore(session);
  const own = who.state === 'in' && who.account.user === run?.caller;
  const version = run?.version ?? info?.version ?? '';
  const name = { function: info?.function ?? run?.function ?? '', app };
  const where = run !== undefined && (
    <>
      <NodeName of={run.ran_on} />
      {run.ran_on !== run.node && (
        <>
          , for <NodeName of={run.node} />
        </>
      )}
    </>
  );
  return (
    <Facts
      of={[
        ['Function', <FunctionLink of={name} />],
        ['Version', <code title={version}>{shortDigest(version)}</code>],
        ['Began', <Time ms={run?.started_unix_ms ?? info?.accepted_unix_ms} />],
        run !== undefined && ['Trigger', run.trigger],
        run !== undefined && ['Ran on', where],
        run?.caller !== undefined && ['Caller', own ? 'you' : run.caller],
        run !== undefined && ['Parameters', <Bytes n={run.params_bytes} />],
        run?.parent !== undefined && [
          'Called by',
          <Link to={runPage(run.parent)} class="mono">
            {shortId(run.parent)}
          </Link>,
        ],
        run !== undefined &&
          run.root !== run.id && [
            'Root',
            <Link to={runPage(run.root)} class="mono">
              {shortId(run.root)}
            </Link>,
          ],
        ['Id', <span class="mono">{id}</span>],
        run !== undefined && ['Span', <span class="mono">{run.span_id}</span>],
      ]}
    />
  );
}

/** What finds this trace in a collector (docs/observability.md). */
function TraceId({ id }: { readonly id: string }): JSX.Element {
  return (
    <span class="row trace-id">
      <span class="muted">trace</span>
      <code>{id}</code>
      <CopyButton text={id} label="Copy the trace id" />
    </span>
  );
}

/** What the run sent to hosts outside. Paths and queries are not recorded. */
function Requests({ of, more }: { readonly of: readonly RequestInfo[]; readonly more: number }): JSX.Element {
  const none = <span class="muted">–</span>;
  return (
    <Section title="Requests to hosts" plain>
      <Table
        caption="Requests of this run to hosts outside"
        rows={of.map((request, at) => ({ ...request, at }))}
        rowKey={({ at }) => String(at)}
        columns={[
          { key: 'host', label: 'Host', bare: true, cell: ({ host }) => <code>{host}</code> },
          { key: 'method', label: 'Method', cell: ({ method }) => method },
          { key: 'status', label: 'Status', cell: ({ status }) => status ?? none },
          {
            key: 'code',
            label: 'Code',
            cell: ({ code }) =>
              code === undefined ? none : <a href={`${href('/errors')}#${code}`}>{code}</a>,
          },
          { key: 'begun', label: 'Began after', end: true, cell: (one) => <Duration us={one.begun_us} /> },
          {
            key: 'head',
            label: 'Response after',
            end: true,
            cell: ({ head_us }) => (head_us === undefined ? none : <Duration us={head_us} />),
          },
          { key: 'received', label: 'Received', end: true, cell: (one) => <Bytes n={one.received_bytes} /> },
        ]}
      />
      {more > 0 && <p class="muted">{`${more} more requests have no line.`}</p>}
    </Section>
  );
}

/** The records of a run that several nodes or several attempts have. */
function Records({ runs }: { readonly runs: readonly Run[] }): JSX.Element {
  return (
    <Section title="Records" plain>
      <Table
        caption="Records of this run"
        rows={runs}
        rowKey={runKey}
        columns={[
          { key: 'node', label: 'Kept by', bare: true, cell: (run) => <NodeName of={run.node} /> },
          { key: 'function', label: 'Function', cell: (run) => fullName(run) },
          { key: 'trigger', label: 'Trigger', cell: (run) => run.trigger },
          { key: 'time', label: 'Began', cell: (run) => <Time ms={run.started_unix_ms} /> },
          { key: 'status', label: 'Outcome', cell: (run) => <Badge status={run.status} /> },
          {
            key: 'code',
            label: 'Code',
            cell: (run) =>
              run.code === undefined ? (
                <span class="muted">–</span>
              ) : (
                <a href={`${href('/errors')}#${run.code}`}>{run.code}</a>
              ),
          },
          { key: 'total', label: 'Duration', end: true, cell: (run) => <Duration us={run.total_us} /> },
        ]}
      />
    </Section>
  );
}
