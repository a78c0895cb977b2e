/**
 * Easy DKIM with a zone of the operator's: a domain publishes three CNAMEs once, and Postern makes, publishes and
 * replaces the keys behind them (dkim-rotation.ts has the rules).
 */
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { type Clock, DAY } from '../time.ts';
import { dkimRecord, keyName, makeRsaKey, newToken } from './dkim-keys.ts';
import { DkimRecords, type DkimZoneOptions } from './dkim-records.ts';
import { isDue, isOverdue, KEPT, nextToken, signingKeyOf, TOKENS, withStandby } from './dkim-rotation.ts';
import type { DocumentCache } from './document-cache.ts';
import {
  DEFAULT_LENGTH,
  type EasyDkim,
  type NewKeys,
  openIdentityCache,
  type StoredIdentity,
  type StoredSigningKey,
  sealedKey,
} from './identity-store.ts';
import type { DnsRecord, KeyLength, KeyTurns } from './types.ts';
import { createVault, type Vault } from './vault.ts';

export interface EasyDkimOptions {
  cache: DocumentCache<StoredIdentity>;
  records: DkimRecords;
  vault: Vault;
  clock: Clock;
  verifyIdentities: boolean;
}

/** Documents read at one time. */
const PAGE = 200;
/** SES: "this can be changed at most once per day". */
const LENGTH_EVERY = DAY;

export class EasyDkimKeys {
  readonly #options: EasyDkimOptions;

  constructor(options: EasyDkimOptions) {
    this.#options = options;
  }

  /**
   * Makes the first key of a domain, and publishes it under three tokens: whichever CNAME a verifier or a check comes
   * by, it leads to a key.
   */
  async make(domain: string, length: KeyLength = DEFAULT_LENGTH): Promise<NewKeys> {
    const { records, vault, clock } = this.#options;
    const now = clock.now();
    const tokens = Array.from({ length: TOKENS }, newToken);
    const made = await makeRsaKey(length, tokens[0]);
    await records.publish(tokens, domain, dkimRecord(domain, made).value);
    const key = sealedKey(domain, made, vault, now);
    const easy = { tokens, slot: 0, since: now, length, nextLength: length };
    return { keys: [key], easy, dkim: this.#shown(domain, easy, key) };
  }

  /**
   * The identity after Easy DKIM was asked for, when it has such keys already: the same tokens and key, shown for the
   * zone of now; another length is for the next key.
   * @returns undefined: it has no such keys. @throws `bad_request` for a second change of the length within a day.
   */
  askedAgain(
    stored: StoredIdentity,
    length: KeyLength | undefined,
    anew: boolean,
  ): StoredIdentity | undefined {
    const { easy, identity, keys } = stored;
    const key = signingKeyOf(stored);
    if (!easy || !key) return undefined;
    const now = this.#options.clock.now();
    const isChanged = length !== undefined && length !== easy.nextLength;
    if (isChanged && easy.lengthSetAt !== undefined && now - easy.lengthSetAt < LENGTH_EVERY)
      throw new PosternError(
        'bad_request',
        `The length of the next DKIM key of ${identity.name} was changed less than a day ago. Change it again tomorrow.`,
      );
    const next = {
      ...easy,
      ...(isChanged && { nextLength: length, lengthSetAt: now }),
      ...(anew && !easy.standby && { unwanted: true as const }),
    };
    const dkim = this.#shown(identity.name, next, key);
    const { signingEnabled, hostedZone, status } = identity.dkim;
    // A proof that stands goes on standing, also where another key was to take over; any other begins anew.
    const isProven = key.proven && identity.verified;
    const stands = hostedZone !== undefined && isProven ? status : isProven ? 'SUCCESS' : this.#unproven;
    return {
      ...stored,
      easy: next,
      askedAt: now,
      identity: { ...identity, dkim: { signingEnabled, ...dkim, status: stands } },
      keys: keys.filter((one) => one === key || one.proven),
    };
  }

  /** Prepares the next key of a domain, when it is due. @returns whether it was. @throws the storage group. */
  async prepare(name: string): Promise<boolean> {
    const { cache, records, vault, clock } = this.#options;
    const stored = await cache.get(name);
    if (!stored?.easy || !isDue(stored, clock.now())) return false;
    const token = nextToken(stored.easy);
    const length = stored.easy.nextLength;
    const made = await makeRsaKey(length, token);
    await records.publish([token], name, dkimRecord(name, made).value);
    const key = sealedKey(name, made, vault, clock.now());
    await cache.update(name, (now) => withStandby(now, key, length));
    return true;
  }

  /**
   * Prepares the keys that are due, and collects what is for nobody.
   * @param until time after which no key is made, since the epoch, ms: the rest are due again at the next call.
   * @throws PosternError of the storage group.
   */
  async turn(until = Number.POSITIVE_INFINITY): Promise<KeyTurns> {
    const { cache, clock } = this.#options;
    const turns: KeyTurns = { prepared: [], overdue: [], collected: 0 };
    for await (const page of pages(
      (from) => cache.list(from),
      ({ identity }) => identity.name,
    )) {
      for (const stored of page) {
        const { name } = stored.identity;
        const now = clock.now();
        if (isOverdue(stored, now)) turns.overdue.push(name);
        await this.#mend(stored);
        if (now < until && isDue(stored, now) && (await this.prepare(name))) turns.prepared.push(name);
      }
    }
    turns.collected = await this.#collect();
    return turns;
  }

  /**
   * Publishes again what is not as it should be: of two processes that prepared one turn at one time, the record may be
   * the one's and the standby the other's.
   */
  async #mend(stored: StoredIdentity): Promise<void> {
    const { name } = stored.identity;
    const key = stored.easy?.standby?.key;
    if (!key || stored.easy?.standby?.seenAt !== undefined) return;
    const { value } = dkimRecord(name, key);
    const { records } = this.#options;
    if ((await records.find(key.selector)) === value) return;
    // The identity as it is now: the standby may have taken its turn meanwhile, or gone.
    const now = (await this.#options.cache.get(name))?.easy?.standby?.key;
    if (now?.publicKey === key.publicKey) await records.publish([key.selector], name, value);
  }

  /**
   * Removes records whose tokens no identity has: of deleted identities, once their mail has arrived, and of calls that
   * did not end. @returns how many.
   */
  async #collect(): Promise<number> {
    const { cache, records, clock } = this.#options;
    let collected = 0;
    for await (const page of pages(
      (from) => records.list(from),
      ({ token }) => token,
    )) {
      const owners = await cache.getAll(page.map(({ identity }) => identity));
      for (const [at, { token, orphanSince }] of page.entries()) {
        const isNamed = owners[at]?.easy?.tokens.includes(token) === true;
        const now = clock.now();
        if (!isNamed && orphanSince !== undefined && now - orphanSince >= KEPT) {
          await records.remove(token);
          collected += 1;
        } else if (isNamed !== (orphanSince === undefined)) {
          const since = isNamed ? undefined : now;
          await records.cache.update(token, (record) => ({ ...record, orphanSince: since }));
        }
      }
    }
    return collected;
  }

