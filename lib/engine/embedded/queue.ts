/** The queue port: admits, leases and settles, and alone tracks leases. */
import { PosternError } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import { type Outcome, type QueueItem, SCHEMA_VERSION } from '../items.ts';
import { stateAfter } from '../outcome-state.ts';
import type {
  Admission,
  AdmitResult,
  IdempotencyClaim,
  LaneDepth,
  LeasedItem,
  LeaseRequest,
  Queue,
  QueueDepths,
  Settlement,
} from '../ports.ts';
import { messageHashes } from '../search.ts';
import type { Note, SettlementJournal } from '../settlement-journal.ts';
import { FINAL_STATES, isLegalTransition } from '../states.ts';
import { BodyBytes } from './body-bytes.ts';
import type { WaitingLease } from './lane.ts';
import type { LedgerTimer } from './ledger.ts';
import type { Link } from './link.ts';
import { noteOf } from './note.ts';
import type { MessageTuple, NotAdmitted, OutcomeTuple, SettlementTuple } from './protocol.ts';
import type { Ready } from './ready.ts';
import type { Held } from './tenant-queue.ts';

/** Proof of a lease: the delivery, and which of its leases it was. */
class LocalReceipt {
  readonly held: Held;
  readonly receives: number;
  /** How its lease ended, once that was noted in the journal. */
  end: { settlement: Settlement; tuple: SettlementTuple; note: Note | undefined } | undefined;

  constructor(held: Held) {
    this.held = held;
    this.receives = held.receives;
  }

  /** This lease is the one that holds. */
  get current(): boolean {
    return this.held.place === 'leased' && this.held.receives === this.receives;
  }

  /**
   * Whether a settlement counts. A late end does while the delivery is queued, because it has its result. A late defer
   * or release does not: another lease decides.
   */
  allows({ kind }: Settlement): boolean {
    const { place } = this.held;
    return this.current || (kind === 'end' && (place === 'ready' || place === 'leased'));
  }
}

export function outcomeTuple(outcome: Outcome): OutcomeTuple {
  return [outcome.n ?? -1, stateAfter(outcome), JSON.stringify(outcome)];
}

export class EmbeddedQueue implements Queue {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #ready: Ready;
  readonly #timer: LedgerTimer;
  readonly #journal: SettlementJournal | undefined;

  constructor(link: Link, clock: Clock, ready: Ready, timer: LedgerTimer, journal?: SettlementJournal) {
    this.#link = link;
    this.#clock = clock;
    this.#ready = ready;
    this.#timer = timer;
    this.#journal = journal;
  }

  admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    const bytes = messages.map(({ body }) => body);
    const tuples = messages.map(({ record, body, deliveries, settled }): MessageTuple => {
      return [
        record.id,
        record.acceptedAt,
        JSON.stringify(record),
        body.byteLength,
        deliveries.map((item) => [item.lane, item.tenant, item.n, item.due, JSON.stringify(item)]),
        settled ? settled.map(outcomeTuple) : [],
        messageHashes(record),
      ];
    });
    return new Promise((resolve, reject) => {
      this.#link.send('admit', { now: this.#clock.now(), claim, messages: tuples }, bytes, (error, reply) => {
        if (error) reject(error);
        else if (Array.isArray(reply)) {
          this.#admitted(messages, reply);
          resolve({ kind: 'admitted' });
        } else this.#notAdmitted(reply, resolve, reject);
      });
    });
  }

  lease(request: LeaseRequest): Promise<LeasedItem[]> {
    const { max, visibility, wait, signal } = request;
    if (this.#ready.stopped) return Promise.reject(this.#ready.stopped);
    if (signal?.aborted || max <= 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const lane = this.#ready.lane(request.lane);
      let cancelTimer: (() => void) | undefined;
      const giveUp = () => {
        if (waiter.done) return;
        lane.leave(waiter);
        waiter.resolve([]);
      };
      const finish = () => {
        cancelTimer?.();
        signal?.removeEventListener('abort', giveUp);
      };
      const waiter: WaitingLease = {
        max,
        impatient: wait <= 0,
        done: false,
        resolve: (taken) => {
          finish();
          resolve(taken.map((held) => this.#handOut(held, visibility)));
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      lane.wait(waiter);
      this.#ready.serve(lane);
      if (waiter.done) return;
      signal?.addEventListener('abort', giveUp, { once: true });
      if (wait > 0) cancelTimer = this.#clock.after(wait, giveUp);
    });
  }

  async settle(settlements: Settlement[]): Promise<void> {
    for (const settlement of settlements) refuseIllegal(settlement);
    const tuples: SettlementTuple[] = [];
    const settled: LocalReceipt[] = [];
    for (const settlement of settlements) {
      const receipt = settlement.leased.receipt as LocalReceipt;
      const { held } = receipt;
      if (!receipt.allows(settlement)) {
        this.#journal?.settled([receipt.end?.note]);
        continue;
      }
      const stays = settlement.kind === 'release' && settlement.lane === undefined;
      if (stays && settlement.until <= this.#clock.now()) {
        this.#ready.takeBack(held);
        continue;
      }
      this.#ready.settling(held);
      const { end } = receipt;
      tuples.push(end?.settlement === settlement ? end.tuple : settlementTuple(settlement, held));
      settled.push(receipt);
    }
    this.#ready.serveTouched();
    if (tuples.length > 0) await this.#write(tuples, settled);
  }

  note(ends: readonly Settlement[]): void {
    if (!this.#journal) return;
    const noted = ends.filter((one) => (one.leased.receipt as LocalReceipt).allows(one));
    const tuples = noted.map((one) => settlementTuple(one, (one.leased.receipt as LocalReceipt).held));
    const notes = this.#journal.note(tuples.map(noteOf));
    for (const [at, settlement] of noted.entries()) {
      const receipt = settlement.leased.receipt as LocalReceipt;
      receipt.end = { settlement, tuple: tuples[at]!, note: notes[at] };
    }
  }

  extend(leased: LeasedItem[], visibility: number): Promise<void> {
    for (const { receipt } of leased as { receipt: LocalReceipt }[]) {
      if (receipt.current) this.#ready.extend(receipt.held, visibility);
    }
    return Promise.resolve();
  }

  lanes(): Promise<LaneDepth[]> {
    return Promise.resolve(
      Array.from(this.#ready.lanes, ({ name, ready, leased }) => ({ lane: name, ready, leased })),
    );
  }

  depths(): Promise<QueueDepths> {
    return Promise.resolve({ depths: this.#ready.depths(), whole: true });
  }

  #handOut(held: Held, visibility: number): LeasedItem {
    this.#ready.lease(held, visibility);
    return {
      item: held.item,
      bytes: held.body.bytes,
      receives: held.receives,
      receipt: new LocalReceipt(held),
    };
  }

  #write(tuples: SettlementTuple[], settled: LocalReceipt[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#link.send('settle', tuples, [], (error) => {
        if (error) {
          for (const { held } of settled) this.#ready.unsettled(held);
          reject(error);
          return;
        }
        for (const { held } of settled) this.#ready.gone(held);
        this.#journal?.settled(settled.map(({ end }) => end?.note));
        for (const tuple of tuples) if (tuple[6] > 0) this.#timer.expect(tuple[6]);
        resolve();
      });
    });
  }

  #admitted(messages: Admission[], numbers: number[]): void {
    let at = 0;
    for (const { body: bytes, deliveries } of messages) {
      const message = numbers[at++]!;
      const body = new BodyBytes(asBuffer(bytes));
      body.hold();
      for (const item of deliveries) {
        const key = numbers[at++]!;
        if (key === 0) this.#timer.expect(item.due);
        else {
          const input = { key, message, n: item.n, share: deliveries.length, item, body };
          this.#ready.arrive(item.lane, item.tenant, key, input);
        }
      }
      body.release();
    }
  }

  #notAdmitted(
    reply: NotAdmitted,
    resolve: (result: AdmitResult) => void,
    reject: (error: Error) => void,
  ): void {
    if (reply.kind === 'repeated') resolve({ kind: 'repeated', response: reply.text! });
    else if (reply.kind === 'conflict') resolve({ kind: 'conflict' });
    else reject(new PosternError('storage_full', reply.text!));
  }
}

/** The bytes as a Buffer that keeps no much larger memory alive than its own. */
function asBuffer(bytes: Uint8Array): Buffer {
  if (bytes.buffer.byteLength > 2 * bytes.byteLength + 16384) return Buffer.from(bytes);
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A lease ends in a final state that the table of transitions allows. */
function refuseIllegal(settlement: Settlement): void {
  if (settlement.kind !== 'end') return;
  if (FINAL_STATES.has(settlement.state) && isLegalTransition('attempting', settlement.state)) return;
  throw new PosternError('internal', `A lease cannot end in the state ${settlement.state}.`);
}

function settlementTuple(settlement: Settlement, held: Held): SettlementTuple {
  const { key, message, n, share, item } = held;
  if (settlement.kind === 'release') {
    const { until: due, reason, lane, site } = settlement;
    const moved = lane !== undefined && ({ lane, moved: true } as const);
    const waiting: QueueItem = { ...item, due, reason, site, recalled: undefined, ...moved };
    return [key, message, n, share, null, null, due, JSON.stringify(waiting), lane ?? null];
  }
  const { attempt } = settlement;
  const outcome: Outcome = {
    v: SCHEMA_VERSION,
    messageId: item.messageId,
    n,
    at: attempt.at,
    kind: 'attempt',
    tenant: item.tenant,
    attempt,
  };
  if (settlement.kind === 'defer') {
    const waiting: QueueItem = {
      ...item,
      attempts: item.attempts + 1,
      due: settlement.until,
      reason: { code: attempt.reason, text: attempt.text },
      site: settlement.site,
      recalled: undefined,
    };
    return [
      key,
      message,
      n,
      share,
      'deferred',
      JSON.stringify(outcome),
      settlement.until,
      JSON.stringify(waiting),
      null,
    ];
  }
  return [key, message, n, share, settlement.state, JSON.stringify(outcome), 0, null, null];
}
