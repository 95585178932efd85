/** The node and its cluster: load, ledger, health, history, sandboxes, other nodes. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useEvents } from '../events';
import { useFetch } from '../hooks';
import { Health, ReadyBadge, useHealthNotices, useReadiness, useRegistry } from '../parts/node-health';
import { NodeHistory } from '../parts/node-history';
import { shortNode } from '../parts/node-name';
import { LOADS_MAX, LastMinutes, Ledger, LiveFigures, type Load } from '../parts/node-live';
import { NodePeers } from '../parts/node-peers';
import { NodeSandboxes, SANDBOX_EVENTS_MAX, type SandboxEvent } from '../parts/node-sandboxes';
import type { Flight } from '../parts/peer-map';
import { Quotas } from '../parts/quotas';
import { Link } from '../router';
import { isOperator, session } from '../session';
import { useStore } from '../store';
import type { EventData, NodeStatus, PeerInfo, Sandboxes, Stats as FunctionFigures } from '../types';
import { Await, Facts, Page, Section, Stat, Stats, formatFigure, formatNumber } from '../ui';

const POLL_MS = 10_000;
/** Events that come close together are shown together. */
const GATHER_MS = 250;
/** Lists are read anew after an event, but no more often. */
const AGAIN_MS = 5000;
const FLIGHT_MS = 1200;
const FLIGHTS_MAX = 24;

export default function NodePage(): JSX.Element {
  return isOperator(useStore(session)) ? <ForOperators /> : <ForUsers />;
}

function ForOperators(): JSX.Element {
  const status = useFetch<NodeStatus>('/status', { pollMs: POLL_MS });
  const peers = useFetch<PeerInfo[]>('/peers', { pollMs: POLL_MS });
  const sandboxes = useFetch<Sandboxes>('/sandboxes', { pollMs: POLL_MS });
  const ready = useReadiness();
  const registry = useRegistry();
  const live = useLive(sandboxes.reload, () => {
    peers.reload();
    ready.reload();
  });
  useHealthNotices(ready.data, registry.data, peers.data, live.gone);
  const name = status.data === undefined ? 'Node' : shortNode(`${status.data.Area}/${status.data.Node}`);
  return (
    <Page title={name} facts={<ReadyBadge of={ready} short />}>
      <Await of={status}>
        {(now) => (
          <>
            <LiveFigures load={live.loads.at(-1)} status={now} />
            <div class="columns">
              <div class="stack">
                <Ledger load={live.loads.at(-1)} status={now} />
                <LastMinutes loads={live.loads} />
              </div>
              <Health ready={ready} registry={registry} status={now} />
            </div>
            <NodePeers fetched={peers} status={now} flights={live.flights} offloads={live.offloads} />
            <NodeSandboxes fetched={sandboxes} latest={live.sandboxes} />
            <NodeHistory />
            <Quotas />
          </>
        )}
      </Await>
    </Page>
  );
}

interface Live {
  readonly loads: readonly Load[];
  readonly sandboxes: readonly SandboxEvent[];
  readonly flights: readonly Flight[];
  readonly offloads: ReadonlyMap<string, number>;
  /** Nodes that are away, and how. */
  readonly gone: ReadonlyMap<string, EventData['peer']['action']>;
}

const NOTHING: Live = { loads: [], sandboxes: [], flights: [], offloads: new Map(), gone: new Map() };

