/** Operations on suppression lists, and their JSON values. */
import { SUPPRESSION_REASONS } from '../engine/suppression.ts';
import type { Operation } from './openapi.ts';
import type { Schema } from './schema.ts';
import { list, object, ref, text, time } from './schema-words.ts';

const string = { type: 'string' } as const;
const tenant = {
  name: 'tenant',
  in: 'query',
  description: "Whose list; absent: that of the key's tenant. Another one needs an administrator's key.",
  schema: string,
} as const;
const address = {
  name: 'address',
  in: 'path',
  required: true,
  description: 'Address, whatever the case of its letters.',
  schema: string,
} as const;

const given = {
  tenant: 'default',
  address: 'ann@example.net',
  reason: 'BOUNCE',
  at: '2026-01-01T00:00:00.000Z',
};
const suppression = {
  ...given,
  messageId: '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000@example.com',
  feedbackId: '010001a2b3c4d6f1-5e0c4f63-0d56-4f2e-9c6a-3f1f8f0f8a11-000000',
};

export const SUPPRESSION_PATHS: Readonly<
  Record<string, Partial<Record<'get' | 'put' | 'delete', Operation>>>
> = {
  '/suppressions': {
    get: {
      operationId: 'listSuppressions',
      summary: 'The addresses of a suppression list',
      description: 'By reason, then from the oldest entry on.',
      parameters: [
        tenant,
        { name: 'reason', in: 'query', description: 'Only for this: BOUNCE or COMPLAINT.', schema: string },
        {
          name: 'from',
          in: 'query',
          description: 'Only those listed at this time or later.',
          schema: string,
        },
        { name: 'before', in: 'query', description: 'Only those listed before this time.', schema: string },
        { name: 'max', in: 'query', description: 'So many at most: 1 to 1,000, else 100.', schema: string },
        { name: 'after', in: 'query', description: '`next` of the page before.', schema: string },
      ],
      answer: {
        status: 200,
        description: 'A page of the list.',
        schema: 'Suppressions',
        example: { suppressions: [suppression] },
      },
    },
  },
  '/suppressions/{address}': {
    get: {
      operationId: 'getSuppression',
      summary: 'Whether an address is on a suppression list, since when and why',
      parameters: [address, tenant],
      answer: { status: 200, description: 'It is.', schema: 'Suppression', example: suppression },
    },
    put: {
      operationId: 'putSuppression',
      summary: 'Put an address on a suppression list',
      description:
        'What is taken in for it from then on ends as `suppressed`, if the configuration set or the account ' +
        'suppresses for the reason. What was taken in before is sent.',
      parameters: [address, tenant],
      request: { schema: 'SuppressionRequest', required: true, examples: { bounce: { reason: 'BOUNCE' } } },
      answer: { status: 200, description: 'Its entry.', schema: 'Suppression', example: given },
    },
    delete: {
      operationId: 'removeSuppression',
      summary: 'Take an address off a suppression list',
      description: 'A bounce or complaint that comes later puts it back.',
      parameters: [address, tenant],
      answer: { status: 204, description: 'It may be sent to.' },
    },
  },
};

const reason = {
  type: 'string',
  enum: SUPPRESSION_REASONS,
  description: 'BOUNCE: a message to it bounced hard. COMPLAINT: its reader complained.',
} as const;

export const SUPPRESSION_SCHEMAS: Readonly<Record<string, Schema>> = {
  SuppressionRequest: object({ reason }, ['reason']),
  Suppression: object(
    {
      tenant: text('Whose list it is on.'),
      address: text('As it was sent to, or put on the list.'),
      reason,
      at: time('When it was put there last.'),
      messageId: text('The message that showed why; absent when somebody put it there.'),
      feedbackId: text('Of the event that told of it.'),
    },
    ['tenant', 'address', 'reason', 'at'],
  ),
  Suppressions: object(
    {
      suppressions: list(ref('Suppression')),
      next: text('`after` of the next page; absent on the last one.'),
    },
    ['suppressions'],
  ),
};
