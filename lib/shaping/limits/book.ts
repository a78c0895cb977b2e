/**
 * What holds for whom: rules, layer over layer, resolved once for each place and each kind of mail and then
 * looked up.
 *
 * ```
 *  place (provider, site, IP, pool) ──► limits of the place, and where each comes from
 *     └─ mail (tenant, campaign, class, domain) ──► own connections?  the name of that variant and its limits
 *                                              └──► counters: what is counted for this mail alone
 * ```
 */
import type { RetrySchedule } from '../../outcome/retry.ts';
import { type Pace, paceOf, type Rate } from '../rate.ts';
import type { LimitMatch, LimitName, LimitRule, Limits, LimitTable, SharedLimit } from './limit.ts';

export interface Place {
  readonly provider: string;
  readonly site: string;
  /** Named by a static route. */
  readonly routed: boolean;
  /** Source address; `default` where the host chooses. */
  readonly ip: string;
  readonly pool: string;
}

export interface Mail {
  readonly domain: string;
  readonly tenant: string;
  readonly campaign?: string;
  readonly class: 'transactional' | 'bulk';
}

/** Limits, and for each the rule that set it. */
export interface Resolved {
  readonly limits: Limits;
  readonly messagePace: Pace;
  readonly connectionPace: Pace;
  readonly origins: { readonly [L in LimitName]?: string };
}

/** What is counted for some mail alone, at each (IP, site). */
export interface CounterRule {
  /** Whose: `tenant=acme`, `class=bulk,tenant=acme`. */
  readonly key: string;
  readonly rate: Rate | undefined;
  readonly pace: Pace;
  readonly concurrency: number;
  readonly origins: { rate?: string; concurrency?: string };
}

/** What holds for one kind of mail beside the limits of its place. */
export interface Terms {
  readonly counters: readonly CounterRule[];
  readonly shared: readonly { key: string; limit: SharedLimit }[];
  readonly retry: RetrySchedule | undefined;
  readonly maxAge: number | undefined;
  readonly origins: { retry?: string; maxAge?: string };
}

/** Connections of its own for some mail. */
export interface Variant extends Resolved {
  /** Empty: the place's own. */
  readonly name: string;
  /** Those that these connections have to keep to, whatever the rules say. */
  readonly bounds?: MailBounds;
}

/** Upper bounds over what the rules say, given together with the mail: what a policy answers for it. */
export interface MailBounds {
  /** Whose mail they are counted for. */
  readonly key: string;
  readonly set: Partial<Limits>;
  /** Where they come from, for a person. */
  readonly origin: string;
  /** The same for the same bounds. */
  readonly text: string;
}

type Dimension = 'tenant' | 'campaign' | 'class' | 'domain';
const DIMENSIONS: readonly Dimension[] = ['tenant', 'campaign', 'class', 'domain'];
const APART: ReadonlySet<LimitName> = new Set<LimitName>(['messageRate', 'concurrency', 'retry', 'maxAge']);
/** Kinds of mail remembered for one place; beyond, they are resolved anew. */
const MAX_KINDS = 50_000;
const MAX_PLACES = 50_000;

/** Rules of one place. */
export class PlaceLimits {
  /** Limits of the (IP, site), by rules that single no mail out. */
  readonly own: Resolved;
  readonly #place: Place;
  readonly #variants: readonly LimitRule[];
  readonly #counted: readonly LimitRule[];
  readonly #shared: readonly SharedLimit[];
  readonly #byKind = new Map<string, { variant: Variant; terms: Terms | undefined }>();
  /** What of mail makes a difference here. */
  readonly #matters: readonly Dimension[];
  readonly #plain: { variant: Variant; terms: Terms | undefined };

  constructor(place: Place, rules: readonly LimitRule[], shared: readonly SharedLimit[]) {
    this.#place = place;
    this.#shared = shared.filter(({ match }) => inPlace(match, place));
    const here = rules.filter(({ match }) => inPlace(match, place));
    const plain = here.filter((rule) => dimensionsOf(rule.match).length === 0);
    const particular = here.filter((rule) => dimensionsOf(rule.match).length > 0);
    this.own = merge(plain);
    this.#variants = particular.filter(({ set }) => namesOf(set).some((name) => !APART.has(name)));
    this.#counted = particular.filter(({ set }) => namesOf(set).some((name) => APART.has(name)));
    this.#matters = DIMENSIONS.filter(
      (name) =>
        particular.some(({ match }) => match[name] !== undefined) ||
        this.#shared.some(({ match, each }) => match[name] !== undefined || each.includes(name as 'tenant')),
    );
    this.#plain = { variant: { name: '', ...this.own }, terms: undefined };
    if (this.#matters.length === 0) this.#plain.terms = this.#termsOf({} as Mail, undefined);
  }

