/**
 * Reputation entities: tenants, with their rates of bounces and complaints, and what follows from them. A reference is
 * the ARN of a tenant, whose id may be left out.
 */
import { REPUTATION_POLICIES, type StatusRecord, type StoredTenant } from '../control/tenants.ts';
import { ACCOUNT_TENANT } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { TenantProtection } from '../statistics/protection.ts';
import { resourceOf } from './arn.ts';
import { type Call, operation } from './operation.ts';
import { pageOf, sizeOf } from './pages.ts';
import { tenantArn } from './tenants.ts';

/** Each entity of a page costs a look at its rates. */
const PAGE = 100;
const POLICY = /^arn:aws[a-z-]*:ses:[a-z0-9-]*:aws:reputation-policy\/([a-z]{1,32})$/;

/** @throws PosternError `bad_request` for what is no ARN, `not_found` in the words of tenants. */
async function entityOf(reference: string, call: Call): Promise<StoredTenant> {
  const { kind, name: named } = resourceOf(reference, call);
  const [name = '', id] = named.split('/');
  const { tenants } = call.deps.control;
  const { admin, tenant: own } = call.caller;
  if (kind === 'tenant' && name !== ACCOUNT_TENANT && (admin || name === own)) {
    const tenant = await tenants.find(name);
    if (tenant && (id === undefined || id === tenant.id)) return tenant;
  }
  throw new PosternError('not_found', `Reputation entity ${reference.slice(0, 200)} does not exist.`);
}

async function shown(tenant: StoredTenant, call: Call) {
  const { control, engine, clock, log, region } = call.deps;
  const { tenants, directives, documents } = control;
  const { status, ordered, rated } = tenants.sendingOf(tenant);
  const protection = new TenantProtection({ rows: engine.rows, tenants, directives, documents, clock, log });
  const { impact } = await protection.of(tenant.name);
  const { reputationPolicy = 'standard' } = tenant;
  return {
    ReputationEntityReference: tenantArn(tenant, call),
    ReputationEntityType: 'RESOURCE' as const,
    ReputationManagementPolicy: `arn:aws:ses:${region}:aws:reputation-policy/${reputationPolicy}`,
    CustomerManagedStatus: told(ordered),
    AwsSesManagedStatus: told(rated),
    SendingStatusAggregate: status,
    ReputationImpact: impact,
  };
}

function told({ status, cause, at }: StatusRecord) {
  return { Status: status, Cause: cause, LastUpdatedTimestamp: new Date(at) };
}

export const getReputationEntity = operation(
  'GetReputationEntity',
  'use',
  async ({ ReputationEntityReference }, call) => ({
    ReputationEntity: await shown(await entityOf(ReputationEntityReference, call), call),
  }),
);

/** A page may be short, and have a next one: what an entity's rates are is found out after it was read. */
export const listReputationEntities = operation('ListReputationEntities', 'use', async (input, call) => {
  const { tenants } = call.deps.control;
  const { admin, tenant: own } = call.caller;
  const { ENTITY_TYPE, ENTITY_REFERENCE_PREFIX = '', SENDING_STATUS, REPUTATION_IMPACT } = input.Filter ?? {};
  const isWanted = (tenant: StoredTenant): boolean =>
    tenant.name !== ACCOUNT_TENANT &&
    (admin || tenant.name === own) &&
    (ENTITY_TYPE ?? 'RESOURCE') === 'RESOURCE' &&
    tenantArn(tenant, call).startsWith(ENTITY_REFERENCE_PREFIX) &&
    (SENDING_STATUS === undefined || tenants.sendingOf(tenant).status === SENDING_STATUS);
  const PageSize = Math.min(sizeOf(input.PageSize, PAGE), PAGE);
  const { NextToken: token } = input;
  const page = await pageOf((from) => tenants.list(from), { PageSize, NextToken: token }, isWanted);
  const entities = await Promise.all(page.items.map((tenant) => shown(tenant, call)));
  const ReputationEntities = entities.filter(
    ({ ReputationImpact }) => REPUTATION_IMPACT === undefined || ReputationImpact === REPUTATION_IMPACT,
  );
  return { ReputationEntities, NextToken: page.NextToken };
});

export const updateReputationEntityCustomerManagedStatus = operation(
  'UpdateReputationEntityCustomerManagedStatus',
  'manage',
  async ({ ReputationEntityReference, SendingStatus }, call) => {
    const { name } = await entityOf(ReputationEntityReference, call);
    await call.deps.control.tenants.order(name, SendingStatus, { operator: call.caller.keyId });
    return {};
  },
);

export const updateReputationEntityPolicy = operation(
  'UpdateReputationEntityPolicy',
  'manage',
  async ({ ReputationEntityReference, ReputationEntityPolicy }, call) => {
    const named = POLICY.exec(ReputationEntityPolicy)?.[1];
    const reputationPolicy = REPUTATION_POLICIES.find((one) => one === named);
    if (!reputationPolicy)
      throw new PosternError(
        'bad_request',
        `${JSON.stringify(ReputationEntityPolicy.slice(0, 200))} is not the ARN of a reputation policy: arn:aws:ses:${call.deps.region}:aws:reputation-policy/standard, strict or none.`,
      );
    const { name } = await entityOf(ReputationEntityReference, call);
    await call.deps.control.tenants.update(name, (tenant) => ({ ...tenant, reputationPolicy }));
    return {};
  },
);
