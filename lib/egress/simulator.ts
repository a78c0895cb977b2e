import { type Outcome, type QueueItem, SCHEMA_VERSION } from '../engine/items.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import { simulate } from '../outcome/simulator.ts';
import type { Clock } from '../time.ts';
import type { Counters } from './counters.ts';
import type { Settler } from './settler.ts';

/** The mailbox simulator's side of a delivery: the answer at once, reports a little later, no network. */
export class SimulatedMailboxes {
  readonly #clock: Clock;
  readonly #settler: Settler;
  readonly #counters: Counters;
  /** Reports whose time has not come, with the cancellation of their timers. */
  readonly #later = new Map<() => void, () => void>();

  constructor(clock: Clock, settler: Settler, counters: Counters) {
    this.#clock = clock;
    this.#settler = settler;
    this.#counters = counters;
  }

  /** What the mailbox answers; its later reports are on their way. */
  answer(item: QueueItem, now: number): AttemptResult {
    const { result, later } = simulate(item.recipient, now);
    for (const report of later) {
      if (report.kind === 'auto-reply') {
        this.#counters.autoReplies += 1;
        continue;
      }
      const outcome: Outcome = {
        v: SCHEMA_VERSION,
        messageId: item.messageId,
        n: item.n,
        at: now + report.after,
        kind: report.kind,
        tenant: item.tenant,
        detail: { ...report.detail },
      };
      const send = (): void => {
        this.#later.delete(send);
        this.#settler.report([outcome]);
      };
      this.#later.set(send, this.#clock.after(report.after, send));
    }
    return result;
  }

  /** Sends the reports that are on their way at once: the node stops. */
  flush(): void {
    for (const [send, cancel] of [...this.#later]) {
      cancel();
      send();
    }
  }
}
