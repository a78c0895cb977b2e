/** Deliveries and a scripted SMTP client, for tests of egress that are not about either. */

import type { QueueItem } from '../../lib/engine/items.ts';
import type {
  RecipientResult,
  SessionEnd,
  SessionOptions,
  SmtpSession,
  Transaction,
} from '../../lib/smtp/types.ts';
import { DAY } from '../../lib/time.ts';
import type { TestClock } from './clock.ts';

let serial = 0;

/** A delivery to `user@domain`, due now. */
export function queueItem(now: number, change: Partial<QueueItem> = {}): QueueItem {
  const domain = change.domain ?? 'example.test';
  serial += 1;
  return {
    v: 1,
    messageId: `m${serial}`,
    n: 0,
    tenant: 'main',
    lane: 'default:transactional:other',
    mailFrom: 'bounce@sender.test',
    recipient: `user${serial}@${domain}`,
    domain,
    eightBit: false,
    smtpUtf8: false,
    requireTls: false,
    acceptedAt: now,
    expiresAt: now + DAY,
    attempts: 0,
    due: now,
    ...change,
  };
}

/** A session that the test drives. */
export class FakeSession implements SmtpSession {
  state: SmtpSession['state'] = 'opening';
  readonly extensions = new Map<string, string>();
  readonly options: SessionOptions;
  /** Transactions under way. */
  readonly taken: Transaction[] = [];
  /** Envelope recipients in the order of their transactions. */
  readonly seen: string[] = [];
  tls: SmtpSession['tls'];
  readonly #clock: TestClock;
  /** Number of transactions that the session takes at once. */
  readonly #depth: number;
  #count = 0;

  constructor(options: SessionOptions, clock: TestClock, depth = 1) {
    this.options = options;
    this.#clock = clock;
    this.#depth = depth;
  }

  get busy(): number {
    return this.taken.length;
  }

  /** The peer accepts the connection. */
  opened(): void {
    this.state = 'open';
    this.wake();
  }

  wake(): void {
    while (
      this.state === 'open' &&
      this.taken.length < this.#depth &&
      this.#count < this.options.maxTransactions
    ) {
      const transaction = this.options.next(this.#clock.now());
      if (!transaction) return;
      this.#count += 1;
      this.taken.push(transaction);
      this.seen.push(transaction.recipients[0]!);
    }
  }

  /** Ends the oldest transaction. */
  finish(result: Partial<RecipientResult> = {}): void {
    const transaction = this.taken.shift()!;
    const now = this.#clock.now();
    const recipient = transaction.recipients[0]!;
    const full: RecipientResult = { recipient, kind: 'accepted', phase: 'body', ...result };
    if (full.kind === 'accepted') full.reply ??= { code: 250, enhanced: '2.0.0', lines: ['OK'] };
    const replies = full.reply
      ? [{ phase: full.phase, code: full.reply.code, text: full.reply.lines[0]! }]
      : [];
    this.options.done(transaction, { results: [full], replies, startedAt: now, endedAt: now });
    this.wake();
    if (this.#count >= this.options.maxTransactions && this.taken.length === 0) this.end('quit', 'quit');
  }

  /** Ends the session; transactions under way are lost. */
  end(
    code: SessionEnd['code'],
    phase: SessionEnd['phase'],
    reply?: SessionEnd['reply'],
    tlsBroke?: true,
  ): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    const now = this.#clock.now();
    for (const transaction of this.taken.splice(0)) {
      const lost = {
        recipient: transaction.recipients[0]!,
        kind: 'unsent',
        phase: 'mail',
        code: 'connection_lost',
      } as const;
      this.options.done(transaction, { results: [lost], replies: [], startedAt: now, endedAt: now });
    }
    this.options.ended({ code, phase, reply, text: `ended: ${code}`, tlsBroke });
  }

  quit(): void {
    if (this.taken.length === 0) this.end('quit', 'quit');
    else this.state = 'closing';
  }

  destroy(): void {
    this.end('shutting_down', 'mail');
  }
}
