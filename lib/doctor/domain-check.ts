/**
 * Checks a sending domain on request: gathers what DNS says about it now, and applies the rules. A result is kept for
 * half a minute, and few checks run at a time: whoever asks again and again makes no more queries.
 */
import { TtlCache } from '../cache.ts';
import type { BounceTarget } from '../control/mail-from.ts';
import { provenMailFrom } from '../control/mail-from.ts';
import type { Control, Identity } from '../control/types.ts';
import { addressesBy } from '../dns/addresses.ts';
import type { Resolver } from '../dns/resolver.ts';
import { PosternError } from '../errors.ts';
import { isPublicAddress } from '../public-address.ts';
import { type Clock, SECOND } from '../time.ts';
import { type DomainSubject, domainFindings, type SeenRecord, seenRecords } from './domain-rules.ts';
import type { HealthFinding } from './finding.ts';
import { gatherDomain } from './gather/domain.ts';
import { LookUps } from './gather/look-ups.ts';
import { createPolicyFetch, type FetchPolicy } from './gather/policy-file.ts';

export interface DomainReport {
  domain: string;
  /** Since the epoch, ms. */
  checkedAt: number;
  /** The worst first. */
  findings: HealthFinding[];
  /** What DNS has under the names that matter. */
  seen: SeenRecord[];
}

export interface DomainCheckOptions {
  control: Pick<Control, 'identities'>;
  resolver: Pick<Resolver, 'resolve'>;
  clock: Clock;
  /** Source addresses; those that are not public are left out. */
  sources: () => readonly string[];
  /** Domain of return paths of an identity without a MAIL FROM domain of its own. */
  returnPathDomain: (fromDomain: string) => string;
  bounces: BounceTarget;
  /** Mailbox of this service for aggregate reports about a domain; absent: it takes none. */
  reportAddress?: (domain: string, mailFromDomain: string | undefined) => string;
  fetchPolicy?: FetchPolicy;
}

/** Time for which a report is given again, ms, and their number. */
const KEPT = 30 * SECOND;
const MAX_KEPT = 1_000;
/** Source addresses for which SPF is evaluated, of an installation with more. */
const MAX_SOURCES = 256;
/** Checks at a time, and those that may wait for their turn. */
const PARALLEL = 4;
const MAX_WAITING = 100;

export class DomainChecks {
  readonly #options: DomainCheckOptions;
  readonly #fetchPolicy: FetchPolicy;
  readonly #kept = new TtlCache<DomainReport>(MAX_KEPT);
  readonly #underWay = new Map<string, Promise<DomainReport>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: DomainCheckOptions) {
    const { resolver, clock } = options;
    this.#options = options;
    this.#fetchPolicy = options.fetchPolicy ?? createPolicyFetch({ resolve: addressesBy(resolver), clock });
  }

  /** @throws `throttled` while too many checks wait; the storage group. */
  async check(identity: Identity): Promise<DomainReport> {
    const { clock } = this.#options;
    const kept = this.#kept.get(identity.name, clock.now());
    if (kept) return kept;
    let report = this.#underWay.get(identity.name);
    if (!report) {
      report = this.#inTurn(async () => this.#report(await this.#subject(identity)));
      this.#underWay.set(identity.name, report);
      const forget = (): void => void this.#underWay.delete(identity.name);
      report.then((one) => {
        this.#kept.set(identity.name, one, one.checkedAt + KEPT);
        forget();
      }, forget);
    }
    return report;
  }

  /**
   * Whether a domain takes mail, by its DNS (RFC 5321 §5.1, RFC 7505). @returns undefined when DNS gives no answer.
   */
  async takesMail(domain: string): Promise<boolean | undefined> {
    const { resolver } = this.#options;
    const mx = await resolver.resolve(domain, 'MX');
    if (mx.kind === 'failed') return undefined;
    if (mx.kind === 'no_domain') return false;
    if (mx.kind === 'found') return mx.records.some(({ exchange }) => exchange !== '');
    const implicit = await Promise.all([resolver.resolve(domain, 'A'), resolver.resolve(domain, 'AAAA')]);
    if (implicit.some(({ kind }) => kind === 'found')) return true;
    return implicit.some(({ kind }) => kind === 'failed') ? undefined : false;
  }

  async #report(subject: DomainSubject): Promise<DomainReport> {
    const { resolver, clock } = this.#options;
    const facts = await gatherDomain(subject, new LookUps({ resolver, clock }), this.#fetchPolicy);
    return {
      domain: subject.domain,
      checkedAt: clock.now(),
      findings: domainFindings(facts),
      seen: seenRecords(facts),
    };
  }

  async #subject(identity: Identity): Promise<DomainSubject> {
    const { control, sources, returnPathDomain, bounces, reportAddress } = this.#options;
    const domain = identity.name.slice(identity.name.lastIndexOf('@') + 1).toLowerCase();
    // The domain of an address signs its mail.
    const signer =
      identity.type === 'DOMAIN'
        ? identity
        : await control.identities.forSender(`x@${domain}`, identity.tenant);
    return {
      domain,
      returnPath: provenMailFrom(identity) ?? returnPathDomain(domain),
      signs: identity.dkim.signingEnabled && (signer?.dkim.signingEnabled ?? false),
      keys: signer?.dkim.records ?? [],
      sources: sources().filter(isPublicAddress).slice(0, MAX_SOURCES),
      bounces,
      reports: reportAddress?.(domain, provenMailFrom(identity)) ?? `dmarc@${domain}`,
    };
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= PARALLEL) {
      if (this.#waiting.length >= MAX_WAITING)
        throw new PosternError('throttled', `${MAX_WAITING} checks of domains wait already.`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      // The place passes on to who waits.
      if (next) next();
      else this.#running -= 1;
    }
  }
}
