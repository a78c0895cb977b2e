/** The queue port. */
import type { Clock } from '../../time.ts';
import type {
  Admission,
  AdmitResult,
  IdempotencyClaim,
  LaneDepth,
  LeasedItem,
  LeaseRequest,
  Queue,
  Settlement,
} from '../ports.ts';
import type { Intake } from './intake.ts';
import type { Lanes } from './lanes.ts';
import { receiptOf } from './receipt.ts';
import type { Receiver } from './receive.ts';
import { laneQueue } from './schema.ts';
import type { Settling } from './settling.ts';

export interface QueueParts {
  intake: Intake;
  receiver: Receiver;
  settling: Settling;
  lanes: Lanes;
  clock: Clock;
  /** Maximum age of a depth, ms: each query costs a request for each lane. */
  depthAge: number;
}

export class AwsQueue implements Queue {
  readonly #parts: QueueParts;
  /** Lanes that this process has used, with SQS's last figures of each. */
  readonly #known = new Map<string, { depth?: LaneDepth; at: number }>();

  constructor(parts: QueueParts) {
    this.#parts = parts;
  }

  admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    for (const { deliveries } of messages) for (const { lane } of deliveries) this.#used(lane);
    return this.#parts.intake.admit(messages, claim);
  }

  lease(request: LeaseRequest): Promise<LeasedItem[]> {
    this.#used(request.lane);
    return this.#parts.receiver.lease(request);
  }

  settle(settlements: Settlement[]): Promise<void> {
    return this.#parts.settling.settle(settlements);
  }

  extend(leased: LeasedItem[], visibility: number): Promise<void> {
    return this.#parts.settling.extend(leased.map(receiptOf), visibility);
  }

  /** Lanes of this process, with SQS's figures of at most `depthAge` ago. */
  lanes(): Promise<LaneDepth[]> {
    const now = this.#parts.clock.now();
    return Promise.all(
      Array.from(this.#known, async ([lane, known]) => {
        if (known.depth && now - known.at < this.#parts.depthAge) return known.depth;
        const { ready, leased } = await this.#parts.lanes.depth(laneQueue(lane));
        known.depth = { lane, ready, leased };
        known.at = now;
        return known.depth;
      }),
    );
  }

  #used(lane: string): void {
    if (!this.#known.has(lane)) this.#known.set(lane, { at: 0 });
  }
}
