/** The rates of bounces and complaints by which a tenant is paused. */
import * as z from 'zod/mini';
import { pauseId } from '../control/tenants.ts';
import { TenantProtection } from '../statistics/protection.ts';
import { ALL_TENANTS } from '../statistics/tally.ts';
import { iso, operation, query } from './operation.ts';
import { tenantOf } from './query.ts';
import { flag, integer, named, positive, text, time } from './schema.ts';

const ReputationAnswer = named(
  'Reputation',
  z.strictObject({
    tenant: z.optional(text('Absent: all tenants together, who are not paused.')),
    since: z.optional(time('From here on the representative volume was sent.')),
    sent: integer('Messages of it, without those to the simulator and to suppressed addresses.'),
    bounces: integer('Hard bounces of it.'),
    complaints: integer('Complaints of it.'),
    bounceRate: positive('0 to 1.'),
    complaintRate: positive('0 to 1.'),
    representative: flag('False: too little was sent for the rates to mean anything.'),
    verdict: z.enum(['good', 'warn', 'pause']),
    text: text('The figures behind the verdict.'),
    paused: flag('Whether the tenant is paused for its rates.'),
    directive: z.optional(text('Id of the directive that pauses it; whoever removes it resumes the tenant.')),
  }),
);

const getReputation = operation({
  method: 'get',
  path: '/reputation',
  operationId: 'getReputation',
  summary: 'Rates of bounces and complaints over the representative volume, and what follows from them',
  description:
    'The representative volume is an average day of the tenant, 1,000 messages at least, of the last 30 days. Thresholds are in the configuration document `protection`.',
  parameters: [
    query('tenant', "Of this tenant. A key that is not an administrator's sees its own; absent: of all."),
  ],
  answer: {
    status: 200,
    description: 'The rates.',
    schema: ReputationAnswer,
    example: {
      tenant: 'default',
      since: '2026-01-01T00:00:00.000Z',
      sent: 4000,
      bounces: 240,
      complaints: 1,
      bounceRate: 0.06,
      complaintRate: 0.00025,
      representative: true,
      verdict: 'warn',
      text: '240 of 4000 messages since 2026-01-01T00:00Z bounced hard: 6 %, and 5 % is the threshold.',
      paused: false,
    },
  },
  async handle(call) {
    const tenant = tenantOf(call, 'rates');
    const { engine, control, clock, log } = call.deps;
    const { directives, documents, tenants } = control;
    const protection = new TenantProtection({
      rows: engine.rows,
      directives,
      documents,
      tenants,
      clock,
      log,
    });
    const { verdict, since, paused, impact: _, ...figures } = await protection.of(tenant ?? ALL_TENANTS);
    return {
      body: {
        tenant,
        since: since === 0 ? undefined : iso(since),
        ...figures,
        verdict: verdict.kind,
        text: verdict.text,
        paused,
        directive: paused ? pauseId(tenant!) : undefined,
      },
    };
  },
});

export const REPUTATION = [getReputation];
