/**
 * Checks the proof of domains in DNS, on request and every day: mail must not go on being sent as a domain that
 * lapsed and was bought by another owner (the record of its former owner is gone then).
 *
 * ```
 *  verified ── day after day ──► found ──► verified
 *     │                            ▲
 *     └─ another key, or none ─────┤ within the hour, `CLEAR_ANSWERS` times in a row ──► lost: not sent as
 *                                  └──────────────── found again, looked up hourly ◄──────┘
 * ```
 * DNS that gives no answer (SERVFAIL, a timeout) changes nothing. A requested check is decided by one answer. The
 * state is stored with the domain, so that any process may make the next check. The MAIL FROM domain of an identity is
 * looked for beside its keys (mail-from.ts).
 */
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { type Clock, DAY, HOUR } from '../time.ts';
import { keyName } from './dkim-keys.ts';
import { afterLook, lookDueAt, signingKeyOf } from './dkim-rotation.ts';
import type { DocumentCache } from './document-cache.ts';
import { openIdentityCache, type StoredIdentity, type StoredSigningKey } from './identity-store.ts';
import {
  type BounceTarget,
  concludeMailFrom,
  lookUpMailFrom,
  newMailFrom,
  type ResolveMx,
} from './mail-from.ts';
import { conclude, type Finding, lookUp, type ProofVerdict, type ResolveTxt, together } from './proof.ts';
import type { Recheck } from './types.ts';

/** Number of clear negative answers in a row after which the proof is lost. */
const CLEAR_ANSWERS = 3;
/** Interval between two checks of a proof that stands, and of one that is missing or awaited, ms. */
const STANDING = DAY;
const MISSING = HOUR;
/** Maximum number of domains checked in parallel, and by one call. */
const PARALLEL = 8;
const BATCH = 1_000;
/** Identities read at one time. */
const PAGE = 200;

/** What proofs are looked up with. */
export interface ProofDns {
  resolveTxt: ResolveTxt;
  resolveMx: ResolveMx;
  /** Where a MAIL FROM domain must lead. */
  bounces: BounceTarget;
}

export interface ProofChecks {
  /** Checks one identity, and decides by this answer. @throws `dns_failure` when there is none; the storage group. */
  check(name: string): Promise<void>;
  /** Checks the domains that are due. @throws PosternError of the storage group. */
  recheck(): Promise<Recheck>;
}

export function openProofChecks(
  cache: DocumentCache<StoredIdentity>,
  { clock, dns }: { clock: Clock; dns: ProofDns },
): ProofChecks {
  const look = (keys: readonly StoredSigningKey[], stored: StoredIdentity) =>
    lookAll(keys, stored, dns.resolveTxt);

  /** @param patience number of clear negative answers in a row after which a proof is lost. */
  async function ask(stored: StoredIdentity, patience: number): Promise<void> {
    await askMailFrom(stored, patience);
    if (stored.keys.length > 0) await askKeys(stored, patience);
  }

  /** Looks for the standby, if it is due. @returns whether it signs from now on. */
  async function askStandby(name: string): Promise<boolean> {
    const stored = await cache.get(name);
    const key = stored?.easy?.standby?.key;
    if (!stored || !key || lookDueAt(stored) > clock.now()) return false;
    const finding = await look([{ ...key, proven: true }], stored).catch(noAnswer);
    let turned = false;
    await cache.update(name, (now) => {
      // Another was prepared during the look-up: the answer is not about it.
      if (now.easy?.standby?.key.publicKey !== key.publicKey) return now;
      const after = afterLook(now, finding, clock.now());
      turned = after.easy?.standby === undefined;
      return after;
    });
    return turned;
  }

  async function askMailFrom({ identity }: StoredIdentity, patience: number): Promise<void> {
    const { name, mailFromDomain: domain } = identity;
    if (domain === undefined) return;
    const finding = await lookUpMailFrom(domain, dns.bounces, dns);
    const at = clock.now();
    await cache.update(name, (now) => {
      if (now.identity.mailFromDomain !== domain) return now;
      // Stored before the domain was looked for.
      const before = now.identity.mailFrom ?? newMailFrom('USE_DEFAULT_VALUE', at);
      return {
        ...now,
        identity: { ...now.identity, mailFrom: concludeMailFrom(before, finding, at, patience) },
      };
    });
  }

  async function askKeys(stored: StoredIdentity, patience: number): Promise<void> {
    const { identity, keys, askedAt = 0 } = stored;
    const fresh = keys.filter((key) => !key.proven);
    const proven = keys.filter((key) => key.proven);
    const found = Promise.all([look(proven, stored), look(fresh, stored)]);
    if ((await found.catch(noAnswer)) === undefined)
      await cache.update(identity.name, (now) => withStatus(now, 'TEMPORARY_FAILURE'));
    const [ofProven, ofFresh] = await found;
    const since = Math.max(askedAt, ...keys.map((key) => key.madeAt));
    // Behind a CNAME it is our own zone that does not show the key yet, or to a cache.
    const isOurs = ofFresh === 'other' && fresh.includes(signingKeyOf(stored)!);
    const verdict = conclude(ofProven, isOurs ? 'absent' : ofFresh, clock.now() - since);
    await cache.update(identity.name, (now) =>
      // The keys were replaced during the look-up: the answer is about others.
      selectorsOf(now) === selectorsOf({ keys }) ? decided(now, verdict, clock.now(), patience) : now,
    );
  }

  return {
    async check(name) {
      const stored = await cache.get(name);
      if (stored !== undefined) await ask(stored, 1);
    },

    async recheck() {
      const due = await dueNow(cache, clock.now());
      const result: Recheck = { checked: due.length, lost: [], regained: [], turned: [], unanswered: 0 };
      const next = due.values();
      const worker = async (): Promise<void> => {
        for (const name of next) {
          const stored = await cache.get(name);
          if (stored === undefined) continue;
          const { verified } = stored.identity;
          try {
            await ask(stored, CLEAR_ANSWERS);
          } catch (error) {
            if (!(error instanceof PosternError && error.code === 'dns_failure')) throw error;
            result.unanswered += 1;
          }
          const now = (await cache.get(name))?.identity.verified ?? verified;
          if (verified && !now) result.lost.push(name);
          if (!verified && now) result.regained.push(name);
          if (await askStandby(name)) result.turned.push(name);
        }
      };
      await Promise.all(Array.from({ length: PARALLEL }, worker));
      return result;
    },
  };
}

