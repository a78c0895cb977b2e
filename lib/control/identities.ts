/**
 * Sending identities: which senders a From may name, and with which keys their mail is signed.
 *
 * A name belongs to one tenant. A domain is proven by its DKIM records (proof.ts). An address has no DNS of its own
 * and Postern mails no confirmation links: it is verified while a verified domain of the same tenant covers it, and
 * exists to give single addresses their own settings.
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
import type { Control, Identity, Recheck } from './types.ts';
import type { Vault } from './vault.ts';

export interface IdentityOptions {
  vault: Vault;
  clock: Clock;
  resolveTxt: ResolveTxt;
  /** Whether an identity needs DNS proof before it may send. */
  verifyIdentities: boolean;
  /** Whether an Ed25519 key is made beside each RSA key. */
  ed25519: boolean;
  limit: number;
}

/** The keys of an address: none, because its domain signs. */
const NO_KEYS = {
  keys: [],
  dkim: { origin: 'AWS_SES', tokens: [], status: 'NOT_STARTED', records: [] },
} satisfies Awaited<ReturnType<typeof newKeys>>;

type Identities = Control['identities'];

export function openIdentities(cache: DocumentCache<StoredIdentity>, options: IdentityOptions): Identities {
  for (const { identity, keys } of cache.all()) {
    for (const { sealedPrivateKey, selector } of keys) {
      options.vault.expectOwn(sealedPrivateKey, sealContext(identity.name, selector));
    }
  }
  return new StoredIdentities(cache, options);
}

class StoredIdentities implements Identities {
  readonly #cache: DocumentCache<StoredIdentity>;
  readonly #options: IdentityOptions;
  readonly #checks: ReturnType<typeof openProofChecks>;
  readonly #quota: Quota;
  /** Opened keys by stored document; a changed document is another object, so cached keys are never stale. */
  readonly #opened = new WeakMap<StoredIdentity, SigningKey[]>();

  constructor(cache: DocumentCache<StoredIdentity>, options: IdentityOptions) {
    this.#cache = cache;
    this.#options = options;
    this.#checks = openProofChecks(cache, options);
    this.#quota = new Quota('identities', options.limit);
  }

  find(name: string): Identity | undefined {
    const found = this.#stored(name);
    return found && this.#show(found);
  }

  forSender(address: string, tenant: string): Identity | undefined {
    const exact = this.#cache.get(address);
    if (exact?.identity.type === 'EMAIL_ADDRESS' && exact.identity.tenant === tenant) {
      const identity = this.#show(exact);
      if (identity.verified) return identity;
    }
    const domain = this.#domainOf(domainPart(address), tenant);
    return domain && this.#show(domain);
  }

