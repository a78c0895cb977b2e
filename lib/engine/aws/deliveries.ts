/**
 * The item of a delivery in the deliveries table: what became of it, which copy of it counts, who has it.
 *
 * A delivery that goes straight from accept through its lane to its end is written once, at the end. Only one
 * that was put back, handed out again, or waits for a time has an item before. It is claimed in it wherever there may be
 * two copies:
 *
 * ```
 *  (no item) ──end──► final            one write: the common path
 *      │
 *      └─put back─► deferred g+1 ──(claim──► held)──end──► final
 *                      ▲                     │
 *                      └──────put back───────┘
 * ```
 * | attribute | meaning |
 * |---|---|
 * | `s` | state: `queued`, `deferred` or a final one |
 * | `g` | generation: number of the put-back whose copy counts; older copies are dropped |
 * | `a` | attempts, each encoded; when the item is full, the latest alone |
 * | `u`, `r`, `x` | while it waits: until when, and why; else the reason and text that a later report gave |
 * | `l` | when the limit lets it go, where that is after `u` |
 * | `o` | its copy is the only one: it is handed out without a claim |
 * | `q` | generation of which there may be two copies after all |
 * | `h`, `hc`, `hn`, `hu` | held: by which SQS message, at which receive, under which claim, until when |
 * | `p` | the SQS message whose lease wrote this last: only that one finishes what its lease left undone |
 */
import type { Attempt, QueueItem, WaitReason } from '../items.ts';
import { type DeliveryState, FINAL_STATES } from '../states.ts';
import { bytes, type Item, type Key, number, numberOf, text, ttlOf } from './attributes.ts';
import { decodeRecord } from './record-codec.ts';
import type { Update } from './tables.ts';

const PREFIX = 'd#';
/** First sort key of the deliveries of a message, and one behind the last. */
export const FIRST_DELIVERY = PREFIX;
export const LAST_DELIVERY = `${PREFIX}~`;

/**
 * How long a claim blocks other copies, ms. It is not a lease: the same copy, handed out again by SQS, claims anew at
 * once. Longer than any attempt takes (RFC 5321 §4.5.3.2 gives ten minutes to the final dot).
 */
const HOLD = 900_000;

export function deliveryKey(messageId: string, n: number): Key {
  return { pk: messageId, sk: `${PREFIX}${String(n).padStart(4, '0')}` };
}

export function placeOf(item: Item): number {
  return Number(item.sk!.S!.slice(PREFIX.length));
}

/** One copy of a delivery from SQS. */
export interface Copy {
  item: QueueItem;
  generation: number;
  /** SQS's id of the message. */
  id: string;
  receives: number;
}

/** The content of an item, read at `now`. */
export interface DeliveryStatus {
  state: DeliveryState;
  generation: number;
  attempts: Attempt[];
  until?: number;
  reason?: string;
  text?: string;
  /** Whether its copy may be handed out without a trace in the item, from `until` on. */
  untraced?: boolean;
  heldUntil: number;
  settledBy?: string;
}

export function readStatus(item: Item, now: number): DeliveryStatus {
  const stored = (item.s?.S ?? 'queued') as DeliveryState;
  const until = item.u && numberOf(item.u);
  // The time has come: the copy is in its lane, or on its way there.
  const waits = stored === 'deferred' && until !== undefined && until > now;
  return {
    state: stored === 'deferred' && !waits ? 'queued' : stored,
    generation: numberOf(item.g),
    attempts: (item.a?.L ?? []).map(({ B }) => decodeRecord<Attempt>(B!, 'an attempt')),
    until: waits ? Math.max(until, numberOf(item.l)) : undefined,
    reason: item.r?.S,
    text: item.x?.S,
    untraced: item.o !== undefined,
    heldUntil: numberOf(item.hu),
    settledBy: item.p?.S,
  };
}

/** Claims a delivery for a copy. The nonce makes a repeated request succeed. */
export function claim(copy: Copy, nonce: string, now: number, ttl: number): Update {
  return {
    update:
      'SET h = :h, hc = :hc, hn = :hn, hu = :hu, s = if_not_exists(s, :queued), g = if_not_exists(g, :g), #ttl = if_not_exists(#ttl, :ttl)',
    condition:
      '(attribute_not_exists(g) OR g = :g) AND (attribute_not_exists(s) OR s IN (:queued, :deferred)) AND ' +
      '(attribute_not_exists(h) OR hu < :now OR hn = :hn OR (h = :h AND hc < :hc))',
    names: { '#ttl': 'ttl' },
    values: {
      ':h': text(copy.id),
      ':hc': number(copy.receives),
      ':hn': text(nonce),
      ':hu': number(now + HOLD),
      ':now': number(now),
      ':g': number(copy.generation),
      ':queued': text('queued'),
      ':deferred': text('deferred'),
      ':ttl': ttlOf(ttl),
    },
  };
}

/** Prolongs the time for which a valid claim blocks other copies. */
export function prolongation(nonce: string, now: number): Update {
  return {
    update: 'SET hu = :hu',
    condition: 'hn = :hn',
    values: { ':hn': text(nonce), ':hu': number(now + HOLD) },
  };
}

/** Returns the delivery to its lane: another copy, or the same, may claim it. */
export function surrender(nonce: string): Update {
  return { update: 'REMOVE h, hc, hn, hu', condition: 'hn = :hn', values: { ':hn': text(nonce) } };
}

