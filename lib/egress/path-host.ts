/** What a path needs of its surroundings, and the words that pass between them. */
import type { Counter } from '../shaping/counter.ts';
import type { SessionOptions, SmtpDeadlines, SmtpSession } from '../smtp/types.ts';
import type { Clock, Random } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Destinations, Target } from './destination.ts';
import type { EgressPolicy } from './policy.ts';
import type { ReplyObserver } from './reply-observer.ts';
import type { Results } from './results.ts';
import type { TlsFallback } from './tls-fallback.ts';

/** A connection as the attempt record names it. */
export interface Via {
  ip: string | undefined;
  mx: { host: string; address: string; port: number };
  /** Provider of the site, where its host alone would tell another: a domain whose hosts differ. */
  provider: string | undefined;
  tls: { protocol: string; cipher: string; verified: boolean } | undefined;
}

/** A connection of a path. */
export interface Connection {
  session: SmtpSession | undefined;
  target: Target;
  opened: boolean;
  idle: boolean;
  /** Counts connections with limits of their own; undefined: it is the site's. */
  readonly apart: Counter | undefined;
  via: Via;
}

/** A code of the error table, and text for a person. */
export interface Reason {
  code: string;
  text: string;
}

export interface PathHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly destinations: Destinations;
  readonly tlsFallback: TlsFallback;
  readonly deadlines: SmtpDeadlines;
  readonly results: Results;
  /** Draws conclusions from replies. */
  readonly observer: Pick<ReplyObserver, 'onReply' | 'onSessionRefused'>;
  /** Asked about replies; absent: no policy runs. */
  readonly policy: Pick<EgressPolicy, 'reply'> | undefined;
  /** Budgets of source IPs that warm up; absent: none does. */
  readonly warmup: Pick<WarmupBook, 'wait' | 'take'> | undefined;
  open(options: SessionOptions): SmtpSession;
  /** What waits at a path must find another way: the budget of its IP is spent. */
  requeue(path: ConnectionPool): void;
}
