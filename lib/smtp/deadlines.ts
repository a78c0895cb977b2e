import { MINUTE } from '../time.ts';
import type { SmtpDeadlines } from './types.ts';

/**
 * The deadlines of RFC 5321 §4.5.3.2, in ms. The RFC names none for the TCP connection, EHLO, STARTTLS and
 * QUIT: the first three get what the greeting and a command get, less where only a broken peer is that slow.
 */
export const DEFAULT_DEADLINES: SmtpDeadlines = {
  connect: MINUTE,
  greeting: 5 * MINUTE, // §4.5.3.2.1
  ehlo: 5 * MINUTE,
  starttls: 2 * MINUTE,
  mail: 5 * MINUTE, // §4.5.3.2.2
  rcpt: 5 * MINUTE, // §4.5.3.2.3
  dataInit: 2 * MINUTE, // §4.5.3.2.4
  dataBlock: 3 * MINUTE, // §4.5.3.2.5
  dataEnd: 10 * MINUTE, // §4.5.3.2.6
  quit: 10_000,
};

/**
 * Maximum deadlines while connections are scarce, ms: a slower peer is tried again later, as with the stress profile
 * of Postfix. A peer that greets late to deter spammers waits for less than a minute. The body and its reply keep
 * their time: a message whose reply is not awaited may arrive twice (RFC 1047).
 */
const SCARCE_DEADLINES: Partial<SmtpDeadlines> = {
  connect: 15_000,
  greeting: MINUTE,
  ehlo: MINUTE,
  starttls: MINUTE,
  mail: MINUTE,
  rcpt: MINUTE,
  dataInit: MINUTE,
};

/** Limits the deadlines while connections are scarce. */
export function scarceDeadlines(deadlines: SmtpDeadlines): SmtpDeadlines {
  const short = { ...deadlines };
  for (const [name, most] of Object.entries(SCARCE_DEADLINES) as [keyof SmtpDeadlines, number][])
    short[name] = Math.min(short[name], most);
  return short;
}
