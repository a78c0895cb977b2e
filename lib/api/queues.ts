/** What waits, and for what: rows by provider, pool, source address, tenant, site or class. */
import * as z from 'zod/mini';
import type { Engine } from '../engine/ports.ts';
import { LANE_GROUPS, readProvider } from '../shaping/providers.ts';
import { type ApiCall, iso, operation, query } from './operation.ts';
import { refuseQuery, sizeOf, tenantOf } from './query.ts';
import {
  depthOf,
  limitOf,
  pathsOf,
  QUEUE_DIMENSIONS,
  QUEUE_SORTS,
  type QueueDimension,
  type QueueRow,
  type QueueSort,
  queueParts,
  queueRows,
  rateOf,
  reasonOf,
  shownProvider,
} from './queue-rows.ts';
import { about, integer, named, positive, text, time } from './schema.ts';

const USUAL = 100;
const MOST = 1_000;
/** Number of rows that a cursor may pass over. */
const FARTHEST = 10_000_000;
/** Maximum age of a count of the ledger where counting reads it, ms. */
const COUNT_AGE = 60_000;

const counts = {
  ready: integer('Deliveries in a lane that may be leased now.'),
  inHand: integer('Deliveries that a sending process has leased: waiting for a connection, or on one.'),
  later: integer('Deliveries that wait for a time: deferred, put back, or scheduled by their sender.'),
};

const Queues = named(
  'Queues',
  z.strictObject({
    at: time('As of.'),
    rows: z.array(
      z.strictObject({
        provider: z.optional(text('Provider; of mail in a lane, the provider group of the lane.')),
        pool: z.optional(text('Pool that it is sent from.')),
        ip: z.optional(text("Source address; absent: none was chosen yet, or it is the host's default.")),
        tenant: z.optional(text('Tenant that sends.')),
        site: z.optional(text('Set of MX hosts; absent: not looked up yet.')),
        class: z.optional(text('transactional or bulk.')),
        ...counts,
        oldest: z.optional(
          time('About when the oldest was accepted, of what is in hand or whose turn is next.'),
        ),
        connections: z.optional(integer("Open, or being opened (administrator's key).")),
        ratePerSecond: z.optional(
          positive("Deliveries that ended in the last seconds, a second (administrator's key)."),
        ),
        limitPerSecond: z.optional(
          positive('Messages a second that limits permit, learnt ones included; absent: any number.'),
        ),
        binding: z.optional(
          z
            .strictObject({
              limit: text('Name of the limit, as in an explanation; `lane`: nothing is leased from it now.'),
              value: z.optional(text('Its effective value.')),
              origin: z.optional(text('The rule that set it; `learnt` for what replies have shown.')),
              text: text('In a sentence, as in the reason of a message.'),
              deliveries: integer('Deliveries that wait for it.'),
            })
            .check(about('What holds the most of this mail.')),
        ),
        nextAt: z.optional(time('When the next of that mail may go, as things stand.')),
      }),
    ),
    total: z.strictObject(counts).check(about('Of all rows, those of other pages included.')),
    ledger: z.optional(
      z
        .strictObject({
          count: integer('Deliveries of all mail that wait for a time, at least.'),
          next: z.optional(time('When the first of them is due.')),
        })
        .check(about("The ledger as a whole (administrator's key).")),
    ),
    next: z.optional(text('`after` of the next page.')),
    notes: z.array(text()).check(about('What the figures cannot show here.')),
  }),
);

const listQueues = operation({
  method: 'get',
  path: '/queues',
  operationId: 'listQueues',
  summary: 'What waits, how fast it goes, and which limit binds',
  description:
    'From counters, so that it costs the same whatever is queued. Mail in a lane is known by pool, class, tenant and ' +
    'the provider group of its lane; address and site are chosen when it is leased, so that rows by `ip` or `site` ' +
    'show it without. Limits and reasons are those of the process that answers. A key that is not an ' +
    "administrator's sees its own tenant's mail.",
  parameters: [
    query('by', `One or more of ${QUEUE_DIMENSIONS.join(', ')}, with commas; absent: provider,pool,ip.`),
    ...QUEUE_DIMENSIONS.map((one) => query(one, `Only of this ${one}.`)),
    query(
      'sort',
      `${Object.keys(QUEUE_SORTS).join(', ')}: the largest, or the oldest, first; absent: depth.`,
    ),
    query('max', `Rows of a page, ${MOST} at most; absent: ${USUAL}.`),
    query('after', '`next` of the page before. Rows that change their place meanwhile may be missed.'),
  ],
  answer: {
    status: 200,
    description: 'Rows, and their sum.',
    schema: Queues,
    example: {
      at: '2026-01-01T00:00:00.000Z',
      rows: [
        {
          provider: 'google',
          pool: 'news',
          ip: '192.0.2.1',
          ready: 0,
          inHand: 412,
          later: 0,
          oldest: '2025-12-31T23:58:12.000Z',
          connections: 10,
          ratePerSecond: 9.8,
          limitPerSecond: 10,
          binding: {
            limit: 'messageRate',
            value: '10/s',
            origin: 'limits.providers.google',
            text: 'The limit is 10/s (messageRate, limits.providers.google).',
            deliveries: 402,
          },
          nextAt: '2026-01-01T00:00:00.060Z',
        },
        { provider: 'google', pool: 'news', ready: 50000, inHand: 0, later: 120 },
      ],
      total: { ready: 50000, inHand: 412, later: 120 },
      notes: [],
    },
  },
  async handle(call) {
    const { deps, query: asked, caller } = call;
    const by = dimensionsOf(asked.by);
    const filter = { ...filterOf(call), tenant: tenantOf(call, 'mail') };
    const sort = sortOf(asked.sort);
    const max = sizeOf(asked.max, USUAL, MOST);
    const from = placeOf(asked.after);
    const held = deps.held?.();
    const { depths, whole } = await deps.engine.queue.depths(lanesOf(call));
    const rows = queueRows(queueParts(depths, held), by, filter);
    const total = { ready: 0, inHand: 0, later: 0 };
    for (const row of rows) {
      total.ready += row.ready;
      total.inHand += row.inHand;
      total.later += row.later;
    }
    const weights = new Map(rows.map((row) => [row, QUEUE_SORTS[sort](row)]));
    rows.sort((a, b) => weights.get(b)! - weights.get(a)! || depthOf(b) - depthOf(a));
    const more = rows.length > from + max;
    return {
      body: {
        at: iso(deps.clock.now()),
        rows: rows.slice(from, from + max).map((row) => shown(row, call)),
        total,
        ledger: caller.admin ? await ledgerOf(deps.engine, whole, deps.clock.now()) : undefined,
        next: more ? String(from + max) : undefined,
        notes: notesOf(held !== undefined, depths.some(({ tenant }) => tenant === undefined) || !whole),
      },
    };
  },
});

