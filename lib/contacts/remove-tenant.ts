/**
 * Deletes a tenant. What it owns and somebody may still use (keys, identities, sets, templates, destinations of events,
 * contact lists) is deleted by who made it, first; its suppression list, which is of no use without it, goes with it.
 */
import type { Control } from '../control/types.ts';
import type { Engine } from '../engine/ports.ts';
import { ACCOUNT_TENANT } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { ContactLists } from './contact-lists.ts';

/** Suppressed addresses that one call removes at most, read this many at one time, and removed this many side by side. */
const MOST = 5_000;
const PAGE = 500;
const PARALLEL = 16;

export interface TenantDeps {
  engine: Pick<Engine, 'suppressions' | 'rows'>;
  control: Control;
  clock: Clock;
}

/**
 * @throws `bad_request` while it owns something, and for the account's own tenant; `throttled` while its suppression list
 * is too long for one call, which the next one goes on with. @returns whether it existed.
 */
export async function removeTenant(deps: TenantDeps, tenant: string): Promise<boolean> {
  const { control } = deps;
  if (tenant === ACCOUNT_TENANT) {
    throw new PosternError('bad_request', `The tenant ${ACCOUNT_TENANT} is the account's own, and stays.`);
  }
  if (!(await control.tenants.find(tenant))) return false;
  const owned = await ownedBy(deps, tenant);
  if (owned.length > 0) {
    throw new PosternError(
      'bad_request',
      `The tenant ${tenant} has ${owned.join(', ')} of its own: delete them first.`,
    );
  }
  await clearList(deps, tenant);
  await control.account.setSuppressionAttributes(tenant, {});
  return control.tenants.delete(tenant);
}

/** Kinds of what a tenant owns. */
async function ownedBy({ control, engine, clock }: TenantDeps, tenant: string): Promise<string[]> {
  const { keys, identities, configurationSets, templates, eventDestinations } = control;
  const one = { max: 1 };
  const kinds: Record<string, Promise<readonly unknown[]>> = {
    keys: keys.list(tenant, one),
    identities: identities.list(tenant, one),
    'configuration sets': configurationSets.list(tenant, one),
    templates: templates.list(tenant, one),
    'event destinations': eventDestinations.list(tenant),
    'contact lists': new ContactLists(engine.rows, clock).list(tenant, one),
  };
  const found = await Promise.all(
    Object.entries(kinds).map(async ([kind, some]) => ((await some).length > 0 ? kind : [])),
  );
  return found.flat();
}

async function clearList({ engine: { suppressions }, clock }: TenantDeps, tenant: string): Promise<void> {
  for (let removed = 0; removed < MOST; ) {
    const page = await suppressions.list({ tenant, max: PAGE });
    const next = page.values();
    const worker = async (): Promise<void> => {
      for (const { address } of next) await suppressions.remove(tenant, address, clock.now());
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    if (page.length < PAGE) return;
    removed += page.length;
  }
  throw new PosternError(
    'throttled',
    `${MOST} suppressed addresses of the tenant ${tenant} were removed, and there are more: call again.`,
  );
}
