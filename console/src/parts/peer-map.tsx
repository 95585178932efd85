/**
 * The other nodes around this one: the distance is the round trip time on a logarithmic scale, the direction that of
 * their network coordinates where these are known, else they are spread. Calls that are offloaded are brief lines.
 */
import type { JSX } from 'preact';
import type { Coordinates, PeerInfo } from '../types';
import { formatDuration } from '../ui';
import { shortNode } from './node-name';
import { peerName, peerState, type PeerState } from './node-health';

const RINGS_MS = [1, 10, 100];
const NEAR_MS = 0.1;
const FAR_MS = 300;
const RADIUS_MIN = 26;
const RADIUS_MAX = 112;
const NAMES_MAX = 24;

const TONES: Record<PeerState, string> = {
  reachable: 'good',
  unreachable: 'bad',
  draining: 'warn',
  unheard: 'off',
  full: 'info',
};

/** A call that was offloaded just now. */
export interface Flight {
  readonly key: number;
  readonly to: string;
  readonly done: boolean;
}

interface Placed {
  readonly peer: PeerInfo;
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

function radius(ms: number): number {
  const share = Math.log(Math.max(ms, NEAR_MS) / NEAR_MS) / Math.log(FAR_MS / NEAR_MS);
  return RADIUS_MIN + (RADIUS_MAX - RADIUS_MIN) * Math.min(share, 1);
}

/** The direction by the coordinates; without them all around, in the order of the names. */
function direction(peer: PeerInfo, own: Coordinates, share: number): number {
  const [x, y] = peer.coordinates?.Vec ?? own.Vec;
  const [dx, dy] = [x - own.Vec[0], y - own.Vec[1]];
  return dx === 0 && dy === 0 ? 2 * Math.PI * share - Math.PI : Math.atan2(dy, dx);
}

function placed(peers: readonly PeerInfo[], own: Coordinates): readonly Placed[] {
  const named = [...peers].sort((a, b) => peerName(a).localeCompare(peerName(b)));
  const turned = named.map((peer, index) => ({ peer, angle: direction(peer, own, (index + 0.4) / named.length) }));
  turned.sort((a, b) => a.angle - b.angle);
  // Neighbours would hide each other.
  const gap = Math.min((2 * Math.PI) / (turned.length + 1), 0.4);
  let before = -Infinity;
  return turned.map(({ peer, angle: wanted }) => {
    const angle = Math.max(wanted, before + gap);
    before = angle;
    const distance = peer.round_trip_ms === null ? RADIUS_MAX : radius(peer.round_trip_ms);
    return { peer, name: peerName(peer), x: Math.cos(angle) * distance, y: Math.sin(angle) * distance };
  });
}

export function PeerMap({
  peers,
  own,
  self,
  flights,
}: {
  readonly peers: readonly PeerInfo[];
  readonly own: Coordinates;
  /** The name of this node. */
  readonly self: string;
  readonly flights: readonly Flight[];
}): JSX.Element {
  const places = placed(peers, own);
  const byName = new Map(places.map((place) => [place.name, place]));
  return (
    <figure class="peer-map">
      <svg
        viewBox="-200 -120 400 240"
        role="img"
        aria-label={`${peers.length} other nodes by round trip time; the table has the same`}
      >
        {RINGS_MS.map((ms) => (
          <g key={ms}>
            <circle class="map-ring" r={radius(ms)} />
            <text class="map-note" x="0" y={radius(ms) - 3}>
              {ms} ms
            </text>
          </g>
        ))}
        {places.map(({ name, x, y }) => (
          <line key={name} class="map-link" x1="0" y1="0" x2={x} y2={y} />
        ))}
        {flights.map(({ key, to, done }) => {
          const place = byName.get(to);
          if (place === undefined) return null;
          const look = `map-flight${done ? '' : ' failed'}`;
          return <line key={`flight ${key}`} class={look} x1="0" y1="0" x2={place.x} y2={place.y} pathLength={1} />;
        })}
        {places.map((place) => (
          <PeerDot key={place.name} {...place} named={places.length <= NAMES_MAX} />
        ))}
        <circle class="map-self" r="7" />
        <text class="map-name" x="0" y="19">
          {shortNode(self)}
        </text>
      </svg>
      <figcaption class="muted">
        Distance from the middle: time to the node and back. Lines that move: calls handed over.
      </figcaption>
    </figure>
  );
}

function PeerDot({ peer, name, x, y, named }: Placed & { readonly named: boolean }): JSX.Element {
  const state = peerState(peer);
  const trip = peer.round_trip_ms === null ? 'never measured' : formatDuration(peer.round_trip_ms * 1000);
  // Names stand at the outer side.
  const [nameX, anchor] = x >= 0 ? ([x + 9, 'start'] as const) : ([x - 9, 'end'] as const);
  return (
    <g class={`map-peer ${TONES[state]}`}>
      <title>{`${name}: ${state}, ${trip}`}</title>
      <circle cx={x} cy={y} r={peer.cloud ? 6.5 : 5} />
      {named && (
        <text class="map-name" x={nameX} y={y + 3} text-anchor={anchor}>
          {shortNode(name)}
        </text>
      )}
    </g>
  );
}