export const QUEUES = [listQueues];

/** Lanes that an engine does not list by itself: those of the stage's pools. */
function lanesOf({ deps }: ApiCall): string[] {
  const classes = ['transactional', 'bulk'];
  return (deps.installed.lanes ?? []).flatMap((pool) =>
    classes.flatMap((one) => LANE_GROUPS.map((group) => `${pool}:${one}:${group}`)),
  );
}

/** @throws PosternError `bad_request` */
function dimensionsOf(by = 'provider,pool,ip'): QueueDimension[] {
  const names = by.split(',').slice(0, QUEUE_DIMENSIONS.length + 1);
  const found = QUEUE_DIMENSIONS.filter((dimension) => names.includes(dimension));
  if (found.length !== names.length)
    refuseQuery('by', `is one or more of ${QUEUE_DIMENSIONS.join(', ')}, with commas between them`);
  return found;
}

/** @throws PosternError `bad_request` */
function filterOf({ query: { provider, pool, ip, site, class: messageClass } }: ApiCall) {
  const known = provider === undefined || (LANE_GROUPS as readonly string[]).includes(provider);
  const read = known ? provider : shownProvider(readProvider(provider, 'provider'));
  return { provider: read, pool, ip, site, class: messageClass };
}

/** @throws PosternError `bad_request` */
function sortOf(sort = 'depth'): QueueSort {
  if (Object.hasOwn(QUEUE_SORTS, sort)) return sort as QueueSort;
  return refuseQuery('sort', `is one of ${Object.keys(QUEUE_SORTS).join(', ')}`);
}

/** @throws PosternError `bad_request` */
function placeOf(after = '0'): number {
  const place = /^\d{1,8}$/.test(after) ? Number(after) : FARTHEST + 1;
  if (place > FARTHEST) refuseQuery('after', 'is no `next` of a page before');
  return place;
}

/** Connections and rates are of the mail of all tenants: for administrators. */
function shown(row: QueueRow, { deps, caller }: ApiCall): object {
  const { keys, ready, inHand, later, oldest } = row;
  const paths = pathsOf(row);
  const { nextAt, ...binding } = reasonOf(row, deps.laneRest) ?? {};
  let connections = 0;
  for (const path of paths.keys()) connections += path.connections;
  const limit = limitOf(paths.keys());
  return {
    ...keys,
    ready,
    inHand,
    later,
    oldest: iso(oldest),
    ...(caller.admin && paths.size > 0 && { connections, ratePerSecond: rounded(rateOf(row)) }),
    limitPerSecond: limit && rounded(limit),
    binding: nextAt === undefined ? undefined : binding,
    nextAt: iso(nextAt),
  };
}

function rounded(rate: number): number {
  return Number(rate.toPrecision(4));
}

const ledgers = new WeakMap<Engine, { at: number; count: ReturnType<Engine['ledger']['waiting']> }>();

/** The ledger as a whole; where counting is expensive, of some time ago. */
async function ledgerOf(engine: Engine, cheap: boolean, now: number): Promise<object> {
  let known = ledgers.get(engine);
  if (cheap || known === undefined || now - known.at > COUNT_AGE) {
    known = { at: now, count: engine.ledger.waiting() };
    ledgers.set(engine, known);
    // A count that failed is none.
    known.count.catch(() => ledgers.delete(engine));
  }
  const { count, next } = await known.count;
  return { count, next: iso(next) };
}

function notesOf(sends: boolean, byLane: boolean): string[] {
  return [
    ...(sends
      ? []
      : [
          'This process sends no mail: which address, connection and limit the mail in hand waits for is with the ' +
            'node that has it. GET /v1/messages/{id} shows the reason of a message.',
        ]),
    ...(byLane
      ? [
          'Lanes are counted as a whole, without tenants, and about; `later` is what is due within fifteen minutes, ' +
            'and `ledger` what is due after that.',
        ]
      : []),
  ];
}
