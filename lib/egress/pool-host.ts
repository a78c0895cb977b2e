/** What a connection pool needs around it, and what its connections need of it. */
import type { AttemptResult } from '../outcome/classify.ts';
import type { Reply } from '../outcome/reply.ts';
import type { ReplyAnswer } from '../policy/policy.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import type { ReadyQueue } from '../shaping/ready-queue.ts';
import type { SessionOptions, SmtpDeadlines, SmtpSession } from '../smtp/types.ts';
import type { Clock, Random } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { CompletedAttempt, Via } from './attempt.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import type { Claimant } from './connection-limits.ts';
import type { Delivery, Reason } from './delivery.ts';
import type { Destinations } from './destination.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';
import type { TlsFallback } from './tls-fallback.ts';

/** Where a reply came from. */
export interface ReplyOrigin {
  readonly site: string;
  readonly provider: string;
  /** Source IP; undefined: the host's default. */
  readonly ip: string | undefined;
  /** MX host by name. */
  readonly mx: string;
}

/** The surroundings of pools. */
export interface PoolHost<Pool = never> {
  readonly clock: Clock;
  readonly random: Random;
  readonly destinations: Pick<Destinations, 'targets'>;
  readonly tlsFallback: TlsFallback;
  readonly deadlines: SmtpDeadlines;
  /** Records results. */
  readonly results: {
    /** Whether a delivery may still be begun; if not, it has been settled or dropped. */
    mayBegin(delivery: Delivery, now: number): boolean;
    attempted(
      delivery: Delivery,
      attempt: CompletedAttempt,
      notBefore?: number,
      answer?: ReplyAnswer | Promise<ReplyAnswer | undefined>,
    ): void;
    unreached(delivery: Delivery, attempt: CompletedAttempt, site: string, notAfter?: number): void;
    release(delivery: Delivery, code: string, text: string, until: number, lasts?: number): void;
    park(delivery: Delivery, site: string, reason: Reason, until: number): void;
  };
  /** A site is reached again for which mail may wait. */
  reached(site: string): void;
  /** Draws conclusions from replies. */
  readonly observer: {
    /** @returns the time that the reply names for the next try, since the epoch, ms; 0 when it names none. */
    onReply(delivery: Delivery, from: ReplyOrigin, result: AttemptResult, now: number): number;
    onSessionRefused(pool: string, from: ReplyOrigin, phase: string, reply: Reply, now: number): void;
  };
  /** Decides on replies; undefined: no policy runs. */
  readonly policy:
    | {
        reply(
          delivery: Delivery,
          from: ReplyOrigin,
          result: AttemptResult,
          now: number,
        ): ReplyAnswer | undefined | Promise<ReplyAnswer | undefined>;
      }
    | undefined;
  /** Budgets of source IPs that warm up; undefined: none does. */
  readonly warmup: Pick<WarmupBook, 'wait' | 'take' | 'explain'> | undefined;
  open(options: SessionOptions): SmtpSession;
  /** Routes all that waits at a pool anew: the budget of its IP is spent. */
  requeue(pool: Pool): void;
}

/** A pool, as its connections see it. */
export interface PoolCore extends Claimant {
  readonly site: Site;
  readonly source: SourceAddress;
  readonly limits: PoolLimits;
  readonly limiter: PathLimiter;
  readonly breaker: CircuitBreaker;
  readonly queue: ReadyQueue<Delivery>;
  /** Why the pool begins nothing more. */
  readonly closing: Reason | undefined;
  /** All messages that may be under way are: any that ends lets another begin. */
  readonly full: boolean;
  /** Whether a message may begin now; if not, the pool is pumped when one may. */
  mayBegin(now: number): boolean;
  /** Begins messages again after `full`. */
  resume(): void;
  /** Pumps after this time, ms. */
  pumpIn(ms: number): void;
  /** Puts a delivery that was begun and not tried in front again. */
  toFront(delivery: Delivery): void;
  /** Every delivery that waited for a connection has been tried with it. */
  failAll(result: AttemptResult, via: Via | undefined): void;
  /** Puts back all that waits, with the reason for which the breaker is open. */
  putBack(): void;
}