  /** The connections and terms of some mail. */
  of(mail: Mail, bounds?: MailBounds): { readonly variant: Variant; readonly terms: Terms | undefined } {
    if (this.#matters.length === 0 && bounds === undefined) return this.#plain;
    let kind = '';
    for (const name of this.#matters) kind += `${mail[name] ?? ''}\n`;
    if (bounds !== undefined) kind += `${bounds.key} ${bounds.text}`;
    let found = this.#byKind.get(kind);
    if (found === undefined) {
      if (this.#byKind.size >= MAX_KINDS) this.#byKind.clear();
      found = { variant: this.#variantOf(mail, bounds), terms: this.#termsOf(mail, bounds) };
      this.#byKind.set(kind, found);
    }
    return found;
  }

  #variantOf(mail: Mail, given: MailBounds | undefined): Variant {
    const rules = this.#variants.filter(({ match }) => ofMail(match, mail));
    const names = [...new Set(rules.map(({ match }) => keyOf(match, mail)))].sort();
    const bounds = given && namesOf(given.set).some((name) => !APART.has(name)) ? given : undefined;
    if (bounds !== undefined) {
      rules.push(ruleOf(bounds));
      names.push(bounds.key);
    }
    if (rules.length === 0) return this.#plain.variant;
    return { name: names.join(' '), bounds, ...merge(rules, this.own, (name) => !APART.has(name)) };
  }

  #termsOf(mail: Mail, bounds: MailBounds | undefined): Terms | undefined {
    const rules = this.#counted.filter(({ match }) => ofMail(match, mail));
    const groups = new Map<string, LimitRule[]>();
    for (const rule of rules) {
      const key = keyOf(rule.match, mail);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [rule]);
      else group.push(rule);
    }
    if (bounds !== undefined) groups.set(bounds.key, [ruleOf(bounds)]);
    const counters: CounterRule[] = [];
    for (const [key, group] of groups) {
      const { limits, origins } = merge(group);
      const { messageRate, concurrency = Number.POSITIVE_INFINITY } = limits as Partial<Limits>;
      if (messageRate === undefined && concurrency === Number.POSITIVE_INFINITY) continue;
      const where = { rate: origins.messageRate, concurrency: origins.concurrency };
      counters.push({ key, rate: messageRate, pace: paceOf(messageRate), concurrency, origins: where });
    }
    const shared = this.#shared
      .filter(({ match }) => ofMail(match, mail))
      .map((limit) => ({ key: this.#sharedKey(limit, mail), limit }));
    const { limits, origins } = merge(rules, this.own, (name) => name === 'retry' || name === 'maxAge');
    const { retry, maxAge } = limits;
    if (counters.length === 0 && shared.length === 0 && retry === undefined && maxAge === undefined) {
      return undefined;
    }
    return { counters, shared, retry, maxAge, origins: { retry: origins.retry, maxAge: origins.maxAge } };
  }

  #sharedKey({ name, each }: SharedLimit, mail: Mail): string {
    const values: Readonly<Record<string, string | undefined>> = { ...this.#place, ...mail } as never;
    return [name, ...each.map((one) => `${one}=${values[one] ?? ''}`)].join('/');
  }
}

/** All rules: a table, and over it what directives say for as long as they hold. */
export class LimitBook {
  #table: LimitTable;
  #orders: readonly LimitRule[] = [];
  #rules: readonly LimitRule[] = [];
  readonly #places = new Map<string, PlaceLimits>();
  #poolMatters = false;
  /** Grows with each change. */
  version = 0;

  constructor(table: LimitTable) {
    this.#table = table;
    this.#changed();
  }

  /** Replaces the table; what is counted goes on being counted. */
  replace(table: LimitTable): void {
    this.#table = table;
    this.#changed();
  }

  /** Sets what directives limit. */
  order(rules: readonly LimitRule[]): void {
    if (rules.length === 0 && this.#orders.length === 0) return;
    this.#orders = rules;
    this.#changed();
  }

  #changed(): void {
    const ranked = this.#table.rules.map((rule, i) => ({ rule, rank: rankOf(rule.match), i }));
    ranked.sort((a, b) => a.rank - b.rank || a.i - b.i);
    this.#rules = [...ranked.map(({ rule }) => rule), ...this.#orders];
    this.#poolMatters = [...this.#rules, ...this.#table.shared].some(
      (one) => one.match.pool !== undefined || ('each' in one && one.each.includes('pool')),
    );
    this.#places.clear();
    this.version += 1;
  }

  /** The pool as far as it makes a difference to any limit. */
  poolKey(pool: string): string {
    return this.#poolMatters ? pool : '';
  }

  /** The limits of a place; the same object until something changes. */
  at(place: Place): PlaceLimits {
    const pool = this.poolKey(place.pool);
    const key = `${place.site}\n${place.ip}\n${pool}\n${place.provider}${place.routed ? '!' : ''}`;
    let found = this.#places.get(key);
    if (found === undefined) {
      if (this.#places.size >= MAX_PLACES) this.#places.clear();
      found = new PlaceLimits({ ...place, pool }, this.#rules, this.#table.shared);
      this.#places.set(key, found);
    }
    return found;
  }
}

function inPlace(match: LimitMatch, place: Place): boolean {
  const { provider, route, site, ip, pool } = match;
  // A provider's limits protect strangers' hosts; behind a static route stands the operator's own.
  if (route !== undefined ? !place.routed : provider !== undefined && place.routed) return false;
  return (
    (provider === undefined || provider === place.provider) &&
    (site === undefined || site === place.site) &&
    (ip === undefined || ip === place.ip) &&
    (pool === undefined || pool === place.pool)
  );
}

function ofMail(match: LimitMatch, mail: Mail): boolean {
  return DIMENSIONS.every((name) => {
    const wanted = match[name];
    return wanted === undefined || (wanted === '*' ? mail[name] !== undefined : wanted === mail[name]);
  });
}

function dimensionsOf(match: LimitMatch): Dimension[] {
  return DIMENSIONS.filter((name) => match[name] !== undefined);
}

function ruleOf({ set, origin }: MailBounds): LimitRule {
  return { match: {}, set, origin, atMost: true };
}

/** `tenant=acme,class=bulk`, with the mail's own value where the rule has `*`. */
function keyOf(match: LimitMatch, mail: Mail): string {
  return dimensionsOf(match)
    .map((name) => `${name}=${mail[name] ?? ''}`)
    .join();
}

/** The layer of a rule, and in it how particular the rule is. */
function rankOf(match: LimitMatch): number {
  const layer =
    match.domain !== undefined
      ? 3
      : match.site !== undefined
        ? 2
        : match.provider !== undefined || match.route
          ? 1
          : 0;
  const whose =
    (match.pool === undefined ? 0 : 1) +
    (match.ip === undefined ? 0 : 2) +
    (match.class === undefined ? 0 : 4) +
    (match.tenant === undefined ? 0 : 8) +
    (match.campaign === undefined ? 0 : 16);
  const each = Object.values(match).includes('*') ? 0 : 1;
  return layer * 64 + whose * 2 + each;
}

function namesOf(set: Partial<Limits>): LimitName[] {
  return Object.keys(set) as LimitName[];
}

/** Rules one over the other; those that say "at most" lower what is there. */
function merge(
  rules: readonly LimitRule[],
  base?: Resolved,
  only: (name: LimitName) => boolean = () => true,
): Resolved {
  const limits: Record<string, unknown> = { deadlines: {}, prohibitedMx: [], ...base?.limits };
  const origins: Record<string, string> = { ...base?.origins } as Record<string, string>;
  for (const { set, origin, atMost } of rules) {
    for (const name of namesOf(set)) {
      if (!only(name)) continue;
      if (atMost && name in limits && !lower(set[name], limits[name])) continue;
      limits[name] = name === 'deadlines' ? { ...(limits.deadlines as object), ...set.deadlines } : set[name];
      origins[name] = origin;
    }
  }
  const resolved = limits as unknown as Limits;
  return {
    limits: resolved,
    messagePace: paceOf(resolved.messageRate),
    connectionPace: paceOf(resolved.connectionRate, true),
    origins,
  };
}

/** Whether a limit is lower than another: a number, or a rate. */
function lower(value: unknown, than: unknown): boolean {
  if (typeof value === 'number') return value < (than as number);
  if (than === undefined) return value !== undefined;
  return value !== undefined && paceOf(value as Rate).interval > paceOf(than as Rate).interval;
}
