/**
 * Suppression lists. A tenant's own is kept with every key of the tenant; the account's, and any other, with an
 * administrator's key.
 */
import * as z from 'zod/mini';
import {
  findListed,
  listOf,
  pageOfList,
  putListed,
  removeListed,
  takeBack,
} from '../contacts/suppression-list.ts';
import {
  SUPPRESSION_REASONS,
  type Suppression as SuppressionEntry,
  type SuppressionReason,
} from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { sizeOf } from './imports.ts';
import { type ApiCall, iso, label, operation, query } from './operation.ts';
import { about, flag, integer, isTime, named, text, time } from './schema.ts';

/** Entries that one call takes back. */
const TAKEN_AT_ONCE = 10_000;
const TENANT = /^[A-Za-z0-9_-]{1,64}$/;

const reason = z
  .enum(SUPPRESSION_REASONS)
  .check(about('BOUNCE: a message to it bounced hard. COMPLAINT: its reader complained.'));

const SuppressionRequest = named('SuppressionRequest', z.strictObject({ reason }));
const Suppression = named(
  'Suppression',
  z.strictObject({
    tenant: text('Whose list it is on; `default` is the account.'),
    address: text('As it was sent to, or put on the list.'),
    reason,
    since: time('Since when it is there without a break.'),
    at: time('When it was put there last.'),
    why: z.optional(text('The reply, the report or the order that put it there, for a person.')),
    messageId: z.optional(text('The message that showed why; absent when a person put it there.')),
    feedbackId: z.optional(text('Id of the event that reported it.')),
  }),
);
const Suppressions = named(
  'Suppressions',
  z.strictObject({
    suppressions: z.array(Suppression),
    next: z.optional(text('`after` of the next page; absent on the last one.')),
  }),
);

const given = {
  tenant: 'default',
  address: 'ann@example.net',
  reason: 'BOUNCE',
  since: '2026-01-01T00:00:00.000Z',
  at: '2026-01-01T00:00:00.000Z',
  why: 'Put there with the key AKIAIOSFODNN7EXAMPLE.',
};
const example = {
  ...given,
  why: 'smtp; 550 5.1.1 User unknown',
  messageId: '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000',
  feedbackId: '010001a2b3c4d6f1-5e0c4f63-0d56-4f2e-9c6a-3f1f8f0f8a11-000000',
};
const address = label('address', 'Address, whatever the case of its letters.');
export const tenantQuery = query(
  'tenant',
  "Whose list; `default` is the account's. Absent: the one that applies to mail of the key's tenant. Any but the list of the key's own tenant needs an administrator's key.",
);

/** Parameters that select entries of a list. */
export const LIST_RANGE = [
  query('reason', 'Only for this: BOUNCE or COMPLAINT.'),
  query('from', 'Only those listed at this time or later.'),
  query('before', 'Only those listed before this time.'),
];

const listSuppressions = operation({
  method: 'get',
  path: '/suppressions',
  operationId: 'listSuppressions',
  summary: 'The addresses of a suppression list',
  description: 'By reason, then from the oldest entry on.',
  parameters: [
    tenantQuery,
    ...LIST_RANGE,
    query('max', 'Maximum entries returned: 1 to 1,000, else 100.'),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'A page of the list.',
    schema: Suppressions,
    example: { suppressions: [example] },
  },
  async handle(call) {
    const { entries, token } = await pageOfList(call.deps, {
      tenant: await tenantOf(call),
      ...rangeOf(call),
      max: sizeOf(call),
      token: call.query.after,
    });
    return { body: { suppressions: entries.map(shown), next: token } };
  },
});

const getSuppression = operation({
  method: 'get',
  path: '/suppressions/{address}',
  operationId: 'getSuppression',
  summary: 'Whether an address is on a suppression list, since when and why',
  parameters: [address, tenantQuery],
  answer: { status: 200, description: 'It is.', schema: Suppression, example },
  async handle(call) {
    return { body: shown(await findListed(call.deps, await tenantOf(call), call.params.address!)) };
  },
});

