/**
 * Ends leases.
 *
 * ```
 *  settle ──► record ──► copy put back ──► outcome ──► old copy deleted ──► answer
 *                ▲ [recorded]       ▲ [put]       ▲ [told]         ▲ [ended]
 * ```
 * The record comes first: what a peer has answered is known before anything is forgotten. What a crash leaves:
 *
 * **[recorded]** The old copy is handed out again (`receive.ts`). Its record shows that this very copy wrote it,
 * so the missing steps follow: the copy is put back, the outcome reported; and the old copy is deleted.
 *
 * **[put]** As before. The copy is put back twice: of two equal ones the claim lets one through, and the other
 * finds its generation over.
 *
 * **[told]** As before. The outcome comes twice; consumers count on that.
 *
 * **[ended]** Nothing is left; the answer was lost, and no caller waits for it.
 *
 * An error leaves the same states. The caller settles again, and what was done is not done again.
 */
import { asPosternError, PosternError } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import { type Outcome, type QueueItem, SCHEMA_VERSION } from '../items.ts';
import type { Settlement } from '../ports.ts';
import { FINAL_STATES, isLegalTransition } from '../states.ts';
import type { Item } from './attributes.ts';
import type { MessageBodies } from './bodies.ts';
import { errorName } from './clients.ts';
import { each } from './concurrency.ts';
import {
  changeBy,
  deliveryKey,
  isWrittenBy,
  type LeaseEnding,
  prolongation,
  surrender,
  wholeItem,
} from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';
import { type BodyPlace, compress } from './envelope.ts';
import type { Feed } from './feed.ts';
import { JointWork } from './joint-work.ts';
import { type Lanes, SendError } from './lanes.ts';
import { type CopyOutbox, isFar, type Parcel } from './outbox.ts';
import { itemBytes, lanePlace, ledgerPlace } from './placement.ts';
import { type LeasedHere, type Receipt, receiptOf } from './receipt.ts';
import { encodeRecord } from './record-codec.ts';

export interface SettlingParts {
  deliveries: DeliveryTable;
  lanes: Lanes;
  bodies: MessageBodies;
  outbox: CopyOutbox;
  feed: Feed;
  clock: Clock;
  leasedHere: LeasedHere;
  steady: () => number;
  /** Whether every copy is claimed before it is handed out. */
  claimBeforeSend: boolean;
  /** How long records are kept after their deliveries' expiry, ms. */
  retention: number;
}

const WIDTH = 32;
/**
 * What ends within this time is recorded together: two batches of 25, whose writes are billed one by one. A machine that
 * dies meanwhile, and its journal with it, sends that again.
 */
const RECORDED = { wait: 5, enough: 50 };
/**
 * What was recorded within this time is reported and deleted together: an outcome takes half a KB of the 64 KiB that SQS
 * bills as a request, a deletion a tenth of one.
 */
const FINISHED = { wait: 10, enough: 100 };
/** After which mail comes back that was to go into a lane which does not exist, ms. */
const NO_LANE_DELAY = 30_000;

/** A lease to end, with its settlement. */
interface End {
  settlement: Settlement;
  receipt: Receipt;
  ending: LeaseEnding;
}

export class Settling {
  readonly #parts: SettlingParts;
  readonly #beginning: JointWork<Settlement>;
  readonly #finishing: JointWork<End>;

  constructor(parts: SettlingParts) {
    this.#parts = parts;
    const { clock } = parts;
    this.#beginning = new JointWork({ ...RECORDED, clock, work: (list) => this.#begin(list) });
    this.#finishing = new JointWork({ ...FINISHED, clock, work: (ends) => this.#finish(ends) });
  }

  settle(settlements: readonly Settlement[]): Promise<void> {
    return this.#beginning.run(settlements);
  }

