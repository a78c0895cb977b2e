import type { MailCounter } from '../shaping/counter.ts';
import type { SmtpSession } from '../smtp/types.ts';
import type { Via } from './attempt.ts';
import type { Claim } from './connection-limits.ts';
import type { Target } from './destination.ts';

/** Where a reply came from. */
export interface ReplyOrigin {
  readonly site: string;
  readonly provider: string;
  /** Source IP; undefined: the host's default. */
  readonly ip: string | undefined;
  /** MX host by name. */
  readonly mx: string;
}

/** A connection of a pool. */
export interface Connection {
  session: SmtpSession | undefined;
  readonly target: Target;
  /** Greeting, EHLO and TLS are done. */
  opened: boolean;
  idle: boolean;
  /** Messages that it was given, and those of them that the peer accepted. */
  taken: number;
  carried: number;
  /** The peer takes no further message over it. */
  exhausted: boolean;
  /** Counts connections of mail with connection limits of its own; undefined for the others. */
  readonly counter: MailCounter | undefined;
  /** What it is counted in at its source. */
  readonly claim: Claim;
  readonly from: ReplyOrigin;
  readonly via: Via;
}