  #shown(domain: string, easy: EasyDkim, key: StoredSigningKey): NewKeys['dkim'] {
    const { name: zone } = this.#options.records;
    return {
      origin: 'AWS_SES',
      tokens: [...easy.tokens],
      hostedZone: zone,
      keyLength: easy.length,
      nextKeyLength: easy.nextLength,
      keyMadeAt: (easy.standby?.key ?? key).madeAt,
      status: this.#unproven,
      records: easy.tokens.map((token) => aliasOf(token, domain, zone)),
    };
  }

  /** The status of keys that were not looked for yet. */
  get #unproven(): 'PENDING' | 'SUCCESS' {
    return this.#options.verifyIdentities ? 'PENDING' : 'SUCCESS';
  }
}

/** Prepares and collects over a store: for a process that runs now and then, and does nothing else. */
export function turnDkimKeys({
  config,
  clock,
  masterKey,
  dkimZone,
  until,
}: {
  config: Config;
  clock: Clock;
  masterKey: Buffer;
  dkimZone: DkimZoneOptions;
  /** As in `turn`. */
  until?: number;
}): Promise<KeyTurns> {
  return new EasyDkimKeys({
    cache: openIdentityCache(config, clock),
    records: new DkimRecords(config, clock, dkimZone),
    vault: createVault(masterKey),
    clock,
    verifyIdentities: true,
  }).turn(until);
}

/** The CNAME that leads from a domain to a key. */
function aliasOf(token: string, domain: string, zone: string): DnsRecord {
  return { name: keyName(token, domain), type: 'CNAME', value: `${token}.${zone}` };
}

/** All documents of a kind, by pages. */
async function* pages<T>(
  list: (page: { after?: string; max: number }) => Promise<T[]>,
  keyOf: (one: T) => string,
): AsyncGenerator<T[]> {
  for (let after: string | undefined; ; ) {
    const page = await list({ after, max: PAGE });
    yield page;
    if (page.length < PAGE) return;
    after = keyOf(page.at(-1)!);
  }
}
