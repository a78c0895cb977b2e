/** The rules of one place, resolved once for each kind of mail. */
import { Cache } from '../../cache.ts';
import { paceOf, type Rate } from '../rate.ts';
import { COUNTED_APART, type LimitName, type LimitRule, type Limits, type SharedLimit } from './limit.ts';
import { DIMENSIONS, dimensionsOf, inPlace, keyOf, type MailDimension, ofMail } from './match.ts';
import type {
  ConnectionClass,
  CounterRule,
  Mail,
  MailBounds,
  MailLimits,
  PathKey,
  Resolved,
} from './terms.ts';

/** Maximum number of cached kinds of mail for one place; more are resolved anew. */
const MAX_KINDS = 50_000;

export class PlaceLimits {
  /** Limits of the (IP, site), by rules that select no mail. */
  readonly own: Resolved;
  readonly #place: PathKey;
  readonly #classed: readonly LimitRule[];
  readonly #counted: readonly LimitRule[];
  readonly #shared: readonly SharedLimit[];
  readonly #byKind = new Cache<
    string,
    { connectionClass: ConnectionClass; mailLimits: MailLimits | undefined }
  >(MAX_KINDS);
  /** Dimensions of mail on which limits depend here. */
  readonly #matters: readonly MailDimension[];
  readonly #plain: { connectionClass: ConnectionClass; mailLimits: MailLimits | undefined };

  constructor(place: PathKey, rules: readonly LimitRule[], shared: readonly SharedLimit[]) {
    this.#place = place;
    this.#shared = shared.filter((limit) => inPlace(limit, place));
    const here = rules.filter((rule) => inPlace(rule, place));
    const plain = here.filter((rule) => dimensionsOf(rule.match).length === 0);
    const particular = here.filter((rule) => dimensionsOf(rule.match).length > 0);
    this.own = merge(plain);
    this.#classed = particular.filter(({ set }) => namesOf(set).some((name) => !COUNTED_APART.has(name)));
    this.#counted = particular.filter(({ set }) => namesOf(set).some((name) => COUNTED_APART.has(name)));
    this.#matters = DIMENSIONS.filter(
      (name) =>
        particular.some(({ match }) => match[name] !== undefined) ||
        this.#shared.some(({ match, each }) => match[name] !== undefined || each.includes(name as 'tenant')),
    );
    this.#plain = { connectionClass: { name: '', ...this.own }, mailLimits: undefined };
    if (this.#matters.length === 0) this.#plain.mailLimits = this.#mailLimitsOf({} as Mail, undefined);
  }

  /** The connections and limits of some mail. */
  of(
    mail: Mail,
    bounds?: MailBounds,
  ): { readonly connectionClass: ConnectionClass; readonly mailLimits: MailLimits | undefined } {
    if (this.#matters.length === 0 && bounds === undefined) return this.#plain;
    let kind = '';
    for (const name of this.#matters) kind += `${mail[name] ?? ''}\n`;
    if (bounds !== undefined) kind += `${bounds.key} ${bounds.text}`;
    let found = this.#byKind.get(kind);
    if (found === undefined) {
      found = {
        connectionClass: this.#connectionClassOf(mail, bounds),
        mailLimits: this.#mailLimitsOf(mail, bounds),
      };
      this.#byKind.set(kind, found);
    }
    return found;
  }

  #connectionClassOf(mail: Mail, given: MailBounds | undefined): ConnectionClass {
    const rules = this.#classed.filter(({ match }) => ofMail(match, mail));
    const names = [...new Set(rules.map(({ match }) => keyOf(match, mail)))].sort();
    const bounds = given && namesOf(given.set).some((name) => !COUNTED_APART.has(name)) ? given : undefined;
    if (bounds !== undefined) {
      rules.push(ruleOf(bounds));
      names.push(bounds.key);
    }
    if (rules.length === 0) return this.#plain.connectionClass;
    return { name: names.join(' '), bounds, ...merge(rules, this.own, (name) => !COUNTED_APART.has(name)) };
  }

  #mailLimitsOf(mail: Mail, bounds: MailBounds | undefined): MailLimits | undefined {
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

function ruleOf({ set, origin }: MailBounds): LimitRule {
  return { match: {}, set, origin, atMost: true };
}

function namesOf(set: Partial<Limits>): LimitName[] {
  return Object.keys(set) as LimitName[];
}

/** Merges rules in order; those with "at most" lower the result. */
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
