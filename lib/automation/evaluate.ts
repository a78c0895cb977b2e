/**
 * Evaluates a reply: directives to raise, directives to lift, alerts, and how long to wait.
 *
 * ```
 *  delivered ──► nothing waits for success? done.  else count it ──► `leaveAfter` in a row: lift
 *  refused ────► one scan ─► rules whose text is there, and those without ─► code, phase, … agree?
 *                                │                                                │
 *                     no rule agreed: those marked fallback ◄─────────────────────┤
 *                                                                                 ▼
 *            the window of (rule, scope) is full? ──► raise, for its duration or the time in the reply
 * ```
 *
 * Pure except for the state that is passed in: no clock, no random source, no I/O.
 */

import type { Dimension, Directive, DirectiveMatch } from '../directives/directive.ts';
import { type Reply, replyText } from '../outcome/reply.ts';
import { DAY } from '../time.ts';
import type { CompiledRule, RuleSet } from './compile.ts';
import { boundedHint } from './hint.ts';
import type { Phase } from './rule.ts';
import { type AutomationState, scopeKey } from './state.ts';

/** Bounds of the wait that a reply may request for its own delivery, ms. */
const RETRY_BOUNDS = { least: 10_000, most: DAY } as const;

/**
 * A reply, and the mail that it answered, under the names that directives use. A refusal of the session itself (at
 * the greeting, at EHLO) answers no mail: tenant, campaign and domain are absent.
 */
export interface ReplyEvent extends DirectiveMatch {
  readonly outcome: 'delivered' | 'refused';
  readonly provider: string;
  readonly site: string;
  /** Name of the MX host. */
  readonly mx: string;
  readonly phase: string;
  /** The 4xx or 5xx reply of a refusal. */
  readonly reply?: Reply;
}

export interface Alert {
  /** Rule that raised the alert. */
  readonly rule: string;
  readonly at: number;
  readonly match: DirectiveMatch;
  readonly reason: string;
  readonly reply: string;
}

export interface Evaluation {
  /** Directives to store; one with an existing id replaces it. */
  readonly raise: readonly Directive[];
  /** Ids of directives to remove. */
  readonly lift: readonly string[];
  readonly alerts: readonly Alert[];
  /** Wait that a 4xx reply requests for this delivery, kept within `RETRY_BOUNDS`, ms. */
  readonly retryAfter?: number;
}

/** Ends that differ by less count as the same, ms. */
const SAME = 1000;

const NOTHING: Evaluation = { raise: [], lift: [], alerts: [] };

/** Phases that end before the peer has seen any text that a tenant chose. */
const BEFORE_MAIL: ReadonlySet<string> = new Set<Phase>(['greeting', 'ehlo', 'starttls']);

interface Conclusions {
  raise: Directive[];
  lift: string[];
  alerts: Alert[];
}

/** Evaluates one reply. `now` since the epoch, ms. */
export function evaluate(rules: RuleSet, state: AutomationState, event: ReplyEvent, now: number): Evaluation {
  const { reply } = event;
  if (event.outcome === 'delivered') {
    if (!state.watching) return NOTHING;
    state.sweep(now);
    const lift = state.succeeded(event, now);
    return lift.length === 0 ? NOTHING : { raise: [], lift, alerts: [] };
  }
  if (reply === undefined) return NOTHING;
  const text = replyText(reply);
  const retryAfter = reply.code < 500 ? boundedHint(text, RETRY_BOUNDS.least, RETRY_BOUNDS.most) : undefined;
  const matched = matchingRules(rules, event, reply);
  if (matched.length === 0) return retryAfter === undefined ? NOTHING : { ...NOTHING, retryAfter };
  state.sweep(now);
  const found: Conclusions = { raise: [], lift: [], alerts: [] };
  for (const rule of matched) fire(rule, state, event, text, now, found);
  return { ...found, retryAfter };
}

/** Owners that the matcher found; reused, because evaluation never waits in between. */
const hits: number[] = [];

/** The rules that match a reply, whether or not it fires them. */
export function matchingRules(rules: RuleSet, event: ReplyEvent, reply: Reply): CompiledRule[] {
  hits.length = 0;
  rules.matcher.scan(reply.lines, hits);
  let agreed: CompiledRule[] = [];
  let specific = false;
  const consider = (place: number): void => {
    const rule = rules.rules[place]!;
    if ((specific && rule.fallback) || agreed.includes(rule) || !agrees(rule, event, reply)) return;
    if (!rule.fallback && !specific) {
      specific = true;
      agreed = [];
    }
    agreed.push(rule);
  };
  for (const place of hits) consider(place);
  for (const place of rules.textless) consider(place);
  return agreed;
}

function agrees(rule: CompiledRule, event: ReplyEvent, reply: Reply): boolean {
  const { providers, codes, enhanced, phases, sites, mx, domains } = rule;
  return (
    (providers === undefined || providers.has(event.provider)) &&
    (codes === undefined || codes.some(([low, high]) => reply.code >= low && reply.code <= high)) &&
    (enhanced === undefined || enhancedAgrees(enhanced, reply.enhanced)) &&
    (phases === undefined || phases.has(event.phase as Phase)) &&
    (sites === undefined || sites.has(event.site)) &&
    (mx === undefined || mx.some((suffix) => hasSuffix(event.mx, suffix))) &&
    (domains === undefined || domains.some((domain) => domainAgrees(event.domain ?? '', domain)))
  );
}

