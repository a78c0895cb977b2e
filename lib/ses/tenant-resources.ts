/**
 * What tenants may send with. A tenant of SES owns nothing, and a resource is associated with it; here a tenant may also
 * have resources of its own, which are listed with the others.
 */
import {
  RESOURCE_KINDS,
  type TenantResource as Resource,
  type ResourceKind,
  requireUnassociated,
} from '../control/tenant-resources.ts';
import { PosternError } from '../errors.ts';
import { type Call, operation } from './operation.ts';
import { readToken, sizeOf, tokenOf } from './pages.ts';
import { findTenant } from './tenants.ts';
import type { OutputOf } from './types.ts';

type ResourceType = NonNullable<
  NonNullable<OutputOf<'ListTenantResources'>['TenantResources']>[number]['ResourceType']
>;

const TYPES = {
  identity: 'EMAIL_IDENTITY',
  'configuration-set': 'CONFIGURATION_SET',
  template: 'EMAIL_TEMPLATE',
} as const satisfies Record<ResourceKind, ResourceType>;

/** Resources read at one time, and the most of a page. */
const PAGE = 1_000;

/**
 * The resource of an ARN, in SES's order of checks.
 * @throws PosternError `bad_request` for what is no ARN of such a resource, or is of another region or account.
 */
function resourceOf(arn: string, { deps }: Call): Resource {
  const [prefix, , service, region, account, ...rest] = arn.split(':');
  if (prefix !== 'arn' || rest.length === 0) throw bad('Provided resource identifier is not an SES resource');
  if (service !== 'ses') throw bad('Provided ARN is not in SES resource ARN format');
  const resource = rest.join(':');
  const slash = resource.indexOf('/');
  const kind = slash < 0 ? resource : resource.slice(0, slash);
  const known = RESOURCE_KINDS.find((one) => one === kind);
  if (!known) throw bad(`Unsupported resource type: ${kind.slice(0, 64)}`);
  if (slash < 0 || slash === resource.length - 1)
    throw bad('Provided resource identifier is not an SES resource');
  if (region !== deps.region) throw bad(`Resource <${arn}> must be in the same region`);
  if (account !== deps.accountId) throw bad(`Resource <${arn}> must be in the same account`);
  return { kind: known, name: resource.slice(slash + 1) };
}

function arnOf({ kind, name }: Resource, { deps: { region, accountId } }: Call): string {
  return `arn:aws:ses:${region}:${accountId}:${kind}/${name}`;
}

/**
 * The owner of a resource, and its name in the stored form. Names of sets and templates are those of the key's tenant;
 * an identity is of whichever has it. @throws PosternError `not_found`
 */
async function ownedOf(resource: Resource, { deps, caller }: Call): Promise<Resource & { owner: string }> {
  const { identities, configurationSets, templates } = deps.control;
  const { kind, name } = resource;
  const { tenant } = caller;
  if (kind === 'identity') {
    const identity = await identities.find(name);
    if (identity && (caller.admin || identity.tenant === tenant))
      return { kind, name: identity.name, owner: identity.tenant };
    throw new PosternError('not_found', `Email identity ${name} does not exist.`);
  }
  if (kind === 'configuration-set') {
    if (await configurationSets.find(name, tenant)) return { kind, name, owner: tenant };
    throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
  }
  if (await templates.find(name, tenant)) return { kind, name, owner: tenant };
  throw new PosternError('template_missing', `Template ${name} does not exist.`);
}

export const createTenantResourceAssociation = operation(
  'CreateTenantResourceAssociation',
  'manage',
  async ({ TenantName, ResourceArn }, call) => {
    const { name: tenant } = await findTenant(TenantName, call);
    const resource = await ownedOf(resourceOf(ResourceArn, call), call);
    const twice = new PosternError(
      'already_exists',
      `Resources ${ResourceArn} has already been associated with tenant ${tenant}`,
    );
    if (resource.owner === tenant) throw twice;
    const { resources } = call.deps.control.tenants;
    await resources.add({ ...resource, tenant, at: call.deps.clock.now() }).catch((error: unknown) => {
      throw error instanceof PosternError && error.code === 'already_exists' ? twice : error;
    });
    return {};
  },
);

/** As in SES, one that does not exist is no failure. */
export const deleteTenantResourceAssociation = operation(
  'DeleteTenantResourceAssociation',
  'manage',
  async ({ TenantName, ResourceArn }, call) => {
    const { name: tenant } = await findTenant(TenantName, call);
    const resource = resourceOf(ResourceArn, call);
    if (await isOwn(resource, tenant, call))
      throw bad(`${ResourceArn} belongs to the tenant ${tenant} itself: delete it, or leave it.`);
    await call.deps.control.tenants.resources.remove(tenant, resource);
    return {};
  },
);

