/** From outcomes to events that are ready to leave. */
import type { EventType } from '../control/event-destination.ts';
import type { EventMessage } from '../engine/destinations.ts';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { FeedPage, Records } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import { recordsOf } from '../outcome/apply-suppression.ts';
import { feedbackId, sesEvents } from '../outcome/events.ts';
import type { EventContext } from '../outcome/mail-object.ts';

/** An event with the place of its outcome in the feed. */
export interface PlacedEvent {
  place: number;
  message: EventMessage;
}

export interface EventSource {
  records: Pick<Records, 'message'>;
  context: EventContext;
  log: Pick<Log, 'error'>;
}

/**
 * The events of a page of the feed, in its order. Outcomes that lead to none of the wanted types cost no look at their
 * record.
 */
export async function eventsOf(
  { records, context, log }: EventSource,
  { outcomes, places }: FeedPage,
  wanted: (outcome: Outcome) => boolean,
): Promise<PlacedEvent[]> {
  const chosen: { outcome: Outcome; place: number }[] = [];
  for (const [i, outcome] of outcomes.entries())
    if (wanted(outcome)) chosen.push({ outcome, place: places[i]! });
  const found = await recordsOf(
    records,
    chosen.map(({ outcome }) => outcome),
    (messageId, error) => log.error('an event is lost: its record is unreadable', { messageId, error }),
  );
  return chosen.flatMap(({ outcome, place }) => {
    const record = found.get(outcome.messageId);
    return record ? messagesOf(record, outcome, context).map((message) => ({ place, message })) : [];
  });
}

/** The events of one outcome. */
export function messagesOf(record: MessageRecord, outcome: Outcome, context: EventContext): EventMessage[] {
  return sesEvents(record, outcome, context).map((event) => ({
    id: feedbackId(outcome),
    tenant: record.tenant,
    configurationSet: record.configurationSet,
    setOwner: record.setOwner,
    messageId: event.mail.messageId,
    at: outcome.at,
    event,
    json: JSON.stringify(event),
  }));
}

const TYPES: Readonly<Record<Exclude<Outcome['kind'], 'attempt'>, EventType | undefined>> = {
  accepted: 'SEND',
  bounce: 'BOUNCE',
  complaint: 'COMPLAINT',
  subscription: 'SUBSCRIPTION',
  open: 'OPEN',
  click: 'CLICK',
  'rendering-failure': 'RENDERING_FAILURE',
  reject: 'REJECT',
  cancelled: undefined,
};

/** The type of event that an outcome leads to, if to any. */
export function typeOfOutcome({ kind, attempt }: Outcome): EventType | undefined {
  if (kind !== 'attempt') return TYPES[kind];
  if (attempt?.state === 'delivered') return 'DELIVERY';
  return attempt?.state === 'deferred' ? 'DELIVERY_DELAY' : 'BOUNCE';
}
