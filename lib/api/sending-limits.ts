/** Limits of the account, a tenant or a key, and what was sent of them. */
import * as z from 'zod/mini';
import { DailyQuota } from '../accept/daily-quota.ts';
import { LIMIT_BOUNDS, type SendingLimits } from '../control/sending-limits.ts';
import type { ApiDeps } from '../http/deps.ts';
import { operation, requireAdmin } from './operation.ts';
import { about, flag, integer, named } from './schema.ts';

const bounded = (limit: keyof SendingLimits, description: string) => {
  const [least, most] = LIMIT_BOUNDS[limit];
  const number = limit === 'perSecond' ? z.number() : z.int('must be an integer');
  return z.optional(number.check(z.minimum(least), z.maximum(most), about(description)));
};

export const SendingLimitsSchema = named(
  'SendingLimits',
  z.strictObject({
    perDay: bounded('perDay', 'Recipients in any 24 hours.'),
    perSecond: bounded('perSecond', 'Recipients a second.'),
    recipients: bounded('recipients', 'Recipients of one message.'),
    messageBytes: bounded('messageBytes', 'Bytes of one message, as it travels.'),
  }),
);

const AccountAnswer = named(
  'Account',
  z.strictObject({
    sendingEnabled: flag('False: nothing is taken in, of whichever tenant.'),
    limits: SendingLimitsSchema.check(
      about('Of all tenants together; those of a tenant and a key hold, too.'),
    ),
    sentToday: z.optional(integer('Recipients of the last 24 hours, where they are limited.')),
  }),
);
const AccountChange = named(
  'AccountChange',
  z.strictObject({
    sendingEnabled: z.optional(flag('False stops all sending.')),
    limits: z.optional(SendingLimitsSchema),
  }),
);
const example = { sendingEnabled: true, limits: { perDay: 1_000_000 }, sentToday: 12_000 };

/** Recipients of the last 24 hours, where they are counted. @throws PosternError of the storage group. */
export async function sentToday(
  { engine, clock }: Pick<ApiDeps, 'engine' | 'clock'>,
  subject: string,
  limits: SendingLimits | undefined,
): Promise<number | undefined> {
  if (limits?.perDay === undefined) return undefined;
  return new DailyQuota({ rows: engine.rows, clock, process: 'reader' }).count(subject);
}

async function shown({ control, engine, clock }: ApiDeps): Promise<z.infer<typeof AccountAnswer>> {
  const limits = await control.account.limits();
  return {
    sendingEnabled: await control.account.sendingEnabled(),
    limits: limits ?? {},
    sentToday: await sentToday({ engine, clock }, 'account', limits),
  };
}

const getAccount = operation({
  method: 'get',
  path: '/account',
  operationId: 'getAccount',
  summary: "Whether anything is sent, and how much all tenants may send (administrator's key)",
  answer: { status: 200, description: 'The account.', schema: AccountAnswer, example },
  async handle(call) {
    requireAdmin(call, 'see the account');
    return { body: await shown(call.deps) };
  },
});

const changeAccount = operation({
  method: 'put',
  path: '/account',
  operationId: 'changeAccount',
  summary: "Stop or resume all sending, or limit it (administrator's key)",
  description: 'Members that are not given stay; `limits` are replaced as a whole, and `{}` removes them.',
  request: {
    schema: AccountChange,
    required: true,
    examples: { limit: { limits: { perDay: 1_000_000, perSecond: 200 } } },
  },
  answer: { status: 200, description: 'The account.', schema: AccountAnswer, example },
  async handle(call) {
    requireAdmin(call, 'change the account');
    const { account } = call.deps.control;
    const { sendingEnabled, limits } = call.body;
    if (limits !== undefined) await account.setLimits(limits);
    if (sendingEnabled !== undefined) await account.setSendingEnabled(sendingEnabled);
    return { body: await shown(call.deps) };
  },
});

export const ACCOUNT = [getAccount, changeAccount];