  /** As its last step, `#finish`. */
  async #begin(settlements: readonly Settlement[]): Promise<void> {
    const { clock, steady, leasedHere } = this.#parts;
    const now = clock.now();
    const leaseNow = steady();
    const ends: End[] = [];
    const free: Receipt[] = [];
    for (const settlement of settlements) {
      refuseIllegal(settlement);
      const receipt = receiptOf(settlement.leased);
      // A late end has the result of the delivery; a late defer or release does not count: another lease decides.
      const begun = receipt.done.recorded;
      if (settlement.kind !== 'end' && receipt.until <= leaseNow && !begun) leasedHere.remove(receipt);
      else if (isFree(settlement, now) && !begun) free.push(receipt);
      else ends.push({ settlement, receipt, ending: this.#ending(settlement, receipt) });
    }
    await Promise.all([this.#free(free), this.#record(ends, leaseNow)]);
    if (ends.length > 0) await this.#finishing.run(ends);
  }

  /** What follows the record; a process that dies before it sends nothing twice. */
  async #finish(ends: readonly End[]): Promise<void> {
    const { lanes, leasedHere, feed } = this.#parts;
    const counted = ends.filter(({ receipt }) => !receipt.done.lost);
    await this.#putBack(counted);
    const untold = counted.filter(({ receipt }) => !receipt.done.emitted);
    await feed.emit(untold.flatMap(({ settlement }) => outcomeOf(settlement)));
    for (const { receipt } of untold) receipt.done.emitted = true;
    await this.#forEachQueue(
      ends.map(({ receipt }) => receipt),
      (queue, handles) => lanes.remove(queue, handles),
    );
    for (const { receipt } of ends) leasedHere.remove(receipt);
  }

  /** Puts the copies of deliveries that did not end back. Those that a lane may have since an earlier try come late. */
  async #putBack(ends: readonly End[]): Promise<void> {
    const { outbox } = this.#parts;
    const waiting = ends.filter(({ settlement, receipt }) => settlement.kind !== 'end' && !receipt.done.put);
    const known = waiting.filter(({ receipt }) => receipt.done.mayBePut);
    const fresh = waiting.filter(({ receipt }) => !receipt.done.mayBePut);
    const parcels = await Promise.all(fresh.map((end) => this.#parcel(end)));
    try {
      await outbox.put(parcels.filter((_, at) => !isMove(fresh[at]!)));
      await this.#move(
        fresh.filter(isMove),
        parcels.filter((_, at) => isMove(fresh[at]!)),
      );
      for (const { receipt } of fresh) receipt.done.put = true;
    } catch (error) {
      const open = !(error instanceof SendError) || error.open;
      for (const { receipt } of fresh) receipt.done.mayBePut = open;
      throw error;
    }
    if (known.length === 0) return;
    await outbox.putAgain(await Promise.all(known.map((end) => this.#parcel(end))));
    for (const { receipt } of known) receipt.done.put = true;
  }

  /** Puts copies into the lanes of other pools, or back into their own where there is no such lane. */
  async #move(ends: readonly End[], parcels: readonly Parcel[]): Promise<void> {
    if (parcels.length === 0) return;
    const { outbox, clock } = this.#parts;
    try {
      await outbox.put(parcels);
    } catch (error) {
      if (errorName((error as Error).cause) !== 'QueueDoesNotExist') throw error;
      const due = clock.now() + NO_LANE_DELAY;
      const back = parcels.map((parcel, at) => {
        const { lane } = ends[at]!.receipt.copy.item;
        return {
          ...parcel,
          due,
          envelope: { ...parcel.envelope, item: { ...parcel.envelope.item, due, lane } },
        };
      });
      await outbox.put(back);
    }
  }

  /** Prolongs leases that have not ended. */
  async extend(receipts: readonly Receipt[], visibility: number): Promise<void> {
    const { clock, steady, lanes, deliveries } = this.#parts;
    const now = clock.now();
    const leaseNow = steady();
    const current = receipts.filter(({ until }) => until > leaseNow);
    const expired = new Set<string>();
    await this.#forEachQueue(current, async (queue, handles) => {
      for (const handle of await lanes.hide(queue, handles, visibility / 1000)) expired.add(handle);
    });
    for (const receipt of current) receipt.until = expired.has(receipt.handle) ? 0 : leaseNow + visibility;
    // A claim blocks other copies only for a limited time.
    const claimed = current.filter(({ nonce }) => nonce !== undefined);
    await each(claimed, WIDTH, ({ copy, nonce }) =>
      deliveries.update(deliveryKey(copy.item.messageId, copy.item.n), prolongation(nonce!, now)),
    );
  }

  /** Back into their lanes at once. */
  async #free(receipts: readonly Receipt[]): Promise<void> {
    const { deliveries, lanes, leasedHere } = this.#parts;
    const claimed = receipts.filter(({ nonce }) => nonce !== undefined);
    await each(claimed, WIDTH, ({ copy, nonce }) =>
      deliveries.update(deliveryKey(copy.item.messageId, copy.item.n), surrender(nonce!)),
    );
    await this.#forEachQueue(receipts, (queue, handles) => lanes.hide(queue, handles, 0));
    for (const receipt of receipts) {
      receipt.until = 0;
      leasedHere.remove(receipt);
    }
  }

  /**
   * What never had an item is written in batches without a condition; everything else one by one, with the
   * condition that the lease still counts.
   */
  async #record(ends: readonly End[], leaseNow: number): Promise<void> {
    const { deliveries } = this.#parts;
    const whole = new Map<string, Item>();
    const wrote: Receipt[] = [];
    const single: End[] = [];
    for (const end of ends) {
      const { receipt, ending } = end;
      if (receipt.done.recorded) continue;
      const { messageId, n } = receipt.copy.item;
      const key = `${messageId} ${n}`;
      if (receipt.fresh && receipt.until > leaseNow && !whole.has(key)) {
        whole.set(key, wholeItem(receipt.copy, ending));
        wrote.push(receipt);
      } else single.push(end);
    }
    await Promise.all([
      deliveries.putAll([...whole.values()]).then(() => {
        for (const receipt of wrote) receipt.done.recorded = true;
      }),
      each(single, WIDTH, (end) => this.#recordOne(end)),
    ]);
  }

