/**
 * Tenants: who mail is sent for. A tenant is made by name, or with the first key or identity that names it; what it has
 * is stored with its name, and its reputation, limits and pauses are its own.
 *
 * ```
 *  whether it sends:   operator's order (ENABLED, DISABLED, REINSTATED)     ┐
 *                      pause for its rates (`reputation-<tenant>`)          ┴─► sendingOf
 * ```
 * DISABLED and a pause for rates are directives, so every node stops within a second; what is kept here of an order is
 * its cause. Whoever removes the directive has enabled the tenant.
 */
import { randomBytes } from 'node:crypto';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { type Directives, orderId, type StoredDirective } from './directives.ts';
import { backfill } from './document-backfill.ts';
import { DocumentCache } from './document-cache.ts';
import { checkName, isName, quote } from './names.ts';
import { checkLimits, type SendingLimits, someOf } from './sending-limits.ts';
import type { ResourcePage, TenantResources } from './tenant-resources.ts';

export const SENDING_STATUSES = ['ENABLED', 'DISABLED', 'REINSTATED'] as const;
/** SES's words for whether a tenant may send; REINSTATED: it may, whatever its rates are. */
export type SendingStatus = (typeof SENDING_STATUSES)[number];

export const REPUTATION_POLICIES = ['standard', 'strict', 'none'] as const;
/** What follows from bad rates: a pause at the thresholds of a pause, at those of a warning, or none. */
export type ReputationPolicy = (typeof REPUTATION_POLICIES)[number];

export interface StoredTenant {
  name: string;
  /** `tn-` and 30 hexadecimal digits, as part of its ARN. */
  id: string;
  createdAt: number;
  tags?: { Key: string; Value: string }[];
  /** The latest order about its sending; absent: none yet. */
  order?: { status: SendingStatus; cause: string; at: number };
  /** Absent: `standard`. */
  reputationPolicy?: ReputationPolicy;
  limits?: SendingLimits;
}

/** Whether a tenant sends, why, and since when. */
export interface StatusRecord {
  status: SendingStatus;
  cause?: string;
  /** Since the epoch, ms. */
  at: number;
}

export interface TenantSending {
  /** What holds: DISABLED while either of the two is, unless it was reinstated. */
  status: SendingStatus;
  /** By order of an operator. */
  ordered: StatusRecord;
  /** By its rates of bounces and complaints. */
  rated: StatusRecord;
}

export interface Tenants {
  find(name: string): Promise<StoredTenant | undefined>;
  /** In the order of names. */
  list(page?: ResourcePage): Promise<StoredTenant[]>;
  /** @throws `already_exists`, `bad_request` for its name. */
  create(given: Pick<StoredTenant, 'name' | 'tags' | 'reputationPolicy' | 'limits'>): Promise<StoredTenant>;
  /** Makes a tenant that does not exist yet. @throws `bad_request` for its name. */
  ensure(name: string): Promise<void>;
  /** Changes tags and policy. @throws `not_found` */
  update(name: string, change: (tenant: StoredTenant) => StoredTenant): Promise<StoredTenant>;
  /** Enables, disables or reinstates its sending, everywhere within a second. @throws `not_found` */
  order(name: string, status: SendingStatus, by: { operator: string; cause?: string }): Promise<StoredTenant>;
  sendingOf(tenant: Pick<StoredTenant, 'name' | 'createdAt' | 'order'>): TenantSending;
  /** Removes it and what it may use of others. What it has itself is the caller's to look at. */
  delete(name: string): Promise<boolean>;
  /** What it may use of other tenants. */
  resources: TenantResources;
}

/** Name of the rule that pauses tenants for their rates, in the origins of its directives. */
export const PROTECTION_RULE = 'reputation';

/** Id of the directive that pauses a tenant for its rates. */
export function pauseId(tenant: string): string {
  return `${PROTECTION_RULE}-${tenant}`;
}

interface TenantOptions {
  config: Config;
  clock: Clock;
  directives: Directives;
  resources: TenantResources;
}

/** Tenants in memory, characters of JSON. */
const CAPACITY = 4 << 20;

export function tenantCache(config: Config, clock: Clock): DocumentCache<StoredTenant> {
  return new DocumentCache(config, 'tenant', clock, CAPACITY);
}

/** Makes tenants that do not exist yet: for what is the first of its tenant. */
export function tenantMaker(cache: DocumentCache<StoredTenant>, clock: Clock): Pick<Tenants, 'ensure'> {
  return {
    async ensure(name) {
      checkName('tenant', name);
      if (await cache.get(name)) return;
      try {
        await cache.create(name, newTenant({ name }, clock), `Tenant ${name}`);
      } catch (error) {
        if (!(error instanceof PosternError) || error.code !== 'already_exists') throw error;
      }
    },
  };
}

