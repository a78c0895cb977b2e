/**
 * What waits, in rows by any of its dimensions: what the store counts by lane and tenant, and what the egress of this
 * process has in hand by path. One pass over both; limits are looked at for the rows that are shown.
 */
import type { QueueDepth } from '../engine/ports.ts';
import type { ApiDeps } from '../http/deps.ts';
import type { HeldPath, MailInHand } from '../shaping/held-mail.ts';
import { providerGroup } from '../shaping/providers.ts';

export const QUEUE_DIMENSIONS = ['provider', 'pool', 'ip', 'tenant', 'site', 'class'] as const;
export type QueueDimension = (typeof QUEUE_DIMENSIONS)[number];

type Keys = { [D in QueueDimension]?: string };

/** Counts of some mail, with the path or the lane that explains them. */
interface QueuePart {
  keys: Keys;
  ready: number;
  inHand: number;
  later: number;
  oldest: number | undefined;
  /** Deliveries in hand that wait for a connection. */
  waiting: number;
  lane?: string;
  path?: HeldPath;
}

export interface QueueRow {
  keys: Keys;
  ready: number;
  inHand: number;
  later: number;
  oldest: number | undefined;
  /** Paths of its mail, each with the number of deliveries that wait for it. */
  paths: Map<HeldPath, number>;
  /** Lanes of its mail, each with the number of deliveries that are ready there. */
  lanes: Map<string, number>;
}

export const QUEUE_SORTS = {
  depth: (row: QueueRow) => depthOf(row),
  /** The oldest first. */
  oldest: (row: QueueRow) => -(row.oldest ?? Number.POSITIVE_INFINITY),
  rate: (row: QueueRow) => rateOf(row),
} as const;
export type QueueSort = keyof typeof QUEUE_SORTS;

/** @param held absent: this process sends no mail, and what is leased is counted by lane. */
export function* queueParts(
  depths: readonly QueueDepth[],
  held: MailInHand | undefined,
): Generator<QueuePart> {
  const ways = new Map<string, Pick<Keys, 'pool' | 'class' | 'provider'>>();
  for (const { lane, tenant, ready, leased, later, oldest } of depths) {
    let way = ways.get(lane);
    if (way === undefined) {
      const [pool, messageClass, provider] = lane.split(':');
      ways.set(lane, (way = { pool, class: messageClass, provider }));
    }
    const inHand = held === undefined ? leased : 0;
    if (ready + inHand + later === 0) continue;
    yield { keys: { ...way, tenant }, ready, inHand, later, oldest, waiting: 0, lane };
  }
  if (held === undefined) return;
  const used = new Set<HeldPath>();
  for (const { tenant, pool, class: messageClass, group, path, waiting, underWay, oldest } of held.mail) {
    if (path !== undefined) used.add(path);
    const provider = path === undefined ? group : shownProvider(path.provider);
    const keys = { provider, pool, class: messageClass, tenant, ip: path?.ip, site: path?.site };
    yield { keys, ready: 0, inHand: waiting + underWay, later: 0, oldest, waiting, path };
  }
  for (const path of held.paths) {
    if (used.has(path)) continue;
    const keys = { provider: shownProvider(path.provider), pool: path.pool, ip: path.ip, site: path.site };
    yield { keys, ready: 0, inHand: 0, later: 0, oldest: undefined, waiting: 0, path };
  }
}

/** Outlook and Microsoft 365 share lanes, and so a name. */
export function shownProvider(provider: string): string {
  const group = providerGroup(provider);
  return group === 'other' ? provider : group;
}

/** Rows of the parts that agree with the filter, in no order. */
export function queueRows(
  parts: Iterable<QueuePart>,
  by: readonly QueueDimension[],
  filter: Keys,
): QueueRow[] {
  const wanted = QUEUE_DIMENSIONS.filter((dimension) => filter[dimension] !== undefined);
  const rows = new Map<string, QueueRow>();
  for (const part of parts) {
    if (!wanted.every((dimension) => part.keys[dimension] === filter[dimension])) continue;
    let name = '';
    for (const dimension of by) name += `${part.keys[dimension] ?? ''}\n`;
    let row = rows.get(name);
    if (row === undefined) rows.set(name, (row = emptyRow(part.keys, by)));
    add(row, part);
  }
  return [...rows.values()];
}

function emptyRow(keys: Keys, by: readonly QueueDimension[]): QueueRow {
  const own: Keys = {};
  for (const dimension of by) own[dimension] = keys[dimension];
  const counts = { ready: 0, inHand: 0, later: 0, oldest: undefined };
  return { keys: own, ...counts, paths: new Map(), lanes: new Map() };
}

function add(row: QueueRow, { ready, inHand, later, oldest, waiting, lane, path }: QueuePart): void {
  row.ready += ready;
  row.inHand += inHand;
  row.later += later;
  if (oldest !== undefined) row.oldest = Math.min(row.oldest ?? oldest, oldest);
  if (path !== undefined) row.paths.set(path, (row.paths.get(path) ?? 0) + waiting);
  if (lane !== undefined && ready > 0) row.lanes.set(lane, (row.lanes.get(lane) ?? 0) + ready);
}

export function depthOf({ ready, inHand, later }: QueueRow): number {
  return ready + inHand + later;
}

/** Deliveries that ended lately on the paths of its mail, a second. */
export function rateOf({ paths }: QueueRow): number {
  let rate = 0;
  for (const path of paths.keys()) rate += path.rate;
  return rate;
}

/** Messages a second that the limits of its paths permit together; undefined: any number, or it has none. */
export function limitOf({ paths }: QueueRow): number | undefined {
  let limit = 0;
  for (const path of paths.keys()) limit += path.limit;
  return limit > 0 && Number.isFinite(limit) ? limit : undefined;
}

/** Why the mail of a row waits, and when the next of it may go. */
export interface QueueReason {
  limit: string;
  value?: string;
  origin?: string;
  text: string;
  /** Number of deliveries that it holds. */
  deliveries: number;
  nextAt: number;
}

/**
 * What holds the most of a row's mail: the constraint of its busiest path, or that its fullest lane is at rest.
 * @param laneRest of the egress of this process.
 */
export function reasonOf({ paths, lanes }: QueueRow, laneRest: ApiDeps['laneRest']): QueueReason | undefined {
  const [path, waiting] = largest(paths);
  if (path !== undefined && waiting > 0) {
    const { binding, nextAt } = path.why();
    if (binding !== undefined) {
      const { limit, value, origin, text } = binding;
      return { limit, value, origin, text, deliveries: waiting, nextAt };
    }
  }
  const [lane, ready] = largest(lanes);
  const rest = lane === undefined ? undefined : laneRest?.(lane);
  return rest && { limit: 'lane', text: rest.text, deliveries: ready, nextAt: rest.until };
}

function largest<T>(counts: Map<T, number>): [T | undefined, number] {
  let found: T | undefined;
  let most = -1;
  for (const [one, count] of counts) {
    if (count <= most) continue;
    found = one;
    most = count;
  }
  return [found, Math.max(0, most)];
}
