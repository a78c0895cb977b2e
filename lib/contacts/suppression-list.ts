/** Suppression lists for all APIs and imports: which list a call means, addresses in one form, and pages. */
import { checkName } from '../control/names.ts';
import type { Control } from '../control/types.ts';
import type { Engine, SuppressionQuery } from '../engine/ports.ts';
import {
  ACCOUNT_TENANT,
  SUPPRESSION_REASONS,
  type Suppression,
  type SuppressionReason,
} from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import { isSimulatorAddress } from '../outcome/simulator.ts';
import type { Clock } from '../time.ts';

export interface SuppressionDeps {
  engine: Pick<Engine, 'suppressions'>;
  control: Pick<Control, 'account'>;
  clock: Clock;
}

/** The key of a call, as far as lists concern it. */
export interface ListCaller {
  keyId: string;
  tenant: string;
  admin: boolean;
}

/**
 * The tenant whose list a call means: the named one, else the one whose list applies to the caller's own mail. A key
 * keeps the list of its own tenant only, so that no tenant can stop the mail of another.
 * @throws `bad_request` for what is no name of a tenant, `access_denied`.
 */
export async function listOf(
  { control }: SuppressionDeps,
  caller: ListCaller,
  named?: string,
): Promise<string> {
  if (named !== undefined) checkName('tenant', named);
  const list = named ?? (await control.account.suppression(caller.tenant)).list;
  if (list === caller.tenant || caller.admin) return list;
  const whose =
    named === undefined
      ? 'of the account, which this tenant shares'
      : list === ACCOUNT_TENANT
        ? 'of the account'
        : 'of another tenant';
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not see or change the suppression list ${whose}: that needs an administrator's key.`,
  );
}

/**
 * The listed form of an address: without blanks around it, its domain in lower case, its local part unchanged (SES).
 * @throws `invalid_address`, `bad_request` for one of the simulator.
 */
export function listedAddress(text: string): string {
  const { address } = parseEnvelopeAddress(text.trim());
  if (!isSimulatorAddress(address)) return address;
  throw new PosternError(
    'bad_request',
    `${address} is an address of the mailbox simulator, which is never on the suppression list.`,
  );
}

/**
 * Puts an address on a tenant's list by an operator's call.
 * @param why for a person: who put it there. @throws `bad_request` for one of the simulator, `invalid_address`.
 */
export async function putListed(
  { engine, clock }: SuppressionDeps,
  entry: { tenant: string; address: string; reason: SuppressionReason; why: string },
): Promise<Suppression> {
  const at = clock.now();
  const put = { ...entry, address: listedAddress(entry.address), at };
  await engine.suppressions.put(put);
  const [stored] = await engine.suppressions.find([put]);
  // An engine may show a change a second later only.
  return stored?.at === at ? stored : { ...put, since: stored?.since ?? at };
}

/** The entry of an address. @throws `not_found` in SES's words, `invalid_address`. */
export async function findListed(
  { engine }: SuppressionDeps,
  tenant: string,
  text: string,
): Promise<Suppression> {
  const { address } = parseEnvelopeAddress(text.trim());
  const [entry] = await engine.suppressions.find([{ tenant, address }]);
  if (!entry) throw missing(tenant, address);
  return entry;
}

/** Removes an address. @throws `not_found` in SES's words, `invalid_address`. */
export async function removeListed(
  { engine, clock }: SuppressionDeps,
  tenant: string,
  text: string,
): Promise<void> {
  const { address } = parseEnvelopeAddress(text.trim());
  if (!(await engine.suppressions.remove(tenant, address, clock.now()))) throw missing(tenant, address);
}

function missing(tenant: string, address: string): PosternError {
  const list = tenant === ACCOUNT_TENANT ? 'suppression list' : 'tenant suppression list';
  return new PosternError('not_found', `Email address ${address} does not exist on your ${list}.`);
}

/**
 * A page of a list, and the token of the next one. The token names the last entry: changes between two pages neither
 * repeat nor hide another entry.
 * @throws `invalid_page_token` for a token that was not issued here.
 */
export async function pageOfList(
  { engine }: Pick<SuppressionDeps, 'engine'>,
  { token, ...query }: Omit<SuppressionQuery, 'after'> & { token?: string },
): Promise<{ entries: Suppression[]; token?: string }> {
  const after = token === undefined ? undefined : readToken(token);
  const found = await engine.suppressions.list({ ...query, after, max: query.max + 1 });
  if (found.length <= query.max) return { entries: found };
  const entries = found.slice(0, query.max);
  const { reason, at, address } = entries.at(-1)!;
  return { entries, token: Buffer.from(`${reason} ${at} ${address}`).toString('base64url') };
}

/** The result of taking back what was listed within a time. */
export interface TakenBack {
  /** Entries that were taken off, or would be. */
  removed: number;
  /** Entries that stay: a message showed them, or they were listed before. */
  kept: number;
  /** There may be more: ask again. */
  more: boolean;
}

/**
 * Takes addresses off a list that people or imports put there within a time: what a bounce or a complaint showed, and
 * what was listed before and only put there again, stays.
 * @param max entries to look at. @param preview counts them, and changes nothing.
 */
export async function takeBack(
  { engine, clock }: Pick<SuppressionDeps, 'engine' | 'clock'>,
  { max, preview, ...query }: Omit<SuppressionQuery, 'after'> & { from: number; preview: boolean },
): Promise<TakenBack> {
  const found = { removed: 0, kept: 0, more: false };
  let after: Suppression | undefined;
  for (let looked = 0; looked < max; ) {
    const most = Math.min(PAGE, max - looked);
    const page = await engine.suppressions.list({ ...query, after, max: most });
    const undone = page.filter(({ messageId, since = 0 }) => messageId === undefined && since >= query.from);
    if (!preview) {
      const now = clock.now();
      await Promise.all(
        undone.map(({ tenant, address, reason }) => engine.suppressions.remove(tenant, address, now, reason)),
      );
    }
    found.removed += undone.length;
    found.kept += page.length - undone.length;
    looked += page.length;
    after = page.at(-1);
    if (page.length < most) return found;
  }
  return { ...found, more: true };
}

/** Entries that are read, and taken off, at a time. */
const PAGE = 100;

const TOKEN = new RegExp(`^(${SUPPRESSION_REASONS.join('|')}) (\\d{1,15}) (.{1,320})$`, 's');

function readToken(token: string): NonNullable<SuppressionQuery['after']> {
  const parts = TOKEN.exec(Buffer.from(token, 'base64url').toString('utf8'));
  if (!parts) throw new PosternError('invalid_page_token', 'The token was not given by this list.');
  return { reason: parts[1] as SuppressionReason, at: Number(parts[2]), address: parts[3]! };
}