export function openTenants(cache: DocumentCache<StoredTenant>, options: TenantOptions): Tenants {
  const { config, clock, directives, resources } = options;
  const { ensure } = tenantMaker(cache, clock);

  // Keys and identities of an earlier version name tenants that have no document.
  const fromKeys = backfill<{ tenant: string }>(
    config,
    { from: 'key', into: `${cache.kind}-of-key` },
    (_, { tenant }) => ensure(tenant),
  );
  const fromIdentities = backfill<{ identity: { tenant: string } }>(
    config,
    { from: 'identity', into: `${cache.kind}-of-identity` },
    (_, { identity: { tenant } }) => ensure(tenant),
  );
  const filled = async (): Promise<void> => {
    await fromKeys();
    await fromIdentities();
  };

  async function change(name: string, by: (tenant: StoredTenant) => StoredTenant): Promise<StoredTenant> {
    await filled();
    const stored = isName(name) ? await cache.update(name, by) : undefined;
    if (stored) return stored;
    throw new PosternError('not_found', `There is no tenant ${quote(name)}.`);
  }

  return {
    resources,

    // Whoever takes mail in may have no right to fill in what an earlier version left out.
    find: async (name) => (isName(name) ? cache.get(name) : undefined),

    async list(page) {
      await filled();
      return cache.list(page);
    },

    async create(given) {
      checkName('tenant', given.name);
      checkLimits(given.limits ?? {});
      await filled();
      return cache.create(given.name, newTenant(given, clock), `Tenant ${given.name}`);
    },

    ensure,

    update: (name, by) =>
      change(name, (tenant) => {
        const { id, createdAt, order } = tenant;
        const changed = by(tenant);
        checkLimits(changed.limits ?? {});
        return { ...changed, limits: someOf(changed.limits ?? {}), name, id, createdAt, order };
      }),

    async order(name, status, { operator, cause = `Ordered with the key ${operator}.` }) {
      // First the cause, then what stops: a tenant that is stopped has its cause.
      const ordered = await change(name, (tenant) => ({
        ...tenant,
        order: { status, cause, at: clock.now() },
      }));
      const suspension = suspensionOf(name);
      if (status === 'DISABLED') await directives.order({ ...suspension, reason: cause }, { operator });
      else await directives.remove(orderId(suspension));
      if (status === 'REINSTATED') await directives.remove(pauseId(name));
      return ordered;
    },

    sendingOf: (tenant) => sendingOf(tenant, directives),

    async delete(name) {
      await filled();
      if (!isName(name) || !(await cache.get(name))) return false;
      await resources.removeAll(name);
      await directives.remove(orderId(suspensionOf(name)));
      return cache.delete(name);
    },
  };
}

/** What an operator orders to stop a tenant. */
function suspensionOf(tenant: string) {
  return { match: { tenant }, action: { kind: 'suspend' as const } };
}

function newTenant(
  given: Pick<StoredTenant, 'name' | 'tags' | 'reputationPolicy' | 'limits'>,
  clock: Clock,
): StoredTenant {
  return { ...given, id: `tn-${randomBytes(15).toString('hex')}`, createdAt: clock.now() };
}

function sendingOf(
  { name, order, createdAt }: Pick<StoredTenant, 'name' | 'createdAt' | 'order'>,
  directives: Pick<Directives, 'find'>,
): TenantSending {
  const stopped = order?.status === 'DISABLED' ? directives.find(orderId(suspensionOf(name))) : undefined;
  const paused = directives.find(pauseId(name));
  const ordered = orderedStatus(order, stopped, createdAt);
  const rated: StatusRecord = paused
    ? { status: 'DISABLED', cause: paused.reason, at: paused.at }
    : { status: 'ENABLED', at: createdAt };
  const isDisabled = rated.status === 'DISABLED' && ordered.status !== 'REINSTATED';
  return { status: isDisabled ? 'DISABLED' : ordered.status, ordered, rated };
}

/** An order to disable holds as long as its directive; a directive without such an order only makes mail wait. */
function orderedStatus(
  order: StoredTenant['order'],
  stopped: StoredDirective | undefined,
  createdAt: number,
): StatusRecord {
  if (!order) return { status: 'ENABLED', at: createdAt };
  if (order.status === 'DISABLED' && !stopped) return { status: 'ENABLED', at: order.at };
  return order;
}
