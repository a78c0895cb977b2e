/** Suppression lists for both APIs: addresses in one form, and pages. */

import type { SuppressionQuery } from '../engine/ports.ts';
import { SUPPRESSION_REASONS, type Suppression, type SuppressionReason } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import { isSimulatorAddress } from '../outcome/simulator.ts';
import type { ApiDeps } from './deps.ts';

/**
 * The listed form of an address: without blanks around it, its domain in lower case, its local part unchanged (SES).
 * @throws `invalid_address`
 */
function listedAddress(text: string): string {
  return parseEnvelopeAddress(text.trim()).address;
}

/**
 * Puts an address on a tenant's list by an operator's call. @throws `bad_request` for one of the simulator,
 * `invalid_address`.
 */
export async function putListed(
  { engine, clock }: ApiDeps,
  tenant: string,
  text: string,
  reason: SuppressionReason,
): Promise<Suppression> {
  const address = listedAddress(text);
  if (isSimulatorAddress(address)) {
    throw new PosternError(
      'bad_request',
      `${address} is an address of the mailbox simulator, which is never on the suppression list.`,
    );
  }
  const entry = { tenant, address, reason, at: clock.now() };
  await engine.suppressions.put(entry);
  return entry;
}

/** The entry of an address. @throws `not_found` in SES's words, `invalid_address`. */
export async function findListed({ engine }: ApiDeps, tenant: string, text: string): Promise<Suppression> {
  const address = listedAddress(text);
  const [entry] = await engine.suppressions.find([{ tenant, address }]);
  if (!entry) throw missing(address);
  return entry;
}

/** Removes an address. @throws `not_found` in SES's words, `invalid_address`. */
export async function removeListed({ engine, clock }: ApiDeps, tenant: string, text: string): Promise<void> {
  const address = listedAddress(text);
  if (!(await engine.suppressions.remove(tenant, address, clock.now()))) throw missing(address);
}

function missing(address: string): PosternError {
  return new PosternError('not_found', `Email address ${address} does not exist on your suppression list.`);
}

/**
 * A page of a list, and the token of the next one. The token names the last entry: changes between two pages neither
 * repeat nor hide another entry.
 * @throws `invalid_page_token` for a token that was not issued here.
 */
export async function pageOfList(
  { engine }: ApiDeps,
  { token, ...query }: Omit<SuppressionQuery, 'after'> & { token?: string },
): Promise<{ entries: Suppression[]; token?: string }> {
  const after = token === undefined ? undefined : readToken(token);
  const found = await engine.suppressions.list({ ...query, after, max: query.max + 1 });
  if (found.length <= query.max) return { entries: found };
  const entries = found.slice(0, query.max);
  const { reason, at, address } = entries.at(-1)!;
  return { entries, token: Buffer.from(`${reason} ${at} ${address}`).toString('base64url') };
}

const TOKEN = new RegExp(`^(${SUPPRESSION_REASONS.join('|')}) (\\d{1,15}) (.{1,320})$`, 's');

function readToken(token: string): NonNullable<SuppressionQuery['after']> {
  const parts = TOKEN.exec(Buffer.from(token, 'base64url').toString('utf8'));
  if (!parts) throw new PosternError('invalid_page_token', 'The token was not given by this list.');
  return { reason: parts[1] as SuppressionReason, at: Number(parts[2]), address: parts[3]! };
}
