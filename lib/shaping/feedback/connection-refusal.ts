/**
 * Whether a reply refuses the connection and not the message: the peer limits messages over one connection, and
 * accepts this one over another. Such a reply is no attempt, and no evidence about the message rate.
 */
import type { AttemptResult } from '../../outcome/classify.ts';
import { throttles } from './throttling.ts';

/** Maximum length of the text that is examined, characters. */
const MAX_TEXT = 500;
const PER_CONNECTION =
  /(?:\bper|\bthis|\bthe same|\bone|\ba single|\beach|\bin|\bover) (?:smtp )?(?:connection|session)\b/;

/**
 * @param carried messages that the peer accepted over the connection before.
 * @returns `limit`: the connection has carried its maximum; `again`: the peer accepts mail over the next connection
 * only (postscreen after its tests: 450 4.3.2); undefined: the reply is about the message.
 */
export function refusesConnection(
  { kind, phase, reply }: Pick<AttemptResult, 'kind' | 'phase' | 'reply'>,
  carried: number,
): 'limit' | 'again' | undefined {
  if (kind !== 'refused' || reply === undefined) return undefined;
  const { code, enhanced } = reply;
  if (code === 450 && enhanced === '4.3.2' && (phase === 'mail' || phase === 'rcpt')) return 'again';
  if (phase !== 'mail' || carried === 0) return undefined;
  if (code === 452) return 'limit';
  if (code !== 421) return undefined;
  const text = reply.lines.join(' ').slice(0, MAX_TEXT).toLowerCase();
  // Otherwise a rate limit would be answered by a new connection for each message, and never be learnt.
  return PER_CONNECTION.test(text) || throttles(reply) !== 'rate' ? 'limit' : undefined;
}
