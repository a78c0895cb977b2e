/**
 * Sending identities: which senders a From may name, and with which keys their mail is signed.
 *
 * A name belongs to one tenant. A domain is proven by its DKIM records (proof.ts). An address has no DNS of its own: it
 * is verified while a verified domain of the same tenant covers it, or once its owner has confirmed it by the link of a
 * verification mail. A domain that another tenant has verified goes before such a confirmation.
 */
import { PosternError } from '../errors.ts';
import type { SigningKey } from '../mail/types.ts';
import type { Clock } from '../time.ts';
import type { DocumentCache } from './document-cache.ts';
import type { DocumentIndex } from './document-index.ts';
import type { EasyDkimKeys } from './easy-dkim.ts';
import { type NewKeys, newKeys, openSigningKeys, type StoredIdentity } from './identity-store.ts';
import { mailFromRecords, newMailFrom } from './mail-from.ts';
import { checkName, normaliseIdentity, shorten } from './names.ts';
import { openProofChecks, type ProofDns } from './proof-checks.ts';
import type { Quota } from './quotas.ts';
import type { Tenants } from './tenants.ts';
import type { Control, DnsRecord, Identity, KeySource, KeyTurns, Page, Recheck } from './types.ts';
import type { Vault } from './vault.ts';

export interface IdentityOptions {
  vault: Vault;
  clock: Clock;
  dns: ProofDns;
  /** Whether an identity needs DNS proof before it may send. */
  verifyIdentities: boolean;
  /** Whether an Ed25519 key is made beside each RSA key. */
  ed25519: boolean;
  /** Easy DKIM with a zone of the operator's; absent: the keys are published by the operators of the domains. */
  easy?: EasyDkimKeys;
  index: DocumentIndex<StoredIdentity, object>;
  quota: Quota;
  /** Makes the tenant that an identity is the first of. */
  tenants: Pick<Tenants, 'ensure'>;
  /** Documents with the policies of identities, by name. */
  policies: Pick<DocumentCache<object>, 'delete'>;
}

/** The keys of an address: none, because its domain signs. */
const NO_KEYS = {
  keys: [],
  dkim: { origin: 'AWS_SES', tokens: [], status: 'NOT_STARTED', records: [] },
} satisfies NewKeys;

type Identities = Control['identities'];

/** The list of an identity: its tenant's. */
export function rowsOfIdentity({ identity: { tenant, name } }: StoredIdentity): Record<string, object> {
  return { [`${tenant}/${name}`]: {} };
}

export function openIdentities(cache: DocumentCache<StoredIdentity>, options: IdentityOptions): Identities {
  return new StoredIdentities(cache, options);
}

class StoredIdentities implements Identities {
  readonly #cache: DocumentCache<StoredIdentity>;
  readonly #options: IdentityOptions;
  readonly #checks: ReturnType<typeof openProofChecks>;
  /** Opened keys by stored document; a changed document is another object, so cached keys are never stale. */
  readonly #opened = new WeakMap<StoredIdentity, SigningKey[]>();

  constructor(cache: DocumentCache<StoredIdentity>, options: IdentityOptions) {
    this.#cache = cache;
    this.#options = options;
    this.#checks = openProofChecks(cache, options);
  }

  async find(name: string): Promise<Identity | undefined> {
    const found = await this.#stored(name);
    return found && this.#show(found);
  }

  async forSender(address: string, tenant: string): Promise<Identity | undefined> {
    // One batch: the address, its domain and the parents.
    const [exact, ...domains] = await this.#cache.getAll([address, ...parentsOf(domainPart(address))]);
    const nearest = this.#nearest(domains);
    if (exact?.identity.type === 'EMAIL_ADDRESS' && exact.identity.tenant === tenant) {
      const identity = this.#shown(exact, nearest);
      if (identity.verified) return identity;
    }
    return nearest?.identity.tenant === tenant ? this.#shown(nearest, nearest) : undefined;
  }

