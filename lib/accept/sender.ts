/**
 * Decides which senders a caller may use. Cross-tenant spoofing on shared IPs is the attack: a From is valid only if
 * an identity of the same tenant covers it, in every protocol.
 */
import type { ConfigurationSet, Control, Identity } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import type { Address } from '../mail/types.ts';
import type { Caller, Submission } from './types.ts';

/** The tenant that a submission is sent for. @throws access_denied when the key belongs to another one. */
export function tenantOf(submission: Submission, caller: Caller): string {
  const asked = submission.tenant;
  if (asked === undefined || asked === caller.tenant) return caller.tenant;
  if (caller.admin) return asked;
  throw new PosternError('access_denied', `The key ${caller.keyId} may not send for tenant "${asked}".`);
}

/**
 * The verified identity behind a From address.
 * @throws identity_not_verified with the words of SES, which clients match on.
 */
export async function identityOf(
  control: Control,
  from: Address,
  tenant: string,
  region: string,
): Promise<Identity> {
  const identity = await control.identities.forSender(from.address, tenant);
  if (identity) return identity;
  throw new PosternError(
    'identity_not_verified',
    `Email address is not verified. The following identities failed the check in region ${region.toUpperCase()}: ${from.address}`,
  );
}

/**
 * The configuration set of a submission: the one it names, else the identity's default.
 * @throws configuration_set_missing, bad_request when the identity's default is gone, sending_paused (account or set).
 */
export async function configurationSetOf(
  control: Control,
  name: string | undefined,
  identity: Identity,
  tenant: string,
): Promise<ConfigurationSet | undefined> {
  if (!(await control.account.sendingEnabled())) {
    throw new PosternError('sending_paused', 'Email sending is paused for the account.');
  }
  const wanted = name ?? identity.configurationSet;
  if (wanted === undefined) return undefined;
  const set = await control.configurationSets.find(wanted, tenant);
  if (!set) {
    // As in SES, a set that the call does not name is not "not found".
    const code = name === undefined ? 'bad_request' : 'configuration_set_missing';
    throw new PosternError(code, `Configuration set <${wanted}> does not exist.`);
  }
  if (!set.sendingEnabled) {
    throw new PosternError(
      'sending_paused',
      `Email sending is paused for the configuration set <${wanted}>.`,
    );
  }
  return set;
}
