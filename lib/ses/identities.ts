/** Sending identities: made, proven, and how their mail is signed. */
import { newMailFrom } from '../control/mail-from.ts';
import type { Identity } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { type Call, operation, unsupported } from './operation.ts';
import { pageOf } from './pages.ts';
import { checkedTags } from './tags.ts';
import { refuseAssociated } from './tenant-resources.ts';
import type { InputOf, OutputOf } from './types.ts';

type SigningAttributes = NonNullable<InputOf<'CreateEmailIdentity'>['DkimSigningAttributes']>;
type DkimAttributes = NonNullable<OutputOf<'GetEmailIdentity'>['DkimAttributes']>;

/** @throws PosternError `not_found`, also for another tenant's identity: its existence is not the caller's to learn. */
export async function findIdentity(name: string, call: Call): Promise<Identity> {
  const identity = await call.deps.control.identities.find(name);
  const { admin, tenant } = call.caller;
  if (identity && (admin || identity.tenant === tenant)) return identity;
  throw new PosternError('not_found', `Email identity ${name} does not exist.`);
}

/** A key that was brought: both of its parts, or neither. */
function brought(attributes: SigningAttributes): { selector: string; privateKey: string } | undefined {
  const { DomainSigningSelector: selector, DomainSigningPrivateKey: privateKey } = attributes;
  if (selector === undefined && privateKey === undefined) return undefined;
  if (selector !== undefined && privateKey !== undefined) return { selector, privateKey };
  throw new PosternError(
    'bad_request',
    'A signing key of your own needs both DomainSigningSelector and DomainSigningPrivateKey.',
  );
}

/** Signing keys replicated from another region (Deterministic Easy DKIM) are not there to be copied. */
function refuseReplica(origin: string | undefined): void {
  if (origin !== undefined && origin !== 'AWS_SES' && origin !== 'EXTERNAL')
    throw unsupported(`The signing attributes origin ${origin}`);
}

export const createEmailIdentity = operation('CreateEmailIdentity', 'manage', async (input, call) => {
  const { deps, caller } = call;
  const attributes = input.DkimSigningAttributes ?? {};
  refuseReplica(attributes.DomainSigningAttributesOrigin);
  await requireSet(input.ConfigurationSetName, deps, caller.tenant);
  const identity = await deps.control.identities.create({
    name: input.EmailIdentity,
    tenant: caller.tenant,
    configurationSet: input.ConfigurationSetName,
    tags: checkedTags(input.Tags),
    byo: brought(attributes),
    keyLength: attributes.NextSigningKeyLength,
  });
  const dkim = await dkimAttributes(identity, call);
  return {
    IdentityType: identity.type,
    VerifiedForSendingStatus: identity.verified,
    // As in SES: nothing was looked up yet.
    DkimAttributes: dkim.Status === 'PENDING' ? { ...dkim, Status: 'NOT_STARTED' as const } : dkim,
  };
});

async function requireSet(name: string | undefined, deps: Call['deps'], tenant: string): Promise<void> {
  if (name !== undefined && !(await deps.control.configurationSets.find(name, tenant)))
    throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
}

/** As in SES, an address shows how the domain above it signs. */
async function dkimAttributes(identity: Identity, call: Call): Promise<DkimAttributes> {
  const { dkim } = await signerOf(identity, call);
  return {
    SigningEnabled: identity.dkim.signingEnabled,
    Status: dkim.status,
    Tokens: dkim.tokens,
    SigningAttributesOrigin: dkim.origin,
    CurrentSigningKeyLength: dkim.keyLength,
    NextSigningKeyLength: dkim.keyLength,
  };
}

async function signerOf(identity: Identity, { deps }: Call): Promise<Identity> {
  if (identity.type === 'DOMAIN') return identity;
  let domain = identity.name.slice(identity.name.lastIndexOf('@') + 1);
  while (domain.includes('.')) {
    const above = await deps.control.identities.find(domain);
    if (above?.tenant === identity.tenant) return above;
    domain = domain.slice(domain.indexOf('.') + 1);
  }
  return identity;
}

/** While records are awaited, each look at an identity looks them up: who polls sees the change. */
export const getEmailIdentity = operation('GetEmailIdentity', 'use', async ({ EmailIdentity }, call) => {
  const known = await findIdentity(EmailIdentity, call);
  const isAwaited = !known.verified || known.mailFrom?.status === 'PENDING';
  const identity = isAwaited ? await call.deps.control.identities.check(known.name) : known;
  return {
    IdentityType: identity.type,
    FeedbackForwardingStatus: identity.feedbackForwarding && call.deps.forwardsFeedback,
    VerifiedForSendingStatus: identity.verified,
    VerificationStatus: verificationStatus(identity),
    DkimAttributes: await dkimAttributes(identity, call),
    MailFromAttributes: identity.mailFromDomain
      ? {
          MailFromDomain: identity.mailFromDomain,
          MailFromDomainStatus: identity.mailFrom?.status ?? ('PENDING' as const),
          BehaviorOnMxFailure: identity.mailFrom?.onMxFailure ?? ('USE_DEFAULT_VALUE' as const),
        }
      : undefined,
    Policies: {},
    Tags: identity.tags ?? [],
    ConfigurationSetName: identity.configurationSet,
  };
});

function verificationStatus(identity: Identity): 'SUCCESS' | 'FAILED' | 'PENDING' {
  return identity.verified ? 'SUCCESS' : identity.dkim.status === 'FAILED' ? 'FAILED' : 'PENDING';
}

