/**
 * Tenants: made, paused and deleted by administrators, and what they may use of each other. A tenant's own key sees its
 * own.
 */
import * as z from 'zod/mini';
import { removeTenant } from '../contacts/remove-tenant.ts';
import {
  REPUTATION_POLICIES,
  SENDING_STATUSES,
  type StatusRecord,
  type StoredTenant,
} from '../control/tenants.ts';
import { PosternError } from '../errors.ts';
import { type ApiCall, iso, label, mayRead, operation, query, requireAdmin } from './operation.ts';
import { sizeOf } from './query.ts';
import { about, integer, name, named, text, time } from './schema.ts';
import { SendingLimitsSchema, sentToday } from './sending-limits.ts';

const status = z.enum(SENDING_STATUSES);
const statusRecord = (description: string) =>
  z
    .strictObject({ status, cause: z.optional(text('Why, for a person.')), at: time('Since when.') })
    .check(about(description));
const policy = z
  .enum(REPUTATION_POLICIES)
  .check(
    about(
      'What follows from its rates of bounces and complaints: `standard` pauses it at the thresholds of a pause, `strict` at those of a warning, `none` never.',
    ),
  );

const Tenant = named(
  'Tenant',
  z.strictObject({
    name: text('Names the tenant.'),
    id: text('Part of its ARN.'),
    arn: text('As the SES API names it.'),
    createdAt: time('When it was made.'),
    sending: status.check(about('Whether it may send.')),
    ordered: statusRecord('By order of an operator.'),
    rated: statusRecord('By its rates of bounces and complaints: see `/v1/reputation`.'),
    reputationPolicy: policy,
    limits: SendingLimitsSchema,
    sentToday: z.optional(integer('Recipients of the last 24 hours, where they are limited.')),
  }),
);
const Tenants = named(
  'Tenants',
  z.strictObject({
    tenants: z.array(Tenant),
    next: z.optional(text('`after` of the next page; absent on the last one.')),
  }),
);
const NewTenant = named(
  'NewTenant',
  z.strictObject({
    name: name('Names the tenant.'),
    reputationPolicy: z.optional(policy),
    limits: z.optional(SendingLimitsSchema),
  }),
);
const TenantChange = named(
  'TenantChange',
  z.strictObject({
    sending: z.optional(
      status.check(
        about(
          'DISABLED: new mail is refused, and what waits stays where it is. ENABLED ends that. REINSTATED also ends a pause for its rates, and no other one follows.',
        ),
      ),
    ),
    cause: z.optional(text('Why, for a person.', z.minLength(1), z.maxLength(255))),
    reputationPolicy: z.optional(policy),
    limits: z.optional(SendingLimitsSchema),
  }),
);

const example = {
  name: 'shop',
  id: 'tn-5f0c4a1d9be24c7d8a13c0a7f2b9e6',
  arn: 'arn:aws:ses:us-east-1:000000000000:tenant/shop/tn-5f0c4a1d9be24c7d8a13c0a7f2b9e6',
  createdAt: '2026-01-01T00:00:00.000Z',
  sending: 'ENABLED',
  ordered: { status: 'ENABLED', at: '2026-01-01T00:00:00.000Z' },
  rated: { status: 'ENABLED', at: '2026-01-01T00:00:00.000Z' },
  reputationPolicy: 'standard',
  limits: {},
};

const MAX = 1_000;
export const tenantLabel = label('tenant', 'Name of the tenant.');

const listTenants = operation({
  method: 'get',
  path: '/tenants',
  operationId: 'listTenants',
  summary: 'Tenants in the order of their names',
  description: "A key that is not an administrator's sees its own.",
  parameters: [
    query('max', `Of one page, ${MAX} at most; absent: 100.`),
    query('after', '`next` of the page before.'),
  ],
  answer: { status: 200, description: 'A page.', schema: Tenants, example: { tenants: [example] } },
  async handle(call) {
    const max = sizeOf(call.query.max, 100, MAX);
    if (!call.caller.admin)
      return { body: { tenants: [listed(await tenantOf(call, call.caller.tenant), call)] } };
    const found = await call.deps.control.tenants.list({ after: call.query.after, max: max + 1 });
    const tenants = found.slice(0, max);
    const next = found.length > max ? tenants.at(-1)!.name : undefined;
    return { body: { tenants: tenants.map((tenant) => listed(tenant, call)), next } };
  },
});

