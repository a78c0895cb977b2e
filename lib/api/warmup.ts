/** The warm-up of each source address. */
import * as z from 'zod/mini';
import { IpInventory } from '../control/ip-inventory.ts';
import { asPosternError } from '../errors.ts';
import { checkpointName, readCheckpoint } from '../warmup/checkpoint.ts';
import type { WarmupPlan } from '../warmup/plan.ts';
import { sesWarmup } from '../warmup/ses.ts';
import { storedStatus } from '../warmup/status.ts';
import type { SIGNALS } from '../warmup/verdict.ts';
import { type ApiCall, operation, query, requireAdmin } from './operation.ts';
import { about, flag, integer, named, text } from './schema.ts';

const today = integer('Messages of today.');

const warmingProvider = z.strictObject({
  provider: text('Mailbox provider.'),
  warm: flag('Only the limits of the provider hold.'),
  day: integer('Day of its schedule, from 1.'),
  days: integer('Days that the schedule has.'),
  budget: z.optional(integer('Messages a day; absent when it is warm.')),
  sent: integer('Messages of today, at most: what may have been sent counts.'),
  counts: z
    .strictObject({
      delivered: today,
      bounced: today,
      complained: today,
      deferred: today,
      blocked: today,
    } satisfies Record<(typeof SIGNALS)[number], unknown>)
    .check(about('What became of messages, as far as it reflects on the address.')),
  steppedBack: flag('It went back a step today.'),
  cause: z.optional(text('Why it was last held or stepped back.')),
});

const Warmup = named(
  'Warmup',
  z.strictObject({
    ips: z.array(
      z.strictObject({
        ip: text('Source address.'),
        pools: z.array(text()).check(about('Pools that list it.')),
        warm: flag('At every provider.'),
        percentage: integer('Of its schedule, the mean over the providers.'),
        providers: z.array(warmingProvider).check(about('Those that had mail from it.')),
        problem: z.optional(text('Why its state cannot be read; nothing is sent from it.')),
      }),
    ),
  }),
);

const listWarmup = operation({
  method: 'get',
  path: '/warmup',
  operationId: 'listWarmup',
  summary: "Where the warm-up of each source address stands (administrator's key)",
  description:
    'As of storage, which follows the node that sends within five seconds. Plans are the configuration document ' +
    '`warmup`. An address without a plan is warm.',
  parameters: [query('ip', 'Only this address.')],
  answer: {
    status: 200,
    description: 'Every address that this installation names.',
    schema: Warmup,
    example: {
      ips: [
        {
          ip: '192.0.2.1',
          pools: ['news'],
          warm: false,
          percentage: 14,
          providers: [
            {
              provider: 'google',
              warm: false,
              day: 8,
              days: 49,
              budget: 200,
              sent: 120,
              counts: { delivered: 117, bounced: 1, complained: 0, deferred: 2, blocked: 0 },
              steppedBack: false,
              cause: '2.4 % bounced',
            },
          ],
        },
      ],
    },
  },
  async handle(call) {
    requireAdmin(call, 'see the warm-up of addresses');
    const { control, installed } = call.deps;
    const book = new IpInventory(control.documents, installed);
    const { ip: only } = call.query;
    const ips = only === undefined ? book.ips.sort() : [book.requireIp(only)];
    const shown = ips.map(async (ip) => ({
      ip,
      pools: book.poolsOf(ip),
      ...(await warmupOf(ip, book.plans.get(ip), call)),
    }));
    return { body: { ips: await Promise.all(shown) } };
  },
});

export const WARMUP = [listWarmup];

/** Where the warm-up of an address stands, as of storage. @param plan undefined: it has none, and is warm. */
export async function warmupOf(
  ip: string,
  plan: WarmupPlan | undefined,
  { deps }: ApiCall,
): Promise<{ warm: boolean; percentage: number; providers: object[]; problem?: string }> {
  if (plan === undefined) return { warm: true, percentage: 100, providers: [] };
  const stored = await deps.engine.leases.checkpoint(checkpointName(ip));
  try {
    const checkpoint = stored === undefined ? undefined : readCheckpoint(stored, ip);
    const { WarmupStatus, WarmupPercentage: percentage } = sesWarmup(plan, checkpoint);
    const status = storedStatus(ip, plan, stored, deps.clock.now());
    const providers = Object.entries(status).map(([provider, one]) => ({ provider, ...one }));
    return { warm: WarmupStatus === 'DONE', percentage, providers };
  } catch (error) {
    // An address whose state cannot be read sends nothing; the others must still be shown.
    return { warm: false, percentage: 0, providers: [], problem: asPosternError(error).message };
  }
}
