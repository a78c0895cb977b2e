/** Automation of shaping files to rules. */
import { PatternError } from '../../automation/pattern.ts';
import type { Rule, RuleAction, RuleLimit } from '../../automation/rule.ts';
import type { Dimension } from '../../directives/directive.ts';
import { rateOf, spanOf } from '../amounts.ts';
import type { ImportDraft, LimitPlace } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { replyPatternOf } from '../powermta/patterns.ts';
import { isTable, type TomlTable } from './toml.ts';
import { durationOf, limitOf, throttleOf } from './values.ts';

/** Takes one `[[… .automation]]`. */
export function takeAutomation(
  draft: ImportDraft,
  entry: TomlTable,
  at: SourcePlace,
  where: { name: string; index: number; places: readonly LimitPlace[]; source: boolean },
) {
  const expressions = (Array.isArray(entry.regex) ? entry.regex : [entry.regex]).filter(
    (one): one is string => typeof one === 'string',
  );
  const actions = Array.isArray(entry.action) ? entry.action : [entry.action];
  const duration = durationOf(entry.duration);
  if (expressions.length === 0) return draft.note(at, 'fault', 'has no regex.');
  if (duration === undefined || duration <= 0) return draft.note(at, 'fault', 'has no duration.');
  const trigger = triggerOf(entry.trigger);
  const own: { rule: RuleAction; scope: readonly Dimension[] }[] = [];
  const limit: RuleLimit = {};
  for (const action of actions) {
    const taken = actionOf(action, where.places, limit);
    if (typeof taken === 'string') draft.note(at, 'impossible', taken);
    else if (taken) own.push(taken);
  }
  if (Object.keys(limit).length > 0) own.push({ rule: { limit }, scope: scopeOf(where.places) });
  for (const [e, expression] of expressions.entries()) {
    let pattern: ReturnType<typeof replyPatternOf>;
    try {
      pattern = replyPatternOf(expression);
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      draft.note(
        at,
        'impossible',
        `${expression.slice(0, 80)} ${error.message}. Write a rule with the words of the reply (lib/automation/README.md).`,
      );
      continue;
    }
    for (const [a, { rule: action, scope }] of own.entries()) {
      const id = [
        'kumo',
        where.name,
        where.index + 1,
        ...(expressions.length > 1 ? [e + 1] : []),
        ...(own.length > 1 ? ['abcdefgh'[a]] : []),
      ]
        .join('.')
        .toLowerCase()
        .replace(/[^a-z0-9.-]+/g, '-')
        .slice(0, 64);
      const rule: Rule = {
        id,
        reason: `Imported from KumoMTA: ${expression.slice(0, 120)}`,
        match: {
          ...matchOf(where.places),
          ...(pattern.code !== undefined && { code: pattern.code }),
          ...(pattern.text && { text: pattern.text }),
        },
        ...(trigger && { trigger }),
        action,
        scope,
        duration: spanOf(duration),
        samples: pattern.samples,
      };
      draft.rules.push(rule);
      draft.origins.set(`rule ${id}`, at);
      const only = where.source ? ' It acts for every address: a rule has no source.' : '';
      draft.note(
        at,
        where.source ? 'changed' : 'taken',
        `rule ${id}: ${JSON.stringify(action)} for ${spanOf(duration)}.${only}`,
      );
    }
  }
  return undefined;
}

function matchOf(places: readonly LimitPlace[]): Rule['match'] {
  const keys = (layer: string): string[] =>
    places.flatMap((place) => ('key' in place && place.layer === layer ? [place.key] : []));
  const [provider, domain] = [keys('providers'), keys('domains')];
  return {
    ...(provider.length > 0 && { provider }),
    ...(domain.length > 0 && provider.length === 0 && { domain }),
  };
}

function scopeOf(places: readonly LimitPlace[]): readonly Dimension[] {
  return places.length > 0 && places.every(({ layer }) => layer === 'providers')
    ? ['ip', 'provider']
    : ['ip', 'site'];
}

/** `Immediate`, `{ Threshold = "3/hr" }`. One event is at once. */
function triggerOf(value: unknown): Rule['trigger'] {
  const spec = isTable(value) ? throttleOf(value.Threshold) : undefined;
  if (spec === undefined || spec.count < 2) return undefined;
  return { events: Math.min(1_000, spec.count), within: spanOf(spec.per) };
}

/** @returns the action; a sentence when there is none; undefined when it was added to `limit`. */
function actionOf(
  action: unknown,
  places: readonly LimitPlace[],
  limit: RuleLimit,
): { rule: RuleAction; scope: readonly Dimension[] } | string | undefined {
  const [ip, where] = scopeOf(places) as [Dimension, Dimension];
  if (isTable(action)) {
    const kind = Object.keys(action)[0];
    const { name, value } = (Object.values(action)[0] ?? {}) as { name?: unknown; value?: unknown };
    if (kind !== 'SetConfig')
      return `${kind}: retries and lifetimes are not changed by a reply. Set them in limits, or use onReply of postern.policy.ts.`;
    return setConfig(String(name), value, limit);
  }
  switch (action) {
    case 'Suspend':
      return { rule: 'suspend', scope: [ip, where] };
    case 'SuspendTenant':
      return { rule: 'suspend', scope: ['tenant', where] };
    case 'SuspendCampaign':
      return { rule: 'suspend', scope: ['tenant', 'campaign', where] };
    case 'Bounce':
      return { rule: 'bounce', scope: [ip, where] };
    case 'BounceTenant':
      return { rule: 'bounce', scope: ['tenant', where] };
    case 'BounceCampaign':
      return { rule: 'bounce', scope: ['tenant', 'campaign', where] };
    default:
      return `${JSON.stringify(action)} is no action.`;
  }
}

function setConfig(name: string, value: unknown, limit: RuleLimit): undefined | string {
  const throttle = throttleOf(value);
  const number = limitOf(value);
  if (name === 'max_message_rate' && throttle) limit.messageRate = rateOf(throttle.count, throttle.per).text;
  else if (name === 'max_connection_rate' && throttle)
    limit.connectionRate = rateOf(throttle.count, throttle.per).text;
  else if (name === 'connection_limit' && number) limit.connections = number;
  else if (name === 'max_deliveries_per_connection' && number) limit.messagesPerConnection = number;
  else return `${name}: is no limit that a rule can set. Set it in limits for good.`;
  return undefined;
}
