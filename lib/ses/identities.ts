/** Sending identities: made, proven, and how their mail is signed. */
import type { Identity } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { unsupported } from './content.ts';
import { type Call, operation } from './operation.ts';
import { page } from './pages.ts';
import { identityName, pageToken, setName, tags } from './shapes.ts';
import { flag, integer, oneOf, required, structure, text, type Value } from './validation.ts';

const named = { EmailIdentity: required(identityName) };
const keyLength = oneOf('RSA_1024_BIT', 'RSA_2048_BIT');

const signingAttributes = structure({
  DomainSigningSelector: text({ min: 1, max: 63, pattern: /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/ }),
  DomainSigningPrivateKey: text({ min: 1, max: 20_480, pattern: /^[a-zA-Z0-9+/]+={0,2}$/ }),
  NextSigningKeyLength: keyLength,
  DomainSigningAttributesOrigin: text(),
});

type SigningAttributes = Value<typeof signingAttributes>;

/** @throws PosternError `not_found`, also for another tenant's identity: its existence is not the caller's to learn. */
function find(name: string, call: Call): Identity {
  const identity = call.deps.control.identities.find(name);
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

export const create = operation({
  access: 'manage',
  input: structure({
    ...named,
    Tags: tags,
    DkimSigningAttributes: signingAttributes,
    ConfigurationSetName: setName,
  }),
  async handle(input, { deps, caller }) {
    const attributes = input.DkimSigningAttributes ?? {};
    refuseReplica(attributes.DomainSigningAttributesOrigin);
    requireSet(input.ConfigurationSetName, deps, caller.tenant);
    const identity = await deps.control.identities.create({
      name: input.EmailIdentity,
      tenant: caller.tenant,
      configurationSet: input.ConfigurationSetName,
      tags: input.Tags,
      byo: brought(attributes),
      keyLength: attributes.NextSigningKeyLength,
    });
    return {
      IdentityType: identity.type,
      VerifiedForSendingStatus: identity.verified,
      DkimAttributes: dkimAttributes(identity),
    };
  },
});

function requireSet(name: string | undefined, deps: Call['deps'], tenant: string): void {
  if (name !== undefined && !deps.control.configurationSets.find(name, tenant))
    throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
}

function dkimAttributes({ dkim }: Identity): Record<string, unknown> {
  return {
    SigningEnabled: dkim.signingEnabled,
    Status: dkim.status,
    Tokens: dkim.tokens,
    SigningAttributesOrigin: dkim.origin,
    CurrentSigningKeyLength: dkim.keyLength,
    NextSigningKeyLength: dkim.keyLength,
  };
}

/** While an identity is not verified, each look at it looks its records up: who polls sees the change. */
export const get = operation({
  access: 'use',
  input: structure(named),
  async handle({ EmailIdentity }, call) {
    const known = find(EmailIdentity, call);
    const identity = known.verified ? known : await call.deps.control.identities.check(known.name);
    return {
      IdentityType: identity.type,
      FeedbackForwardingStatus: identity.feedbackForwarding,
      VerifiedForSendingStatus: identity.verified,
      VerificationStatus: verificationStatus(identity),
      DkimAttributes: dkimAttributes(identity),
      MailFromAttributes: identity.mailFromDomain && {
        MailFromDomain: identity.mailFromDomain,
        MailFromDomainStatus: 'PENDING',
        BehaviorOnMxFailure: 'USE_DEFAULT_VALUE',
      },
      Policies: {},
      Tags: identity.tags ?? [],
      ConfigurationSetName: identity.configurationSet,
    };
  },
});

function verificationStatus(identity: Identity): string {
  return identity.verified ? 'SUCCESS' : identity.dkim.status === 'FAILED' ? 'FAILED' : 'PENDING';
}

export const list = operation({
  access: 'use',
  input: structure({
    Filter: structure({
      IDENTITY_NAME_CONTAINS: text({ min: 1 }),
      IDENTITY_TYPE: text({ min: 1 }),
      VERIFICATION_STATUS: text({ min: 1 }),
    }),
    NextToken: pageToken,
    PageSize: integer(0, 1000),
  }),
  handle({ Filter: filter = {}, NextToken, PageSize }, { deps, caller }) {
    const wanted = deps.control.identities
      .list(caller.admin ? undefined : caller.tenant)
      .filter(
        (identity) =>
          identity.name.includes(filter.IDENTITY_NAME_CONTAINS ?? '') &&
          (filter.IDENTITY_TYPE ?? identity.type) === identity.type &&
          (filter.VERIFICATION_STATUS ?? verificationStatus(identity)) === verificationStatus(identity),
      );
    const { items, ...rest } = page(wanted, (identity) => identity.name, PageSize || 1000, NextToken);
    const shown = items.map((identity) => ({
      IdentityType: identity.type,
      IdentityName: identity.name,
      SendingEnabled: identity.verified,
      VerificationStatus: verificationStatus(identity),
    }));
    return { EmailIdentities: shown, ...rest };
  },
});

export const remove = operation({
  access: 'manage',
  input: structure(named),
  async handle({ EmailIdentity }, call) {
    await call.deps.control.identities.delete(find(EmailIdentity, call).name);
    return {};
  },
});

/** As in SES, an absent flag means false; so in the next ones. */
export const putDkim = operation({
  access: 'manage',
  input: structure({ ...named, SigningEnabled: flag }),
  handle: ({ EmailIdentity, SigningEnabled = false }, call) =>
    change(EmailIdentity, call, (identity) => ({
      ...identity,
      dkim: { ...identity.dkim, signingEnabled: SigningEnabled },
    })),
});

export const putDkimSigning = operation({
  access: 'manage',
  input: structure({
    ...named,
    SigningAttributesOrigin: required(text({ min: 1 })),
    SigningAttributes: signingAttributes,
  }),
  async handle({ EmailIdentity, SigningAttributesOrigin: origin, SigningAttributes: attributes = {} }, call) {
    const { name } = find(EmailIdentity, call);
    refuseReplica(origin);
    const { dkim } = await call.deps.control.identities.setSigning(name, signing(origin, attributes));
    return { DkimStatus: dkim.status, DkimTokens: dkim.tokens };
  },
});

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

export const putMailFrom = operation({
  access: 'manage',
  input: structure({
    ...named,
    MailFromDomain: text({ max: 253 }),
    BehaviorOnMxFailure: oneOf('USE_DEFAULT_VALUE', 'REJECT_MESSAGE'),
  }),
  handle: ({ EmailIdentity, MailFromDomain, BehaviorOnMxFailure }, call) => {
    if (BehaviorOnMxFailure === 'REJECT_MESSAGE') throw unsupported('BehaviorOnMxFailure REJECT_MESSAGE');
    const domain = EmailIdentity.slice(EmailIdentity.lastIndexOf('@') + 1).toLowerCase();
    const mailFromDomain = MailFromDomain?.toLowerCase() || undefined;
    if (mailFromDomain && !mailFromDomain.endsWith(`.${domain}`))
      throw new PosternError(
        'bad_request',
        `Provided MAIL-FROM domain <${mailFromDomain}> is not subdomain of the domain of the identity <${EmailIdentity}>.`,
      );
    return change(EmailIdentity, call, (identity) => ({ ...identity, mailFromDomain }));
  },
});

export const putFeedback = operation({
  access: 'manage',
  input: structure({ ...named, EmailForwardingEnabled: flag }),
  handle: ({ EmailIdentity, EmailForwardingEnabled = false }, call) =>
    change(EmailIdentity, call, (identity) => ({ ...identity, feedbackForwarding: EmailForwardingEnabled })),
});

export const putConfigurationSet = operation({
  access: 'manage',
  input: structure({ ...named, ConfigurationSetName: setName }),
  handle: ({ EmailIdentity, ConfigurationSetName }, call) => {
    const { tenant } = find(EmailIdentity, call);
    requireSet(ConfigurationSetName, call.deps, tenant);
    return change(EmailIdentity, call, (identity) => ({
      ...identity,
      configurationSet: ConfigurationSetName,
    }));
  },
});

async function change(
  name: string,
  call: Call,
  by: (identity: Identity) => Identity,
): Promise<Record<string, never>> {
  await call.deps.control.identities.update(find(name, call).name, by);
  return {};
}
