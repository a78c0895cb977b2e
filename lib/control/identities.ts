/**
 * Sending identities: who may be a From, and with which keys its mail is signed.
 *
 * A name belongs to one tenant. A domain is proven by its DKIM records (proof.ts). An address has no DNS of
 * its own and Postern mails no confirmation links: it is verified while a verified domain of the same tenant
 * covers it, and is there to give single addresses their own settings.
 */
import { PosternError } from '../errors.ts';
import type { SigningKey } from '../mail/types.ts';
import type { Clock } from '../time.ts';
import type { DocumentCache } from './document-cache.ts';
import {
  type KeySource,
  newKeys,
  openSigningKeys,
  type StoredIdentity,
  sealContext,
} from './identity-store.ts';
import { checkName, normaliseIdentity, shorten } from './names.ts';
import type { ResolveTxt } from './proof.ts';
import { openProofChecks } from './proof-checks.ts';
import { countOf, Quota } from './quotas.ts';
import type { Control, Identity } from './types.ts';
import type { Vault } from './vault.ts';

export interface IdentityOptions {
  vault: Vault;
  clock: Clock;
  resolveTxt: ResolveTxt;
  /** Whether DNS proof is needed before sending. */
  verifyIdentities: boolean;
  /** Whether an Ed25519 key is made beside each RSA key. */
  ed25519: boolean;
  limit: number;
}

