/** A queue in memory and a scripted SMTP client, for tests of egress that are not about either. */

import type { Outcome, QueueItem } from '../../lib/engine/items.ts';
import { type PermitHolder, type PermitRequest, sharePermits } from '../../lib/engine/permits.ts';
import type { Engine, LeasedItem, LeaseRequest, Settlement } from '../../lib/engine/ports.ts';
import type { DeliveryState } from '../../lib/engine/states.ts';
import type {
  RecipientResult,
  SessionEnd,
  SessionOptions,
  SmtpSession,
  Transaction,
} from '../../lib/smtp/types.ts';
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
    expiresAt: now + 86_400_000,
    attempts: 0,
    due: now,
    ...change,
  };
}

/** The parts of an engine that egress uses, in memory. */
export class FakeEngine {
  readonly settlements: Settlement[] = [];
  readonly reports: Outcome[] = [];
  readonly states = new Map<string, DeliveryState>();
  readonly owners = new Map<string, string>();
  readonly extended: LeasedItem[] = [];
  readonly leases: LeaseRequest[] = [];
  readonly checkpoints = new Map<string, unknown>();
  /** Tokens left in shared buckets. */
  readonly buckets = new Map<string, number>();
  /** Holders of shared permits. */
  readonly permits = new Map<string, PermitHolder[]>();
  /** Thrown by the next calls of `settle`. */
  readonly settleErrors: Error[] = [];
  readonly #clock: TestClock;
  readonly #lanes = new Map<string, LeasedItem[]>();
  readonly #waiting: { request: LeaseRequest; resolve: (items: LeasedItem[]) => void }[] = [];

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  enqueue(item: QueueItem, receives = 1, bytes = Buffer.from('Subject: x\r\n\r\nx\r\n')): void {
    const lane = this.#lanes.get(item.lane) ?? [];
    this.#lanes.set(item.lane, lane);
    lane.push({ item, bytes, receives, receipt: item });
    this.#serve();
  }

  get queued(): number {
    return [...this.#lanes.values()].reduce((sum, lane) => sum + lane.length, 0);
  }

  /** Settlements of one kind. */
  of<K extends Settlement['kind']>(kind: K): Extract<Settlement, { kind: K }>[] {
    return this.settlements.filter((each) => each.kind === kind) as Extract<Settlement, { kind: K }>[];
  }

  #serve(): void {
    for (const entry of [...this.#waiting]) {
      const lane = this.#lanes.get(entry.request.lane);
      if (!lane?.length) continue;
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      entry.resolve(lane.splice(0, entry.request.max));
    }
  }

  engine(): Engine {
    return {
      queue: {
        lease: (request: LeaseRequest) =>
          new Promise<LeasedItem[]>((resolve) => {
            this.leases.push(request);
            const entry = { request, resolve };
            const giveUp = () => {
              const at = this.#waiting.indexOf(entry);
              if (at >= 0) this.#waiting.splice(at, 1);
              resolve([]);
            };
            this.#waiting.push(entry);
            request.signal?.addEventListener('abort', giveUp, { once: true });
            this.#clock.after(request.wait, giveUp);
            this.#serve();
          }),
        settle: async (settlements: Settlement[]) => {
          const error = this.settleErrors.shift();
          if (error) throw error;
          this.settlements.push(...settlements);
        },
        extend: async (leased: LeasedItem[]) => void this.extended.push(...leased),
        lanes: async () => Array.from(this.#lanes.keys(), (lane) => ({ lane, ready: 0, leased: 0 })),
      },
      records: {
        state: async (messageId: string, n: number) => this.states.get(`${messageId}/${n}`),
        append: async (outcomes: Outcome[]) => void this.reports.push(...outcomes),
      },
      leases: {
        acquire: async (name: string, owner: string) => {
          if (this.owners.has(name) && this.owners.get(name) !== owner) return undefined;
          this.owners.set(name, owner);
          return Number.MAX_SAFE_INTEGER;
        },
        release: async (name: string) => void this.owners.delete(name),
        take: async (bucket: string, want: number) => {
          const left = this.buckets.get(bucket) ?? 0;
          const granted = Math.min(want, left);
          this.buckets.set(bucket, left - granted);
          return { granted, wait: granted > 0 ? 0 : 1000 };
        },
        permits: async (name: string, owner: string, request: PermitRequest) => {
          const holders = this.permits.get(name) ?? [];
          const shared = sharePermits(owner, request, holders);
          const others = holders.filter((one) => one.owner !== owner);
          this.permits.set(name, [...others, { owner, held: shared.held, want: request.want }]);
          return shared;
        },
        checkpoint: async (name: string) => this.checkpoints.get(name),
        saveCheckpoint: async (name: string, value: unknown) =>
          void this.checkpoints.set(name, structuredClone(value)),
      },
    } as unknown as Engine;
  }
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

/** Runs all work that waits for no clock. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
