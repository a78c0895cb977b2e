/** PowerMTA's backoff mode, as rules of automation: a pattern on replies, and what the queue does then. */
import { PatternError } from '../../automation/pattern.ts';
import type { Rule, RuleAction, RuleLimit, Span } from '../../automation/rule.ts';
import type { Dimension } from '../../directives/directive.ts';
import { CAUSES } from '../../outcome/causes.ts';
import { diagnose } from '../../outcome/diagnosis.ts';
import { readReply } from '../../outcome/reply.ts';
import { HOUR } from '../../time.ts';
import { rateOf, spanOf } from '../amounts.ts';
import type { ImportDraft, LimitPlace } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { poolName } from '../names.ts';
import { intervalOf, pmtaRateOf, type Statement } from './config.ts';
import { isYes } from './limits.ts';
import { replyPatternOf } from './patterns.ts';

/** What a domain says of its backoff mode, by the name of the directive. */
export type BackoffSettings = Map<string, Statement>;

/** A domain block that names a list of patterns. */
export interface Binding {
  readonly list: string;
  readonly places: readonly LimitPlace[];
  readonly settings: BackoffSettings;
}

/** Directives of a domain that shape its rules. */
export const BACKOFF: ReadonlySet<string> = new Set([
  'backoff-max-msg-rate',
  'backoff-max-msg-per-hour',
  'backoff-max-connect-rate',
  'backoff-max-smtp-out',
  'backoff-retry-after',
  'backoff-to-normal-after',
  'backoff-to-normal-after-delivery',
  'backoff-reroute-to-virtual-mta',
  'reenable-source-ip-after',
]);

const DEFAULT_RETRY: Span = '1h';
const NEVER: Span = '1d';

interface PatternEntry {
  expression: string;
  actions: ReadonlyMap<string, string>;
  at: SourcePlace;
}

