/**
 * Opens a session, from the greeting until it can carry mail. It reads and writes nothing.
 *
 *   stage      reply      then
 *   ─────────  ─────────  ──────────────────────────────────────────────────────────────────────────────
 *   greeting   220        ehlo
 *   ehlo       250        tls wanted and offered: starttls · required and not offered: end · else open
 *              5xx        helo (RFC 5321 §3.2)
 *   helo       250        tls required and not yet there: end · else open
 *   starttls   220        tls, then ehlo again: what was offered in plaintext is forgotten (RFC 3207 §4.2)
 *              4xx 5xx    tls required: end · else open
 *   ─────────  ─────────  ──────────────────────────────────────────────────────────────────────────────
 *   any        421        end, temporary
 *   any        4xx 5xx    (not named above) end, temporary or permanent
 *   any        other      end, peer_protocol
 */
import type { ReasonCode } from '../outcome/reasons.ts';
import { replyText } from './reply.ts';
import type { SessionOptions, SmtpReply } from './types.ts';

export type OpeningStage = 'greeting' | 'ehlo' | 'helo' | 'starttls';

export type OpeningMove = 'ehlo' | 'helo' | 'starttls' | 'tls' | 'open' | { code: ReasonCode; text: string };

/** @param offered whether this reply, to EHLO, offers STARTTLS. @param secured whether TLS is already there. */
export function openingMove(
  stage: OpeningStage,
  reply: SmtpReply,
  tls: SessionOptions['tls'],
  secured: boolean,
  offered: boolean,
): OpeningMove {
  const { code } = reply;
  const good = stage === 'greeting' || stage === 'starttls' ? 220 : 250;
  if (code === good) {
    if (stage === 'greeting') return 'ehlo';
    if (stage === 'starttls') return 'tls';
    if (tls === 'off' || secured) return 'open';
    if (offered) return 'starttls';
    if (tls === 'opportunistic') return 'open';
    return { code: 'tls_required', text: 'TLS is required and the peer does not offer STARTTLS.' };
  }
  if (code < 400) {
    return { code: 'peer_protocol', text: `The peer answered ${code} where ${good} was due.` };
  }
  if (code !== 421) {
    if (stage === 'ehlo' && code >= 500) return 'helo';
    if (stage === 'starttls') {
      if (tls === 'opportunistic') return 'open';
      return { code: 'tls_failed', text: 'TLS is required and the peer refused STARTTLS.' };
    }
  }
  return {
    code: code >= 500 ? 'peer_permanent' : 'peer_temporary',
    text: `The peer refused the session with ${`${code} ${replyText(reply)}`.trimEnd()}`,
  };
}
