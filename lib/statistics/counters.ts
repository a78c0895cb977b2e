/**
 * What is counted of mail, and by which dimensions. Pure.
 *
 * | outcome                | counters                                                            |
 * |------------------------|---------------------------------------------------------------------|
 * | accepted               | accepted, by campaign alone: `accepted.ts` counts it of all mail     |
 * | attempt, delivered     | sent, delivered                                                     |
 * | attempt, deferred      | deferred                                                            |
 * | attempt, bounced       | sent, permanentBounces or transientBounces                          |
 * | attempt, expired       | sent, transientBounces                                              |
 * | attempt, suppressed    | suppressed: as with SES it counts in no rate                        |
 * | bounce (a later report)| permanentBounces or transientBounces                                |
 * | complaint              | complaints, unless of type `not-spam`                               |
 * | open, click            | opens, clicks                                                       |
 * | subscription           | unsubscribes                                                        |
 * | rendering-failure      | renderingFailures, one for each recipient                           |
 * | reject                 | rejects                                                             |
 * | cancelled              | cancelled                                                           |
 *
 * Rates of bounces and complaints are made of `ratedSent`, `ratedBounces` and `ratedComplaints`: as with SES hard
 * bounces alone, and no mail to the simulator.
 */
import type { MessageRecord, Outcome } from '../engine/items.ts';
import { diagnoseAttempt } from '../outcome/attempt.ts';
import type { BounceDetail, ComplaintDetail } from '../outcome/details.ts';
import { isSimulatorAddress } from '../outcome/simulator.ts';
import { laneGroup, providerOf } from '../shaping/providers.ts';

/** The counters, each with the letter under which it is stored. */
export const COUNTERS = {
  accepted: 'a',
  sent: 's',
  delivered: 'd',
  deferred: 'l',
  permanentBounces: 'p',
  transientBounces: 't',
  complaints: 'c',
  opens: 'o',
  clicks: 'k',
  unsubscribes: 'u',
  rejects: 'r',
  renderingFailures: 'f',
  suppressed: 'q',
  cancelled: 'x',
  ratedSent: 'S',
  ratedBounces: 'P',
  ratedComplaints: 'C',
} as const;
export type Counter = keyof typeof COUNTERS;
export type MailCounts = Partial<Record<Counter, number>>;

/** The dimensions by which mail is counted, each with the letter under which it is stored. */
export const DIMENSION_LETTERS = {
  identity: 'i',
  configurationSet: 'e',
  pool: 'n',
  ip: 'h',
  provider: 'v',
  campaign: 'g',
} as const;
export type StatisticsDimension = keyof typeof DIMENSION_LETTERS;
export type DimensionValues = Partial<Record<StatisticsDimension, string>>;

/** The counters of an outcome, each with its amount; empty for one that is not counted. */
export function countsOf(record: MessageRecord, outcome: Outcome): MailCounts {
  const rated = !isSimulatorAddress(record.recipients[outcome.n ?? 0] ?? '');
  switch (outcome.kind) {
    case 'accepted':
      return record.campaign === undefined ? {} : { accepted: record.recipients.length };
    case 'attempt':
      return attemptCounts(outcome, rated);
    case 'bounce': {
      const { bounce, hard } = outcome.detail as BounceDetail;
      return { ...bounceCounter(bounce.type), ...(rated && hard && { ratedBounces: 1 }) };
    }
    case 'complaint':
      if ((outcome.detail as ComplaintDetail).feedbackType === 'not-spam') return {};
      return { complaints: 1, ...(rated && { ratedComplaints: 1 }) };
    case 'open':
      return { opens: 1 };
    case 'click':
      return { clicks: 1 };
    case 'subscription':
      return { unsubscribes: 1 };
    case 'rendering-failure':
      return { renderingFailures: 1 };
    case 'reject':
      return { rejects: 1 };
    case 'cancelled':
      return { cancelled: 1 };
    default:
      // What a newer version reports is not counted here.
      return {};
  }
}

function attemptCounts({ attempt }: Outcome, rated: boolean): MailCounts {
  switch (attempt?.state) {
    case 'delivered':
      return { sent: 1, delivered: 1, ...(rated && { ratedSent: 1 }) };
    case 'deferred':
      return { deferred: 1 };
    case 'bounced': {
      const { bounce, hard } = diagnoseAttempt(attempt);
      const sent = { sent: 1, ...(rated && { ratedSent: 1, ...(hard && { ratedBounces: 1 }) }) };
      return { ...sent, ...bounceCounter(bounce.type) };
    }
    case 'expired':
      return { sent: 1, transientBounces: 1, ...(rated && { ratedSent: 1 }) };
    case 'suppressed':
      return { suppressed: 1 };
    default:
      return {};
  }
}

function bounceCounter(type: string): MailCounts {
  return type === 'Permanent' ? { permanentBounces: 1 } : { transientBounces: 1 };
}

/** The values by which an outcome is counted. The address and the provider of an attempt are those that it used. */
export function dimensionsOf(record: MessageRecord, outcome: Outcome): DimensionValues {
  const { attempt, n } = outcome;
  const recipient = n === undefined ? undefined : record.recipients[n];
  return {
    identity: record.fromDomain,
    configurationSet: record.configurationSet,
    pool: record.pool,
    ip: attempt?.ip,
    provider: recipient === undefined ? undefined : providerOfAttempt(record, n!, recipient, attempt),
    campaign: record.campaign,
  };
}

function providerOfAttempt(
  { groups }: MessageRecord,
  n: number,
  recipient: string,
  attempt: Outcome['attempt'],
): string {
  if (attempt?.provider !== undefined) return attempt.provider;
  if (attempt?.mx) return providerOf([attempt.mx.host]);
  return groups?.[n] ?? laneGroup(recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase());
}
