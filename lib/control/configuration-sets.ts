/** Configuration sets: their names are unique within a tenant. */

import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { DocumentCache } from './document-cache.ts';
import { checkName, isName, shorten, tenantKey } from './names.ts';
import type { Quota } from './quotas.ts';
import type { ConfigurationSet, Control } from './types.ts';

/** SES: MaxDeliverySeconds, five minutes to fourteen hours. */
const MIN_DELIVERY_SECONDS = 300;
const MAX_DELIVERY_SECONDS = 50_400;
/** Sets read at one time. */
const PAGE = 500;

export function openConfigurationSets(
  cache: DocumentCache<ConfigurationSet>,
  { config, quota }: { config: Config; quota: Quota },
): Control['configurationSets'] {
  return {
    find: async (name, tenant) => (isName(name) ? cache.get(tenantKey(tenant, name)) : undefined),

    list: (tenant, { after, max } = {}) =>
      cache.list({
        prefix: tenantKey(tenant, ''),
        after: after === undefined ? undefined : tenantKey(tenant, after),
        max,
      }),

    async withPool(pool) {
      for (let after: string | undefined; ; ) {
        const page = await cache.list({ after, max: PAGE });
        const user = page.find((set) => set.delivery.pool === pool);
        if (user || page.length < PAGE) return user;
        const last = page.at(-1)!;
        after = tenantKey(last.tenant, last.name);
      }
    },

    async create(set) {
      checkName('tenant', set.tenant);
      checkName('configuration set', set.name);
      checkDelivery(set);
      const count = () => config.count(cache.kind, tenantKey(set.tenant, ''));
      await quota.within(set.tenant, count, () =>
        cache.create(tenantKey(set.tenant, set.name), set, `Configuration set <${set.name}>`),
      );
    },

    async update(name, tenant, change) {
      const stored = await cache.update(tenantKey(tenant, name), (set) => {
        const { createdAt } = set;
        const changed = { ...change(set), name, tenant, createdAt };
        checkDelivery(changed);
        return changed;
      });
      if (!stored) {
        throw new PosternError(
          'configuration_set_missing',
          `Configuration set <${shorten(name)}> does not exist.`,
        );
      }
      return stored;
    },

    delete: (name, tenant) => cache.delete(tenantKey(tenant, name)),
  };
}

function checkDelivery(set: ConfigurationSet): void {
  const { maxDeliverySeconds, pool } = set.delivery;
  if (pool !== undefined) checkName('pool', pool);
  if (maxDeliverySeconds === undefined) return;
  const bound =
    !Number.isInteger(maxDeliverySeconds) || maxDeliverySeconds < MIN_DELIVERY_SECONDS
      ? `greater than or equal to ${MIN_DELIVERY_SECONDS}`
      : maxDeliverySeconds > MAX_DELIVERY_SECONDS
        ? `less than or equal to ${MAX_DELIVERY_SECONDS}`
        : undefined;
  if (bound === undefined) return;
  throw new PosternError(
    'bad_request',
    `1 validation error detected: Value at 'maxDeliverySeconds' failed to satisfy constraint: Member must have value ${bound}`,
  );
}
