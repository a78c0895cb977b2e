/** Compiles rules into the form against which replies are matched: numbers, sets, and one matcher for all texts. */
import {
  DIMENSIONS,
  type Dimension,
  type DirectiveAction,
  type DirectiveLimits,
} from '../directives/directive.ts';
import { readRate } from '../shaping/rate.ts';
import { readSpan } from '../units.ts';
import { type OwnedPattern, PatternMatcher } from './matcher.ts';
import { readPattern } from './pattern.ts';
import type { OneOrMany, Phase, RateText, Rule, RuleAction, RuleLimit } from './rule.ts';

/** Lowest and highest value, both included. */
type CodeRange = readonly [number, number];

/** An enhanced code with ranges in place of numbers. */
type EnhancedPattern = readonly [CodeRange, CodeRange, CodeRange];

export interface CompiledRule {
  readonly rule: Rule;
  readonly providers: ReadonlySet<string> | undefined;
  readonly sites: ReadonlySet<string> | undefined;
  readonly phases: ReadonlySet<Phase> | undefined;
  readonly mx: readonly string[] | undefined;
  readonly domains: readonly string[] | undefined;
  readonly codes: readonly CodeRange[] | undefined;
  readonly enhanced: readonly EnhancedPattern[] | undefined;
  /** Number of events that fires the rule, and the window within which they count, ms. */
  readonly events: number;
  readonly within: number;
  readonly actions: readonly (DirectiveAction | { readonly kind: 'alert' })[];
  /** In the order of `DIMENSIONS`. */
  readonly scope: readonly Dimension[];
  /** Duration of the directive, ms. */
  readonly duration: number;
  readonly hint: CodeRange | undefined;
  readonly leaveAfter: number;
  readonly fallback: boolean;
}

export interface RuleSet {
  readonly rules: readonly CompiledRule[];
  /** Matcher whose owners are indices in `rules`. */
  readonly matcher: PatternMatcher;
  /** Rules without a text, as indices in `rules`: tested for every reply. */
  readonly textless: readonly number[];
}

const DEFAULT_SCOPE: readonly Dimension[] = ['ip', 'site'];

export function asList<T>(value: OneOrMany<T> | undefined): readonly T[] | undefined {
  if (value === undefined) return undefined;
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/** Compiles validated rules (`check.ts`). */
export function compileRules(rules: readonly Rule[]): RuleSet {
  const patterns: OwnedPattern[] = [];
  const textless: number[] = [];
  for (const [owner, { match }] of rules.entries()) {
    const texts = asList(match.text);
    if (texts === undefined) textless.push(owner);
    for (const text of texts ?? []) {
      for (const fragments of readPattern(text)) patterns.push({ owner, fragments });
    }
  }
  return { rules: rules.map(compileRule), matcher: new PatternMatcher(patterns), textless };
}

function compileRule(rule: Rule): CompiledRule {
  const { match, trigger, hint } = rule;
  const scope = rule.scope ?? DEFAULT_SCOPE;
  return {
    rule,
    providers: setOf(match.provider),
    sites: setOf(match.site),
    phases: setOf(match.phase),
    mx: lower(match.mx),
    domains: lower(match.domain),
    codes: asList(match.code)?.map((code) => readCode(code)!),
    enhanced: asList(match.enhanced)?.map((text) => readEnhanced(text)!),
    events: trigger?.events ?? 1,
    within: trigger === undefined ? Number.POSITIVE_INFINITY : readSpan(trigger.within)!,
    actions: asList(rule.action)!.map(compileAction),
    scope: DIMENSIONS.filter((dimension) => scope.includes(dimension)),
    duration: readSpan(rule.duration)!,
    hint: hint === undefined ? undefined : [readSpan(hint.least)!, readSpan(hint.most)!],
    leaveAfter: rule.leaveAfter ?? 0,
    fallback: rule.fallback ?? false,
  };
}

function setOf<T>(value: OneOrMany<T> | undefined): ReadonlySet<T> | undefined {
  const list = asList(value);
  return list === undefined ? undefined : new Set(list);
}

function lower(value: OneOrMany<string> | undefined): readonly string[] | undefined {
  return asList(value)?.map((text) => text.toLowerCase());
}

function compileAction(action: RuleAction): CompiledRule['actions'][number] {
  if (typeof action === 'string') return { kind: action };
  if ('reroute' in action) return { kind: 'reroute', pool: action.reroute };
  return { kind: 'limit', limits: compileLimit(action.limit) };
}

function compileLimit(limit: RuleLimit): DirectiveLimits {
  const limits: DirectiveLimits = {};
  if (limit.messageRate !== undefined) limits.messagesPerSecond = eventsIn(1000, limit.messageRate);
  if (limit.connectionRate !== undefined)
    limits.connectionsPerMinute = eventsIn(60_000, limit.connectionRate);
  if (limit.connections !== undefined) limits.connections = limit.connections;
  if (limit.messagesPerConnection !== undefined) limits.messagesPerConnection = limit.messagesPerConnection;
  return limits;
}

/** Number of events that a rate allows in `ms`. */
function eventsIn(ms: number, written: RateText): number {
  const { count, per } = readRate(written)!;
  return (count * ms) / per;
}

const CODE_RANGE = /^([45][0-9]{2})-([45][0-9]{2})$/;

/** Parses reply codes from `421`, `'4xx'` or `'450-459'`; undefined for any other form. */
export function readCode(code: unknown): CodeRange | undefined {
  if (code === '4xx') return [400, 499];
  if (code === '5xx') return [500, 599];
  if (typeof code === 'number') {
    return Number.isInteger(code) && code >= 400 && code <= 599 ? [code, code] : undefined;
  }
  const parts = typeof code === 'string' ? CODE_RANGE.exec(code) : null;
  if (parts === null || parts[1]! > parts[2]!) return undefined;
  return [Number(parts[1]), Number(parts[2])];
}

const ENHANCED_PART = /^([0-9]{1,3})(?:-([0-9]{1,3}))?$/;
const ANY: CodeRange = [0, 999];

/** Parses `4.7.28`, `4.7.*`, `5.7.606-649` as three ranges; undefined for any other form. */
export function readEnhanced(text: unknown): EnhancedPattern | undefined {
  const parts = typeof text === 'string' ? text.split('.') : [];
  if (parts.length !== 3 || !/^[45*]$/.test(parts[0]!)) return undefined;
  const ranges = parts.map((part): CodeRange | undefined => {
    if (part === '*') return ANY;
    const found = ENHANCED_PART.exec(part);
    if (found === null) return undefined;
    const low = Number(found[1]);
    const high = Number(found[2] ?? found[1]);
    return low <= high ? [low, high] : undefined;
  });
  return ranges.includes(undefined) ? undefined : (ranges as unknown as EnhancedPattern);
}
