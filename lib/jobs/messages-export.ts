/** Exports of message insights: a row for each recipient, with what became of it last. */
import type { DeliveryRecord, MessageRecord } from '../engine/items.ts';
import type { Records } from '../engine/ports.ts';
import { senderIn } from '../engine/search.ts';
import { sesEvents } from '../outcome/events.ts';
import { historyOf } from '../outcome/history.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { SesEvent } from '../outcome/ses-event.ts';
import { laneGroup } from '../shaping/providers.ts';
import { ISPS } from '../statistics/ses-metrics.ts';
import type { ExportRow } from './export-file.ts';
import type { MessageFilters, MessagesSource } from './export-jobs.ts';

export const MESSAGE_COLUMNS = [
  'MessageId',
  'SendTimestamp',
  'TenantName',
  'FromEmailAddress',
  'Destination',
  'Subject',
  'Isp',
  'LastDeliveryEvent',
  'LastDeliveryTimestamp',
  'LastEngagementEvent',
  'LastEngagementTimestamp',
] as const;

/** Messages that are read at one time, and of those whose deliveries are read at one time. */
const PAGE = 200;
const WIDTH = 16;

export interface MessagesDeps {
  records: Pick<Records, 'search' | 'deliveries' | 'reports'>;
  context: EventContext;
}

/**
 * @param tenants whose messages are looked at. @param looked called with the number of messages looked at since the last
 * call; it may throw, to stop.
 */
export async function* messageRows(
  deps: MessagesDeps,
  tenants: readonly string[],
  source: MessagesSource,
  looked: (messages: number) => Promise<void>,
): AsyncGenerator<ExportRow> {
  const { include = {}, exclude, max, from, before } = source;
  let left = max;
  for (const tenant of tenants) {
    // An index finds one of several addresses no faster than all.
    const sender = include.from?.length === 1 ? include.from[0] : undefined;
    const recipient = include.destination?.length === 1 ? include.destination[0] : undefined;
    for (let after: string | undefined; ; ) {
      const page = await deps.records.search({ tenant, sender, recipient, from, before, after, max: PAGE });
      for (let at = 0; at < page.messages.length; at += WIDTH) {
        const some = page.messages.slice(at, at + WIDTH).filter((one) => mayMatch(one, include, exclude));
        for (const rows of await Promise.all(some.map((one) => rowsOf(deps, one))))
          for (const row of rows) {
            if (!agrees(row, include, true) || (exclude && agrees(row, exclude, false))) continue;
            if (left-- <= 0) return;
            yield row;
          }
      }
      await looked(page.messages.length);
      after = page.next;
      if (after === undefined) break;
    }
  }
}

/** Whether a message may have rows in the file, before what became of it is read. */
function mayMatch(record: MessageRecord, include: MessageFilters, exclude?: MessageFilters): boolean {
  const of = {
    from: senderIn(record.source),
    subject: record.commonHeaders.subject ?? '',
    tenant: record.tenant,
  };
  const isExcluded =
    exclude &&
    Object.keys(exclude).every((name) => name === 'from' || name === 'subject' || name === 'tenant') &&
    partly(of, exclude, false);
  return partly(of, include, true) && !isExcluded;
}

function partly(
  { from, subject, tenant }: { from: string; subject: string; tenant: string },
  filters: MessageFilters,
  whenEmpty: boolean,
): boolean {
  const checks = [
    filters.from?.some((one) => one.toLowerCase() === from),
    filters.subject?.some((one) => subject.toLowerCase().includes(one.toLowerCase())),
    filters.tenant?.includes(tenant),
  ].filter((one) => one !== undefined);
  return checks.length === 0 ? whenEmpty : checks.every(Boolean);
}

/** @param whenEmpty what filters say that have no member. */
function agrees(row: ExportRow, filters: MessageFilters, whenEmpty: boolean): boolean {
  const same = (list: readonly string[] | undefined, value: string) =>
    list?.some((one) => one.toLowerCase() === value.toLowerCase());
  const checks = [
    same(filters.from, senderIn(row.FromEmailAddress!)),
    same(filters.destination, row.Destination!),
    filters.subject?.some((one) => row.Subject!.toLowerCase().includes(one.toLowerCase())),
    same(filters.isp, row.Isp!),
    filters.tenant?.includes(row.TenantName!),
    filters.lastDelivery?.includes(row.LastDeliveryEvent!),
    filters.lastEngagement?.includes(row.LastEngagementEvent!),
  ].filter((one) => one !== undefined);
  return checks.length === 0 ? whenEmpty : checks.every(Boolean);
}

async function rowsOf({ records, context }: MessagesDeps, record: MessageRecord): Promise<ExportRow[]> {
  const [deliveries, reports] = await Promise.all([
    records.deliveries(record.id),
    records.reports(record.id),
  ]);
  const history = historyOf(record, deliveries, reports);
  return record.recipients.map((address, n) => {
    const events = history
      .filter((outcome) => outcome.n === undefined || outcome.n === n)
      .flatMap((outcome) => sesEvents(record, outcome, context).map((event) => ({ at: outcome.at, event })));
    const delivery = last(events, deliveryWord);
    const engagement = last(events, ({ eventType }) =>
      eventType === 'Open' || eventType === 'Click' ? eventType.toUpperCase() : undefined,
    );
    return {
      MessageId: record.id,
      SendTimestamp: new Date(record.acceptedAt).toISOString(),
      TenantName: record.tenant,
      FromEmailAddress: record.source,
      Destination: address,
      Subject: record.commonHeaders.subject ?? '',
      Isp: ispOf(record, n, deliveries),
      LastDeliveryEvent: delivery.word,
      LastDeliveryTimestamp: delivery.at,
      LastEngagementEvent: engagement.word,
      LastEngagementTimestamp: engagement.at,
    };
  });
}

function last(
  events: readonly { at: number; event: SesEvent }[],
  wordOf: (event: SesEvent) => string | undefined,
): { word: string; at: string } {
  const found = events.findLast(({ event }) => wordOf(event) !== undefined);
  return found ? { word: wordOf(found.event)!, at: new Date(found.at).toISOString() } : { word: '', at: '' };
}

/** SES's words for the last event of a delivery; undefined for events that are none of these. */
function deliveryWord(event: SesEvent): string | undefined {
  switch (event.eventType) {
    case 'Send':
    case 'Delivery':
    case 'Complaint':
      return event.eventType.toUpperCase();
    case 'Bounce':
      return `${event.bounce.bounceType.toUpperCase()}_BOUNCE`;
    default:
      return undefined;
  }
}

function ispOf(
  { groups, recipients }: MessageRecord,
  n: number,
  deliveries: readonly DeliveryRecord[],
): string {
  const recipient = deliveries.find((one) => one.n === n)?.recipient ?? recipients[n]!;
  const group = groups?.[n] ?? laneGroup(recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase());
  return ISPS[group as keyof typeof ISPS] ?? '';
}
