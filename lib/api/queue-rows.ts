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
  /** What it is made of; paths and lanes are looked at for the rows that are shown. */
  parts: QueuePart[];
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
  return { keys: own, ready: 0, inHand: 0, later: 0, oldest: undefined, parts: [] };
}

function add(row: QueueRow, part: QueuePart): void {
  const { oldest } = part;
  row.ready += part.ready;
  row.inHand += part.inHand;
  row.later += part.later;
  if (oldest !== undefined) row.oldest = Math.min(row.oldest ?? oldest, oldest);
  row.parts.push(part);
}

export function depthOf({ ready, inHand, later }: QueueRow): number {
  return ready + inHand + later;
}

/** Paths of a row's mail, each with the number of deliveries that wait for it. */
export function pathsOf({ parts }: QueueRow): Map<HeldPath, number> {
  const paths = new Map<HeldPath, number>();
  for (const { path, waiting } of parts)
    if (path !== undefined) paths.set(path, (paths.get(path) ?? 0) + waiting);
  return paths;
}

/** Deliveries that ended lately on the paths of its mail, a second. */
export function rateOf(row: QueueRow): number {
  let rate = 0;
  for (const path of pathsOf(row).keys()) rate += path.rate;
  return rate;
}

/** Messages a second that paths permit together; undefined: any number, or there are none. */
export function limitOf(paths: Iterable<HeldPath>): number | undefined {
  let limit = 0;
  for (const path of paths) limit += path.limit;
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
export function reasonOf(row: QueueRow, laneRest: ApiDeps['laneRest']): QueueReason | undefined {
  const [path, waiting] = largest(pathsOf(row));
  if (path !== undefined && waiting > 0) {
    const { binding, nextAt } = path.why();
    if (binding !== undefined) {
      const { limit, value, origin, text } = binding;
      return { limit, value, origin, text, deliveries: waiting, nextAt };
    }
  }
  const lanes = new Map<string, number>();
  for (const { lane, ready } of row.parts)
    if (lane !== undefined && ready > 0) lanes.set(lane, (lanes.get(lane) ?? 0) + ready);
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
