import type { MailCounter } from '../shaping/counter.ts';
import type { SmtpSession } from '../smtp/types.ts';
import type { Via } from './attempt.ts';
import type { Target } from './destination.ts';

/** A connection of a pool. */
export interface Connection {
  session: SmtpSession | undefined;
  readonly target: Target;
  /** Greeting, EHLO and TLS are done. */
  opened: boolean;
  idle: boolean;
  /** Counts connections of mail with connection limits of its own; undefined for the others. */
  readonly counter: MailCounter | undefined;
  readonly via: Via;
}