  list(tenant?: string): Identity[] {
    const all = this.#cache.all();
    const own = tenant === undefined ? all : all.filter((one) => one.identity.tenant === tenant);
    return own.map((one) => this.#show(one));
  }

  async create(input: Parameters<Identities['create']>[0]): Promise<Identity> {
    const { tenant, configurationSet, tags, byo, keyLength = 'RSA_2048_BIT' } = input;
    checkName('tenant', tenant);
    const { name, type } = normaliseIdentity(input.name);
    // Checked before a key is made, which takes a processor a tenth of a second; the store decides.
    if (this.#cache.get(name)) {
      throw new PosternError('already_exists', `Email identity ${name} already exist.`);
    }
    if (byo && type === 'EMAIL_ADDRESS') throw signsWithDomain(name);
    const used = countOf(
      this.#cache.all().map((one) => one.identity),
      tenant,
    );
    return this.#quota.within(tenant, used, async () => {
      const createdAt = this.#options.clock.now();
      const { keys, dkim } =
        type === 'DOMAIN' ? await this.#newKeys(name, byo ? { byo } : { keyLength }, createdAt) : NO_KEYS;
      const identity: Identity = {
        name,
        type,
        tenant,
        verified: false,
        createdAt,
        configurationSet,
        dkim: { signingEnabled: true, ...structuredClone(dkim) },
        feedbackForwarding: true,
        tags,
      };
      return this.#show(
        await this.#cache.create(name, { identity, keys: [...keys] }, `Email identity ${name}`),
      );
    });
  }

  update(name: string, by: (identity: Identity) => Identity): Promise<Identity> {
    return this.#change(name, ({ identity, keys, proof }) => {
      // Names, owner, proof and keys are changed by other methods.
      const { type, tenant, createdAt, verified, dkim } = identity;
      const changed = by(structuredClone(identity));
      const { signingEnabled } = changed.dkim;
      const fixed = { name: identity.name, type, tenant, createdAt, verified };
      return { identity: { ...changed, ...fixed, dkim: { ...dkim, signingEnabled } }, keys, proof };
    });
  }

  async delete(name: string): Promise<boolean> {
    const found = this.#stored(name);
    return found ? this.#cache.delete(found.identity.name) : false;
  }

  signingKeys(identity: Identity): SigningKey[] {
    const { vault, verifyIdentities } = this.#options;
    const signer =
      identity.type === 'DOMAIN'
        ? this.#cache.get(identity.name)
        : this.#domainOf(domainPart(identity.name), identity.tenant);
    if (!signer || !identity.dkim.signingEnabled || !signer.identity.dkim.signingEnabled) return [];
    let keys = this.#opened.get(signer);
    if (!keys) {
      keys = openSigningKeys(signer, vault, verifyIdentities);
      this.#opened.set(signer, keys);
    }
    return keys;
  }

  async setSigning(name: string, source: KeySource): Promise<Identity> {
    const { identity } = this.#existing(name);
    if (identity.type === 'EMAIL_ADDRESS') throw signsWithDomain(identity.name);
    const made = await this.#newKeys(identity.name, source, this.#options.clock.now());
    return this.#change(name, (now) => ({
      identity: {
        ...now.identity,
        dkim: { signingEnabled: now.identity.dkim.signingEnabled, ...made.dkim },
      },
      keys: [...now.keys.filter((key) => key.proven), ...made.keys],
      proof: now.proof,
    }));
  }

  async check(name: string): Promise<Identity> {
    const { identity } = this.#existing(name);
    if (identity.type === 'DOMAIN') await this.#checks.check(identity.name);
    else {
      const own = this.#cache.get(domainPart(identity.name));
      if (own?.identity.tenant === identity.tenant) await this.#checks.check(own.identity.name);
    }
    return this.#show(this.#existing(name));
  }

  async recheck(): Promise<Recheck> {
    if (this.#options.verifyIdentities) return this.#checks.recheck();
    return { checked: 0, lost: [], regained: [], unanswered: 0 };
  }

  /** The stored identity under a name in a caller's spelling. */
  #stored(name: string): StoredIdentity | undefined {
    const exact = this.#cache.get(name);
    if (exact) return exact;
    try {
      return this.#cache.get(normaliseIdentity(name).name);
    } catch {
      return undefined;
    }
  }

  #existing(name: string): StoredIdentity {
    const found = this.#stored(name);
    if (found) return found;
    throw new PosternError('not_found', `Email identity ${shorten(name)} does not exist.`);
  }

  /**
   * The nearest verified domain that covers `domain`: itself or a parent (SES: a verified domain covers its
   * subdomains). A verified domain of another tenant on the way ends the search: the names below it belong to that
   * tenant.
   */
  #domainOf(domain: string, tenant: string): StoredIdentity | undefined {
    for (let name = domain; ; ) {
      const found = this.#cache.get(name);
      if (found && (found.identity.verified || !this.#options.verifyIdentities)) {
        return found.identity.tenant === tenant ? found : undefined;
      }
      const dot = name.indexOf('.');
      if (dot < 0) return undefined;
      name = name.slice(dot + 1);
    }
  }

  /** The identity as callers see it. */
  #show({ identity }: StoredIdentity): Identity {
    const { dkim, verified } = identity;
    if (!this.#options.verifyIdentities) return verified ? identity : { ...identity, verified: true };
    if (identity.type === 'EMAIL_ADDRESS') {
      const domain = this.#domainOf(domainPart(identity.name), identity.tenant);
      return { ...identity, verified: domain !== undefined };
    }
    // Created while no proof was required, and never proven.
    if (verified || dkim.status !== 'SUCCESS') return identity;
    return { ...identity, dkim: { ...dkim, status: 'PENDING' } };
  }

  async #change(name: string, by: (stored: StoredIdentity) => StoredIdentity): Promise<Identity> {
    const changed = await this.#cache.update(this.#existing(name).identity.name, by);
    return this.#show(changed ?? this.#existing(name));
  }

  #newKeys(domain: string, source: KeySource, now: number): ReturnType<typeof newKeys> {
    return newKeys(domain, source, { ...this.#options, now });
  }
}

/** Domain of an address as lower case A-label, the form of a parsed address. */
function domainPart(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

function signsWithDomain(name: string): PosternError {
  return new PosternError(
    'bad_request',
    `${name} is an address: its mail is signed with the keys of its domain. Create the identity ${domainPart(name)}.`,
  );
}
