/** An asynchronous invocation: state, attempts, result, callback, history. */
import type { JSX } from 'preact';
import { href } from '../base';
import { Link } from '../router';
import type { InvocationInfo } from '../types';
import { Badge, Facts, Icon, Section, Time, formatDuration, shortId } from '../ui';
import { NodeName } from './node-name';
import { JsonResult } from './result-view';
import { runPage } from './runs';

/** Why there is no result. Not an alert: it is what the record says. */
export function Failure({ code, message }: { readonly code: string; readonly message: string }): JSX.Element {
  return (
    <div class="problem">
      <Icon name="warn" />
      <div class="problem-body">
        <p>{message === '' ? 'There is no result.' : message}</p>
        <p class="problem-facts">
          <a href={`${href('/errors')}#${code}`}>{code}</a>
        </p>
      </div>
    </div>
  );
}

export function AsyncState({
  info,
  app,
}: {
  readonly info: InvocationInfo;
  readonly app: string | undefined;
}): JSX.Element {
  const { callback } = info;
  return (
    <div class="columns">
      <Section title="Asynchronous">
        <Facts
          of={[
            ['State', <Badge status={info.state} />],
            ['Attempts', info.attempts],
            ['Accepted', <Time ms={info.accepted_unix_ms} />],
            info.started_unix_ms !== undefined && ['Last begun', <Time ms={info.started_unix_ms} />],
            info.finished_unix_ms !== undefined && ['Ended', <Time ms={info.finished_unix_ms} />],
            info.node !== undefined && ['Node', <NodeName of={info.node} />],
            info.dead_letter === true && [
              'Given up',
              <>
                The nodes gave it up: <Link to={deadLetters(app)}>redrive it</Link>
              </>,
            ],
            info.redrive_of !== undefined && [
              'Redrive of',
              <Link to={runPage(info.redrive_of, app)} class="mono">
                {shortId(info.redrive_of)}
              </Link>,
            ],
            callback !== undefined && [
              'Callback',
              <>
                <Badge status={callback.state} /> {callback.url}
              </>,
            ],
            callback?.last_error !== undefined && ['Callback failed', callback.last_error],
          ]}
        />
        {info.result !== undefined && <JsonResult value={info.result} />}
      </Section>
      <Section title="History">
        {info.history.length === 0 ? (
          <p class="muted">Nothing has happened to it yet.</p>
        ) : (
          <History of={info.history} />
        )}
      </Section>
    </div>
  );
}

export function deadLetters(app: string | undefined): string {
  return app === undefined ? '/runs/dead-letters' : `/runs/dead-letters?${new URLSearchParams({ app })}`;
}

function History({ of }: { readonly of: InvocationInfo['history'] }): JSX.Element {
  return (
    <ol class="history">
      {of.map((entry, index) => {
        const before = of[index - 1];
        return (
          <li key={index}>
            <Time ms={entry.unix_ms} />
            <strong>{entry.event.replaceAll('_', ' ')}</strong>
            <span class="muted">
              <NodeName of={entry.node} />
            </span>
            {before !== undefined && (
              <span class="muted figure">after {formatDuration((entry.unix_ms - before.unix_ms) * 1000)}</span>
            )}
          </li>
        );
      })}
    </ol>
  );
}
