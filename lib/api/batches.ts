/** A batch: the messages of one call, or of one campaign. How far it is, when it will be done, and its stop. */
import * as z from 'zod/mini';
import type { DeliveryRecord, MessageRecord } from '../engine/items.ts';
import { PosternError } from '../errors.ts';
import { StatisticsReader, sumOf } from '../statistics/reader.ts';
import { DAY, HOUR, MINUTE } from '../time.ts';
import { recordOf } from './messages.ts';
import { type ApiCall, iso, label, operation, query } from './operation.ts';
import { refuseQuery, tenantOf, timeOf } from './query.ts';
import { about, integer, named, positive, text, time } from './schema.ts';

/** Start of the id of a batch that is a campaign; else it is the id of a message of the call. */
const CAMPAIGN = 'campaign:';
const CAMPAIGN_NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** How far back a campaign is counted when no start is given, ms. */
const USUAL_AGE = 7 * DAY;
/** Messages whose deliveries are read or cancelled at one time. */
const WIDTH = 16;
/** Messages of a campaign that a stop cancels one by one; its directive ends the rest. */
const CANCELLED_AT_ONCE = 1_000;
const PAGE = 200;
/** How long the directive of a stop holds, ms: longer than any delivery is tried. */
const STOP = 14 * DAY;
/** Time over which the rate is taken, ms. */
const RATE = 10 * MINUTE;

const figures = {
  accepted: integer('Deliveries taken in.'),
  delivered: integer('Taken by their receivers.'),
  bounced: integer('Expired ones included.'),
  suppressed: integer('Not sent, because the address is on a suppression list.'),
  cancelled: integer('Stopped before they were sent.'),
  waiting: integer('Neither sent nor ended.'),
  deferred: integer(
    'Of those that wait, put off by their receivers or a limit, with a time at which each is tried again.',
  ),
};

const Batch = named(
  'Batch',
  z.strictObject({
    id: text(),
    tenant: text(),
    kind: z.enum(['call', 'campaign']),
    messages: z.optional(integer('Of a call.')),
    since: time('When it was taken in; of a campaign: from when on it is counted.'),
    ...figures,
    ratePerMinute: positive('Deliveries that ended, lately.'),
    doneAt: z.optional(time('When it will be done at this rate; absent: it is done, or nothing ends now.')),
    stoppedBy: z.optional(text('Id of the directive that stopped it; whoever removes it lets the rest go.')),
  }),
);

const StopAnswer = named(
  'BatchStop',
  z.strictObject({
    id: text(),
    cancelled: integer('Deliveries that waited and will not be sent.'),
    tooLate: integer('Deliveries that had ended, or are being sent.').check(
      about('Of the messages that were looked at.'),
    ),
    directive: z.optional(
      text('Id of the directive that ends what is left of a campaign, and what is still handed in.'),
    ),
  }),
);

const ID = '010001a2b3c4d5e6-0f8fad5b-d9cb-869f-a165-70867728950e-000000';
const batchId = label('id', 'Id of any message of a call, or `campaign:` and the name of a campaign.');
const ofTenant = query('tenant', "Of a campaign: its tenant; absent: the key's own.");

const getBatch = operation({
  method: 'get',
  path: '/batches/{id}',
  operationId: 'getBatch',
  summary: 'How far the messages of one call, or of one campaign, are',
  description:
    'A call is counted from its records, a campaign from the statistics, some seconds behind, by the hour: of 64 campaigns of a tenant in an hour, the others count as `other`.',
  parameters: [
    batchId,
    ofTenant,
    query('from', 'Of a campaign: counted from this hour on; absent: a week ago.'),
  ],
  answer: {
    status: 200,
    description: 'The batch.',
    schema: Batch,
    example: {
      id: ID,
      tenant: 'default',
      kind: 'call',
      messages: 500,
      since: '2026-01-01T00:00:00.000Z',
      accepted: 500,
      delivered: 360,
      bounced: 10,
      suppressed: 5,
      cancelled: 0,
      waiting: 125,
      deferred: 20,
      ratePerMinute: 50,
      doneAt: '2026-01-01T00:10:00.000Z',
    },
  },
  async handle(call) {
    const campaign = campaignOf(call);
    return { body: campaign === undefined ? await ofCall(call) : await ofCampaign(call, campaign) };
  },
});

const stopBatch = operation({
  method: 'post',
  path: '/batches/{id}/stop',
  operationId: 'stopBatch',
  summary: 'Stop what is left of a batch',
  description:
    'Deliveries that wait are cancelled. What is left of a campaign, and what is still handed in, is ended as bounced by a directive of 14 days. What is being sent goes.',
  parameters: [batchId, ofTenant],
  answer: {
    status: 200,
    description: 'What will not be sent.',
    schema: StopAnswer,
    example: { id: ID, cancelled: 125, tooLate: 375 },
  },
  async handle(call) {
    const id = call.params.id!;
    const campaign = campaignOf(call);
    if (campaign === undefined) {
      return { body: { id, ...(await cancelAll(call, await messagesOf(call))) } };
    }
    const tenant = ownTenant(call);
    const { control, clock, engine } = call.deps;
    const { keyId, admin } = call.caller;
    const order = {
      match: { tenant, campaign },
      action: { kind: 'bounce' },
      reason: `The campaign ${campaign} was stopped.`,
      until: clock.now() + STOP,
    };
    // First of all, so that nothing of it leaves while messages are cancelled one by one.
    const origin = admin ? { operator: keyId } : { operator: keyId, tenant };
    const directive = await control.directives.order(order, origin);
    const cancelled = await cancelAll(call, await newestOf(call, tenant, campaign));
    await engine.ledger.hasten({ tenant, campaign });
    return { body: { id, ...cancelled, directive: directive.id } };
  },
});

