/**
 * Validates rules from outside before the running configuration changes. Beside their form it checks that a rule can
 * fire at all: its provider exists, and each of its samples fires it.
 */

import { readName } from '../directives/check.ts';
import { DIMENSIONS } from '../directives/directive.ts';
import { readBoolean, readChoice, readList, readNumber, readObject, readText, refuse } from '../document.ts';
import { readReply } from '../outcome/reply.ts';
import { readProvider } from '../shaping/providers.ts';
import { readRate } from '../shaping/rate.ts';
import { readSpan } from '../units.ts';
import { asList, compileRules, readCode, readEnhanced } from './compile.ts';
import { matchingRules, type ReplyEvent } from './evaluate.ts';
import { PatternMatcher } from './matcher.ts';
import { PatternError, readPattern } from './pattern.ts';
import { PHASES, type Rule, type RuleMatch } from './rule.ts';

const MAX_RULES = 2000;
const MAX_EVENTS = 1000;
const MAX_LIST = 100;
const ID = /^[a-z0-9][a-z0-9.-]{1,63}$/;
const WORD = /^[\x21-\x7e]{1,255}$/;
/** Actions that end or move the mail: a rule has exactly one of these. */
const WAYS: ReadonlySet<string> = new Set(['suspend', 'bounce', 'reroute']);
/** Actions under which mail is still delivered. */
const FLOWING: ReadonlySet<string> = new Set(['limit', 'alert']);

type Check = (value: unknown, path: string) => void;
type Checks<T> = { readonly [K in keyof Required<T>]: Check };

/**
 * Validates a list of rules.
 * @param path position of the list, file included, for the message: `rules.json: rules`.
 * @returns the same list, typed.
 * @throws PosternError `bad_request`: `rules.json: rules[3].match.code: what is wrong`.
 */
export function checkRules(value: unknown, path: string): Rule[] {
  const seen = new Set<string>();
  readList(value, path, (rule, at) => checkRule(rule, at, seen));
  const rules = value as Rule[];
  if (rules.length > MAX_RULES) refuse(path, `has more than ${MAX_RULES} rules.`);
  proveSamples(rules, path);
  return rules;
}

/** Validates the members of an object, and refuses unknown ones. */
function members<T>(checks: Checks<T>): Check {
  const names = Object.keys(checks) as (keyof T & string)[];
  return (value, path) => {
    const object = readObject(value, path, names);
    for (const name of names) if (object[name] !== undefined) checks[name](object[name], `${path}.${name}`);
  };
}

function needs(value: unknown, path: string, names: readonly string[]): void {
  for (const name of names) {
    if ((value as Record<string, unknown>)[name] === undefined) refuse(`${path}.${name}`, 'is missing.');
  }
}

/** Validates a value by `read`, which returns undefined for a wrong one; `what` describes the right form. */
function readable(read: (value: unknown) => unknown, what: string): Check {
  return (value, path) => {
    if (read(value) === undefined) refuse(path, `${JSON.stringify(value)} is not ${what}.`);
  };
}

/** Validates one value, or a list of some. */
function oneOrMany(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return check(value, path);
    if (value.length === 0 || value.length > MAX_LIST) refuse(path, `must have 1 to ${MAX_LIST} members.`);
    readList(value, path, check);
  };
}

const whole =
  (min: number, max: number): Check =>
  (value, path) =>
    readNumber(value, path, { min, max, integer: true });

const choice =
  (choices: readonly string[]): Check =>
  (value, path) =>
    readChoice(value, path, choices);

const matching = (pattern: RegExp, what: string): Check =>
  readable((value) => (typeof value === 'string' && pattern.test(value) ? value : undefined), what);

const span = readable(readSpan, 'a length of time; write 90s, 30m, 2h or 1d');
const rate = readable(readRate, 'a rate; write 10/s, 1/min, 500/h or 10000/d');
const word = matching(WORD, 'a name without blanks');

const pattern: Check = (value, path) => {
  try {
    readPattern(readText(value, path));
  } catch (error) {
    if (error instanceof PatternError) refuse(path, `${JSON.stringify(value)} ${error.message}.`);
    throw error;
  }
};

const checkMatch = members<RuleMatch>({
  provider: oneOrMany(readProvider),
  site: oneOrMany(word),
  mx: oneOrMany(word),
  domain: oneOrMany(word),
  code: oneOrMany(readable(readCode, 'a refusal; write 421, "4xx", "5xx" or "450-459"')),
  enhanced: oneOrMany(readable(readEnhanced, 'an enhanced code; write "4.7.28", "4.7.*" or "5.7.606-649"')),
  phase: oneOrMany(choice(PHASES)),
  text: oneOrMany(pattern),
});

const checkLimit = members({
  messageRate: rate,
  connectionRate: rate,
  connections: whole(1, 10_000),
  messagesPerConnection: whole(1, 1_000_000),
});

const checkAction: Check = (value, path) => {
  if (typeof value === 'string') {
    readChoice(value, path, ['suspend', 'bounce', 'alert']);
    return;
  }
  members({ limit: checkLimit, reroute: readName })(value, path);
  const action = value as { limit?: object };
  if (Object.keys(action).length !== 1) refuse(path, 'must be one of limit and reroute.');
  if (action.limit !== undefined && Object.keys(action.limit).length === 0) {
    refuse(`${path}.limit`, 'sets no limit; name at least one. To stop mail, suspend it.');
  }
};