/** @returns undefined: there are no keys to look for. @throws `dns_failure` when DNS gives no answer. */
async function lookAll(
  keys: readonly StoredSigningKey[],
  { identity, easy }: StoredIdentity,
  resolveTxt: ResolveTxt,
): Promise<Finding | undefined> {
  if (keys.length === 0) return undefined;
  const published = keys.flatMap(({ selector, publicKey, proven }) => {
    // A first key is under all tokens: it is found when no CNAME is missing.
    const selectors = !proven && easy?.tokens.includes(selector) ? easy.tokens : [selector];
    return selectors.map((one) => ({ name: keyName(one, identity.name), publicKey }));
  });
  return together(await Promise.all(published.map((one) => lookUp(one, resolveTxt))));
}

/** Makes the due checks over a store: for a process that runs now and then, and does nothing else. */
export function recheckProofs(options: { config: Config; clock: Clock; dns: ProofDns }): Promise<Recheck> {
  return openProofChecks(openIdentityCache(options.config, options.clock), options).recheck();
}

/** Names of the domains that are due, the longest due first, a batch at most. All are read, a page in memory. */
async function dueNow(cache: DocumentCache<StoredIdentity>, now: number): Promise<string[]> {
  let due: { name: string; at: number }[] = [];
  for (let after: string | undefined; ; ) {
    const page = await cache.list({ after, max: PAGE });
    for (const one of page) {
      const at = dueAt(one);
      if (at <= now) due.push({ name: one.identity.name, at });
    }
    due = due.sort((a, b) => a.at - b.at).slice(0, BATCH);
    if (page.length < PAGE) return due.map(({ name }) => name);
    after = page.at(-1)!.identity.name;
  }
}

/** When an identity is checked again, since the epoch, ms. */
function dueAt(stored: StoredIdentity): number {
  return Math.min(keysDueAt(stored), mailFromDueAt(stored), lookDueAt(stored));
}

function mailFromDueAt({ identity: { mailFromDomain, mailFrom } }: StoredIdentity): number {
  if (mailFromDomain === undefined) return Number.POSITIVE_INFINITY;
  if (mailFrom?.checkedAt === undefined) return 0;
  const isAwaited = mailFrom.status === 'PENDING' || (mailFrom.status !== 'FAILED' && mailFrom.missing > 0);
  return mailFrom.checkedAt + (isAwaited ? MISSING : STANDING);
}

/** Never for a domain that was not proven within its time. */
function keysDueAt({ identity, keys, proof }: StoredIdentity): number {
  const proven = keys.some((key) => key.proven);
  if (keys.length === 0 || (!proven && identity.dkim.status !== 'PENDING')) return Number.POSITIVE_INFINITY;
  if (proof === undefined) return 0;
  return proof.checkedAt + (identity.verified && proof.missing === 0 ? STANDING : MISSING);
}

function decided(
  stored: StoredIdentity,
  { verified, status, promote }: ProofVerdict,
  now: number,
  patience: number,
): StoredIdentity {
  const { identity } = stored;
  const missing = identity.verified && !verified ? (stored.proof?.missing ?? 0) + 1 : 0;
  if (missing > 0 && missing < patience)
    return { ...withStatus(stored, 'TEMPORARY_FAILURE'), proof: { checkedAt: now, missing } };
  const decision = {
    ...stored,
    identity: { ...identity, verified, dkim: { ...identity.dkim, status } },
    proof: { checkedAt: now, missing: 0 },
  };
  return promote ? promoted(decision) : decision;
}

/** The new keys take over. Those of Easy DKIM that were replaced stay published for a while, as records for nobody. */
function promoted({ easy, ...stored }: StoredIdentity): StoredIdentity {
  const keys = stored.keys.filter((key) => !key.proven).map((key) => ({ ...key, proven: true }));
  const isEasy = signingKeyOf({ ...stored, keys, easy }) !== undefined;
  return { ...stored, keys, ...(isEasy && { easy }) };
}

/** The status of a proof that stands, and is in doubt. */
function withStatus(stored: StoredIdentity, status: 'TEMPORARY_FAILURE'): StoredIdentity {
  const { identity } = stored;
  if (identity.dkim.status !== 'SUCCESS' || !identity.verified) return stored;
  return { ...stored, identity: { ...identity, dkim: { ...identity.dkim, status } } };
}

/** For `catch`: undefined, when DNS gave no answer. */
function noAnswer(error: unknown): undefined {
  if (!(error instanceof PosternError && error.code === 'dns_failure')) throw error;
}

function selectorsOf({ keys }: Pick<StoredIdentity, 'keys'>): string {
  return keys.map((key) => key.selector).join();
}
