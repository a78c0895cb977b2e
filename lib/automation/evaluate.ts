/**
 * What follows from a reply: directives to raise, directives to lift, alerts, and how long to wait.
 *
 * ```
 *  delivered ──► nothing waits for success? done.  else count it ──► so many in a row: lift
 *  refused ────► one scan ─► rules whose text is there, and those without ─► code, phase, … agree?
 *                                │                                                │
 *                     no rule agreed: those marked fallback ◄─────────────────────┤
 *                                                                                 ▼
 *            the window of (rule, scope) is full? ──► raise, for its duration or as long as the reply says
 * ```
 *
 * Pure but for the state that it is given: no clock, no chance, no I/O.
 */

import type { Dimension, Directive, DirectiveMatch } from '../directives/directive.ts';
import { type Reply, replyText } from '../outcome/reply.ts';
import type { CompiledRule, RuleSet } from './compile.ts';
import { boundedHint } from './hint.ts';
import type { Phase } from './rule.ts';
import { type AutomationState, scopeKey } from './state.ts';

/** Bounds of the wait that a reply may ask of its own delivery, ms. */
const RETRY_BOUNDS = { least: 10_000, most: 24 * 3_600_000 } as const;

/**
 * A reply, and the mail that it was said to, by the names that directives know it by. A refusal of the session
 * itself (at the greeting, at EHLO) was said to no mail: tenant, campaign and domain are absent.
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
  /** Rule that it comes from. */
  readonly rule: string;
  readonly at: number;
  readonly match: DirectiveMatch;
  readonly reason: string;
  readonly reply: string;
}

export interface Evaluation {
  /** To be put into the store of directives; one with an id that is there replaces it. */
  readonly raise: readonly Directive[];
  /** Ids to be removed from it. */
  readonly lift: readonly string[];
  readonly alerts: readonly Alert[];
  /** ms that a 4xx reply asks this delivery to wait, kept within `RETRY_BOUNDS`. */
  readonly retryAfter?: number;
}

/** An end that is later by less is the same end, ms. */
const SAME = 1000;

const NOTHING: Evaluation = { raise: [], lift: [], alerts: [] };

/** Judges one reply. `now` in ms since the epoch. */
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
  const raise: Directive[] = [];
  const alerts: Alert[] = [];
  for (const rule of matched) fire(rule, state, event, text, now, raise, alerts);
  return { raise, lift: [], alerts, retryAfter };
}

/** Owners that the matcher found; reused, as evaluation never waits in between. */
const hits: number[] = [];

/** The rules that agree with a reply, whether or not they are set off by it. */
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

/** By whole labels, whatever the case of the host. */
function hasSuffix(host: string, suffix: string): boolean {
  if (!host.toLowerCase().endsWith(suffix)) return false;
  return host.length === suffix.length || host.charCodeAt(host.length - suffix.length - 1) === 46;
}

function domainAgrees(domain: string, wanted: string): boolean {
  return wanted.startsWith('*.') ? domain.endsWith(wanted.slice(1)) : domain === wanted;
}

/** Counts the reply for its rule, and raises what the rule says when that sets it off. */
function fire(
  compiled: CompiledRule,
  state: AutomationState,
  event: ReplyEvent,
  text: string,
  now: number,
  raise: Directive[],
  alerts: Alert[],
): void {
  const { rule, scope, events, within, hint, duration, leaveAfter } = compiled;
  const key = scopeKey(scope, event);
  if (key === undefined) return;
  if (events > 1 && !state.count(`${rule.id}/${key}`, events, within, now)) {
    stayed(compiled, state, key);
    return;
  }
  const lasting = (hint && boundedHint(text, hint[0], hint[1])) ?? duration;
  const until = now + lasting;
  const match = matchOf(scope, event);
  const { id: name, reason } = rule;
  for (const action of compiled.actions) {
    const id = idOf(name, action.kind, key);
    const before = state.raised(id);
    const holds = before !== undefined && before.until > now;
    if (holds) before.successes = 0;
    if (action.kind === 'alert') {
      if (holds) continue;
      state.raise(id, { until, leaveAfter: 0, successes: 0 });
      alerts.push({ rule: name, at: now, match, reason, reply: text });
    } else {
      // What was in flight when a peer said stop brings the same reply many times: once a second is enough.
      if (holds && until - before.until < SAME) continue;
      const watched = leaveAfter > 0 ? { scope, key } : {};
      state.raise(id, { until, leaveAfter, successes: 0, ...watched });
      raise.push({ id, match, action, reason, until, origin: { rule: name, reply: text } });
    }
  }
}

/** The rule matched again without being set off: whatever it holds has seen no success in a row. */
function stayed({ rule, actions, leaveAfter }: CompiledRule, state: AutomationState, key: string): void {
  if (leaveAfter === 0) return;
  for (const { kind } of actions) {
    const raised = state.raised(idOf(rule.id, kind, key));
    if (raised !== undefined) raised.successes = 0;
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
