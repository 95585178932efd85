/** What came of a call: result or error, phases, where it ran, headers, log. */
import type { JSX } from 'preact';
import { inApp, path } from '../base';
import { useFetch } from '../hooks';
import { Link } from '../router';
import type { InvocationInfo, Run } from '../types';
import { Badge, CodeBlock, Facts, Problem, formatDuration, shortId } from '../ui';
import type { Outcome } from './calls';
import { ResultView } from './result-view';
import { RunLog } from './run-log';
import { Spans, type Span } from './spans';

const CACHE_TEXTS: Readonly<Record<string, string>> = {
  cache: 'the result was kept: nothing ran',
  joined: 'joined an identical call under way',
  edge: 'a result from a browser',
  carried: 'a result that the request brought',
};

export function CallResult({
  outcome,
  name,
  app,
  scale,
}: {
  readonly outcome: Outcome;
  readonly name: string;
  readonly app: string | undefined;
  /** Microseconds that the picture of the time is wide, to compare two. */
  readonly scale?: number | undefined;
}): JSX.Element {
  const { where, id } = outcome;
  const stored = useFetch<InvocationInfo>(
    where === 'node' && id !== undefined && outcome.headers.length > 0 ? inApp(app, path`/invocations/${id}`) : null,
  );
  const run = stored.data?.runs?.find((one) => one.function === name) ?? stored.data?.runs?.[0];
  return (
    <div class="stack">
      <div class="row">
        <Status outcome={outcome} />
        <Warmth outcome={outcome} run={run} />
        {outcome.cache !== undefined && (
          <Badge tone="info" title={CACHE_TEXTS[outcome.cache]}>{`cache: ${outcome.cache}`}</Badge>
        )}
        <span class="figure muted">{formatDuration(outcome.took)} in all</span>
      </div>
      <Problem error={outcome.error} />
      {outcome.error === undefined && <ResultView text={outcome.text} bytes={outcome.bytes} />}
      <Waterfall outcome={outcome} run={run} scale={scale} />
      <Facts
        of={[
          ranOn(outcome, run) !== undefined && ['Ran on', ranOn(outcome, run)],
          outcome.cache !== undefined && ['Result', CACHE_TEXTS[outcome.cache] ?? outcome.cache],
          where === 'browser' && outcome.first === true && ['First run here', 'with loading its module'],
          run !== undefined &&
            id !== undefined && ['Record', <Link to={inApp(app, path`/runs/${id}`)}>{`Run ${shortId(id)}`}</Link>],
        ]}
      />
      {where === 'node' && id !== undefined && run !== undefined && outcome.cache === undefined ? (
        <div class="stack tight">
          <h3>Log</h3>
          <RunLog id={id} app={app} function={name} running={false} />
        </div>
      ) : (
        <PlainLog text={outcome.log} />
      )}
      {where === 'node' && <Headers of={outcome.headers} />}
    </div>
  );
}

function Status({ outcome }: { readonly outcome: Outcome }): JSX.Element {
  const { status, error } = outcome;
  if (error !== undefined)
    return <Badge tone="bad">{status === undefined ? error.code : `${status} ${error.code}`}</Badge>;
  if (status === undefined) return <Badge tone="good">completed</Badge>;
  return <Badge tone={status < 400 ? 'good' : status < 500 ? 'warn' : 'bad'}>{`status ${status}`}</Badge>;
}

function Warmth({ outcome, run }: { readonly outcome: Outcome; readonly run: Run | undefined }): JSX.Element | null {
  const warm = outcome.warm ?? run?.warm;
  if (warm === undefined || outcome.cache !== undefined) return null;
  return <Badge tone="off">{warm ? 'warm' : 'cold'}</Badge>;
}

function ranOn(outcome: Outcome, run: Run | undefined): string | undefined {
  if (outcome.where === 'browser') return 'this browser';
  if (run !== undefined && run.ran_on !== run.node) return `${run.ran_on}, over ${run.node}`;
  return run?.ran_on ?? outcome.ranOn;
}

/** The way to the node, the phases there, the way back. */
function Waterfall({
  outcome,
  run,
  scale,
}: {
  readonly outcome: Outcome;
  readonly run: Run | undefined;
  readonly scale: number | undefined;
}): JSX.Element {
  const { phases, took, where } = outcome;
  const spans: Span[] = [];
  if (where === 'browser' || phases === undefined) {
    const label = where === 'browser' ? (outcome.first === true ? 'Load and run' : 'In this browser') : 'Request';
    spans.push({ key: 'all', label, from_us: 0, us: took, colour: 'accent' });
  } else {
    const way = Math.max(took - phases.total, 0);
    const warm = outcome.warm ?? run?.warm;
    let from = way / 2;
    const next = (key: string, label: string, us: number, colour: Span['colour']): void => {
      spans.push({ key, label, from_us: from, us, colour });
      from += us;
    };
    spans.push({ key: 'way', label: 'Network and browser', from_us: 0, us: way, colour: 'off' });
    if (outcome.cache !== undefined) {
      next('cache', 'At the node', phases.total, 'accent');
      return <Spans label="Where the time went" spans={spans} whole_us={scale ?? took} />;
    }
    next('queue', 'Waiting in the queue', phases.queue, 'warn');
    next('start', warm === undefined ? 'Start' : `Start (${warm ? 'warm' : 'cold'})`, phases.start, 'second');
    next('execution', 'Execution', phases.execution, 'accent');
    const rest = phases.total - phases.queue - phases.start - phases.execution;
    if (rest > phases.total / 20) next('rest', 'Everything else', rest, 'off');
  }
  return <Spans label="Where the time went" spans={spans} whole_us={scale ?? took} />;
}

function PlainLog({ text }: { readonly text: string | undefined }): JSX.Element | null {
  if (text === undefined || text.trim() === '') return null;
  return <CodeBlock label="Log" wrap text={text.trimEnd()} />;
}

function Headers({ of }: { readonly of: Outcome['headers'] }): JSX.Element | null {
  if (of.length === 0) return null;
  return (
    <details class="more">
      <summary>Headers of the answer</summary>
      <Facts of={of.map(([name, value]) => [name, <code>{value}</code>])} />
    </details>
  );
}
