/** Deliveries that wait, by what they have in common: counted before an order is given, and tried again now. */
import * as z from 'zod/mini';
import { readMatch } from '../directives/check.ts';
import { matchMembers } from './directives.ts';
import { operation } from './operation.ts';
import { flag, integer, named, text } from './schema.ts';
import { hasten, requireOwnMail, requireScope, WaitingMail, waitingMail } from './waiting-mail.ts';

const all = z.optional(flag('Required, and true, for a match without members, which is all mail.'));

const CountRequest = named('CountRequest', z.strictObject({ match: matchMembers, all }));
const RetryRequest = named(
  'RetryRequest',
  z.strictObject({ match: z.omit(matchMembers, { ip: true, site: true }), all }),
);
const RetryAnswer = named(
  'RetryAnswer',
  z.strictObject({
    hastened: integer('Deferred deliveries that were made due now.'),
    note: z.optional(text('What the figure counts besides.')),
  }),
);

const countDeliveries = operation({
  method: 'post',
  path: '/deliveries/count',
  operationId: 'countDeliveries',
  summary: 'How much waiting mail a match touches',
  description:
    'What a directive or a retry with this match would touch now; nothing is changed. A key that is not an ' +
    "administrator's names its own tenant.",
  request: {
    schema: CountRequest,
    required: true,
    examples: { campaign: { match: { tenant: 'shop', campaign: 'spring' } }, all: { match: {}, all: true } },
  },
  answer: {
    status: 200,
    description: 'The figures.',
    schema: WaitingMail,
    example: { deferred: 120, queued: 5000, complete: true },
  },
  async handle(call) {
    const { match, all: everything } = call.body;
    requireOwnMail(call, match);
    requireScope(match, everything);
    return { body: await waitingMail(call, readMatch(match, 'match'), false) };
  },
});

const retryDeliveries = operation({
  method: 'post',
  path: '/deliveries/retry',
  operationId: 'retryDeliveries',
  summary: 'Try deferred deliveries again now',
  description:
    'Each matching delivery goes back to its lane and is tried as soon as limits and directives let it. One that its ' +
    "sender scheduled keeps its time. A key that is not an administrator's names its own tenant.",
  request: {
    schema: RetryRequest,
    required: true,
    examples: { tenant: { match: { tenant: 'shop', provider: 'google' } } },
  },
  answer: {
    status: 200,
    description: 'How many were made due.',
    schema: RetryAnswer,
    example: { hastened: 12 },
  },
  async handle(call) {
    const { match, all: everything } = call.body;
    requireOwnMail(call, match);
    requireScope(match, everything);
    const answer = await hasten(call, readMatch(match, 'match'));
    call.deps.log.info('deliveries.retried', { key: call.caller.keyId, hastened: answer.hastened });
    return { body: answer };
  },
});

export const DELIVERIES = [countDeliveries, retryDeliveries];