export function openIdentities(
  cache: DocumentCache<StoredIdentity>,
  options: IdentityOptions,
): Control['identities'] {
  const { vault, clock, resolveTxt, verifyIdentities, ed25519 } = options;
  const checks = openProofChecks(cache, { clock, resolveTxt });
  const quota = new Quota('identities', options.limit);
  /** Opened keys by stored document; a changed document is another object, so they are never stale. */
  const opened = new WeakMap<StoredIdentity, SigningKey[]>();

  for (const { identity, keys } of cache.all()) {
    for (const key of keys) vault.expectOwn(key.sealedPrivateKey, sealContext(identity.name, key.selector));
  }

  /** The stored identity under a name as a caller writes it. */
  function stored(name: string): StoredIdentity | undefined {
    const exact = cache.get(name);
    if (exact) return exact;
    try {
      return cache.get(normaliseIdentity(name).name);
    } catch {
      return undefined;
    }
  }

  function existing(name: string): StoredIdentity {
    const found = stored(name);
    if (found) return found;
    throw new PosternError('not_found', `Email identity ${shorten(name)} does not exist.`);
  }

  /**
   * The nearest verified domain that covers `domain`: itself or a parent (SES: a verified domain covers its
   * subdomains). A verified domain of another tenant on the way ends the search: what is below it is that
   * tenant's name.
   */
  function domainOf(domain: string, tenant: string): StoredIdentity | undefined {
    for (let name = domain; ; ) {
      const found = cache.get(name);
      if (found && (found.identity.verified || !verifyIdentities)) {
        return found.identity.tenant === tenant ? found : undefined;
      }
      const dot = name.indexOf('.');
      if (dot < 0) return undefined;
      name = name.slice(dot + 1);
    }
  }

  /** The identity as callers see it. */
  function show({ identity }: StoredIdentity): Identity {
    if (!verifyIdentities) return identity.verified ? identity : { ...identity, verified: true };
    if (identity.type === 'EMAIL_ADDRESS') {
      const verified = domainOf(domainPart(identity.name), identity.tenant) !== undefined;
      return { ...identity, verified };
    }
    // Made while no proof was asked for, and never proven.
    const { dkim, verified } = identity;
    if (verified || dkim.status !== 'SUCCESS') return identity;
    return { ...identity, dkim: { ...dkim, status: 'PENDING' } };
  }

  async function change(name: string, by: (stored: StoredIdentity) => StoredIdentity): Promise<Identity> {
    const changed = await cache.update(existing(name).identity.name, by);
    return show(changed ?? existing(name));
  }

  async function check(name: string): Promise<Identity> {
    const { identity } = existing(name);
    if (identity.type === 'DOMAIN') await checks.check(identity.name);
    else {
      const own = cache.get(domainPart(identity.name));
      if (own?.identity.tenant === identity.tenant) await checks.check(own.identity.name);
    }
    return show(existing(name));
  }

  return {
    find(name) {
      const found = stored(name);
      return found && show(found);
    },

    forSender(address, tenant) {
      const exact = cache.get(address);
      if (exact?.identity.type === 'EMAIL_ADDRESS' && exact.identity.tenant === tenant) {
        const identity = show(exact);
        if (identity.verified) return identity;
      }
      const domain = domainOf(domainPart(address), tenant);
      return domain && show(domain);
    },

    list(tenant) {
      const all = cache.all();
      return (tenant === undefined ? all : all.filter((one) => one.identity.tenant === tenant)).map(show);
    },

    async create({ name: text, tenant, configurationSet, tags, byo, keyLength = 'RSA_2048_BIT' }) {
      checkName('tenant', tenant);
      const { name, type } = normaliseIdentity(text);
      // Asked before a key is made, which takes a processor a tenth of a second; the store decides.
      if (cache.get(name)) throw new PosternError('already_exists', `Email identity ${name} already exists.`);
      if (byo && type === 'EMAIL_ADDRESS') throw signsWithDomain(name);
      const used = countOf(
        cache.all().map((one) => one.identity),
        tenant,
      );
      return quota.within(tenant, used, async () => {
        const now = clock.now();
        const { keys, dkim } =
          type === 'DOMAIN'
            ? await newKeys(name, byo ? { byo } : { keyLength }, {
                vault,
                ed25519,
                verifyIdentities,
                now,
              })
            : {
                keys: [],
                dkim: { origin: 'AWS_SES', tokens: [], status: 'NOT_STARTED', records: [] } as const,
              };
        const identity: Identity = {
          name,
          type,
          tenant,
          verified: false,
          createdAt: now,
          configurationSet,
          dkim: { signingEnabled: true, ...dkim, tokens: [...dkim.tokens], records: [...dkim.records] },
          feedbackForwarding: true,
          tags,
        };
        return show(await cache.create(name, { identity, keys }, `Email identity ${name}`));
      });
    },

    update(name, by) {
      return change(name, ({ identity, keys, proof }) => {
        // Names, owner, proof and keys have their own ways to change.
        const { type, tenant, createdAt, verified, dkim } = identity;
        const changed = by(structuredClone(identity));
        const signingEnabled = changed.dkim.signingEnabled;
        return {
          identity: {
            ...changed,
            name: identity.name,
            type,
            tenant,
            createdAt,
            verified,
            dkim: { ...dkim, signingEnabled },
          },
          keys,
          proof,
        };
      });
    },

    async delete(name) {
      const found = stored(name);
      return found ? cache.delete(found.identity.name) : false;
    },

    signingKeys(identity) {
      const own = identity.type === 'DOMAIN';
      const signer = own ? cache.get(identity.name) : domainOf(domainPart(identity.name), identity.tenant);
      if (!signer || !identity.dkim.signingEnabled || !signer.identity.dkim.signingEnabled) return [];
      let keys = opened.get(signer);
      if (!keys) {
        keys = openSigningKeys(signer, vault, verifyIdentities);
        opened.set(signer, keys);
      }
      return keys;
    },

    async setSigning(name, source: KeySource) {
      const { identity } = existing(name);
      if (identity.type === 'EMAIL_ADDRESS') throw signsWithDomain(identity.name);
      const made = await newKeys(identity.name, source, {
        vault,
        ed25519,
        verifyIdentities,
        now: clock.now(),
      });
      return change(name, (now) => ({
        identity: {
          ...now.identity,
          dkim: { signingEnabled: now.identity.dkim.signingEnabled, ...made.dkim },
        },
        keys: [...now.keys.filter((key) => key.proven), ...made.keys],
        proof: now.proof,
      }));
    },

    check,
    recheck: () =>
      verifyIdentities
        ? checks.recheck()
        : Promise.resolve({ checked: 0, lost: [], regained: [], unanswered: 0 }),
  };
}

/** Domain of an address as lower case A-label, as the parsed address has it already. */
function domainPart(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

function signsWithDomain(name: string): PosternError {
  return new PosternError(
    'bad_request',
    `${name} is an address: its mail is signed with the keys of its domain. Create the identity ${domainPart(name)}.`,
  );
}
