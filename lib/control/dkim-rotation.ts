/**
 * The rules by which the keys of Easy DKIM take turns under the three tokens of a domain, without a signature that
 * fails to verify. Nothing here looks up or stores anything.
 *
 * ```
 *                       token 1          token 2          token 3
 *  made                 A signs          A                A           all three CNAMEs are looked for once
 *  day 83   PREPARE     A signs          B standby        A           nobody signs with what B replaces
 *  seen                 A signs          B seen           A           found through the domain's own CNAME
 *  7 days   SWITCH      A                B signs          A           A stays published: its mail is on its way
 *  day 173  PREPARE     A                B signs          C standby
 *  …        SWITCH      A                B                C signs
 *  …        PREPARE     D standby        B                C signs     A goes, KEPT or longer after its last signature
 * ```
 * | state                    | event                            | then                                              |
 * | ------------------------ | -------------------------------- | ------------------------------------------------- |
 * | no standby               | the key is due, the next token free | prepare: publish, then store the standby        |
 * | no standby               | a crash between the two          | prepare again, another key under the same token   |
 * | standby, not seen        | found                            | seen, from now on                                 |
 * | standby, seen            | found, 7 days after it was first | switch                                            |
 * | standby                  | another key, or none             | not seen; published again                         |
 * | standby                  | no answer                        | as it was                                         |
 *
 * A switch is one write of the identity. Processes that have not read it yet sign with the former key, which stays
 * published. DNS that never shows the new key costs nothing but the turn.
 */
import { DAY, HOUR } from '../time.ts';
import type { EasyDkim, StoredIdentity, StoredSigningKey } from './identity-store.ts';
import type { Finding } from './proof.ts';
import type { KeyLength } from './types.ts';

/** Tokens of a domain, as many as SES gives. */
export const TOKENS = 3;
/** How long a key signs until the next one is prepared, ms. */
const DUE = 83 * DAY;
/** How long a new key has been seen in DNS before it signs, ms: longer than any cache keeps what stood there before. */
const SETTLED = 7 * DAY;
/**
 * How long a key stays published after its last signature, ms. A message may be scheduled 30 days ahead, and its
 * signature may be verified for a week from then on; a day is for clocks and caches.
 */
export const KEPT = 38 * DAY;
/** A standby that was not seen for so long is told to the operator, ms. */
const OVERDUE = 30 * DAY;
/** A standby that is not seen is looked up hourly for so long, then daily, ms. */
const EAGER = 3 * DAY;

/** The key that signs by Easy DKIM, as long as it is among the keys of the domain. */
export function signingKeyOf({ easy, keys }: StoredIdentity): StoredSigningKey | undefined {
  return easy && keys.find(({ selector }) => selector === easy.tokens[easy.slot]);
}

/** Whether the next key is to be prepared: the present one is proven, and old, of another length, or unwanted. */
export function isDue(stored: StoredIdentity, now: number): boolean {
  const { easy } = stored;
  const key = signingKeyOf(stored);
  if (!easy || !key?.proven || easy.standby || !isFree(easy, now)) return false;
  return easy.unwanted === true || easy.length !== easy.nextLength || now - easy.since >= DUE;
}

/** Whether no message that was signed under the next token can be on its way. */
function isFree({ before }: EasyDkim, now: number): boolean {
  return before === undefined || now - before >= KEPT;
}

/** The token of the next turn. */
export function nextToken({ tokens, slot }: EasyDkim): string {
  return tokens[(slot + 1) % tokens.length]!;
}

/** With a standby, which is published already. Of two that were prepared at one time the first stays. */
export function withStandby(
  stored: StoredIdentity,
  key: StoredSigningKey,
  length: KeyLength,
): StoredIdentity {
  const { easy, identity } = stored;
  if (!easy || easy.standby || nextToken(easy) !== key.selector) return stored;
  return {
    ...stored,
    easy: { ...easy, standby: { key, length } },
    identity: { ...identity, dkim: { ...identity.dkim, keyMadeAt: key.madeAt } },
  };
}

/** When the standby is looked up, since the epoch, ms. */
export function lookDueAt({ easy }: StoredIdentity): number {
  const standby = easy?.standby;
  if (!standby) return Number.POSITIVE_INFINITY;
  const { key, seenAt, lookedAt } = standby;
  if (lookedAt === undefined) return 0;
  return lookedAt + (seenAt === undefined && lookedAt - key.madeAt < EAGER ? HOUR : DAY);
}

/** After a look-up of the standby. @param finding undefined: DNS gave no answer. */
export function afterLook(stored: StoredIdentity, finding: Finding | undefined, now: number): StoredIdentity {
  const { easy } = stored;
  if (!easy?.standby) return stored;
  const { seenAt, ...rest } = easy.standby;
  const looked = { ...rest, lookedAt: now };
  if (finding === undefined) return withEasy(stored, { ...looked, seenAt });
  if (finding !== 'found') return withEasy(stored, looked);
  if (seenAt === undefined || now - seenAt < SETTLED)
    return withEasy(stored, { ...looked, seenAt: seenAt ?? now });
  return switched(stored, easy, now);
}

function withEasy(stored: StoredIdentity, standby: EasyDkim['standby']): StoredIdentity {
  return { ...stored, easy: { ...stored.easy!, standby } };
}

/** The standby signs. It was found in DNS, and so is the proof of the domain. */
function switched(stored: StoredIdentity, easy: EasyDkim, now: number): StoredIdentity {
  const { standby, unwanted: _, ...rest } = easy;
  const { key, length } = standby!;
  const former = signingKeyOf(stored);
  const keys = stored.keys.map((one) => (one === former ? { ...key, proven: true } : one));
  const { identity } = stored;
  return {
    ...stored,
    keys,
    easy: {
      ...rest,
      slot: easy.tokens.indexOf(key.selector),
      length,
      since: now,
      before: easy.since,
    },
    identity:
      identity.dkim.hostedZone === undefined
        ? identity
        : { ...identity, dkim: { ...identity.dkim, keyLength: length } },
  };
}

/** Whether the standby has waited for its turn longer than a healthy one does. */
export function isOverdue({ easy }: StoredIdentity, now: number): boolean {
  return (
    easy?.standby !== undefined &&
    easy.standby.seenAt === undefined &&
    now - easy.standby.key.madeAt >= OVERDUE
  );
}
