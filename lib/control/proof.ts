/**
 * Proves a domain by the DKIM keys in its DNS. Only the operator of the domain can publish them, and a random
 * selector keeps one tenant from passing with the records of another.
 *
 * ```
 *                       new keys found                    another key there, or
 *   PENDING ───────────────────────────────► SUCCESS ──── all gone ──────────────► FAILED
 *      │ ▲                                      ▲ │                                  │
 *      │ └──────────── keys replaced ───────────┼─┘                                  │
 *      └─ another key there, or 72 h ─► FAILED ─┴────────── found again ─────────────┘
 * ```
 * While replaced keys are not yet found, the proven ones go on signing and the identity stays verified.
 */
import { PosternError } from '../errors.ts';
import { publishedKey } from './dkim-keys.ts';
import type { Identity } from './types.ts';

/** Resolves the TXT records of a name, each a list of strings, as `node:dns/promises` does. */
export type ResolveTxt = (name: string) => Promise<string[][]>;

/** SES: "If the records aren't found within 72 hours, the status is FAILED". */
const PATIENCE = 72 * 3600 * 1000;

export type Finding = 'found' | 'other' | 'absent';

/** A public key and the name of its record. */
export interface Published {
  name: string;
  publicKey: string;
}

/**
 * Looks up one key.
 * @throws `dns_failure` when DNS gives no answer: nothing is concluded from that.
 */
export async function lookUp({ name, publicKey }: Published, resolveTxt: ResolveTxt): Promise<Finding> {
  let records: string[][];
  try {
    records = await resolveTxt(name);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOTFOUND' || code === 'ENODATA') return 'absent';
    throw new PosternError('dns_failure', `DNS gives no answer about ${name}: ${message}`, { cause });
  }
  const keys = records.map((strings) => publishedKey(strings.join(''))).filter((key) => key !== undefined);
  if (keys.includes(publicKey)) return 'found';
  return keys.length > 0 ? 'other' : 'absent';
}

/** Combines the findings of a set of keys. */
export function together(findings: Finding[]): Finding {
  if (findings.includes('other')) return 'other';
  return findings.includes('absent') || findings.length === 0 ? 'absent' : 'found';
}

export interface ProofVerdict {
  /** Whether the identity is proven. */
  verified: boolean;
  status: Identity['dkim']['status'];
  /** Whether the new keys take over. */
  promote: boolean;
}

/**
 * Decides the state of a proof.
 * @param proven finding for the keys that were found before; undefined when none was.
 * @param fresh finding for the keys not found before; undefined when there are none.
 * @param age since the fresh keys (or the identity) were made, ms.
 */
export function conclude(proven: Finding | undefined, fresh: Finding | undefined, age: number): ProofVerdict {
  if (fresh === 'found') return { verified: true, status: 'SUCCESS', promote: true };
  const verified = proven === 'found';
  if (fresh !== undefined) {
    const status = fresh === 'other' || age > PATIENCE ? 'FAILED' : 'PENDING';
    return { verified, status, promote: false };
  }
  return { verified, status: verified ? 'SUCCESS' : 'FAILED', promote: false };
}
