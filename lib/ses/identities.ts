/** Sending identities: made, proven, and how their mail is signed. */
import { newMailFrom } from '../control/mail-from.ts';
import type { Identity, KeySource } from '../control/types.ts';
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

/**
 * Deterministic Easy DKIM: SES lets the identity of a name sign with the keys that the identity of the same name has in
 * another region, so that its CNAMEs serve both. Here one installation is one region, and a name is one identity in it.
 * @returns whether `origin` names this region, where that identity is its own parent.
 * @throws `unsupported_operation` for another region: its private keys are with Amazon, or with another installation,
 * and leave neither.
 */
function isReplica(origin: string | undefined, { deps: { region } }: Call): boolean {
  if (origin === undefined || origin === 'AWS_SES' || origin === 'EXTERNAL') return false;
  if (origin === `AWS_SES_${region.toUpperCase().replaceAll('-', '_')}`) return true;
  throw new PosternError(
    'unsupported_operation',
    `The signing attributes origin ${origin} is another region: its private keys do not leave the installation that made them, so that ${region} cannot sign with them. Use Easy DKIM (AWS_SES): the three CNAMEs of this identity stand beside those of the parent in one domain.`,
  );
}

/** @throws PosternError `bad_request`: a parent identity must be there before its replica. */
function noParent(name: string, origin: string | undefined): PosternError {
  return new PosternError(
    'bad_request',
    `There is no parent identity ${name} with Easy DKIM for the signing attributes origin ${origin}. Create it with Easy DKIM (AWS_SES).`,
  );
}

export const createEmailIdentity = operation('CreateEmailIdentity', 'manage', async (input, call) => {
  const { deps, caller } = call;
  const attributes = input.DkimSigningAttributes ?? {};
  const { DomainSigningAttributesOrigin: origin } = attributes;
  if (isReplica(origin, call) && !(await deps.control.identities.find(input.EmailIdentity)))
    throw noParent(input.EmailIdentity, origin);
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
    SigningHostedZone: dkim.hostedZone,
    SigningAttributesOrigin: dkim.origin,
    CurrentSigningKeyLength: dkim.keyLength,
    NextSigningKeyLength: dkim.nextKeyLength ?? dkim.keyLength,
    LastKeyGenerationTimestamp: dkim.keyMadeAt === undefined ? undefined : new Date(dkim.keyMadeAt),
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
  const identity = isAwaited ? await looked(known, call) : known;
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
    Policies: identity.policed ? await call.deps.control.identityPolicies.of(identity) : {},
    Tags: identity.tags ?? [],
    ConfigurationSetName: identity.configurationSet,
  };
});

/** The identity after a look-up; as it is known where DNS gives no answer. */
async function looked(known: Identity, { deps: { control } }: Call): Promise<Identity> {
  try {
    return await control.identities.check(known.name);
  } catch (error) {
    if (error instanceof PosternError && error.code === 'dns_failure') return known;
    throw error;
  }
}

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
    const identity = await findIdentity(EmailIdentity, call);
    const source = signing(origin, attributes);
    if (isReplica(origin, call) && identity.dkim.origin !== 'AWS_SES') throw noParent(identity.name, origin);
    const { dkim } = isReplica(origin, call)
      ? identity
      : await call.deps.control.identities.setSigning(identity.name, source);
    return { DkimStatus: dkim.status, DkimTokens: dkim.tokens, SigningHostedZone: dkim.hostedZone };
  },
);

function signing(origin: string, attributes: SigningAttributes): KeySource {
  const byo = brought(attributes);
  if (origin !== 'EXTERNAL') {
    if (origin !== 'AWS_SES' && attributes.NextSigningKeyLength !== undefined)
      throw new PosternError(
        'bad_request',
        `The signing attributes origin ${origin} takes its key length from the parent identity: leave out NextSigningKeyLength.`,
      );
    if (!byo) return { keyLength: attributes.NextSigningKeyLength };
    throw new PosternError(
      'bad_request',
      `The signing attributes origin ${origin} takes no key of your own: leave out DomainSigningSelector and DomainSigningPrivateKey, or use EXTERNAL.`,
    );
  }
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
