/** The queue port. */
import type { Clock } from '../../time.ts';
import type { LaneName } from '../items.ts';
import type {
  Admission,
  AdmitResult,
  IdempotencyClaim,
  LaneDepth,
  LeasedItem,
  LeaseRequest,
  Queue,
  QueueDepth,
  QueueDepths,
  Settlement,
} from '../ports.ts';
import { each } from './concurrency.ts';
import type { Intake } from './intake.ts';
import type { Lanes } from './lanes.ts';
import type { Notes } from './notes.ts';
import { receiptOf } from './receipt.ts';
import type { Receiver } from './receive.ts';
import { laneQueue } from './schema.ts';
import type { Settling } from './settling.ts';

/** Maximum age of a depth that a person looks at, ms. */
const LOOKED_AT = 5_000;
/** Lanes asked for at a time. */
const WIDTH = 16;

export interface QueueParts {
  intake: Intake;
  receiver: Receiver;
  settling: Settling;
  /** Absent: nothing is noted. */
  notes: Notes | undefined;
  lanes: Lanes;
  clock: Clock;
  /** Maximum age of a depth, ms: each query costs a request for each lane. */
  depthAge: number;
}

export class AwsQueue implements Queue {
  readonly #parts: QueueParts;
  /** Lanes that this process has used. */
  readonly #known = new Set<LaneName>();
  /** SQS's last figures of each lane. */
  readonly #figures = new Map<LaneName, { depth: QueueDepth; at: number }>();

  constructor(parts: QueueParts) {
    this.#parts = parts;
  }

  admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    for (const { deliveries } of messages) for (const { lane } of deliveries) this.#used(lane);
    return this.#parts.intake.admit(messages, claim);
  }

  async lease(request: LeaseRequest): Promise<LeasedItem[]> {
    this.#used(request.lane);
    const { notes, receiver } = this.#parts;
    if (notes && !(await notes.recovered(request.signal))) return [];
    return receiver.lease(request);
  }

  async settle(settlements: Settlement[]): Promise<void> {
    await this.#parts.settling.settle(settlements);
    this.#parts.notes?.settled(settlements);
  }

  note(ends: readonly Settlement[]): void {
    this.#parts.notes?.note(ends);
  }

  extend(leased: LeasedItem[], visibility: number): Promise<void> {
    return this.#parts.settling.extend(leased.map(receiptOf), visibility);
  }

  /** Lanes of this process, with SQS's figures of at most `depthAge` ago. */
  async lanes(): Promise<LaneDepth[]> {
    const depths = await this.#depths([...this.#known], this.#parts.depthAge);
    return depths.map(({ lane, ready, leased }) => ({ lane, ready, leased }));
  }

  /** As `lanes`, and of these lanes too; a person looks, so the figures are younger. */
  async depths(lanes: readonly LaneName[] = []): Promise<QueueDepths> {
    const asked = [...new Set([...lanes, ...this.#known])];
    const depths = await this.#depths(asked, Math.min(this.#parts.depthAge, LOOKED_AT));
    return { depths: depths.filter(({ ready, leased, later }) => ready + leased + later > 0), whole: false };
  }

  async #depths(lanes: readonly LaneName[], maxAge: number): Promise<QueueDepth[]> {
    const now = this.#parts.clock.now();
    const depths: QueueDepth[] = [];
    await each(lanes, WIDTH, async (lane) => {
      const known = this.#figures.get(lane);
      if (known !== undefined && now - known.at < maxAge) return depths.push(known.depth);
      const { ready, leased, delayed } = await this.#parts.lanes.depth(laneQueue(lane));
      const depth = { lane, ready, leased, later: delayed };
      this.#figures.set(lane, { depth, at: now });
      return depths.push(depth);
    });
    return depths;
  }

  #used(lane: LaneName): void {
    this.#known.add(lane);
  }
}