const putSuppression = operation({
  method: 'put',
  path: '/suppressions/{address}',
  operationId: 'putSuppression',
  summary: 'Put an address on a suppression list',
  description:
    'What is taken in for it from then on ends as `suppressed`, if the configuration set or the account ' +
    'suppresses for the reason. What was taken in before is sent.',
  parameters: [address, tenantQuery],
  request: { schema: SuppressionRequest, required: true, examples: { bounce: { reason: 'BOUNCE' } } },
  answer: { status: 200, description: 'Its entry.', schema: Suppression, example: given },
  async handle(call) {
    const entry = await putListed(call.deps, {
      tenant: await tenantOf(call),
      address: call.params.address!,
      reason: call.body.reason,
      why: `Put there with the key ${call.caller.keyId}.`,
    });
    return { body: shown(entry) };
  },
});

const removeSuppression = operation({
  method: 'delete',
  path: '/suppressions/{address}',
  operationId: 'removeSuppression',
  summary: 'Take an address off a suppression list',
  description: 'A bounce or complaint that comes later puts it back.',
  parameters: [address, tenantQuery],
  answer: { status: 204, description: 'It may be sent to.' },
  async handle(call) {
    await removeListed(call.deps, await tenantOf(call), call.params.address!);
    return {};
  },
});

const TakenBack = named(
  'SuppressionsTakenBack',
  z.strictObject({
    removed: integer('Entries that were taken off the list, or with `preview` would be.'),
    kept: integer('Entries of that time that stay.'),
    more: flag('Not all entries of that time were looked at: call again.'),
  }),
);

const takeBackSuppressions = operation({
  method: 'delete',
  path: '/suppressions',
  operationId: 'takeBackSuppressions',
  summary: 'Take off a list what was put there within a time, as by an import of the wrong file',
  description:
    `Looks at ${TAKEN_AT_ONCE} entries at most. What a bounce or a complaint showed stays, and so does what was listed ` +
    'before and only put there again. An import of a file that names its own times is undone by the same file with ' +
    '`action=delete`.',
  parameters: [
    tenantQuery,
    { ...LIST_RANGE[1]!, required: true },
    { ...LIST_RANGE[2]!, required: true },
    LIST_RANGE[0]!,
    query('preview', 'true: the entries are counted, and nothing is changed.'),
  ],
  answer: {
    status: 200,
    description: 'What was taken off.',
    schema: TakenBack,
    example: { removed: 1200, kept: 3, more: false },
  },
  async handle(call) {
    const { from, before, reasons } = rangeOf(call);
    if (from === undefined || before === undefined || from >= before) {
      throw new PosternError('bad_request', 'from and before: name the start and the end of the time.');
    }
    const tenant = await tenantOf(call);
    const preview = call.query.preview === 'true';
    const answer = await takeBack(call.deps, {
      tenant,
      reasons,
      from,
      before,
      preview,
      max: TAKEN_AT_ONCE,
    });
    const { removed } = answer;
    if (!preview) call.deps.log.info('suppressions.taken-back', { key: call.caller.keyId, tenant, removed });
    return { body: answer };
  },
});

export const SUPPRESSIONS = [
  listSuppressions,
  takeBackSuppressions,
  getSuppression,
  putSuppression,
  removeSuppression,
];

/** The entries that the parameters `LIST_RANGE` select. @throws `bad_request` */
export function rangeOf({ query: { reason: wanted, from, before } }: ApiCall) {
  return {
    reasons: wanted === undefined ? undefined : [reasonOf(wanted)],
    from: timeOf('from', from),
    before: timeOf('before', before),
  };
}

function shown(entry: SuppressionEntry): object {
  const { tenant, address, reason, at, since = at, why, messageId, feedbackId } = entry;
  return { tenant, address, reason, since: iso(since), at: iso(at), why, messageId, feedbackId };
}

/** @throws `bad_request`, or `access_denied` for a tenant that is not the key's. */
export async function tenantOf({ deps, caller, query: { tenant } }: ApiCall): Promise<string> {
  if (tenant !== undefined && !TENANT.test(tenant))
    throw new PosternError('bad_request', 'tenant: is not the name of a tenant.');
  return listOf(deps, caller, tenant);
}

/** @throws `bad_request` */
export function reasonOf(text: string): SuppressionReason {
  const reason = SUPPRESSION_REASONS.find((one) => one === text);
  if (reason) return reason;
  throw new PosternError('bad_request', `reason: must be one of ${SUPPRESSION_REASONS.join(', ')}.`);
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (isTime(text)) return Date.parse(text);
  throw new PosternError('bad_request', `${name}: must be a time as 2026-01-31T12:00:00Z (RFC 3339).`);
}