const createTenant = operation({
  method: 'post',
  path: '/tenants',
  operationId: 'createTenant',
  summary: "Make a tenant (administrator's key)",
  description:
    'Its keys and identities are made with its name: `POST /v1/keys` and `POST /v1/identities`, which also make a tenant that does not exist.',
  request: { schema: NewTenant, required: true, examples: { shop: { name: 'shop' } } },
  answer: { status: 201, description: 'The tenant.', schema: Tenant, example },
  async handle(call) {
    requireAdmin(call, 'make tenants');
    return { body: await shown(await call.deps.control.tenants.create(call.body), call) };
  },
});

const getTenant = operation({
  method: 'get',
  path: '/tenants/{tenant}',
  operationId: 'getTenant',
  summary: 'A tenant, and whether it may send',
  parameters: [tenantLabel],
  answer: { status: 200, description: 'The tenant.', schema: Tenant, example },
  handle: async (call) => ({ body: await shown(await tenantOf(call, call.params.tenant!), call) }),
});

const changeTenant = operation({
  method: 'put',
  path: '/tenants/{tenant}',
  operationId: 'changeTenant',
  summary: "Stop or resume a tenant, or change what follows from its rates (administrator's key)",
  description:
    'Members that are not given stay; `limits` are replaced as a whole, and `{}` removes them. In force everywhere within about a second.',
  parameters: [tenantLabel],
  request: {
    schema: TenantChange,
    required: true,
    examples: { stop: { sending: 'DISABLED', cause: 'Sends to a bought list.' } },
  },
  answer: { status: 200, description: 'The tenant.', schema: Tenant, example },
  async handle(call) {
    requireAdmin(call, 'change tenants');
    const { tenants } = call.deps.control;
    const { sending, cause, reputationPolicy, limits } = call.body;
    let tenant = await tenantOf(call, call.params.tenant!);
    if (cause !== undefined && sending === undefined)
      throw new PosternError('bad_request', '/cause is that of /sending, which is missing.');
    if (reputationPolicy !== undefined || limits !== undefined)
      tenant = await tenants.update(tenant.name, (before) => ({
        ...before,
        ...(reputationPolicy && { reputationPolicy }),
        ...(limits && { limits }),
      }));
    if (sending !== undefined)
      tenant = await tenants.order(tenant.name, sending, { operator: call.caller.keyId, cause });
    return { body: await shown(tenant, call) };
  },
});

const deleteTenant = operation({
  method: 'delete',
  path: '/tenants/{tenant}',
  operationId: 'deleteTenant',
  summary: "Delete a tenant with its suppression list (administrator's key)",
  description:
    'Refused while it has keys, identities, configuration sets, templates, event destinations or a contact list. A list too long for one call is removed in several: 429 asks for the next one.',
  parameters: [tenantLabel],
  answer: { status: 204, description: 'It is gone.' },
  async handle(call) {
    requireAdmin(call, 'delete tenants');
    const tenant = call.params.tenant!;
    if (await removeTenant(call.deps, tenant)) return {};
    throw noTenant(tenant);
  },
});

export const TENANTS = [listTenants, createTenant, getTenant, changeTenant, deleteTenant];

/** @throws `not_found`, also for another one than the key's own: its existence is not the caller's to learn. */
export async function tenantOf(call: ApiCall, tenant: string): Promise<StoredTenant> {
  const { tenants } = call.deps.control;
  if (mayRead(call, tenant)) {
    const found = await tenants.find(tenant);
    if (found) return found;
    // A key of an earlier version has a tenant without a document until tenants are first listed.
    await tenants.list({ max: 1 });
    const filled = await tenants.find(tenant);
    if (filled) return filled;
  }
  throw noTenant(tenant);
}

function noTenant(tenant: string): PosternError {
  return new PosternError('not_found', `There is no tenant ${JSON.stringify(tenant.slice(0, 64))}.`);
}

async function shown(tenant: StoredTenant, call: ApiCall): Promise<z.infer<typeof Tenant>> {
  const sent = await sentToday(call.deps, `tenant/${tenant.name}`, tenant.limits);
  return { ...listed(tenant, call), sentToday: sent };
}

/** Without what costs a read of its own. */
function listed(tenant: StoredTenant, { deps }: ApiCall): z.infer<typeof Tenant> {
  const { name, id, createdAt, reputationPolicy = 'standard', limits = {} } = tenant;
  const { status: sending, ordered, rated } = deps.control.tenants.sendingOf(tenant);
  const told = ({ at, ...record }: StatusRecord) => ({ ...record, at: iso(at) });
  return {
    name,
    id,
    arn: `arn:aws:ses:${deps.region}:${deps.accountId}:tenant/${name}/${id}`,
    createdAt: iso(createdAt),
    sending,
    ordered: told(ordered),
    rated: told(rated),
    reputationPolicy,
    limits,
  };
}