export const listEmailIdentities = operation(
  'ListEmailIdentities',
  'use',
  async ({ Filter: filter, NextToken, PageSize }, { deps, caller }) => {
    const tenant = caller.admin ? undefined : caller.tenant;
    const { items, ...rest } = await pageOf(
      (from) => deps.control.identities.list(tenant, from),
      { PageSize, NextToken },
      filter &&
        ((identity) =>
          identity.name.includes(filter.IDENTITY_NAME_CONTAINS ?? '') &&
          (filter.IDENTITY_TYPE ?? identity.type) === identity.type &&
          (filter.VERIFICATION_STATUS ?? verificationStatus(identity)) === verificationStatus(identity)),
    );
    const shown = items.map((identity) => ({
      IdentityType: identity.type,
      IdentityName: identity.name,
      SendingEnabled: identity.verified,
      VerificationStatus: verificationStatus(identity),
    }));
    return { EmailIdentities: shown, ...rest };
  },
);

export const deleteEmailIdentity = operation(
  'DeleteEmailIdentity',
  'manage',
  async ({ EmailIdentity }, call) => {
    const { name, tenant } = await findIdentity(EmailIdentity, call);
    const { identities, eventDestinations } = call.deps.control;
    await refuseAssociated({ kind: 'identity', name, owner: tenant }, call);
    await identities.delete(name);
    // Another identity of that name, of whichever tenant, begins without topics.
    for (const { id, notifications } of await eventDestinations.of(tenant, undefined))
      if (notifications?.identity === name) await eventDestinations.delete(id);
    return {};
  },
);

/** As in SES, an absent flag means false; so in the next ones. */
export const putEmailIdentityDkimAttributes = operation(
  'PutEmailIdentityDkimAttributes',
  'manage',
  ({ EmailIdentity, SigningEnabled = false }, call) =>
    change(EmailIdentity, call, (identity) => ({
      ...identity,
      dkim: { ...identity.dkim, signingEnabled: SigningEnabled },
    })),
);

export const putEmailIdentityDkimSigningAttributes = operation(
  'PutEmailIdentityDkimSigningAttributes',
  'manage',
  async ({ EmailIdentity, SigningAttributesOrigin: origin, SigningAttributes: attributes = {} }, call) => {
    if (EmailIdentity.includes('@'))
      throw new PosternError('bad_request', 'The EmailIdentity value must be a valid domain.');
    const { name } = await findIdentity(EmailIdentity, call);
    refuseReplica(origin);
    const { dkim } = await call.deps.control.identities.setSigning(name, signing(origin, attributes));
    return { DkimStatus: dkim.status, DkimTokens: dkim.tokens };
  },
);

function signing(
  origin: string,
  attributes: SigningAttributes,
): { byo: { selector: string; privateKey: string } } | { keyLength: 'RSA_1024_BIT' | 'RSA_2048_BIT' } {
  if (origin === 'AWS_SES') return { keyLength: attributes.NextSigningKeyLength ?? 'RSA_2048_BIT' };
  const byo = brought(attributes);
  if (byo) return { byo };
  throw new PosternError(
    'bad_request',
    'The signing attributes origin EXTERNAL needs DomainSigningSelector and DomainSigningPrivateKey.',
  );
}

export const putEmailIdentityMailFromAttributes = operation(
  'PutEmailIdentityMailFromAttributes',
  'manage',
  ({ EmailIdentity, MailFromDomain, BehaviorOnMxFailure }, call) => {
    const domain = EmailIdentity.slice(EmailIdentity.lastIndexOf('@') + 1).toLowerCase();
    const mailFromDomain = MailFromDomain?.toLowerCase() || undefined;
    if (mailFromDomain && !mailFromDomain.endsWith(`.${domain}`))
      throw new PosternError(
        'bad_request',
        `Provided MAIL-FROM domain <${mailFromDomain}> is not subdomain of the domain of the identity <${EmailIdentity}>.`,
      );
    const onMxFailure = BehaviorOnMxFailure ?? 'USE_DEFAULT_VALUE';
    return change(EmailIdentity, call, ({ mailFrom: before, ...identity }) => {
      if (mailFromDomain === undefined) return { ...identity, mailFromDomain };
      // The same domain asked for again goes on being used.
      const stands = before !== undefined && identity.mailFromDomain === mailFromDomain;
      const mailFrom = stands ? { ...before, onMxFailure } : newMailFrom(onMxFailure, call.deps.clock.now());
      return { ...identity, mailFromDomain, mailFrom };
    });
  },
);

export const putEmailIdentityFeedbackAttributes = operation(
  'PutEmailIdentityFeedbackAttributes',
  'manage',
  ({ EmailIdentity, EmailForwardingEnabled = false }, call) => {
    if (EmailForwardingEnabled && !call.deps.forwardsFeedback)
      throw unsupported('EmailForwardingEnabled (feedback by mail: make an event destination)');
    return change(EmailIdentity, call, (identity) => ({
      ...identity,
      feedbackForwarding: EmailForwardingEnabled,
    }));
  },
);

export const putEmailIdentityConfigurationSetAttributes = operation(
  'PutEmailIdentityConfigurationSetAttributes',
  'manage',
  async ({ EmailIdentity, ConfigurationSetName }, call) => {
    const { tenant } = await findIdentity(EmailIdentity, call);
    await requireSet(ConfigurationSetName, call.deps, tenant);
    return change(EmailIdentity, call, (identity) => ({
      ...identity,
      configurationSet: ConfigurationSetName,
    }));
  },
);

async function change(
  name: string,
  call: Call,
  by: (identity: Identity) => Identity,
): Promise<Record<string, never>> {
  await call.deps.control.identities.update((await findIdentity(name, call)).name, by);
  return {};
}
