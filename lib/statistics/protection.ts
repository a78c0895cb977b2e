/**
 * Pauses a tenant whose rates are too high, by a directive like any other, and tells of those on the way there.
 *
 * ```
 *  sending ──► rates at the threshold ──► directive `reputation-<tenant>` ──► paused
 *     ▲                                                                          │ an operator removes the directive,
 *     └────── rates begin anew with the next hour ◄──────────────────────────────┘ or it ends after its time
 * ```
 * So what led to the pause does not pause the tenant again at once: it is judged by what it sends from then on.
 */
import { Cache } from '../cache.ts';
import { DOCUMENT, PROTECTION } from '../control/config-kinds.ts';
import type { Directives } from '../control/directives.ts';
import type { Documents } from '../control/documents.ts';
import { PROTECTION_RULE, pauseId, type StoredTenant } from '../control/tenants.ts';
import type { Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  DEFAULT_PROTECTION,
  judge,
  type ProtectionRules,
  type RateThresholds,
  type Reputation,
  type ReputationVerdict,
  reputationOf,
  rulesOf,
} from '../outcome/protection.ts';
import { type Clock, DAY, HOUR, MINUTE } from '../time.ts';
import { ReputationHours } from './reputation.ts';
import { ALL_TENANTS, STATISTICS } from './tally.ts';

/** A pause that nobody ended ends by itself: its figures are older than the window of the rates then. */
const PAUSE = 30 * DAY;
/** Time between two looks at a tenant, ms. */
const LOOK = MINUTE;
/** Time after which a warning is told again, ms. */
const TELL_AGAIN = 6 * HOUR;
/** Time in which another process may not have seen a directive yet, ms. */
const SEEN = MINUTE;
const REMEMBERED = 4_000;

/** What is kept of a tenant's protection. */
interface ProtectionState {
  /** Only hours from here on count, ms: the tenant was resumed. */
  since?: number;
  /** When it was paused, ms. */
  pausedAt?: number;
  /** When it was last warned of, ms. */
  warnedAt?: number;
}

export interface ProtectionOptions {
  rows: Pick<Rows, 'get' | 'change' | 'query'>;
  directives: Pick<Directives, 'find' | 'impose'>;
  /** Where the rules are. */
  documents: Pick<Documents, 'read'>;
  /** Tenants with policies of their own, or reinstated. */
  tenants: { find(name: string): Promise<Pick<StoredTenant, 'reputationPolicy' | 'order'> | undefined> };
  clock: Clock;
  log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Called for each tenant that is warned of or paused. */
  onVerdict?: (kind: 'warn' | 'pause') => void;
}

/** A tenant's rates, what follows from them, and whether it is paused for them. */
export interface TenantReputation extends Reputation {
  verdict: ReputationVerdict;
  /** How bad the rates are, whatever follows from them: above the threshold of a pause, or of a warning. */
  impact?: 'HIGH' | 'LOW';
  paused: boolean;
}

export class TenantProtection {
  readonly #options: ProtectionOptions;
  readonly #hours: ReputationHours;
  readonly #lookedAt = new Cache<string, number>(REMEMBERED);

  constructor(options: ProtectionOptions) {
    this.#options = options;
    this.#hours = new ReputationHours(options);
  }

