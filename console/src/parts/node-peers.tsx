/** The other nodes of the cluster as this one sees them: a map and a table. */
import type { JSX } from 'preact';
import type { Fetched } from '../hooks';
import type { NodeStatus, PeerInfo } from '../types';
import { Await, Badge, Duration, Empty, Section, Table, formatAgo, formatFigure, formatMib, type Column } from '../ui';
import { peerName, peerState } from './node-health';
import { NodeName } from './node-name';
import { PeerMap, type Flight } from './peer-map';

const STATES = {
  reachable: 'takes calls',
  unreachable: 'unreachable',
  draining: 'draining',
  unheard: 'not heard of yet',
  full: 'takes none now',
} as const;
const NONE = <span class="muted">–</span>;

export function NodePeers({
  fetched,
  status,
  flights,
  offloads,
}: {
  readonly fetched: Fetched<PeerInfo[]>;
  readonly status: NodeStatus;
  readonly flights: readonly Flight[];
  /** Calls handed to each since the page was opened. */
  readonly offloads: ReadonlyMap<string, number>;
}): JSX.Element {
  return (
    <Section title="Other nodes" plain>
      <Await of={fetched}>
        {(peers) =>
          peers.length === 0 ? (
            <Empty title="This node stands alone">
              Nodes that share a registry find each other by themselves, and hand calls over when they are full: give
              them the same <code>registry.url</code> and the same <code>cluster.key_file</code>.
            </Empty>
          ) : (
            <>
              <div class="section">
                <PeerMap
                  peers={peers}
                  own={status.Coordinates}
                  self={`${status.Area}/${status.Node}`}
                  flights={flights}
                />
              </div>
              <PeerTable peers={peers} offloads={offloads} />
            </>
          )
        }
      </Await>
    </Section>
  );
}

function PeerTable({
  peers,
  offloads,
}: {
  readonly peers: readonly PeerInfo[];
  readonly offloads: ReadonlyMap<string, number>;
}): JSX.Element {
  const heard = (peer: PeerInfo): boolean => peer.age_ms !== null;
  const columns: readonly Column<PeerInfo>[] = [
    {
      key: 'node',
      label: 'Node',
      bare: true,
      cell: (peer) => (
        <>
          <strong>
            <NodeName of={peerName(peer)} />
          </strong>
          {peer.cloud && <span class="muted"> cloud</span>}
          {peer.kind !== 'node' && <span class="muted"> {peer.kind}</span>}
        </>
      ),
      sort: peerName,
    },
    {
      key: 'state',
      label: 'State',
      cell: (peer) => {
        const state = peerState(peer);
        return (
          <Badge status={state} tone={state === 'full' ? 'info' : undefined}>
            {STATES[state]}
          </Badge>
        );
      },
      sort: peerState,
    },
    {
      key: 'address',
      label: 'Address',
      cell: (peer) => <code title={peer.address}>{peer.address.replace(/^https?:\/\//, '')}</code>,
      sort: (peer) => peer.address,
    },
    {
      key: 'trip',
      label: 'Round trip',
      end: true,
      cell: (peer) => (peer.round_trip_ms === null ? NONE : <Duration us={peer.round_trip_ms * 1000} />),
      sort: (peer) => peer.round_trip_ms ?? undefined,
    },
    {
      key: 'memory',
      label: 'Free memory',
      end: true,
      cell: (peer) => (heard(peer) ? formatMib(peer.free_memory_mib) : NONE),
      sort: (peer) => peer.free_memory_mib,
    },
    {
      key: 'cpu',
      label: 'Free cores',
      end: true,
      cell: (peer) => (heard(peer) ? formatFigure(peer.free_cpu) : NONE),
      sort: (peer) => peer.free_cpu,
    },
    {
      key: 'wait',
      label: 'Wait',
      end: true,
      cell: (peer) => (heard(peer) ? <Duration us={peer.wait_ms * 1000} /> : NONE),
      sort: (peer) => peer.wait_ms,
    },
    {
      key: 'age',
      label: 'Heard of',
      end: true,
      cell: (peer) => (peer.age_ms === null ? NONE : formatAgo(Date.now() - peer.age_ms)),
      sort: (peer) => peer.age_ms ?? undefined,
    },
    {
      key: 'offloads',
      label: 'Handed over',
      end: true,
      cell: (peer) => offloads.get(peerName(peer)) ?? 0,
      sort: (peer) => offloads.get(peerName(peer)) ?? 0,
    },
  ];
  return <Table caption="Other nodes" columns={columns} rows={peers} rowKey={peerName} sortBy="node" />;
}
