/**
 * The stored sending authorisation policies of identities: a document for each identity that has any. The identity itself
 * says that it has (`policed`), so that mail with any other identity reads nothing here.
 */
import { PosternError } from '../errors.ts';
import type { DocumentCache } from './document-cache.ts';
import { readSendingPolicy, type SendingPolicy } from './sending-policy.ts';

export interface StoredIdentityPolicies {
  /** Tenant of the identity: those of a former owner are nothing to a later one. */
  owner: string;
  /** Texts by name. */
  policies: Record<string, string>;
}

/** The identity whose policies are meant. */
interface PolicedIdentity {
  name: string;
  tenant: string;
}

export interface IdentityPolicies {
  /** Texts by name. */
  of(identity: PolicedIdentity): Promise<Readonly<Record<string, string>>>;
  /** The same, read. @param account twelve digits. @throws `invalid_policy` for one that only a newer version reads. */
  read(identity: PolicedIdentity, account: string): Promise<readonly SendingPolicy[]>;
  /**
   * Stores a policy, in force everywhere within a second.
   * @param exists whether it must be there, or must not; absent: either. @throws `invalid_policy`, `bad_request` for its
   * name, `already_exists`, `not_found`, `limit_exceeded`.
   */
  put(
    identity: PolicedIdentity,
    policy: { name: string; text: string; exists?: boolean },
    account: string,
  ): Promise<void>;
  /** @returns whether it existed. */
  remove(identity: PolicedIdentity, name: string): Promise<boolean>;
}

/** SES: policies of an identity. */
const MOST = 20;
/** SES: "alphanumeric characters, dashes, and underscores". */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export function openIdentityPolicies(
  cache: DocumentCache<StoredIdentityPolicies>,
  /** Says in the identity that it has policies. */
  mark: (identity: string) => Promise<unknown>,
): IdentityPolicies {
  const opened = new WeakMap<StoredIdentityPolicies, readonly SendingPolicy[]>();

  async function stored({ name, tenant }: PolicedIdentity): Promise<StoredIdentityPolicies | undefined> {
    const found = await cache.get(name);
    return found?.owner === tenant ? found : undefined;
  }

  async function change(
    { name, tenant }: PolicedIdentity,
    by: (policies: Record<string, string>) => Record<string, string>,
  ): Promise<void> {
    const none = { owner: tenant, policies: {} };
    await cache.update(
      name,
      ({ owner, policies }) => ({ owner: tenant, policies: by(owner === tenant ? policies : {}) }),
      none,
    );
  }

  return {
    of: async (identity) => (await stored(identity))?.policies ?? {},

    async read(identity, account) {
      const found = await stored(identity);
      if (!found) return [];
      let policies = opened.get(found);
      if (!policies) {
        policies = Object.values(found.policies).map((text) =>
          readSendingPolicy(text, identity.name, account),
        );
        opened.set(found, policies);
      }
      return policies;
    },

    async put(identity, { name, text, exists }, account) {
      checkPolicyName(name);
      readSendingPolicy(text, identity.name, account);
      await change(identity, (policies) => {
        const isThere = Object.hasOwn(policies, name);
        if (exists === true && !isThere) throw noPolicy(name);
        if (exists === false && isThere)
          throw new PosternError('already_exists', `Policy <${name}> already exists`);
        if (!isThere && Object.keys(policies).length >= MOST)
          throw new PosternError(
            'limit_exceeded',
            `Number of policies for <${identity.name}> exceeds max allowed number of policies per resource`,
          );
        return { ...policies, [name]: text };
      });
      await mark(identity.name);
    },

    async remove(identity, name) {
      if (!Object.hasOwn(await this.of(identity), name)) return false;
      await change(identity, (policies) =>
        Object.fromEntries(Object.entries(policies).filter(([one]) => one !== name)),
      );
      return true;
    },
  };
}

/** @throws PosternError `bad_request` in SES's words. */
function checkPolicyName(name: string): void {
  if (name.trim() === '') throw new PosternError('bad_request', 'PolicyName is required.');
  if (NAME.test(name)) return;
  throw new PosternError(
    'bad_request',
    'PolicyName is invalid. Policy names must only include alpha-numeric characters, dashes, and underscores.',
  );
}

/** In the words of SES. */
export function noPolicy(name: string): PosternError {
  return new PosternError('not_found', `Policy <${name}> does not exist`);
}
