/**
 * Decides what a caller may send with. Cross-tenant spoofing on shared IPs is the attack: a From is valid only if an
 * identity covers it that is the tenant's own, or that its owner lets the tenant use; in every protocol.
 *
 * ```
 *  its policies deny it ──► refused
 *  else: the tenant's own │ associated with the tenant │ allowed by a policy ──► used
 * ```
 */
import { maySendAs } from '../control/key-scope.ts';
import type { SendingContext } from '../control/sending-conditions.ts';
import { rule, type SendingAction } from '../control/sending-policy.ts';
import type { ResourceKind, TenantResource } from '../control/tenant-resources.ts';
import type { ConfigurationSet, Control, Identity } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import type { Address } from '../mail/types.ts';
import type { AcceptDeps } from './deps.ts';
import type { AtHand, Ground, KnownSender } from './known-senders.ts';
import type { Caller, Submission } from './types.ts';

type SenderDeps = Pick<AcceptDeps, 'control' | 'region' | 'accountId'>;

/** For whom a message is sent, and by whom. */
export interface Sender {
  tenant: string;
  caller: Caller;
  /** What the message counts as, and its facts, for policies. */
  actions: readonly SendingAction[];
  context: () => SendingContext;
  known: KnownSender;
}

/** The tenant that a submission is sent for. @throws access_denied when the key belongs to another one. */
export function tenantOf(submission: Submission, caller: Caller): string {
  const asked = submission.tenant;
  if (asked === undefined || asked === caller.tenant) return caller.tenant;
  if (caller.admin) return asked;
  throw new PosternError('access_denied', `The key ${caller.keyId} may not send for tenant "${asked}".`);
}

/**
 * Refuses mail of a tenant that may not send. A directive that suspends it without such an order makes its mail wait.
 * @throws tenant_paused
 */
export function requireSending({ tenants }: Control, name: string, { tenant }: Ground): void {
  const { status, ordered, rated } = tenants.sendingOf(tenant ?? { name, createdAt: 0 });
  if (status !== 'DISABLED') return;
  const { cause } = ordered.status === 'DISABLED' ? ordered : rated;
  throw new PosternError('tenant_paused', `Email sending is paused for the tenant ${name}: ${cause}`);
}

/**
 * The verified identity behind a From address. Of one that its owner's policy lends, the default configuration set is the
 * owner's, and is not used.
 * @param arn of the identity, where the caller names it. @throws identity_not_verified with the words of SES, which
 * clients match on; access_denied where a policy forbids it, or where the key's own tenant has one that the tenant sent for
 * is not associated with.
 */
export function identityOf(deps: SenderDeps, from: Address, sender: Sender, arn?: string): AtHand<Identity> {
  if (!maySendAs(sender.caller.identities, from))
    throw new PosternError(
      'access_denied',
      `The access key ${sender.caller.keyId} may not send as ${from.address}: it is for other identities.`,
    );
  if (arn !== undefined) requireCovering(deps, arn, from);
  const own = sender.known.identity(from.address);
  if (own instanceof Promise) return own.then((one) => permitted(deps, one, from, sender));
  return own && !own.policed ? own : permitted(deps, own, from, sender);
}

/** The identity that a sender may use, of which `own` is the tenant's own. */
async function permitted(
  deps: SenderDeps,
  own: Identity | undefined,
  from: Address,
  sender: Sender,
): Promise<Identity> {
  if (own) {
    if ((await rulingOf(deps, own, sender)) === 'deny') throw denied(deps, own, sender);
    return own;
  }
  const others = await deps.control.identities.covering(from.address);
  for (const identity of others) {
    const ruling = await rulingOf(deps, identity, sender);
    const associated = await isAssociated(deps, sender.tenant, 'identity', identity);
    if (associated && ruling === 'deny') throw denied(deps, identity, sender);
    if (associated) return identity;
    // Of others neither an identity nor what is said about it is shown.
    if (ruling === 'allow') return { ...identity, configurationSet: undefined };
  }
  const lacking = others.find(({ tenant }) => tenant === sender.caller.tenant);
  if (lacking) throw notAssociated(deps, { kind: 'identity', name: lacking.name });
  throw new PosternError(
    'identity_not_verified',
    `Email address is not verified. The following identities failed the check in region ${deps.region.toUpperCase()}: ${from.address}`,
  );
}