  async #recordOne({ settlement, receipt, ending }: End): Promise<void> {
    const { copy, nonce } = receipt;
    const right = settlement.kind !== 'end' && nonce !== undefined ? { nonce } : 'unfinished';
    const key = deliveryKey(copy.item.messageId, copy.item.n);
    const { deliveries } = this.#parts;
    const { done, item } = await deliveries
      .update(key, changeBy(copy, ending, right))
      .catch((error: unknown) => {
        // A host with long answers fills the item (400 KB). Its earlier attempts are in the outcomes.
        if (asPosternError(error).code !== 'storage_refused') throw error;
        return deliveries.update(key, changeBy(copy, ending, right, 'alone'));
      });
    receipt.done.recorded = true;
    receipt.done.lost = !done && !isWrittenBy(item, copy, ending);
  }

  #ending(settlement: Settlement, { copy }: Receipt): LeaseEnding {
    const ttl = copy.item.expiresAt + this.#parts.retention;
    if (settlement.kind === 'end') {
      const { state, attempt } = settlement;
      return { state, generation: copy.generation, attempt: encodeRecord(attempt), ttl };
    }
    const waits = {
      state: 'deferred' as const,
      generation: copy.generation + 1,
      until: settlement.until,
      untraced: !this.#isClaimed(settlement.until),
      ttl,
    };
    if (settlement.kind === 'release') return { ...waits, reason: settlement.reason };
    return { ...waits, attempt: encodeRecord(settlement.attempt) };
  }

  /** Copies that wait in the ledger are claimed, because a worker that dies sends them twice. */
  #isClaimed(due: number): boolean {
    return this.#parts.claimBeforeSend || isFar(due, this.#parts.clock.now());
  }

  async #parcel({ settlement, receipt, ending }: End): Promise<Parcel> {
    const { clock, bodies } = this.#parts;
    const { leased } = settlement;
    const due = ending.until!;
    const tried = settlement.kind === 'defer';
    const reason =
      settlement.kind === 'defer'
        ? { code: settlement.attempt.reason, text: settlement.attempt.text }
        : (settlement as Extract<Settlement, { kind: 'release' }>).reason;
    const item: QueueItem = {
      ...leased.item,
      attempts: leased.item.attempts + (tried ? 1 : 0),
      due,
      reason,
      site: settlement.kind === 'end' ? undefined : settlement.site,
      recalled: undefined,
    };
    if (settlement.kind === 'release' && settlement.lane !== undefined) {
      item.lane = settlement.lane;
      item.moved = true;
    }
    let at: BodyPlace | undefined = receipt.at;
    let body: string | undefined;
    if (at === undefined) {
      const packed = await compress(leased.bytes);
      const place = isFar(due, clock.now())
        ? ledgerPlace(packed.byteLength)
        : lanePlace(itemBytes(packed.byteLength), 1);
      if (place === 'inline') body = packed.toString('base64');
      else {
        await bodies.put(item.messageId, place, packed, item.expiresAt);
        at = place;
      }
    }
    const { generation, untraced = false } = ending;
    return { envelope: { item, generation, claim: !untraced, at }, body, due };
  }

  async #forEachQueue(
    receipts: readonly Receipt[],
    work: (queue: string, handles: string[]) => Promise<unknown>,
  ): Promise<void> {
    const queues = new Map<string, string[]>();
    for (const { queue, handle } of receipts) {
      const handles = queues.get(queue);
      if (handles) handles.push(handle);
      else queues.set(queue, [handle]);
    }
    await Promise.all([...queues].map(([queue, handles]) => work(queue, handles)));
  }
}

/** Whether a settlement only makes the message visible again. */
function isFree(settlement: Settlement, now: number): boolean {
  return settlement.kind === 'release' && settlement.until <= now && settlement.lane === undefined;
}

function isMove({ settlement }: End): boolean {
  return settlement.kind === 'release' && settlement.lane !== undefined;
}

function outcomeOf(settlement: Settlement): Outcome[] {
  if (settlement.kind === 'release') return [];
  const { attempt, leased } = settlement;
  const { messageId, n, tenant } = leased.item;
  return [{ v: SCHEMA_VERSION, messageId, n, at: attempt.at, kind: 'attempt', tenant, attempt }];
}

/** A lease ends in a final state that the table of transitions allows. */
function refuseIllegal(settlement: Settlement): void {
  if (settlement.kind !== 'end') return;
  if (FINAL_STATES.has(settlement.state) && isLegalTransition('attempting', settlement.state)) return;
  throw new PosternError('internal', `A lease cannot end in the state ${settlement.state}.`);
}
