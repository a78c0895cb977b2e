/** What is known of one address, erased on request (GDPR Art. 17). */
import * as z from 'zod/mini';
import { eraseAddress } from '../contacts/erase.ts';
import { operation } from './operation.ts';
import { flag, integer, named, text } from './schema.ts';
import { tenantOf, tenantQuery } from './suppressions.ts';

const EraseRequest = named(
  'EraseRequest',
  z.strictObject({
    address: text('Address, whatever the case of its letters.', z.minLength(1), z.maxLength(320)),
    keepSuppression: z.optional(
      flag(
        'Keep the suppression entry, with its reason and its time alone. Without the entry, mail may be sent again.',
      ),
    ),
  }),
);
const Erasure = named(
  'Erasure',
  z.strictObject({
    address: text('The address.'),
    suppressions: integer('Entries that were taken off, or reduced to reason and time.'),
    contacts: integer('Contacts that were deleted.'),
    importFailures: integer('Bad rows of imports that named it.'),
    messages: z.optional(
      z.strictObject({
        erased: integer('Messages that no longer name it.'),
        outcomes: integer('Attempts, reports and other events that no longer name it.'),
        underWay: integer('Messages to it that are still on their way: erase again when they have ended.'),
      }),
    ),
    notSearched: z.optional(text('What could not be searched, and when it goes.')),
  }),
);

const example = {
  address: 'ann@example.net',
  suppressions: 1,
  contacts: 1,
  importFailures: 0,
  messages: { erased: 12, outcomes: 25, underWay: 0 },
};

const eraseAddressOperation = operation({
  method: 'post',
  path: '/addresses/erase',
  operationId: 'eraseAddress',
  summary: 'Erase what a tenant’s data has of one address',
  description:
    'Its suppression entry and its contacts go; in messages, in what happened to them and in the failures of imports a ' +
    'placeholder takes its place. A repeat erases what is left. Copies at receivers of events, and in logs, are theirs.',
  parameters: [tenantQuery],
  request: { schema: EraseRequest, required: true, examples: { ann: { address: 'ann@example.net' } } },
  answer: { status: 200, description: 'How many of each were erased.', schema: Erasure, example },
  async handle(call) {
    const { deps, caller, body } = call;
    const { address, keepSuppression = false } = body;
    const erased = await eraseAddress(deps, {
      tenant: await tenantOf(call),
      address,
      keepSuppression,
      origin: `Ordered with the key ${caller.keyId}.`,
    });
    const { messages } = erased;
    return { body: messages ? erased : { ...erased, notSearched: NOT_SEARCHED } };
  },
});

const NOT_SEARCHED =
  'Messages and their attempts: on AWS they are found by their id alone. They are deleted some days after their deliveries have ended.';

export const ADDRESSES = [eraseAddressOperation];
