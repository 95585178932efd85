/** Whether the node is ready, whether its registry answers, and which nodes are away; with a notice for each. */
import type { JSX } from 'preact';
import { errorOf, get, send, toApiError, type ApiError } from '../api';
import { useNotice } from '../connection';
import { useRead, type Fetched } from '../hooks';
import type { EventData, NodeStatus, PeerInfo } from '../types';
import { Badge, Facts, Loading, Section, Table, formatDuration, shortDigest } from '../ui';
import { shortNode } from './node-name';

const POLL_MS = 30_000;
/** A peer tells its load far more often. */
const SILENT_MS = 10_000;

export interface Readiness {
  readonly ready: boolean;
  readonly why?: ApiError;
}

/** `/readyz`: anybody may ask. */
export function useReadiness(): Fetched<Readiness> {
  return useRead<Readiness>(
    '/readyz',
    async (signal) => {
      const response = await send('GET', '/readyz', { signal });
      return response.ok ? { ready: true } : { ready: false, why: await errorOf(response) };
    },
    { pollMs: POLL_MS },
  );
}

export interface RegistryHealth {
  readonly answers: boolean;
  readonly us: number;
  readonly why?: ApiError;
}

/** No route tells of the registry alone: one small page of dead letters is read from it. */
export function useRegistry(): Fetched<RegistryHealth> {
  return useRead<RegistryHealth>(
    'registry',
    async (signal) => {
      const begin = performance.now();
      const took = (): number => (performance.now() - begin) * 1000;
      try {
        await get('/dead-letters?limit=1', { signal });
        return { answers: true, us: took() };
      } catch (error) {
        const why = toApiError(error);
        // Anything else says nothing of the registry.
        if (signal.aborted || why.status !== 503) throw error;
        return { answers: false, us: took(), why };
      }
    },
    { pollMs: POLL_MS },
  );
}

export type PeerState = 'reachable' | 'unreachable' | 'draining' | 'unheard' | 'full';

export function peerName({ area, node }: PeerInfo): string {
  return `${area}/${node}`;
}

export function peerState(peer: PeerInfo): PeerState {
  if (peer.age_ms === null) {
    if (peer.offloadable) return 'reachable';
    // Of a node that went away the round trip is still known.
    return peer.round_trip_ms === null ? 'unheard' : 'unreachable';
  }
  if (peer.draining) return 'draining';
  if (peer.age_ms > SILENT_MS) return 'unreachable';
  return peer.offloadable ? 'reachable' : 'full';
}

/** The first of some names. */
function few(names: readonly string[]): string {
  const first = names.slice(0, 3).map(shortNode).join(', ');
  return names.length > 3 ? `${first} and ${names.length - 3} more` : first;
}

/** Notices above the page about what is away. */
export function useHealthNotices(
  ready: Readiness | undefined,
  registry: RegistryHealth | undefined,
  peers: readonly PeerInfo[] | undefined,
  /** Nodes that events called away, and how. */
  gone: ReadonlyMap<string, EventData['peer']['action']>,
): void {
  const why = ready?.why?.detail ?? 'not ready';
  useNotice('node-ready', ready?.ready === false ? { tone: 'warn', text: `The node is not ready: ${why}.` } : null);
  useNotice(
    'node-registry',
    registry?.answers === false
      ? { tone: 'bad', text: 'The registry does not answer: calls go on, changes and asynchronous calls do not.' }
      : null,
  );
  const silent = (peers ?? []).filter((peer) => peerState(peer) === 'unreachable').map(peerName);
  const named = (action: string): string[] => [...gone].filter(([, how]) => how === action).map(([name]) => name);
  const away = [...new Set([...silent, ...named('unreachable')])];
  const left = named('left');
  useNotice(
    'node-peers',
    away.length === 0 ? null : { tone: 'warn', text: `${few(away)} ${away.length === 1 ? 'does' : 'do'} not answer.` },
  );
  useNotice(
    'node-left',
    left.length === 0
      ? null
      : { tone: 'info', text: `${few(left)} ${left.length === 1 ? 'has' : 'have'} left the cluster.` },
  );
}

export function Health({
  ready,
  registry,
  status,
}: {
  readonly ready: Fetched<Readiness>;
  readonly registry: Fetched<RegistryHealth>;
  readonly status: NodeStatus;
}): JSX.Element {
  return (
    <Section title="Health">
      <Facts
        of={[
          ['Readiness', <ReadyBadge of={ready} />],
          ['Registry', <RegistryBadge of={registry} />],
          ['Up for', formatDuration(status.Uptime * 1_000_000)],
          ['Version', status.Version],
          ['Functions', status.Functions],
          status.LoadAvg[0] >= 0 && [
            'Load average',
            <span class="figure">{status.LoadAvg.map((n) => n.toFixed(2)).join(' · ')}</span>,
          ],
        ]}
      />
      {(status.Preparing ?? []).length > 0 && <Preparing of={status.Preparing ?? []} />}
    </Section>
  );
}

export function ReadyBadge({
  of,
  short = false,
}: {
  readonly of: Fetched<Readiness>;
  readonly short?: boolean;
}): JSX.Element {
  if (of.data === undefined) return of.error === undefined ? <Loading /> : <Badge tone="bad">no answer</Badge>;
  if (of.data.ready) return <Badge tone="good">ready</Badge>;
  const badge = <Badge tone="warn">not ready</Badge>;
  return short ? (
    badge
  ) : (
    <>
      {badge} <span class="muted">{of.data.why?.detail}</span>
    </>
  );
}

function RegistryBadge({ of }: { readonly of: Fetched<RegistryHealth> }): JSX.Element {
  if (of.data === undefined) return of.error === undefined ? <Loading /> : <Badge tone="off">unknown</Badge>;
  const { answers, us, why } = of.data;
  if (!answers)
    return (
      <>
        <Badge tone="bad">unavailable</Badge> <span class="muted">{why?.detail}</span>
      </>
    );
  return (
    <>
      <Badge tone="good">answers</Badge>{' '}
      <span class="muted">a read took {formatDuration(us)}, the way here included</span>
    </>
  );
}

function Preparing({ of }: { readonly of: NonNullable<NodeStatus['Preparing']> }): JSX.Element {
  return (
    <Table
      caption="Functions that are not prepared"
      rows={of}
      rowKey={({ Function: name, Version: version }) => name + version}
      columns={[
        { key: 'function', label: 'Function', bare: true, cell: (one) => one.Function },
        { key: 'version', label: 'Version', cell: (one) => <code>{shortDigest(one.Version)}</code> },
        {
          key: 'state',
          label: 'State',
          cell: (one) => <Badge status={one.State} tone={one.State === 'failed' ? 'bad' : 'info'} />,
        },
        { key: 'detail', label: 'Why', cell: (one) => one.Detail ?? '' },
      ]}
    />
  );
}
