/** Replies to refused commands and messages. */
import { asPosternError } from '../errors.ts';
import type { Log } from '../log.ts';

/** Makes an error that is answered with this code and text. */
export function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** The reply to any thrown value; a failure of this side is logged. */
export function replyFor(error: unknown, listener: string, log: Pick<Log, 'error'>): Error {
  if (error instanceof Error && 'responseCode' in error) return error;
  const known = asPosternError(error);
  if (known.entry.http >= 500) {
    log.error(`${listener} failed`, { code: known.code, error: known.cause ?? known });
  }
  return reply(known.entry.smtp, `${known.entry.enhanced} ${known.message}`);
}