  /**
   * Looks at tenants whose figures have changed, and at all of them together, each once a minute at most. Never rejects.
   */
  async check(tenants: readonly string[]): Promise<void> {
    const { clock, log } = this.#options;
    for (const tenant of [...tenants, ALL_TENANTS]) {
      const now = clock.now();
      if (now - (this.#lookedAt.get(tenant) ?? Number.NEGATIVE_INFINITY) < LOOK) continue;
      this.#lookedAt.set(tenant, now);
      try {
        await this.#check(tenant, now);
      } catch (error) {
        // Another process came to the same verdict.
        if (error instanceof PosternError && error.code === 'config_conflict') continue;
        log.error('the rates of a tenant cannot be judged; this is tried again', { tenant, error });
      }
    }
  }

  /** @param tenant or `ALL_TENANTS`, who are only told of. @throws PosternError of the storage group. */
  async of(tenant: string): Promise<TenantReputation> {
    const [row] = await this.#options.rows.get([rowOf(tenant)]);
    return this.#judge(tenant, (row?.value ?? {}) as ProtectionState);
  }

  async #judge(tenant: string, { since = 0 }: ProtectionState): Promise<TenantReputation> {
    const { documents, directives, tenants } = this.#options;
    const rules = documents.read(PROTECTION, DOCUMENT) ?? DEFAULT_PROTECTION;
    const isOne = tenant !== ALL_TENANTS;
    const usual = isOne ? rulesOf(rules, tenant) : { ...rules, pauses: false };
    const hours = (await this.#hours.of(tenant)).filter(({ at }) => at >= since);
    const reputation = reputationOf(hours, usual.volume);
    const paused = directives.find(pauseId(tenant)) !== undefined;
    const impact = IMPACT[judge(reputation, { ...usual, pauses: true }).kind];
    // Good rates need no policy, so that most tenants are not read.
    const own = isOne && impact ? underPolicy(usual, await tenants.find(tenant)) : usual;
    return { ...reputation, verdict: judge(reputation, own), impact, paused };
  }

  async #check(tenant: string, now: number): Promise<void> {
    const { rows, log, onVerdict } = this.#options;
    const [row] = await rows.get([rowOf(tenant)]);
    const state = (row?.value ?? {}) as ProtectionState;
    const save = async (value: ProtectionState): Promise<void> => {
      await rows.change({ ...rowOf(tenant), value }, row?.version ?? 0);
    };
    const { verdict, paused, ...figures } = await this.#judge(tenant, state);
    if (paused) {
      if (state.pausedAt === undefined) await save({ ...state, pausedAt: now });
      return;
    }
    if (state.pausedAt !== undefined) {
      if (now - state.pausedAt < SEEN) return;
      // The hour under way holds figures of before.
      const since = now - (now % HOUR) + HOUR;
      await save({ since });
      log.info('a tenant was resumed: its rates begin anew', {
        tenant,
        since: new Date(since).toISOString(),
      });
      return;
    }
    if (verdict.kind === 'pause') {
      await this.#pause(tenant, verdict.text, now);
      await save({ ...state, pausedAt: now });
      onVerdict?.('pause');
      log.error('a tenant was paused: its rates are too high', { tenant, ...figures, text: verdict.text });
    } else if (verdict.kind === 'warn' && now - (state.warnedAt ?? 0) >= TELL_AGAIN) {
      await save({ ...state, warnedAt: now });
      if (tenant !== ALL_TENANTS) onVerdict?.('warn');
      log.warn('a tenant may be paused soon: its rates are high', { tenant, ...figures, text: verdict.text });
    }
  }

  /** First the directive, then the state: a crash between them finds the tenant paused. */
  async #pause(tenant: string, figures: string, now: number): Promise<void> {
    await this.#options.directives.impose({
      id: pauseId(tenant),
      match: { tenant },
      action: { kind: 'suspend' },
      reason: `Paused: ${figures}`,
      until: now + PAUSE,
      origin: { rule: PROTECTION_RULE, reply: figures },
    });
  }
}

const IMPACT = { good: undefined, warn: 'LOW', pause: 'HIGH' } as const;

/** The rules that hold for a tenant by its policy: nothing pauses one that was reinstated. */
function underPolicy(
  rules: ProtectionRules,
  tenant: Pick<StoredTenant, 'reputationPolicy' | 'order'> | undefined,
): ProtectionRules {
  if (tenant?.order?.status === 'REINSTATED' || tenant?.reputationPolicy === 'none')
    return { ...rules, pauses: false };
  if (tenant?.reputationPolicy !== 'strict') return rules;
  const strict = ({ warn }: RateThresholds): RateThresholds => ({ warn, pause: warn });
  return { ...rules, bounce: strict(rules.bounce), complaint: strict(rules.complaint) };
}

function rowOf(tenant: string) {
  return { kind: STATISTICS, partition: tenant, key: 'protection' };
}
