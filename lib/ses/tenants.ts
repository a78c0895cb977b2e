/**
 * Tenants. The account's own tenant is none in SES's sense: it is in no list, and no call names it here.
 *
 * Names of errors and their words are those that others recorded at Amazon.
 */
import { removeTenant } from '../contacts/remove-tenant.ts';
import type { StoredTenant } from '../control/tenants.ts';
import type { SuppressionAttributes } from '../control/types.ts';
import { ACCOUNT_TENANT } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { type Call, operation } from './operation.ts';
import { pageOf } from './pages.ts';
import { checkedTags } from './tags.ts';
import type { InputOf } from './types.ts';

const NAME = /^[A-Za-z0-9_-]+$/;
const MAX_NAME = 64;

/** @throws PosternError `bad_request` in SES's words. */
function requireTenantName(name: string): void {
  if (name.trim() === '') throw bad('TenantName cannot be empty');
  if (name.length > MAX_NAME) throw bad(`TenantName cannot exceed ${MAX_NAME} characters.`);
  if (NAME.test(name)) return;
  throw bad(`Invalid tenant name <${name}>: only alphanumeric ASCII characters, '_', and '-' are allowed.`);
}

/**
 * Which list applies to a tenant's mail, and for which reasons. As in SES both members come together; with neither, the
 * tenant has no attributes of its own. @throws PosternError `bad_request` in SES's words.
 */
export function suppressionAttributesOf({
  SuppressionScope: scope,
  SuppressedReasons: reasons,
}: Omit<InputOf<'PutTenantSuppressionAttributes'>, 'TenantName'>): SuppressionAttributes {
  if (reasons && new Set(reasons).size < reasons.length)
    throw bad('Each suppressed reason can only be specified at most once');
  if (reasons && !scope) {
    throw bad(
      reasons.length > 0
        ? 'SuppressedReasons cannot be specified without SuppressionScope.'
        : 'SuppressionScope is required when SuppressedReasons are provided. Valid values are: TENANT, ACCOUNT',
    );
  }
  if (scope && !reasons) throw bad('SuppressionScope cannot be specified without SuppressedReasons.');
  return { scope, reasons };
}

/** The tenant of a name. @throws PosternError `not_found`, `bad_request` */
export async function findTenant(name: string, { deps, caller }: Call): Promise<StoredTenant> {
  requireTenantName(name);
  const { tenants } = deps.control;
  if (name !== ACCOUNT_TENANT && (caller.admin || caller.tenant === name)) {
    const found = await tenants.find(name);
    if (found) return found;
  }
  throw noTenant(name);
}

/** In the words of SES. */
export function noTenant(name: string): PosternError {
  return new PosternError('not_found', `The requested tenant <${name}> does not exist.`);
}

export function tenantArn({ name, id }: StoredTenant, { deps: { region, accountId } }: Call): string {
  return `arn:aws:ses:${region}:${accountId}:tenant/${name}/${id}`;
}

/** The tenant that an ARN names, by `NAME/ID`. @throws PosternError `not_found` in SES's words. */
export async function tenantOfArn(reference: string, { deps }: Call): Promise<StoredTenant> {
  const slash = reference.indexOf('/');
  const [name, id] = [reference.slice(0, Math.max(slash, 0)), reference.slice(slash + 1)];
  const tenant = name === ACCOUNT_TENANT ? undefined : await deps.control.tenants.find(name);
  if (tenant?.id === id) return tenant;
  throw new PosternError('not_found', `No Tenant present with name: ${name} with tenantId: ${id}`);
}

export const createTenant = operation('CreateTenant', 'manage', async (input, call) => {
  const { TenantName: name, Tags, SuppressionAttributes: given } = input;
  const { deps } = call;
  requireTenantName(name);
  const tags = checkedTags(Tags);
  const suppression = suppressionAttributesOf(given ?? {});
  if (name === ACCOUNT_TENANT || (await deps.control.tenants.find(name))) throw exists(name, deps.accountId);
  const tenant = await deps.control.tenants.create({ name, tags }).catch((error: unknown) => {
    throw error instanceof PosternError && error.code === 'already_exists'
      ? exists(name, deps.accountId)
      : error;
  });
  if (given) await deps.control.account.setSuppressionAttributes(name, suppression);
  return { ...shown(tenant, call), Tags: tags, SuppressionAttributes: given && told(suppression) };
});

export const getTenant = operation('GetTenant', 'use', async ({ TenantName }, call) => {
  const tenant = await findTenant(TenantName, call);
  const suppression = await call.deps.control.account.suppressionAttributes(tenant.name);
  const SuppressionAttributes = suppression.scope && told(suppression);
  return { Tenant: { ...shown(tenant, call), Tags: tenant.tags ?? [], SuppressionAttributes } };
});

export const listTenants = operation('ListTenants', 'use', async (input, call) => {
  const { tenants } = call.deps.control;
  const { admin, tenant: own } = call.caller;
  const { TENANT_NAME_CONTAINS: part = '', SENDING_STATUS: status } = input.Filter ?? {};
  const { items, NextToken } = await pageOf(
    (from) => tenants.list(from),
    input,
    (tenant) =>
      tenant.name !== ACCOUNT_TENANT &&
      (admin || tenant.name === own) &&
      tenant.name.includes(part) &&
      (status === undefined || tenants.sendingOf(tenant).status === status),
  );
  return { Tenants: items.map((tenant) => shown(tenant, call)), NextToken };
});

/** With its suppression list, as in SES; what it owns itself is deleted first. */
export const deleteTenant = operation('DeleteTenant', 'manage', async ({ TenantName }, call) => {
  const { name } = await findTenant(TenantName, call);
  await removeTenant(call.deps, name);
  return {};
});

function shown(tenant: StoredTenant, call: Call) {
  return {
    TenantName: tenant.name,
    TenantId: tenant.id,
    TenantArn: tenantArn(tenant, call),
    CreatedTimestamp: new Date(tenant.createdAt),
    SendingStatus: call.deps.control.tenants.sendingOf(tenant).status,
  };
}

function told({ scope, reasons }: SuppressionAttributes) {
  return { SuppressionScope: scope, SuppressedReasons: reasons && [...reasons] };
}

function exists(name: string, accountId: string): PosternError {
  return new PosternError(
    'already_exists',
    `Tenant with name ${name} already exists in account ${accountId}`,
  );
}

function bad(message: string): PosternError {
  return new PosternError('bad_request', message);
}
