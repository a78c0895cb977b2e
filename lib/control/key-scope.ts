/**
 * What an access key may do, where from, and until when. A key without scopes may do all that its kind may; each door asks
 * here, so a rule holds for all of them.
 */
import { PosternError } from '../errors.ts';
import { isInNetwork, parseNetwork } from '../ip.ts';
import { normaliseIdentity, quote } from './names.ts';

export const KEY_SCOPES = ['send', 'read', 'manage'] as const;
/** `send` mail; `read` what is stored; `manage`: change it. */
export type KeyScope = (typeof KEY_SCOPES)[number];

/** The restrictions of a key; an absent one restricts nothing. */
export interface KeyRestrictions {
  scopes?: readonly KeyScope[];
  /** Domains and addresses whose mail it may send: a From of any other is refused. */
  identities?: readonly string[];
  /** Networks in CIDR form, or addresses, that it may be used from. */
  networks?: readonly string[];
  /** It is no key from here on, ms since the epoch. */
  expiresAt?: number;
}

/** Identities, and networks, of one key. */
const MOST = 50;

/** Restrictions in their stored form. @throws `bad_request` for a name or network that is none, or too many of them. */
export function checkedRestrictions(given: KeyRestrictions, now: number): KeyRestrictions {
  const { scopes, identities, networks, expiresAt } = given;
  for (const [what, list] of Object.entries({ scopes, identities, networks })) {
    if (list === undefined || (list.length > 0 && list.length <= MOST)) continue;
    throw new PosternError(
      'bad_request',
      `${what} must have 1 to ${MOST} values; leave it out for no restriction.`,
    );
  }
  const wrong = networks?.find((text) => parseNetwork(text) === undefined);
  if (wrong !== undefined)
    throw new PosternError(
      'bad_request',
      `networks: ${quote(wrong)} is no address and no network, as 192.0.2.0/24.`,
    );
  if (expiresAt !== undefined && expiresAt <= now)
    throw new PosternError('bad_request', 'expiresAt is in the past: revoke the key instead.');
  return {
    scopes: scopes && [...new Set(scopes)],
    identities: identities?.map((name) => normaliseIdentity(name).name),
    networks,
    expiresAt,
  };
}

/** Whether a key can lock nobody out: an administrator's that may do everything, from everywhere, for ever. */
export function isUnrestricted({ scopes, identities, networks, expiresAt }: KeyRestrictions): boolean {
  return [scopes, identities, networks, expiresAt].every((one) => one === undefined);
}

/** @throws `unknown_key` for one that has expired, `access_denied` for one that is used from elsewhere. */
export function requireUsable(key: KeyRestrictions & { id: string }, sourceIp: string, now: number): void {
  const { id, networks, expiresAt } = key;
  if (expiresAt !== undefined && expiresAt <= now) {
    const since = new Date(expiresAt).toISOString();
    throw new PosternError('unknown_key', `The access key ${id} expired at ${since}: make another one.`);
  }
  if (!networks || networks.some((text) => isInNetwork(sourceIp, parseNetwork(text)!))) return;
  throw new PosternError('access_denied', `The access key ${id} may not be used from ${sourceIp}.`);
}

/** @throws `access_denied` */
export function requireScope(
  key: Pick<KeyRestrictions, 'scopes'> & { keyId: string },
  scope: KeyScope,
): void {
  if (!key.scopes || key.scopes.includes(scope)) return;
  throw new PosternError(
    'access_denied',
    `The access key ${key.keyId} has the scope ${key.scopes.join(' and ')}; this needs ${scope}.`,
  );
}

/** Whether a key may send with an address as its sender. */
export function maySendAs(
  identities: readonly string[] | undefined,
  from: { address: string; domain: string },
): boolean {
  if (!identities) return true;
  return identities.some(
    (name) => name === from.address || name === from.domain || from.domain.endsWith(`.${name}`),
  );
}
