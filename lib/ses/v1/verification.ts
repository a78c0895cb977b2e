/**
 * Verification of identities. A domain is proven by its DKIM records alone; the token of `VerifyDomainIdentity` is
 * stable and proves nothing by itself, so who publishes it must publish those of `VerifyDomainDkim`, too.
 */
import { createHash } from 'node:crypto';
import type { Identity, Page } from '../../control/types.ts';
import { PosternError } from '../../errors.ts';
import { createEmailIdentity, deleteEmailIdentity, findIdentity, getEmailIdentity } from '../identities.ts';
import type { Call } from '../operation.ts';
import { pageOf } from '../pages.ts';
import type { ActionOutput } from '../types.ts';
import { action } from './action.ts';
import { toV1 } from './words.ts';

type V1Status = NonNullable<
  NonNullable<ActionOutput<'GetIdentityVerificationAttributes'>['VerificationAttributes']>[string]
>['VerificationStatus'];

/** Identities that one call may ask about (SES: 100). */
const MAX_IDENTITIES = 100;

/** The identity, which is made if it is not there. */
async function verified(name: string, call: Call): Promise<Identity> {
  const known = await ownIdentity(name, call);
  if (known) return known;
  await createEmailIdentity.handle({ EmailIdentity: name }, call);
  return findIdentity(name, call);
}

/** An identity that the caller may see; undefined when there is none. */
export async function ownIdentity(name: string, call: Call): Promise<Identity | undefined> {
  try {
    return await findIdentity(name, call);
  } catch (error) {
    if (error instanceof PosternError && error.code === 'not_found') return undefined;
    throw error;
  }
}

function requireDomain(name: string): void {
  if (!name.includes('@')) return;
  throw new PosternError(
    'bad_request',
    `${JSON.stringify(name.slice(0, 320))} is an address, and not a domain.`,
  );
}

function requireAddress(name: string): void {
  if (name.includes('@')) return;
  throw new PosternError('bad_request', "Missing final '@domain'");
}

function verificationToken({ name, createdAt }: Identity): string {
  return createHash('sha256').update(`${name}/${createdAt}`).digest('base64');
}

export const verifyDomainIdentity = action('VerifyDomainIdentity', 'manage', async ({ Domain }, call) => {
  requireDomain(Domain);
  return { VerificationToken: verificationToken(await verified(Domain, call)) };
});

export const verifyDomainDkim = action('VerifyDomainDkim', 'manage', async ({ Domain }, call) => {
  requireDomain(Domain);
  return { DkimTokens: (await verified(Domain, call)).dkim.tokens };
});

export const verifyEmailIdentity = action('VerifyEmailIdentity', 'manage', async ({ EmailAddress }, call) => {
  requireAddress(EmailAddress);
  await verified(EmailAddress, call);
  return {};
});

export const verifyEmailAddress = action('VerifyEmailAddress', 'manage', async ({ EmailAddress }, call) => {
  requireAddress(EmailAddress);
  await verified(EmailAddress, call);
  return {};
});

/** As in SES, an identity that is not there is deleted, too. */
async function removed(name: string, call: Call): Promise<Record<string, never>> {
  if (await ownIdentity(name, call)) await deleteEmailIdentity.handle({ EmailIdentity: name }, call);
  return {};
}

export const deleteIdentity = action('DeleteIdentity', 'manage', ({ Identity: name }, call) =>
  removed(name, call),
);

export const deleteVerifiedEmailAddress = action(
  'DeleteVerifiedEmailAddress',
  'manage',
  ({ EmailAddress }, call) => removed(EmailAddress, call),
);

function listed({ deps, caller }: Call, from?: Page): Promise<Identity[]> {
  return deps.control.identities.list(caller.admin ? undefined : caller.tenant, from);
}

export const listIdentities = action(
  'ListIdentities',
  'use',
  async ({ IdentityType, NextToken, MaxItems }, call) => {
    const type = IdentityType && (IdentityType === 'Domain' ? 'DOMAIN' : 'EMAIL_ADDRESS');
    const { items, ...rest } = await pageOf(
      (from) => listed(call, from),
      { PageSize: MaxItems, NextToken },
      type && ((one) => one.type === type),
    );
    return { Identities: items.map(({ name }) => name), ...rest };
  },
);

export const listVerifiedEmailAddresses = action(
  'ListVerifiedEmailAddresses',
  'use',
  async (_input, call) => ({
    VerifiedEmailAddresses: (await listed(call))
      .filter((one) => one.type === 'EMAIL_ADDRESS' && one.verified)
      .map(({ name }) => name),
  }),
);

/** Facts by identity, for those that exist. @throws PosternError `bad_request` for too many. */
export async function eachIdentity<T>(
  names: string[],
  call: Call,
  of: (identity: Identity) => T | Promise<T>,
): Promise<Record<string, T>> {
  if (names.length > MAX_IDENTITIES)
    throw new PosternError('bad_request', `A call may name ${MAX_IDENTITIES} identities at most.`);
  const facts = await Promise.all(
    [...new Set(names)].map(async (name) => {
      const identity = await ownIdentity(name, call);
      return identity && ([name, await of(identity)] as const);
    }),
  );
  return Object.fromEntries(facts.filter((one) => one !== undefined));
}

/** As in SES v2, each look at an identity that is not verified looks its records up. */
function seen(name: string, call: Call) {
  return getEmailIdentity.handle({ EmailIdentity: name }, call);
}

export const getIdentityVerificationAttributes = action(
  'GetIdentityVerificationAttributes',
  'use',
  async ({ Identities }, call) => ({
    VerificationAttributes: await eachIdentity(Identities, call, async (identity) => {
      const { VerificationStatus } = await seen(identity.name, call);
      return {
        VerificationStatus: toV1<V1Status & string>(VerificationStatus!),
        VerificationToken: identity.type === 'DOMAIN' ? verificationToken(identity) : undefined,
      };
    }),
  }),
);

export const getIdentityDkimAttributes = action(
  'GetIdentityDkimAttributes',
  'use',
  async ({ Identities }, call) => ({
    DkimAttributes: await eachIdentity(Identities, call, async (identity) => {
      const { DkimAttributes: dkim } = await seen(identity.name, call);
      return {
        DkimEnabled: dkim!.SigningEnabled,
        DkimVerificationStatus: toV1<V1Status & string>(dkim!.Status!),
        DkimTokens: dkim!.Tokens,
      };
    }),
  }),
);
