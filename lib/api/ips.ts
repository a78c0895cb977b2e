/** Each source address: its pools, who sends from it and whether it may, its warm-up, and its mail of today. */
import * as z from 'zod/mini';
import type { StoredDirective } from '../control/directives.ts';
import { IpInventory } from '../control/ip-inventory.ts';
import { leaseOf } from '../egress/source-leases.ts';
import { type SeriesPoint, StatisticsReader, sumOf } from '../statistics/reader.ts';
import { DAY } from '../time.ts';
import { type ApiCall, iso, operation, query, requireAdmin } from './operation.ts';
import { sizeOf } from './query.ts';
import { about, flag, integer, named, text, time } from './schema.ts';
import { warmupOf } from './warmup.ts';

const USUAL = 100;
const MOST = 500;
/** The name of the host's default address in limits and directives. */
const DEFAULT_ADDRESS = 'default';

const today = (description: string) => z.optional(integer(description));

const Ips = named(
  'Ips',
  z.strictObject({
    ips: z.array(
      z.strictObject({
        ip: text('Source address; `default`: the one that the host chooses.'),
        pools: z
          .array(text())
          .check(about('Pools that list it; none: mail that names no pool may leave from it.')),
        node: z.optional(text('Node that holds its lease, and sends from it; absent: none does.')),
        ehloName: z.optional(text('Its name for EHLO, where this process sends from it.')),
        connections: z.optional(integer('Open now, where this process sends from it.')),
        trouble: z.optional(text('Why no mail may leave from it now, where this process sends from it.')),
        paused: z
          .array(
            z.strictObject({
              directive: text('Id.'),
              reason: text('Why, for a person.'),
              until: z.optional(time('When it ends.')),
              narrower: flag('It stops some of its mail only: the match names more than the address.'),
            }),
          )
          .check(about('Directives that suspend mail from it.')),
        warm: flag('At every provider.'),
        percentage: integer('Of its warm-up, the mean over the providers.'),
        today: z
          .strictObject({
            sent: today('Deliveries that ended by it, by any result.'),
            delivered: today('Taken by the peer.'),
            deferred: today('Attempts that were put off.'),
            permanentBounces: today('Hard bounces.'),
            transientBounces: today('Soft bounces.'),
            complaints: today('Complaints.'),
          })
          .check(about('Since 0 h UTC, some seconds late; nothing for an address beyond the 64 of an hour.')),
      }),
    ),
    next: z.optional(text('`after` of the next page.')),
  }),
);

const listIps = operation({
  method: 'get',
  path: '/ips',
  operationId: 'listIps',
  summary: "Each source address, and how it stands (administrator's key)",
  description: 'In the order of addresses. `GET /v1/warmup` shows the warm-up by provider.',
  parameters: [
    query('ip', 'Only this address.'),
    query('pool', 'Only addresses that this pool lists.'),
    query('max', `Addresses of a page, ${MOST} at most; absent: ${USUAL}.`),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'A page of addresses.',
    schema: Ips,
    example: {
      ips: [
        {
          ip: '192.0.2.1',
          pools: ['news'],
          node: 'mta1.example.com',
          ehloName: 'mta1.example.com',
          connections: 12,
          paused: [],
          warm: false,
          percentage: 14,
          today: { sent: 1200, delivered: 1188, deferred: 31, permanentBounces: 12 },
        },
      ],
    },
  },
  async handle(call) {
    requireAdmin(call, 'see source addresses');
    const { deps, query: asked } = call;
    const book = new IpInventory(deps.control.documents, deps.installed);
    const max = sizeOf(asked.max, USUAL, MOST);
    const all = book.ips.length > 0 ? book.ips.sort() : [DEFAULT_ADDRESS];
    if (asked.pool !== undefined) book.requirePool(asked.pool);
    const only = asked.ip === undefined || asked.ip === DEFAULT_ADDRESS ? asked.ip : book.requireIp(asked.ip);
    const matching = all.filter(
      (ip) =>
        (only ?? ip) === ip &&
        (asked.pool === undefined || book.poolsOf(ip).includes(asked.pool)) &&
        (asked.after === undefined || ip > asked.after),
    );
    const page = matching.slice(0, max);
    const volumes = await volumesOfToday(call);
    const ips = page.map((ip) => stateOf(call, book, ip, volumes));
    return { body: { ips: await Promise.all(ips), next: matching.length > max ? page.at(-1) : undefined } };
  },
});

export const IPS = [listIps];

async function stateOf(
  call: ApiCall,
  book: IpInventory,
  ip: string,
  volumes: readonly SeriesPoint[],
): Promise<object> {
  // Mail of the host's default address is counted by the address that the host chose.
  const own = volumes.filter(({ value }) => ip === DEFAULT_ADDRESS || value === ip);
  const { sent, delivered, deferred, permanentBounces, transientBounces, complaints } = sumOf(own);
  const { engine, control, sources } = call.deps;
  const source = sources?.().find((one) => (one.ip ?? DEFAULT_ADDRESS) === ip);
  const { warm, percentage } = await warmupOf(ip, book.plans.get(ip), call);
  return {
    ip,
    pools: book.poolsOf(ip),
    node: ip === DEFAULT_ADDRESS ? undefined : await engine.leases.holder(leaseOf(ip)),
    ehloName: source?.ehloName,
    connections: source?.connections,
    trouble: source === undefined || source.usable ? undefined : source.trouble,
    paused: control.directives.list().flatMap((one) => pauseOf(one, ip)),
    warm,
    percentage,
    today: { sent, delivered, deferred, permanentBounces, transientBounces, complaints },
  };
}

function pauseOf({ id, match, action, reason, until }: StoredDirective, ip: string): object[] {
  const { ip: named, ...rest } = match;
  // What names no address stops mail of all of them.
  const concerns = named === ip || Object.keys(match).length === 0;
  if (action.kind !== 'suspend' || !concerns) return [];
  return [{ directive: id, reason, until: iso(until), narrower: Object.keys(rest).length > 0 }];
}

/** What became of mail today, by address. */
function volumesOfToday({ deps }: ApiCall): Promise<SeriesPoint[]> {
  const now = deps.clock.now();
  const from = now - (now % DAY);
  const before = from + DAY;
  return new StatisticsReader(deps.engine.rows).series({ from, before, granularity: 'day', by: 'ip' });
}
