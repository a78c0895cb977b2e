/** The warm-up of each source address. */
import * as z from 'zod/mini';
import { IpInventory } from '../control/ip-inventory.ts';
import { asPosternError } from '../errors.ts';
import { DAY } from '../time.ts';
import { checkpointName, readCheckpoint } from '../warmup/checkpoint.ts';
import { DAY_VERDICTS, daysName, readDays, type WarmupDay } from '../warmup/history.ts';
import type { WarmupPlan } from '../warmup/plan.ts';
import { budgetsFrom } from '../warmup/schedule.ts';
import { sesWarmup } from '../warmup/ses.ts';
import { storedStatus } from '../warmup/status.ts';
import type { SIGNALS } from '../warmup/verdict.ts';
import { type ApiCall, iso, operation, query, requireAdmin } from './operation.ts';
import { about, flag, integer, named, text, time } from './schema.ts';

const counts = z.strictObject({
  delivered: integer('Messages of the day.'),
  bounced: integer('Messages of the day.'),
  complained: integer('Messages of the day.'),
  deferred: integer('Messages of the day.'),
  blocked: integer('Messages of the day.'),
} satisfies Record<(typeof SIGNALS)[number], unknown>);
/** Days of the plan that are shown ahead. */
const AHEAD = 14;

const warmingProvider = z.strictObject({
  provider: text('Mailbox provider.'),
  warm: flag('Only the limits of the provider hold.'),
  day: integer('Day of its schedule, from 1.'),
  days: integer('Days that the schedule has.'),
  budget: z.optional(integer('Messages a day; absent when it is warm.')),
  sent: integer('Messages of today, at most: what may have been sent counts.'),
  counts: counts.check(about('What became of messages, as far as it reflects on the address.')),
  steppedBack: flag('It went back a step today.'),
  cause: z.optional(text('Why it was last held or stepped back.')),
  ahead: z.optional(
    z
      .array(integer('Messages of a day.'))
      .check(
        about(
          `Plan of today and the ${AHEAD - 1} days after it, if each counts; where \`ip\` names the address.`,
        ),
      ),
  ),
  past: z.optional(
    z
      .array(
        z.strictObject({
          at: time('Its begin, 0 h UTC.'),
          budget: integer('Messages that it might send.'),
          sent: integer('Messages that it sent, at most.'),
          counts,
          verdict: z
            .enum(DAY_VERDICTS)
            .check(
              about(
                'promoted: the next day had the next budget. held, stepped-back: its signals kept or took the address back. quiet: too little was sent to count.',
              ),
            ),
          cause: z.optional(text('Why.')),
        }),
      )
      .check(about('Days that are over, the last 60 with traffic; where `ip` names the address.')),
  ),
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
      ...(await warmupOf(ip, book.plans.get(ip), call, only !== undefined)),
    }));
    return { body: { ips: await Promise.all(shown) } };
  },
});

export const WARMUP = [listWarmup];

/**
 * Where the warm-up of an address stands, as of storage.
 * @param plan undefined: it has none, and is warm. @param whole with the days that are over and those ahead.
 */
export async function warmupOf(
  ip: string,
  plan: WarmupPlan | undefined,
  { deps }: ApiCall,
  whole = false,
): Promise<{ warm: boolean; percentage: number; providers: object[]; problem?: string }> {
  if (plan === undefined) return { warm: true, percentage: 100, providers: [] };
  const stored = await deps.engine.leases.checkpoint(checkpointName(ip));
  try {
    const checkpoint = stored === undefined ? undefined : readCheckpoint(stored, ip);
    const { WarmupStatus, WarmupPercentage: percentage } = sesWarmup(plan, checkpoint);
    const status = storedStatus(ip, plan, stored, deps.clock.now());
    const days = whole ? readDays(await deps.engine.leases.checkpoint(daysName(ip))) : {};
    const providers = Object.entries(status).map(([provider, one]) => ({
      provider,
      ...one,
      ...(whole && {
        ahead: one.warm ? [] : budgetsFrom(plan.providers.get(provider) ?? plan.schedule, one.day - 1, AHEAD),
        past: (days[provider] ?? []).map(shownDay),
      }),
    }));
    return { warm: WarmupStatus === 'DONE', percentage, providers };
  } catch (error) {
    // An address whose state cannot be read sends nothing; the others must still be shown.
    return { warm: false, percentage: 0, providers: [], problem: asPosternError(error).message };
  }
}

function shownDay({ day, ...rest }: WarmupDay): object {
  return { at: iso(day * DAY), ...rest };
}
