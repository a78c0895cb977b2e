/**
 * What a tenant may use of another one: SES's resource associations. An identity, a configuration set or a template
 * belongs to one tenant, its owner; by an association others send with it, and it stays the owner's to change.
 *
 * The association names its owner: of a name that another tenant takes later, it allows nothing.
 */
import type { Config, DocumentQuery } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { alreadyExists } from './document.ts';
import type { DocumentCache } from './document-cache.ts';
import { DocumentIndex } from './document-index.ts';
import { isName, tenantKey } from './names.ts';

export const RESOURCE_KINDS = ['configuration-set', 'identity', 'template'] as const;
/** Kinds of resources, as ARNs name them. */
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

export interface TenantResource {
  kind: ResourceKind;
  name: string;
}

/** The right of a tenant to use what another one owns. */
export interface TenantAssociation extends TenantResource {
  tenant: string;
  owner: string;
  /** Since when, ms. */
  at: number;
}

/** A page of a list, in the order of its keys. */
export type ResourcePage = Pick<DocumentQuery, 'after' | 'max'>;

export interface TenantResources {
  find(tenant: string, resource: TenantResource): Promise<TenantAssociation | undefined>;
  /** @throws `already_exists` */
  add(given: TenantAssociation): Promise<void>;
  /** @returns whether it existed. */
  remove(tenant: string, resource: TenantResource): Promise<boolean>;
  /** Removes all that a tenant may use. */
  removeAll(tenant: string): Promise<void>;
  /** Those of a tenant, in the order of kinds and names; a page begins after `<kind>/<name>`. */
  list(tenant: string, page?: ResourcePage): Promise<TenantAssociation[]>;
  /** The tenants that may use a resource, in the order of their names, with the times from which on. */
  users(
    owner: string,
    resource: TenantResource,
    page?: ResourcePage,
  ): Promise<Pick<TenantAssociation, 'tenant' | 'at'>[]>;
}

/** Associations read at one time. */
const PAGE = 500;

/** Name of the list of a resource's users. A name of an identity may hold a slash, that of a tenant cannot. */
const usersOf = (owner: string, { kind, name }: TenantResource): string => `${kind}/${owner}/${name}`;

const rowsOf = (one: TenantAssociation): Record<string, { at: number }> => ({
  [`${usersOf(one.owner, one)}/${one.tenant}`]: { at: one.at },
});

export function openTenantResources(
  cache: DocumentCache<TenantAssociation>,
  config: Config,
): TenantResources {
  const index = new DocumentIndex(config, cache.kind, rowsOf);
  const keyOf = (tenant: string, { kind, name }: TenantResource): string =>
    tenantKey(tenant, `${kind}/${name}`);

  const list = (tenant: string, { after, max }: ResourcePage = {}): Promise<TenantAssociation[]> =>
    cache.list({
      prefix: tenantKey(tenant, ''),
      after: after === undefined ? undefined : tenantKey(tenant, after),
      max,
    });

  async function remove(tenant: string, resource: TenantResource): Promise<boolean> {
    const key = keyOf(tenant, resource);
    const stored = await cache.get(key);
    if (!stored) return false;
    const existed = await cache.delete(key);
    await index.remove(key, stored);
    return existed;
  }

  return {
    find: (tenant, resource) => cache.get(keyOf(tenant, resource)),

    async add(given) {
      const key = keyOf(given.tenant, given);
      const what = `The association of ${given.kind} ${given.name} with tenant ${given.tenant}`;
      // The rows of another owner's resource of this name are not those of the document that is there.
      if (await cache.get(key)) throw alreadyExists(what);
      await index.around(given, () => cache.create(key, given, what));
    },

    remove,

    async removeAll(tenant) {
      for (;;) {
        const some = await list(tenant, { max: PAGE });
        for (const one of some) await remove(tenant, one);
        if (some.length < PAGE) return;
      }
    },

    list,

    async users(owner, resource, page) {
      const rows = await index.list(usersOf(owner, resource), page);
      return rows.flatMap(({ key, shown: { at } }) => (isName(key) ? [{ tenant: key, at }] : []));
    },
  };
}

/**
 * As SES does, keeps what other tenants send with from being deleted under them.
 * @param shown what the refusal calls it. @throws PosternError `bad_request` in SES's words.
 */
export async function requireUnassociated(
  resources: Pick<TenantResources, 'users'>,
  resource: TenantResource & { owner: string },
  shown: string,
): Promise<void> {
  if ((await resources.users(resource.owner, resource, { max: 1 })).length === 0) return;
  throw new PosternError(
    'bad_request',
    `Cannot delete <${shown}> because it has tenant associations. Remove all tenant associations and try again.`,
  );
}