async function isOwn({ kind, name }: Resource, tenant: string, { deps }: Call): Promise<boolean> {
  const { identities, configurationSets, templates } = deps.control;
  if (kind === 'identity') return (await identities.find(name))?.tenant === tenant;
  if (kind === 'configuration-set') return (await configurationSets.find(name, tenant)) !== undefined;
  return (await templates.find(name, tenant)) !== undefined;
}

/** In the order of kinds; of a kind first what is the tenant's own. */
export const listTenantResources = operation(
  'ListTenantResources',
  'use',
  async ({ TenantName, Filter, PageSize, NextToken }, call) => {
    const { name: tenant } = await findTenant(TenantName, call);
    const only = kindOf(Filter?.RESOURCE_TYPE);
    const size = sizeOf(PageSize, PAGE);
    const found: { place: string; resource: Resource }[] = [];
    const after = NextToken ? readToken(NextToken) : '';
    for (const source of sourcesOf(tenant, call)) {
      if (only !== undefined && source.kind !== only) continue;
      const prefix = `${source.kind}/${source.own ? 0 : 1}/`;
      if (after > prefix && !after.startsWith(prefix)) continue;
      const from = after.startsWith(prefix) ? after.slice(prefix.length) : undefined;
      const names = await source.read(from, size + 1 - found.length);
      for (const name of names) found.push({ place: prefix + name, resource: { kind: source.kind, name } });
      if (found.length > size) break;
    }
    const page = found.slice(0, size);
    return {
      TenantResources: page.map(({ resource }) => ({
        ResourceType: TYPES[resource.kind],
        ResourceArn: arnOf(resource, call),
      })),
      NextToken: found.length > size ? tokenOf(page.at(-1)!.place) : undefined,
    };
  },
);

/** Names of one kind, the tenant's own or those of others, in their order. */
interface Source {
  kind: ResourceKind;
  own: boolean;
  read(after: string | undefined, max: number): Promise<string[]>;
}

function sourcesOf(tenant: string, { deps }: Call): Source[] {
  const { identities, configurationSets, templates, tenants } = deps.control;
  const own = {
    identity: identities,
    'configuration-set': { list: configurationSets.list },
    template: { list: templates.list },
  };
  return RESOURCE_KINDS.flatMap((kind): Source[] => [
    {
      kind,
      own: true,
      read: async (after, max) => (await own[kind].list(tenant, { after, max })).map(({ name }) => name),
    },
    {
      kind,
      own: false,
      async read(after, max) {
        // Kinds follow each other in one list: a page may reach into the next one.
        const some = await tenants.resources.list(tenant, { after: `${kind}/${after ?? ''}`, max });
        return some.filter((one) => one.kind === kind).map(({ name }) => name);
      },
    },
  ]);
}

/** SES takes the kind in an ARN, too. @throws PosternError `bad_request` */
function kindOf(type: string | undefined): ResourceKind | undefined {
  if (type === undefined) return undefined;
  const kind = RESOURCE_KINDS.find((one) => one === type || TYPES[one] === type);
  if (kind) return kind;
  throw bad(`Invalid resource type ${type} specified.`);
}

export const listResourceTenants = operation(
  'ListResourceTenants',
  'use',
  async ({ ResourceArn, PageSize, NextToken }, call) => {
    const { kind, name, owner } = await ownedOf(resourceOf(ResourceArn, call), call);
    const { tenants } = call.deps.control;
    const size = sizeOf(PageSize, PAGE);
    const after = NextToken ? readToken(NextToken) : undefined;
    const found = await tenants.resources.users(owner, { kind, name }, { after, max: size + 1 });
    const page = found.slice(0, size);
    const ids = await Promise.all(page.map(async ({ tenant }) => (await tenants.find(tenant))?.id));
    return {
      ResourceTenants: page.map(({ tenant, at }, i) => ({
        TenantName: tenant,
        TenantId: ids[i],
        ResourceArn: arnOf({ kind, name }, call),
        AssociatedTimestamp: new Date(at),
      })),
      NextToken: found.length > size ? tokenOf(page.at(-1)!.tenant) : undefined,
    };
  },
);

/** Refuses to delete what is associated. @throws PosternError `bad_request` in SES's words. */
export async function refuseAssociated(resource: Resource & { owner: string }, call: Call): Promise<void> {
  await requireUnassociated(call.deps.control.tenants.resources, resource, arnOf(resource, call));
}

function bad(message: string): PosternError {
  return new PosternError('bad_request', message);
}