/** What the events of the node tell; bounded, whatever comes. */
function useLive(sandboxesChanged: () => void, peersChanged: () => void): Live {
  const [live, setLive] = useState<Live>(NOTHING);
  const gathered = useRef<{ kind: string; data: object }[]>([]);
  const timers = useRef(new Map<string, number>());
  const latest = useRef({ sandboxes: sandboxesChanged, peers: peersChanged });
  latest.current = { sandboxes: sandboxesChanged, peers: peersChanged };
  const once = (name: string, delay: number, work: () => void): void => {
    if (timers.current.has(name)) return;
    timers.current.set(
      name,
      window.setTimeout(() => {
        timers.current.delete(name);
        work();
      }, delay),
    );
  };
  const flush = (): void => {
    const events = gathered.current;
    gathered.current = [];
    setLive((before) => taken(before, events));
    if (events.some(({ kind }) => kind === 'offload')) once('land', FLIGHT_MS, () => setLive(landed));
    if (events.some(({ kind }) => kind === 'sandbox'))
      once('sandboxes', AGAIN_MS, () => document.hidden || latest.current.sandboxes());
    if (events.some(({ kind }) => kind === 'peer')) once('peers', GATHER_MS, () => latest.current.peers());
  };
  useEvents(
    { kinds: ['load', 'sandbox', 'offload', 'peer'], all: true },
    (kind, data) => {
      if (gathered.current.length < 10_000) gathered.current.push({ kind, data });
      once('flush', GATHER_MS, flush);
    },
    () => latest.current.peers(),
  );
  useEffect(() => () => timers.current.forEach((timer) => clearTimeout(timer)), []);
  return live;
}

let flown = 0;

function taken(before: Live, events: readonly { kind: string; data: object }[]): Live {
  const of = <Kind extends 'load' | 'sandbox' | 'offload' | 'peer'>(kind: Kind): EventData[Kind][] =>
    events.filter((event) => event.kind === kind).map(({ data }) => data as EventData[Kind]);
  const loads = of('load');
  const sandboxes = of('sandbox').reverse();
  const handed = of('offload');
  const offloads = new Map(before.offloads);
  for (const { to } of handed) offloads.set(to, (offloads.get(to) ?? 0) + 1);
  const gone = new Map(before.gone);
  for (const { node, action } of of('peer')) {
    if (action === 'left' || action === 'unreachable') gone.set(node, action);
    else gone.delete(node);
  }
  const flights = handed.slice(-FLIGHTS_MAX).map(({ to, outcome }): Flight => {
    flown += 1;
    return { key: flown, to, done: outcome === 'done' };
  });
  return {
    loads: loads.length === 0 ? before.loads : [...before.loads, ...loads].slice(-LOADS_MAX),
    sandboxes:
      sandboxes.length === 0 ? before.sandboxes : [...sandboxes, ...before.sandboxes].slice(0, SANDBOX_EVENTS_MAX),
    flights: flights.length === 0 ? before.flights : [...before.flights, ...flights].slice(-FLIGHTS_MAX),
    offloads,
    gone,
  };
}

function landed(before: Live): Live {
  return { ...before, flights: [] };
}

/** For those who do not operate the node. */
function ForUsers(): JSX.Element {
  const ready = useReadiness();
  const stats = useFetch<FunctionFigures>('/stats', { pollMs: POLL_MS });
  return (
    <Page title="Node">
      <Section title="What you may see">
        <p>
          The load of the node, its sandboxes and the other nodes are for its operators. You see your own functions,
          whichever node runs them: <Link to="/functions">functions</Link>, <Link to="/runs">runs</Link>,{' '}
          <Link to="/apps">applications</Link>.
        </p>
        <Facts of={[['Readiness', <ReadyBadge of={ready} />]]} />
      </Section>
      <Section title="Your functions on this node, last ten minutes" plain>
        <Await of={stats}>{(data) => <OwnFigures of={data} />}</Await>
      </Section>
      <Quotas />
    </Page>
  );
}

function OwnFigures({ of }: { readonly of: FunctionFigures }): JSX.Element {
  const sum = (member: 'calls' | 'failures' | 'rejected' | 'per_second'): number =>
    of.functions.reduce((total, one) => total + one[member], 0);
  return (
    <Stats>
      <Stat label="Called functions">{formatNumber(of.functions.length)}</Stat>
      <Stat label="Calls">{formatNumber(sum('calls'))}</Stat>
      <Stat label="Failures">{formatNumber(sum('failures'))}</Stat>
      <Stat label="Rejected">{formatNumber(sum('rejected'))}</Stat>
      <Stat label="Calls per second" note="last minute">
        {formatFigure(sum('per_second'))}
      </Stat>
    </Stats>
  );
}