/** `reply /421 .*too many/ mode=backoff backoff-to-normal-after=1h` */
function entryOf({ name, value, at }: Statement): PatternEntry | undefined {
  const parts = /^\/((?:[^/\\]|\\.)*)\/[a-z]*\s*(.*)$/s.exec(
    value.replace(/^(?:reply|helo|greeting)\s+/, ''),
  );
  if (parts === null || !/^(reply|mail-from-reply|rcpt-to-reply|data-reply|connect)$/.test(name))
    return undefined;
  const actions = new Map(
    parts[2]!
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((word) => {
        const [key = '', text = 'yes'] = word.replace(/"/g, '').split('=');
        return [key.toLowerCase(), text] as const;
      }),
  );
  return { expression: parts[1]!, actions, at };
}

/** Makes the rules of all lists. */
export function takeBackoff(
  draft: ImportDraft,
  lists: ReadonlyMap<string, readonly Statement[]>,
  bindings: readonly Binding[],
): void {
  for (const [list, statements] of lists) {
    const bound = bindings.filter((one) => one.list === list);
    for (const [i, statement] of statements.entries()) {
      const entry = entryOf(statement);
      if (entry === undefined) draft.note(statement.at, 'fault', 'is no reply /pattern/ action.');
      else if (bound.length === 0)
        draft.note(
          entry.at,
          'impossible',
          `no domain names the list ${list}, so it never acts. Bind it, or leave it out.`,
        );
      else takeEntry(draft, entry, `${list}.${i + 1}`, bound);
    }
  }
  for (const { list, settings } of bindings) {
    const at = settings.get('smtp-pattern-list')?.at;
    if (!lists.has(list) && at) draft.note(at, 'fault', `there is no list ${list}.`);
  }
}

function takeEntry(draft: ImportDraft, entry: PatternEntry, name: string, bindings: readonly Binding[]) {
  let pattern: ReturnType<typeof replyPatternOf>;
  try {
    pattern = replyPatternOf(entry.expression);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    const instead = 'Write a rule with the words of the reply (lib/automation/README.md).';
    return draft.note(entry.at, 'impossible', `the expression ${error.message}. ${instead}`);
  }
  const groups = new Map<string, Binding[]>();
  for (const binding of bindings) {
    const key = JSON.stringify([...binding.settings].map(([directive, { value }]) => [directive, value]));
    groups.set(key, [...(groups.get(key) ?? []), binding]);
  }
  const told: string[] = [];
  for (const [n, group] of [...groups.values()].entries()) {
    const effect = effectOf(draft, entry, group[0]!.settings);
    if (effect === undefined) continue;
    const id = `pmta.${name}${groups.size > 1 ? `.${n + 1}` : ''}`
      .toLowerCase()
      .replace(/[^a-z0-9.-]+/g, '-')
      .slice(0, 64);
    const { code, text, samples } = pattern;
    const { match, scope } = whose(group);
    const rule: Rule = {
      id,
      reason: `Imported from PowerMTA: ${entry.expression.slice(0, 120)}`,
      match: { ...match, ...(code !== undefined && { code }), ...(text && { text }) },
      ...effect.rule,
      scope,
      samples,
    };
    draft.rules.push(rule);
    draft.origins.set(`rule ${id}`, entry.at);
    told.push(`${id}: ${effect.text}`);
  }
  if (told.length > 0) draft.note(entry.at, 'changed', `rule ${told.join('; ')}.`);
  return undefined;
}

function whose(group: readonly Binding[]): { match: Rule['match']; scope: readonly Dimension[] } {
  const places = group.flatMap((one) => one.places);
  if (places.some(({ layer }) => layer === 'default')) return { match: {}, scope: ['ip', 'site'] };
  const of = (layer: string): string[] => [
    ...new Set(places.flatMap((place) => ('key' in place && place.layer === layer ? [place.key] : []))),
  ];
  const [provider, domain] = [of('providers'), of('domains')];
  if (domain.length === 0) return { match: { provider }, scope: ['ip', 'provider'] };
  // Members of a match must all agree, and a list of providers beside domains would match neither.
  return { match: provider.length === 0 ? { domain } : {}, scope: ['ip', 'site'] };
}

type Effect = { rule: Pick<Rule, 'action' | 'duration' | 'leaveAfter'>; text: string };

/** What a pattern does; undefined when it does nothing that a rule could. */
function effectOf(
  draft: ImportDraft,
  { actions, at }: PatternEntry,
  settings: BackoffSettings,
): Effect | undefined {
  const value = (name: string): string | undefined => actions.get(name) ?? settings.get(name)?.value;
  if (actions.has('disable-source-ip')) {
    const { span, text } = spanFor(
      value('reenable-after') ?? settings.get('reenable-source-ip-after')?.value,
    );
    return {
      rule: { action: 'suspend', duration: span },
      text: `the address is suspended there for ${text}`,
    };
  }
  if (actions.has('bounce-queue') || actions.get('action') === 'bounce') {
    return { rule: { action: 'bounce', duration: '1h' }, text: 'mail of the queue bounces for an hour' };
  }
  if (actions.get('mode') !== 'backoff') {
    const words = [...actions].map(([key, text]) => `${key}=${text}`).join(' ') || 'no action';
    const instead = /mode=normal/.test(words)
      ? 'A rule ends by its duration, or by deliveries (leaveAfter).'
      : 'Use onReply of postern.policy.ts.';
    draft.note(at, 'impossible', `${words}: ${instead}`);
    return undefined;
  }
  const { span, text } = spanFor(value('backoff-to-normal-after'));
  const reroute = value('backoff-reroute-to-virtual-mta');
  if (reroute) {
    const pool = poolName(reroute);
    if (draft.pools[pool])
      return {
        rule: { action: { reroute: pool }, duration: span },
        text: `mail goes by pool ${pool} for ${text}`,
      };
    draft.note(
      at,
      'impossible',
      `there is no virtual MTA ${reroute} to send by; the queue is slowed down instead.`,
    );
  }
  const limit = limitOf(settings);
  const leaveAfter = isYes(value('backoff-to-normal-after-delivery') ?? '') ? { leaveAfter: 1 } : {};
  if (limit === undefined) {
    const retry = settings.get('backoff-retry-after')?.value.split(/[\s,]/)[0];
    const wait = retry === undefined ? DEFAULT_RETRY : spanOf(intervalOf(retry) ?? HOUR);
    return {
      rule: { action: 'suspend', duration: wait },
      text: `no limit of its backoff mode is set, so it is suspended for ${wait}, the time until its retry`,
    };
  }
  return {
    rule: { action: { limit } as RuleAction, duration: span, ...leaveAfter },
    text: `${JSON.stringify(limit)} for ${text}${leaveAfter.leaveAfter ? ', or until a delivery' : ''}`,
  };
}

function spanFor(value: string | undefined): { span: Span; text: string } {
  const ms = value === undefined || /^never$/i.test(value) ? undefined : intervalOf(value);
  if (ms === undefined || ms === 0)
    return { span: NEVER, text: 'a day after the last such reply (there: until it is ended by hand)' };
  return { span: spanOf(ms), text: spanOf(ms) };
}

function limitOf(settings: BackoffSettings): RuleLimit | undefined {
  const rate = (name: string): RuleLimit['messageRate'] => {
    const found = pmtaRateOf(settings.get(name)?.value ?? '');
    return found === undefined || found === 'unlimited' ? undefined : rateOf(found.count, found.per).text;
  };
  const perHour = settings.get('backoff-max-msg-per-hour')?.value;
  const messageRate =
    rate('backoff-max-msg-rate') ??
    (/^[1-9]\d{0,8}$/.test(perHour ?? '') ? (`${Number(perHour)}/h` as const) : undefined);
  const connectionRate = rate('backoff-max-connect-rate');
  const out = settings.get('backoff-max-smtp-out')?.value;
  const connections = /^[1-9]\d{0,3}$/.test(out ?? '') ? Number(out) : undefined;
  const limit = {
    ...(messageRate && { messageRate }),
    ...(connectionRate && { connectionRate }),
    ...(connections && { connections }),
  };
  return Object.keys(limit).length > 0 ? limit : undefined;
}

/** `/user unknown/ bad-mailbox`: how Postern judges a reply with these words, beside how PowerMTA did. */
export function takeCategory(draft: ImportDraft, { name, value, at }: Statement) {
  const parts = /^\/((?:[^/\\]|\\.)*)\/[a-z]*\s+([\w-]+)/.exec(`${name} ${value}`.trim());
  if (parts === null) return draft.note(at, 'fault', 'is no /pattern/ category.');
  const [, expression, category] = parts;
  let sample: string;
  try {
    sample = replyPatternOf(expression!).samples[0]!.replace(/^4\d\d/, '550');
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return draft.note(
      at,
      'impossible',
      `the expression ${error.message}. Categories are lib/outcome's; a reply is judged otherwise by onReply of postern.policy.ts.`,
    );
  }
  const reply = readReply(sample);
  const found =
    reply && CAUSES[diagnose({ ...reply, text: reply.lines.join(' '), phase: 'rcpt' }).cause].category;
  if (found === category) return draft.note(at, 'already', `such a reply is ${category} here too.`);
  return draft.note(
    at,
    'impossible',
    `such a reply is ${found ?? 'other'} here. To judge it as ${category}, use onReply of postern.policy.ts.`,
  );
}