async function rulingOf(
  { control, accountId }: SenderDeps,
  identity: Identity,
  { tenant, caller, actions, context }: Sender,
): Promise<'allow' | 'deny' | undefined> {
  if (!identity.policed) return undefined;
  const policies = await control.identityPolicies.read(identity, accountId);
  return rule(policies, { tenant, key: caller.keyId, actions, context: context() });
}

const IDENTITY_ARN = /^arn:aws[a-z-]*:ses:[a-z0-9-]*:(\d{12}):identity\/(.{1,320})$/s;

/** @throws bad_request for an ARN that is of no identity here, or of one that does not cover the address. */
function requireCovering({ accountId }: SenderDeps, arn: string, from: Address): void {
  const [, account, name = ''] = IDENTITY_ARN.exec(arn) ?? [];
  const told = JSON.stringify(arn.slice(0, 400));
  if (account !== accountId)
    throw new PosternError('bad_request', `${told} is not the ARN of an identity of account ${accountId}.`);
  const domain = name.toLowerCase();
  if (name === from.address || from.domain === domain || from.domain.endsWith(`.${domain}`)) return;
  throw new PosternError('bad_request', `The identity ${told} does not cover the address ${from.address}.`);
}

/** In the words of SES. */
function denied(deps: SenderDeps, { name }: Identity, { caller, actions }: Sender): PosternError {
  const user = `arn:aws:iam::${deps.accountId}:user/${caller.keyId}`;
  const arn = arnOf(deps, { kind: 'identity', name });
  return new PosternError(
    'access_denied',
    `User \`${user}' is not authorized to perform \`${actions[0]}' on resource \`${arn}'`,
  );
}

/**
 * The configuration set of a submission: the one it names, else the identity's default.
 * @throws configuration_set_missing, bad_request when the identity's default is gone, access_denied for one of the key's
 * own tenant that the tenant sent for is not associated with, sending_paused (account or set).
 */
export function configurationSetOf(
  deps: SenderDeps,
  name: string | undefined,
  identity: Identity,
  sender: Sender,
  { sendingEnabled }: Ground,
): AtHand<ConfigurationSet | undefined> {
  const { configurationSets } = deps.control;
  if (!sendingEnabled) {
    throw new PosternError('sending_paused', 'Email sending is paused for the account.');
  }
  const wanted = name ?? identity.configurationSet;
  if (wanted === undefined) return undefined;
  const found = sender.known.set(wanted, () =>
    usable(deps, 'configuration-set', wanted, sender, configurationSets.find),
  );
  if (found instanceof Promise) return found.then((set) => inUse(set, wanted, name !== undefined));
  return inUse(found, wanted, name !== undefined);
}

/** @param named whether the call names it, and not the identity alone. */
function inUse(set: ConfigurationSet | undefined, wanted: string, named: boolean): ConfigurationSet {
  if (!set) {
    // As in SES, a set that the call does not name is not "not found".
    const code = named ? 'configuration_set_missing' : 'bad_request';
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

/**
 * A resource by its name: the tenant's own, or one of another that it is associated with.
 * @throws access_denied where neither is, and the key's own tenant has one.
 */
export async function usable<T>(
  deps: SenderDeps,
  kind: ResourceKind,
  name: string,
  { tenant, caller }: Pick<Sender, 'tenant' | 'caller'>,
  find: (name: string, tenant: string) => Promise<T | undefined>,
): Promise<T | undefined> {
  const own = await find(name, tenant);
  if (own) return own;
  const association = await deps.control.tenants.resources.find(tenant, { kind, name });
  const associated = association && (await find(name, association.owner));
  if (associated) return associated;
  if (tenant === caller.tenant || !(await find(name, caller.tenant))) return undefined;
  throw notAssociated(deps, { kind, name });
}

/** Whether a tenant may use a resource of its owner; an association with a former owner's counts for nothing. */
async function isAssociated(
  { control }: SenderDeps,
  tenant: string,
  kind: ResourceKind,
  { name, tenant: owner }: { name: string; tenant: string },
): Promise<boolean> {
  return (await control.tenants.resources.find(tenant, { kind, name }))?.owner === owner;
}

/** In the words of SES. */
function notAssociated(deps: SenderDeps, resource: TenantResource): PosternError {
  return new PosternError(
    'access_denied',
    `Tenant not associated with resources [${arnOf(deps, resource)}].`,
  );
}

function arnOf({ region, accountId }: SenderDeps, { kind, name }: TenantResource): string {
  return `arn:aws:ses:${region}:${accountId}:${kind}/${name}`;
}