function enhancedAgrees(patterns: NonNullable<CompiledRule['enhanced']>, code: string | undefined): boolean {
  if (code === undefined) return false;
  const parts = code.split('.');
  return patterns.some((ranges) =>
    ranges.every(([low, high], i) => Number(parts[i]) >= low && Number(parts[i]) <= high),
  );
}

/** Whether a host ends in a suffix of whole labels, in any case. */
function hasSuffix(host: string, suffix: string): boolean {
  if (!host.toLowerCase().endsWith(suffix)) return false;
  return host.length === suffix.length || host.charCodeAt(host.length - suffix.length - 1) === 46;
}

function domainAgrees(domain: string, wanted: string): boolean {
  return wanted.startsWith('*.') ? domain.endsWith(wanted.slice(1)) : domain === wanted;
}

/** Counts the reply for its rule, and raises the rule's directives when it fires. */
function fire(
  compiled: CompiledRule,
  state: AutomationState,
  event: ReplyEvent,
  text: string,
  now: number,
  found: Conclusions,
): void {
  const { rule, events, within, hint, duration, leaveAfter } = compiled;
  const key = scopeKey(compiled.scope, event);
  if (key === undefined) return;
  if (events > 1 && !state.count(`${rule.id}/${key}`, events, within, now)) {
    stayed(compiled, state, event);
    return;
  }
  const until = now + ((hint && boundedHint(text, hint[0], hint[1])) ?? duration);
  const scope = scopeOf(compiled, state, event, until, now, found);
  const held = scopeKey(scope, event)!;
  const { id: name, reason } = rule;
  for (const action of compiled.actions) {
    const alert = action.kind === 'alert';
    const id = idOf(name, action.kind, alert ? key : held);
    const before = state.raised(id);
    const holds = before !== undefined && before.until > now;
    if (holds) before.successes = 0;
    if (alert) {
      if (holds) continue;
      state.raise(id, { until, leaveAfter: 0, successes: 0 });
      found.alerts.push({ rule: name, at: now, match: matchOf(compiled.scope, event), reason, reply: text });
    } else {
      // Mail in flight when a peer refuses brings the same reply many times: once a second is enough.
      if (holds && until - before.until < SAME) continue;
      const watched = leaveAfter > 0 ? { scope, key: held } : {};
      state.raise(id, { until, leaveAfter, successes: 0, ...watched });
      found.raise.push({
        id,
        match: matchOf(scope, event),
        action,
        reason,
        until,
        origin: { rule: name, reply: text },
      });
    }
  }
}

/**
 * The mail that a rule may hold back by this reply. From MAIL on, a reply may follow from the addresses and the
 * content of one tenant, whose own server the peer may even be; so it holds back that tenant's mail alone, until the
 * rule fires on another tenant's mail as well.
 */
function scopeOf(
  { rule, scope, actions }: CompiledRule,
  state: AutomationState,
  event: ReplyEvent,
  until: number,
  now: number,
  found: Conclusions,
): CompiledRule['scope'] {
  const { tenant, phase } = event;
  if (tenant === undefined || scope.includes('tenant') || BEFORE_MAIL.has(phase)) return scope;
  const narrow = withTenant(scope);
  const other = state.witness(`${rule.id}/${scopeKey(scope, event)}`, tenant, until, now);
  if (other === undefined) return narrow;
  // A directive for all tenants makes one for a single tenant unnecessary.
  const key = scopeKey(narrow, { ...event, tenant: other })!;
  for (const { kind } of actions) {
    const id = idOf(rule.id, kind, key);
    if (state.raised(id) === undefined) continue;
    state.drop(id);
    found.lift.push(id);
  }
  return scope;
}

function withTenant(scope: CompiledRule['scope']): CompiledRule['scope'] {
  return scope.includes('tenant') ? scope : ['tenant', ...scope];
}

/** Handles a match without firing: the rule's directives begin to count successes anew. */
function stayed(
  { rule, actions, leaveAfter, scope }: CompiledRule,
  state: AutomationState,
  event: ReplyEvent,
): void {
  if (leaveAfter === 0) return;
  for (const key of [scopeKey(scope, event), scopeKey(withTenant(scope), event)]) {
    for (const { kind } of actions) {
      const raised = state.raised(idOf(rule.id, kind, key ?? ''));
      if (raised !== undefined) raised.successes = 0;
    }
  }
}

function idOf(rule: string, kind: string, key: string): string {
  return `${rule}/${kind}/${key}`;
}

function matchOf(scope: CompiledRule['scope'], event: ReplyEvent): DirectiveMatch {
  const match: { [D in Dimension]?: string } = {};
  for (const dimension of scope) if (event[dimension] !== undefined) match[dimension] = event[dimension];
  return match;
}