export const BATCHES = [getBatch, stopBatch];

/** @throws `bad_request` for a campaign without a name. */
function campaignOf({ params }: ApiCall): string | undefined {
  const id = params.id!;
  if (!id.startsWith(CAMPAIGN)) return undefined;
  const campaign = id.slice(CAMPAIGN.length);
  if (!CAMPAIGN_NAME.test(campaign)) refuseQuery('id', 'is not `campaign:` and the name of a campaign');
  return campaign;
}

function ownTenant(call: ApiCall): string {
  return tenantOf(call, 'batches') ?? call.caller.tenant;
}

/** The messages of a call. @throws `not_found` */
async function messagesOf(call: ApiCall): Promise<MessageRecord[]> {
  const record = await recordOf(call, call.params.id!);
  return call.deps.engine.records.call(record.id);
}

async function ofCall(call: ApiCall): Promise<object> {
  const { engine, clock } = call.deps;
  const messages = await messagesOf(call);
  const deliveries = (await inTurns(messages, ({ id }) => engine.records.deliveries(id))).flat();
  const count = (...states: DeliveryRecord['state'][]): number =>
    deliveries.filter(({ state }) => states.includes(state)).length;
  const now = clock.now();
  const lately = deliveries.filter(({ state, attempts }) => {
    const last = attempts.at(-1);
    return last !== undefined && (state === 'delivered' || state === 'bounced') && last.at > now - RATE;
  }).length;
  const since = Math.min(...messages.map(({ acceptedAt }) => acceptedAt));
  const waiting = count('accepted', 'queued', 'attempting', 'deferred');
  return {
    id: call.params.id,
    tenant: messages[0]!.tenant,
    kind: 'call',
    messages: messages.length,
    since: iso(since),
    accepted: deliveries.length,
    delivered: count('delivered'),
    bounced: count('bounced', 'expired'),
    suppressed: count('suppressed'),
    cancelled: count('cancelled'),
    waiting,
    deferred: count('deferred'),
    ...forecast(waiting, lately, Math.min(RATE, Math.max(MINUTE, now - since)), now),
  };
}

async function ofCampaign(call: ApiCall, campaign: string): Promise<object> {
  const tenant = ownTenant(call);
  const { engine, control, clock } = call.deps;
  const now = clock.now();
  const from = timeOf('from', call.query.from) ?? now - USUAL_AGE;
  const points = await new StatisticsReader(engine.rows).series({
    tenant,
    from,
    before: now + HOUR,
    granularity: 'hour',
    only: { dimension: 'campaign', value: campaign },
  });
  if (points.length === 0)
    throw new PosternError(
      'not_found',
      `No mail of the campaign ${campaign} was counted since ${iso(from)}.`,
    );
  const total = sumOf(points);
  const { delivered = 0, suppressed = 0, cancelled = 0, accepted = 0, sent = 0 } = total;
  const waiting = Math.max(0, accepted - sent - suppressed - cancelled);
  const { deferred } = waiting > 0 ? await engine.ledger.count({ tenant, campaign }) : { deferred: 0 };
  // The hour under way and the one before: the shortest time of which a campaign is counted.
  const hour = now - (now % HOUR);
  const lately = points.filter(({ at }) => at >= hour - HOUR);
  const time = now - (lately[0]?.at ?? hour);
  const stop = control.directives
    .list()
    .find(
      ({ match, action }) =>
        action.kind === 'bounce' && match.tenant === tenant && match.campaign === campaign,
    );
  return {
    id: call.params.id,
    tenant,
    kind: 'campaign',
    since: iso(from - (from % HOUR)),
    accepted,
    delivered,
    bounced: sent - delivered,
    suppressed,
    cancelled,
    waiting,
    deferred: Math.min(deferred, waiting),
    ...forecast(waiting, sumOf(lately).sent ?? 0, Math.max(MINUTE, time), now),
    stoppedBy: stop?.id,
  };
}

/** @param ended within `time` ms. */
function forecast(waiting: number, ended: number, time: number, now: number) {
  const ratePerMinute = Math.round((ended / time) * MINUTE * 10) / 10;
  const doneAt = waiting > 0 && ended > 0 ? iso(Math.round(now + (waiting * time) / ended)) : undefined;
  return { ratePerMinute, doneAt };
}

/** The newest messages of a campaign, as many as a stop cancels one by one; none where no index is kept. */
async function newestOf(call: ApiCall, tenant: string, campaign: string): Promise<MessageRecord[]> {
  const { records } = call.deps.engine;
  const found: MessageRecord[] = [];
  try {
    for (let after: string | undefined; found.length < CANCELLED_AT_ONCE; ) {
      const page = await records.search({ tenant, campaign, after, max: PAGE });
      found.push(...page.messages);
      after = page.next;
      if (after === undefined) break;
    }
  } catch (error) {
    // The directive ends all of it.
    if (!(error instanceof PosternError && error.code === 'unsupported_operation')) throw error;
  }
  return found;
}

async function cancelAll(
  { deps }: ApiCall,
  messages: readonly MessageRecord[],
): Promise<{ cancelled: number; tooLate: number }> {
  const places = await inTurns(messages, ({ id }) => deps.engine.ledger.cancel(id));
  const cancelled = places.flat().length;
  const all = messages.reduce((sum, { recipients }) => sum + recipients.length, 0);
  return { cancelled, tooLate: all - cancelled };
}

/** Runs a task for each, some at a time. */
async function inTurns<T, R>(list: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < list.length; at += WIDTH)
    results.push(...(await Promise.all(list.slice(at, at + WIDTH).map(work))));
  return results;
}
