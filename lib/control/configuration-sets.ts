/** Configuration sets: their names are unique within a tenant. */
import { PosternError } from '../errors.ts';
import type { DocumentCache } from './document-cache.ts';
import { checkName, shorten, tenantKey } from './names.ts';
import { countOf, Quota } from './quotas.ts';
import type { ConfigurationSet, Control } from './types.ts';

/** SES: MaxDeliverySeconds, five minutes to fourteen hours. */
const MIN_DELIVERY_SECONDS = 300;
const MAX_DELIVERY_SECONDS = 50_400;

export function openConfigurationSets(
  mirror: DocumentCache<ConfigurationSet>,
  limit: number,
): Control['configurationSets'] {
  const quota = new Quota('configuration sets', limit);

  return {
    find: (name, tenant) => mirror.get(tenantKey(tenant, name)),

    list: (tenant) => mirror.all().filter((set) => tenant === undefined || set.tenant === tenant),

    async create(set) {
      checkName('tenant', set.tenant);
      checkName('configuration set', set.name);
      checkDelivery(set);
      await quota.within(set.tenant, countOf(mirror.all(), set.tenant), () =>
        mirror.create(tenantKey(set.tenant, set.name), set, `Configuration set <${set.name}>`),
      );
    },

    async update(name, tenant, change) {
      const stored = await mirror.update(tenantKey(tenant, name), (set) => {
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

    delete: (name, tenant) => mirror.delete(tenantKey(tenant, name)),
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
