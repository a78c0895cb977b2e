/** Replies to refused commands and messages. */
import { asPosternError } from '../errors.ts';
import type { Log } from '../log.ts';

/** A refusal with its reply code. */
export interface RefusedCommand extends Error {
  responseCode: number;
}

/** Makes an error that is answered with this code and text. */
export function reply(responseCode: number, text: string): RefusedCommand {
  return Object.assign(new Error(text), { responseCode });
}

/** The refusal of any thrown value; a failure of this side is logged. */
export function replyFor(error: unknown, listener: string, log: Pick<Log, 'error'>): RefusedCommand {
  if (error instanceof Error && 'responseCode' in error) return error as RefusedCommand;
  const known = asPosternError(error);
  if (known.entry.http >= 500) {
    log.error(`${listener} failed`, { code: known.code, error: known.cause ?? known });
  }
  return reply(known.entry.smtp, `${known.entry.enhanced} ${known.message}`);
}

/** Controls would split a reply into two. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/** A line of a reply whose text may name what a client sent. */
export function replyLine(code: number, text: string): string {
  return `${code} ${text.replace(CONTROLS, ' ')}`;
}
