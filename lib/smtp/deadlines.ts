import type { SmtpDeadlines } from './types.ts';

const MINUTE = 60_000;

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