const checkFields = members<Rule>({
  id: matching(ID, 'an id: 2 to 64 lower-case letters, digits, dots and hyphens'),
  reason: readText,
  match: (value, path) => {
    checkMatch(value, path);
    if (Object.keys(value as object).length === 0) refuse(path, 'is empty; it would match every refusal.');
  },
  trigger: (value, path) => {
    members({ events: whole(2, MAX_EVENTS), within: span })(value, path);
    needs(value, path, ['events', 'within']);
  },
  action: oneOrMany(checkAction),
  scope: (value, path) => {
    const scope = readList(value, path, choice(DIMENSIONS));
    if (scope.length === 0) refuse(path, 'is empty; it would mean all mail.');
    if (new Set(value as string[]).size < scope.length) refuse(path, 'names a dimension twice.');
  },
  duration: span,
  hint: (value, path) => {
    members({ least: span, most: span })(value, path);
    needs(value, path, ['least', 'most']);
    const { least, most } = value as { least: string; most: string };
    if (readSpan(least)! > readSpan(most)!) refuse(path, `has its least, ${least}, above its most, ${most}.`);
  },
  leaveAfter: whole(1, 10_000),
  fallback: readBoolean,
  samples: (value, path) => {
    readList(
      value,
      path,
      readable((sample) => readReply(String(sample)), 'a reply; write "421 4.7.0 text"'),
    );
    if ((value as string[]).length === 0) refuse(path, 'is empty; give a reply that the rule is to fire on.');
  },
  overlaps: (value, path) => {
    readList(value, path, (overlap, at) => {
      members({ rule: word, why: readText })(overlap, at);
      needs(overlap, at, ['rule', 'why']);
    });
  },
});

function checkRule(value: unknown, path: string, seen: Set<string>): void {
  checkFields(value, path);
  needs(value, path, ['id', 'reason', 'match', 'action', 'duration', 'samples']);
  const rule = value as Rule;
  if (seen.has(rule.id)) refuse(`${path}.id`, `${rule.id} is the id of another rule, too.`);
  seen.add(rule.id);
  const kinds = asList(rule.action)!.map((action) =>
    typeof action === 'string' ? action : Object.keys(action)[0]!,
  );
  if (new Set(kinds).size < kinds.length) refuse(`${path}.action`, 'has two actions of a kind.');
  const ways = kinds.filter((kind) => WAYS.has(kind));
  if (ways.length > 1) {
    refuse(`${path}.action`, `${ways.join(' and ')} contradict each other: the same mail cannot do both.`);
  }
  if (rule.leaveAfter !== undefined && !kinds.every((kind) => FLOWING.has(kind))) {
    refuse(
      `${path}.leaveAfter`,
      'needs a limit for its action: what is suspended, bounced or rerouted delivers nothing to leave by.',
    );
  }
}

/**
 * Refuses a rule that does not fire on its own samples, because it would never fire: a typing error, or a
 * contradiction. A pattern that occurs in none of them is a guess.
 */
function proveSamples(rules: readonly Rule[], path: string): void {
  const set = compileRules(rules);
  for (const [i, rule] of rules.entries()) {
    for (const [j, sample] of rule.samples.entries()) {
      const matched = matchingRules(set, eventOf(rule), readReply(sample)!).map((compiled) => compiled.rule);
      const shadowed = rule.fallback === true && matched.some(({ fallback }) => fallback !== true);
      if (matched.includes(rule) || shadowed) continue;
      refuse(`${path}[${i}].samples[${j}]`, `${JSON.stringify(sample)} does not set the rule off.`);
    }
    const texts = asList(rule.match.text) ?? [];
    const found: number[] = [];
    const matcher = new PatternMatcher(
      texts.flatMap((text, owner) => readPattern(text).map((fragments) => ({ owner, fragments }))),
    );
    for (const sample of rule.samples) matcher.scan(readReply(sample)!.lines, found);
    const guess = texts.findIndex((_, owner) => !found.includes(owner));
    if (guess < 0) continue;
    const at = Array.isArray(rule.match.text) ? `text[${guess}]` : 'text';
    refuse(
      `${path}[${i}].match.${at}`,
      `${JSON.stringify(texts[guess])} stands in no sample; give a reply that has it.`,
    );
  }
}

/** An event that the rule accepts, for trying its samples. */
function eventOf({ match }: Rule): ReplyEvent {
  const first = (value: unknown): string | undefined => asList(value as string | undefined)?.[0];
  return {
    outcome: 'refused',
    ip: '192.0.2.1',
    pool: 'default',
    tenant: 'default',
    campaign: 'sample',
    domain: first(match.domain)?.replace(/^\*/, 'a').toLowerCase() ?? 'example.com',
    provider: first(match.provider) ?? 'other',
    site: first(match.site) ?? 'mx.example.com',
    mx: first(match.mx) ?? 'mx.example.com',
    phase: first(match.phase) ?? 'body',
  };
}