  async covering(address: string): Promise<Identity[]> {
    const [exact, ...domains] = await this.#cache.getAll([address, ...parentsOf(domainPart(address))]);
    const nearest = this.#nearest(domains);
    const stored = exact?.identity.type === 'EMAIL_ADDRESS' ? [exact, nearest] : [nearest];
    const shown = stored.flatMap((one) => (one ? [this.#shown(one, nearest)] : []));
    return shown.filter(({ verified }) => verified);
  }

  async haveAny(domains: readonly string[]): Promise<boolean> {
    return (await this.#cache.getAll(domains)).some((found) => found !== undefined);
  }

  async list(tenant?: string, page?: Page): Promise<Identity[]> {
    if (tenant === undefined) return this.#showAll(await this.#cache.list(page));
    const rows = await this.#options.index.list(tenant, page);
    const stored = await this.#cache.getAll(rows.map(({ key }) => key));
    return this.#showAll(stored.filter((one) => one?.identity.tenant === tenant));
  }

  async create(input: Parameters<Identities['create']>[0]): Promise<Identity> {
    const { tenant, configurationSet, tags, byo, keyLength } = input;
    checkName('tenant', tenant);
    const { name, type } = normaliseIdentity(input.name);
    // Checked before a key is made, which takes a processor a tenth of a second; the store decides.
    if (await this.#cache.get(name)) {
      throw new PosternError('already_exists', `Email identity ${name} already exist.`);
    }
    if (byo && type === 'EMAIL_ADDRESS') throw signsWithDomain(name);
    const { quota, index, tenants } = this.#options;
    await tenants.ensure(tenant);
    const count = () => index.count(tenant);
    return quota.within(tenant, count, async () => {
      const createdAt = this.#options.clock.now();
      const made: NewKeys =
        type === 'DOMAIN' ? await this.#newKeys(name, byo ? { byo } : { keyLength }) : NO_KEYS;
      const identity: Identity = {
        name,
        type,
        tenant,
        verified: false,
        createdAt,
        configurationSet,
        dkim: { signingEnabled: true, ...structuredClone(made.dkim) },
        feedbackForwarding: true,
        tags,
      };
      const stored: StoredIdentity = { identity, keys: [...made.keys], easy: made.easy };
      const create = () => this.#cache.create(name, stored, `Email identity ${name}`);
      return this.#show(await index.around(stored, create));
    });
  }

  update(name: string, by: (identity: Identity) => Identity): Promise<Identity> {
    return this.#change(name, ({ identity, ...rest }) => {
      // Names, owner, proof and keys are changed by other methods.
      const { type, tenant, createdAt, verified, dkim } = identity;
      const changed = by(structuredClone(identity));
      const { signingEnabled } = changed.dkim;
      const fixed = { name: identity.name, type, tenant, createdAt, verified };
      return { ...rest, identity: { ...changed, ...fixed, dkim: { ...dkim, signingEnabled } } };
    });
  }

  records({ dkim, mailFromDomain }: Identity): DnsRecord[] {
    if (mailFromDomain === undefined) return dkim.records;
    return [...dkim.records, ...mailFromRecords(mailFromDomain, this.#options.dns.bounces)];
  }

  async delete(name: string): Promise<boolean> {
    const found = await this.#stored(name);
    if (!found) return false;
    const existed = await this.#cache.delete(found.identity.name);
    await this.#options.index.remove(found.identity.name, found);
    if (found.identity.policed) await this.#options.policies.delete(found.identity.name);
    return existed;
  }

  async signingKeys(identity: Identity): Promise<SigningKey[]> {
    const { vault, verifyIdentities } = this.#options;
    const signer =
      identity.type === 'DOMAIN'
        ? await this.#cache.get(identity.name)
        : await this.#domainOf(domainPart(identity.name), identity.tenant);
    if (!signer || !identity.dkim.signingEnabled || !signer.identity.dkim.signingEnabled) return [];
    let keys = this.#opened.get(signer);
    if (!keys) {
      keys = openSigningKeys(signer, vault, verifyIdentities);
      this.#opened.set(signer, keys);
    }
    return keys;
  }

  async setSigning(name: string, source: KeySource): Promise<Identity> {
    const { identity } = await this.#existing(name);
    if (identity.type === 'EMAIL_ADDRESS') throw signsWithDomain(identity.name);
    const again = (stored: StoredIdentity) =>
      'byo' in source ? undefined : this.#askedAgain(stored, source);
    // Keys are made before the change, which may run twice; the store decides whether they are wanted.
    const isKept = again(await this.#existing(name)) !== undefined;
    const made = isKept ? undefined : await this.#newKeys(identity.name, source);
    const changed = await this.#change(name, (now) => (made ? replaced(now, made) : (again(now) ?? now)));
    if (await this.#options.easy?.prepare(identity.name)) return this.#show(await this.#existing(name));
    return changed;
  }

  async confirm({ name, createdAt }: Pick<Identity, 'name' | 'createdAt'>): Promise<boolean> {
    let confirmed = false;
    await this.#cache.update(name, (now) => {
      // Another identity may have the name by now: the link was for the one before.
      confirmed = now.identity.type === 'EMAIL_ADDRESS' && now.identity.createdAt === createdAt;
      return confirmed ? { ...now, identity: { ...now.identity, verified: true } } : now;
    });
    return confirmed;
  }

  async check(name: string): Promise<Identity> {
    const { identity } = await this.#existing(name);
    if (identity.type === 'DOMAIN') await this.#checks.check(identity.name);
    else {
      const own = await this.#cache.get(domainPart(identity.name));
      if (own?.identity.tenant === identity.tenant) await this.#checks.check(own.identity.name);
      await this.#checks.check(identity.name);
    }
    return this.#show(await this.#existing(name));
  }

  async recheck(): Promise<Recheck> {
    if (this.#options.verifyIdentities) return this.#checks.recheck();
    return { checked: 0, lost: [], regained: [], turned: [], unanswered: 0 };
  }

  async turnKeys(): Promise<KeyTurns> {
    return (await this.#options.easy?.turn()) ?? { prepared: [], overdue: [], collected: 0 };
  }

  /** The stored identity under a name in a caller's spelling. */
  async #stored(name: string): Promise<StoredIdentity | undefined> {
    let canonical: string;
    try {
      canonical = normaliseIdentity(name).name;
    } catch {
      return undefined;
    }
    return this.#cache.get(canonical);
  }

  async #existing(name: string): Promise<StoredIdentity> {
    const found = await this.#stored(name);
    if (found) return found;
    throw new PosternError('not_found', `Email identity ${shorten(name)} does not exist.`);
  }

  /**
   * The nearest verified domain that covers `domain`: itself or a parent (SES: a verified domain covers its
   * subdomains). A verified domain of another tenant on the way ends the search: the names below it belong to that
   * tenant.
   */
  async #domainOf(domain: string, tenant: string): Promise<StoredIdentity | undefined> {
    const nearest = this.#nearest(await this.#cache.getAll(parentsOf(domain)));
    return nearest?.identity.tenant === tenant ? nearest : undefined;
  }

  /** The nearest verified domain, of whichever tenant. @param stored those of a domain and its parents, the nearest first. */
  #nearest(stored: readonly (StoredIdentity | undefined)[]): StoredIdentity | undefined {
    return stored.find((one) => one && (one.identity.verified || !this.#options.verifyIdentities));
  }

  /** The identity as callers see it. */
  async #show(stored: StoredIdentity): Promise<Identity> {
    const { type, name } = stored.identity;
    if (type === 'DOMAIN' || !this.#options.verifyIdentities) return this.#shown(stored, undefined);
    return this.#shown(stored, this.#nearest(await this.#cache.getAll(parentsOf(domainPart(name)))));
  }

  #showAll(stored: readonly (StoredIdentity | undefined)[]): Promise<Identity[]> {
    return Promise.all(stored.flatMap((one) => (one ? [this.#show(one)] : [])));
  }

  /** @param nearest the nearest verified domain above an address, of whichever tenant. */
  #shown({ identity }: StoredIdentity, nearest: StoredIdentity | undefined): Identity {
    const { dkim, verified } = identity;
    if (!this.#options.verifyIdentities) return withoutProof(identity);
    if (identity.type === 'EMAIL_ADDRESS') {
      const isCovered = nearest !== undefined && nearest.identity.tenant === identity.tenant;
      return { ...identity, verified: isCovered || (verified && nearest === undefined) };
    }
    // Created while no proof was required, and never proven.
    if (verified || dkim.status !== 'SUCCESS') return identity;
    return { ...identity, dkim: { ...dkim, status: 'PENDING' } };
  }

  async #change(name: string, by: (stored: StoredIdentity) => StoredIdentity): Promise<Identity> {
    const { identity } = await this.#existing(name);
    const changed = await this.#cache.update(identity.name, by);
    return this.#show(changed ?? (await this.#existing(name)));
  }

  #newKeys(domain: string, source: KeySource): Promise<NewKeys> {
    const { easy, clock } = this.#options;
    if (easy && !('byo' in source)) return easy.make(domain, source.keyLength);
    return newKeys(domain, source, { ...this.#options, now: clock.now() });
  }

  /** The identity, when it has the keys already that are asked for; undefined: it needs others. */
  #askedAgain(
    stored: StoredIdentity,
    { keyLength, anew }: Exclude<KeySource, { byo: object }>,
  ): StoredIdentity | undefined {
    const { easy, clock } = this.#options;
    if (easy) return easy.askedAgain(stored, keyLength, anew === true);
    const { identity } = stored;
    const { origin, keyLength: present, status } = identity.dkim;
    if (origin !== 'AWS_SES' || anew || (keyLength ?? present) !== present) return undefined;
    const isRetried = status === 'FAILED' && !identity.verified;
    const dkim = { ...identity.dkim, ...(isRetried && { status: 'PENDING' as const }) };
    return { ...stored, askedAt: clock.now(), identity: { ...identity, dkim } };
  }
}

/** With keys of another source: what is proven signs until they are found. */
function replaced(stored: StoredIdentity, made: NewKeys): StoredIdentity {
  const { identity, easy } = stored;
  const proven = stored.keys.filter((key) => key.proven);
  const isKept = proven.some(({ selector }) => easy?.tokens.includes(selector));
  return {
    ...stored,
    identity: { ...identity, dkim: { signingEnabled: identity.dkim.signingEnabled, ...made.dkim } },
    keys: [...proven, ...made.keys],
    easy: made.easy ?? (isKept && easy ? { ...easy, standby: undefined } : undefined),
  };
}

/** An identity where no proof is required: it sends, and its MAIL FROM domain is used, from the first. */
function withoutProof(identity: Identity): Identity {
  const { mailFromDomain, mailFrom, verified } = identity;
  if (mailFromDomain === undefined || mailFrom?.status === 'SUCCESS')
    return verified ? identity : { ...identity, verified: true };
  const used = {
    ...(mailFrom ?? newMailFrom('USE_DEFAULT_VALUE', identity.createdAt)),
    status: 'SUCCESS' as const,
  };
  return { ...identity, verified: true, mailFrom: used };
}

/** Domain of an address as lower case A-label, the form of a parsed address. */
function domainPart(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

/**
 * A domain and its parents, the nearest first, without the top-level domain: identities are below one
 * (`normaliseIdentity`).
 */
function parentsOf(domain: string): string[] {
  const labels = domain.split('.');
  return labels.slice(0, -1).map((_, at) => labels.slice(at).join('.'));
}

function signsWithDomain(name: string): PosternError {
  return new PosternError(
    'bad_request',
    `${name} is an address: its mail is signed with the keys of its domain. Create the identity ${domainPart(name)}.`,
  );
}
