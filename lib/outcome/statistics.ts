/** Converts a batch of the outcome feed to events and statistics. Pure: the caller stores and publishes. */
import type { MessageRecord, Outcome } from '../engine/items.ts';
import { sesEvents } from './events.ts';
import type { EventContext } from './mail-object.ts';
import type { SesEvent } from './ses-event.ts';

/** Quarter hours, as SES's GetSendStatistics counts. */
const STATISTICS_PERIOD = 15 * 60_000;

/** Amounts to add to the counters of one tenant in one period. */
export interface StatisticsDelta {
  tenant: string;
  /** Start of the period, since the epoch, ms. */
  period: number;
  /** Recipients of accepted messages. */
  sends: number;
  deliveries: number;
  delays: number;
  /** All bounces except those of addresses that were suppressed before, as with SES. */
  bounces: number;
  hardBounces: number;
  complaints: number;
  rejects: number;
  renderingFailures: number;
}

export interface Summary {
  /** Each event with the configuration set whose destinations receive it. In the order of the outcomes. */
  events: { tenant: string; configurationSet?: string; event: SesEvent }[];
  statistics: StatisticsDelta[];
  /** Outcomes whose message record was pruned: they give neither event nor statistics. */
  orphans: number;
}

type DeliveryCounter = Exclude<keyof StatisticsDelta, 'tenant' | 'period'>;

/**
 * @param outcomes a batch of the feed. @param records the records of its messages, by id, without those that were
 * pruned.
 */
export function summarise(
  outcomes: readonly Outcome[],
  records: ReadonlyMap<string, MessageRecord>,
  context: EventContext,
): Summary {
  const result: Summary = { events: [], statistics: [], orphans: 0 };
  const statistics = new Map<string, StatisticsDelta>();
  for (const outcome of outcomes) {
    const record = records.get(outcome.messageId);
    if (!record) {
      result.orphans++;
      continue;
    }
    const { tenant, configurationSet } = record;
    for (const event of sesEvents(record, outcome, context)) {
      result.events.push({ tenant, configurationSet, event });
      for (const counter of countersOf(event))
        deltaOf(statistics, tenant, outcome.at)[counter] +=
          counter === 'sends' ? record.recipients.length : 1;
    }
  }
  result.statistics = [...statistics.values()];
  return result;
}

/** Bounces of mail that was never sent: as in SES they count in no rate. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'OnAccountSuppressionList',
  'OnTenantSuppressionList',
  'UnsubscribedRecipient',
]);

function countersOf(event: SesEvent): DeliveryCounter[] {
  switch (event.eventType) {
    case 'Send':
      return ['sends'];
    case 'Delivery':
      return ['deliveries'];
    case 'DeliveryDelay':
      return ['delays'];
    case 'Bounce':
      if (NOT_SENT.has(event.bounce.bounceSubType)) return [];
      return event.bounce.bounceType === 'Permanent' ? ['bounces', 'hardBounces'] : ['bounces'];
    case 'Complaint':
      return event.complaint.complaintFeedbackType === 'not-spam' ? [] : ['complaints'];
    case 'Reject':
      return ['rejects'];
    case 'Rendering Failure':
      return ['renderingFailures'];
    case 'Open':
    case 'Click':
      return [];
  }
}

function deltaOf(statistics: Map<string, StatisticsDelta>, tenant: string, at: number): StatisticsDelta {
  const period = at - (at % STATISTICS_PERIOD);
  const key = `${period} ${tenant}`;
  let delta = statistics.get(key);
  if (!delta) {
    delta = {
      tenant,
      period,
      sends: 0,
      deliveries: 0,
      delays: 0,
      bounces: 0,
      hardBounces: 0,
      complaints: 0,
      rejects: 0,
      renderingFailures: 0,
    };
    statistics.set(key, delta);
  }
  return delta;
}