/**
 * Marks that two copies of the delivery may exist: the receiver of an old or earlier copy finds the mark and claims
 * it.
 */
export function doubt(generation: number, ttl: number): Update {
  return {
    update:
      'SET s = if_not_exists(s, :s), g = if_not_exists(g, :g), q = :g, #ttl = if_not_exists(#ttl, :ttl)',
    names: { '#ttl': 'ttl' },
    values: { ':s': text('queued'), ':g': number(generation), ':ttl': ttlOf(ttl) },
  };
}

/** Whether a copy is the only one of its delivery, by the delivery's item. */
export function isOnlyCopy({ generation }: Pick<Copy, 'generation'>, item: Item | undefined): boolean {
  if (!item) return generation === 0;
  const current = item.s?.S === 'deferred' && item.o !== undefined && numberOf(item.g) === generation;
  return current && item.h === undefined && (item.q === undefined || numberOf(item.q) !== generation);
}

/** The result of a lease. */
export interface LeaseEnding {
  state: DeliveryState;
  generation: number;
  /** The attempt, encoded; absent for a release. */
  attempt?: Buffer;
  /** Set while it waits, with the reason when no attempt gives it. */
  until?: number;
  reason?: WaitReason;
  /** Whether the copy that was put back is the only one, and is handed out without a claim. */
  untraced?: boolean;
  ttl: number;
}

/** The whole item, for a delivery that has none yet. */
export function wholeItem(copy: Pick<Copy, 'item' | 'id'>, ending: LeaseEnding): Item {
  const { messageId, n } = copy.item;
  const key = deliveryKey(messageId, n);
  const item: Item = {
    pk: text(key.pk),
    sk: text(key.sk),
    s: text(ending.state),
    g: number(ending.generation),
    p: text(copy.id),
    ttl: ttlOf(ending.ttl),
  };
  if (ending.attempt) item.a = { L: [bytes(ending.attempt)] };
  if (ending.until !== undefined) item.u = number(ending.until);
  if (ending.untraced) item.o = number(1);
  if (ending.reason) {
    item.r = text(ending.reason.code);
    item.x = text(ending.reason.text);
    if (ending.reason.until !== undefined) item.l = number(ending.reason.until);
  }
  return item;
}

/** Who may write an ending: the holder of a claim, or the first writer while the delivery has not ended. */
export type Right = { nonce: string } | 'unfinished';

/**
 * The change of an item by the end of a lease.
 * @param attempts whether the attempt joins those before it, or replaces them.
 */
export function changeBy(
  copy: Copy,
  ending: LeaseEnding,
  right: Right,
  attempts: 'joined' | 'alone' = 'joined',
): Update {
  const set = ['s = :s', 'g = :g', 'p = :p', '#ttl = :ttl'];
  const remove = ['h', 'hc', 'hn', 'hu'];
  const values: Item = {
    ':s': text(ending.state),
    ':g': number(ending.generation),
    ':p': text(copy.id),
    ':ttl': ttlOf(ending.ttl),
    ':old': number(copy.generation),
    ':queued': text('queued'),
    ':deferred': text('deferred'),
  };
  if (ending.attempt) {
    values[':a'] = { L: [bytes(ending.attempt)] };
    if (attempts === 'alone') set.push('a = :a');
    else {
      set.push('a = list_append(if_not_exists(a, :none), :a)');
      values[':none'] = { L: [] };
    }
  }
  if (ending.untraced) {
    set.push('o = :o');
    values[':o'] = number(1);
  } else remove.push('o');
  if (ending.until === undefined) remove.push('u');
  else {
    set.push('u = :u');
    values[':u'] = number(ending.until);
  }
  if (ending.reason) {
    set.push('r = :r', 'x = :x');
    values[':r'] = text(ending.reason.code);
    values[':x'] = text(ending.reason.text);
  } else remove.push('r', 'x');
  if (ending.reason?.until === undefined) remove.push('l');
  else {
    set.push('l = :l');
    values[':l'] = number(ending.reason.until);
  }
  const unfinished = '(attribute_not_exists(s) OR s IN (:queued, :deferred))';
  let condition = `(attribute_not_exists(g) OR g = :old) AND ${unfinished}`;
  if (right !== 'unfinished') {
    condition += ' AND hn = :hn';
    values[':hn'] = text(right.nonce);
  }
  return {
    update: `SET ${set.join(', ')} REMOVE ${remove.join(', ')}`,
    condition,
    names: { '#ttl': 'ttl' },
    values,
  };
}

/** Whether an item that did not meet `changeBy`'s condition was written by the very same lease before. */
export function isWrittenBy(item: Item | undefined, copy: Copy, ending: LeaseEnding): boolean {
  if (item?.p?.S !== copy.id || item.s?.S !== ending.state || numberOf(item.g) !== ending.generation)
    return false;
  const last = item.a?.L?.at(-1)?.B;
  return !ending.attempt || (last !== undefined && ending.attempt.equals(last));
}

/** Whether an item shows that a copy of its delivery was handed out, or put back into a lane. */
export function hasLeft(item: Item): boolean {
  return FINAL_STATES.has(item.s?.S as DeliveryState) || numberOf(item.g) > 0 || item.h !== undefined;
}

export function isOver(status: DeliveryStatus): boolean {
  return FINAL_STATES.has(status.state);
}
