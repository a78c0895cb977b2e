/**
 * Runs `onAccept` of the policy in TypeScript: passes the facts of a message to the hook and applies the changes of
 * its answer. An answer is checked like the input of a caller; an invalid one is reported, and the message goes on
 * without it.
 */

import { PosternError } from '../errors.ts';
import { fieldValue, findField } from '../mail/message.ts';
import type { Hooks } from '../policy/open.ts';
import type { AcceptFacts } from '../policy/policy.ts';
import type { PoolUser } from '../routing/pools.ts';
import type { RawContent } from './content.ts';
import type { Origin, Prepared } from './records.ts';
import type { Content } from './types.ts';

/** The bounds that an answer is checked against. */
export interface AnswerBounds {
  hasPool(name: string, sender: PoolUser): boolean;
  /** How far ahead of its acceptance a message may be scheduled, ms. */
  maxSchedule: number;
}

/**
 * Calls the hook for a valid message, and applies its answer.
 * @throws `refused_by_policy` with the sentence of the hook.
 */
export async function askPolicy(
  hooks: Hooks,
  prepared: Prepared,
  subject: string | undefined,
  { door, keyId }: Origin,
  bounds: AnswerBounds,
): Promise<void> {
  const facts: AcceptFacts = {
    door,
    keyId,
    tenant: prepared.tenant,
    from: prepared.from.address,
    recipients: prepared.recipients.map(({ address }) => address),
    subject,
    class: prepared.class,
    pool: prepared.pool,
    campaign: prepared.campaign,
    configurationSet: prepared.configurationSet,
    tags: prepared.tags,
  };
  const answer = await hooks.ask('onAccept', facts);
  if (answer === undefined) return;
  if ('refuse' in answer) throw new PosternError('refused_by_policy', answer.refuse);
  const due = Math.max(prepared.due, prepared.acceptedAt + (answer.delaySeconds ?? 0) * 1000);
  const problem =
    answer.pool !== undefined && !bounds.hasPool(answer.pool, prepared)
      ? `onAccept.pool: there is no pool "${answer.pool}".`
      : due - prepared.acceptedAt > bounds.maxSchedule
        ? 'onAccept.delaySeconds: is further ahead than a message may be scheduled.'
        : undefined;
  if (problem !== undefined) {
    hooks.failed('onAccept', problem);
    return;
  }
  prepared.class = answer.class ?? prepared.class;
  prepared.pool = answer.pool ?? prepared.pool;
  prepared.campaign = answer.campaign ?? prepared.campaign;
  // The delivery keeps the full time for attempts, counted from the new start.
  prepared.expiresAt += due - prepared.due;
  prepared.due = due;
}

/** The subject before the message is composed; for a template, its source. */
export function subjectOf(content: Content, raw: RawContent | undefined): string | undefined {
  if (content.kind === 'simple') return content.subject;
  if (content.kind === 'template') return content.parts.subject;
  const field = raw && findField(raw.message.fields, 'subject');
  return field && fieldValue(field);
}
