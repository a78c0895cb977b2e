/** Settings of identities: DKIM, MAIL FROM, feedback forwarding and policies. */
import {
  findIdentity,
  getEmailIdentity,
  putEmailIdentityDkimAttributes,
  putEmailIdentityFeedbackAttributes,
  putEmailIdentityMailFromAttributes,
} from '../identities.ts';
import { putPolicy } from '../identity-policies.ts';
import type { ActionOutput } from '../types.ts';
import { action } from './action.ts';
import { eachIdentity } from './verification.ts';
import { toV1, toV2 } from './words.ts';

type MailFrom = NonNullable<
  ActionOutput<'GetIdentityMailFromDomainAttributes'>['MailFromDomainAttributes']
>[string];

export const setIdentityDkimEnabled = action(
  'SetIdentityDkimEnabled',
  'manage',
  async ({ Identity: EmailIdentity, DkimEnabled: SigningEnabled }, call) => {
    await putEmailIdentityDkimAttributes.handle({ EmailIdentity, SigningEnabled }, call);
    return {};
  },
);

export const setIdentityFeedbackForwardingEnabled = action(
  'SetIdentityFeedbackForwardingEnabled',
  'manage',
  async ({ Identity: EmailIdentity, ForwardingEnabled: EmailForwardingEnabled }, call) => {
    await putEmailIdentityFeedbackAttributes.handle({ EmailIdentity, EmailForwardingEnabled }, call);
    return {};
  },
);

export const setIdentityMailFromDomain = action(
  'SetIdentityMailFromDomain',
  'manage',
  async ({ Identity: EmailIdentity, MailFromDomain, BehaviorOnMXFailure: behavior }, call) => {
    const BehaviorOnMxFailure = behavior && toV2<'USE_DEFAULT_VALUE' | 'REJECT_MESSAGE'>(behavior);
    const request = { EmailIdentity, MailFromDomain, BehaviorOnMxFailure };
    await putEmailIdentityMailFromAttributes.handle(request, call);
    return {};
  },
);

/** Identities without a MAIL FROM domain are left out. */
export const getIdentityMailFromDomainAttributes = action(
  'GetIdentityMailFromDomainAttributes',
  'use',
  async ({ Identities }, call) => {
    const all = await eachIdentity(Identities, call, async ({ name }): Promise<MailFrom | undefined> => {
      const { MailFromAttributes: from } = await getEmailIdentity.handle({ EmailIdentity: name }, call);
      return (
        from && {
          MailFromDomain: from.MailFromDomain,
          MailFromDomainStatus: toV1<NonNullable<MailFrom['MailFromDomainStatus']>>(
            from.MailFromDomainStatus!,
          ),
          BehaviorOnMXFailure: toV1<NonNullable<MailFrom['BehaviorOnMXFailure']>>(from.BehaviorOnMxFailure!),
        }
      );
    });
    const entries = Object.entries(all).filter((one): one is [string, MailFrom] => one[1] !== undefined);
    return { MailFromDomainAttributes: Object.fromEntries(entries) };
  },
);

export const listIdentityPolicies = action(
  'ListIdentityPolicies',
  'use',
  async ({ Identity: EmailIdentity }, call) => {
    const { Policies = {} } = await getEmailIdentity.handle({ EmailIdentity }, call);
    return { PolicyNames: Object.keys(Policies).sort() };
  },
);

export const getIdentityPolicies = action(
  'GetIdentityPolicies',
  'use',
  async ({ Identity: EmailIdentity, PolicyNames }, call) => {
    const { Policies = {} } = await getEmailIdentity.handle({ EmailIdentity }, call);
    const wanted = PolicyNames.filter((name) => Object.hasOwn(Policies, name));
    return { Policies: Object.fromEntries(wanted.map((name) => [name, Policies[name]!])) };
  },
);

/** Replaces one of that name. */
export const putIdentityPolicy = action(
  'PutIdentityPolicy',
  'manage',
  ({ Identity, PolicyName, Policy }, call) => putPolicy(Identity, { name: PolicyName, text: Policy }, call),
);

/** As in SES, one that does not exist is no failure. */
export const deleteIdentityPolicy = action(
  'DeleteIdentityPolicy',
  'manage',
  async ({ Identity: EmailIdentity, PolicyName }, call) => {
    const { name, tenant } = await findIdentity(EmailIdentity, call);
    await call.deps.control.identityPolicies.remove({ name, tenant }, PolicyName);
    return {};
  },
);
