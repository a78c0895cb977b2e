/**
 * The stored configuration. What belongs to tenants (keys, identities, configuration sets, templates, event
 * destinations) is read by key when it is needed; directives and the documents that operators change are few, and
 * each process has them in memory.
 */
import { resolveMx as systemResolveMx, resolveTxt as systemResolveTxt } from 'node:dns/promises';
import type { Config } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { openAccount, type StoredAccount } from './account.ts';
import { CONFIG_KINDS, type ConfigKind } from './config-kinds.ts';
import { openConfigurationSets } from './configuration-sets.ts';
import { openDirectives } from './directives.ts';
import { DkimRecords, type DkimZoneOptions } from './dkim-records.ts';
import { DocumentCache } from './document-cache.ts';
import { DocumentIndex } from './document-index.ts';
import { openDocuments } from './documents.ts';
import { EasyDkimKeys } from './easy-dkim.ts';
import { openEventDestinations, type StoredEventDestination } from './event-destinations.ts';
import { EventScopes, type StoredEventScope } from './event-scopes.ts';
import { openIdentities, rowsOfIdentity } from './identities.ts';
import { openIdentityPolicies, type StoredIdentityPolicies } from './identity-policies.ts';
import { openIdentityCache } from './identity-store.ts';
import { KeyUse, type KeyUseOptions } from './key-use.ts';
import { expectOwnKeys, keyCache, openKeys } from './keys.ts';
import { openLaneGroups } from './lane-groups.ts';
import type { BounceTarget, ResolveMx } from './mail-from.ts';
import type { ResolveTxt } from './proof.ts';
import { type ControlLimits, Quota, SES_LIMITS } from './quotas.ts';
import { openTemplates, rowsOfTemplate } from './templates.ts';
import { openTenantResources, type TenantAssociation } from './tenant-resources.ts';
import { openTenants, tenantCache } from './tenants.ts';
import type { ConfigurationSet, Control, StoredTemplate, SuppressionAttributes } from './types.ts';
import { createVault } from './vault.ts';

export interface ControlOptions {
  config: Config;
  /** Master key of 32 bytes: see master-key.ts. */
  masterKey: Buffer;
  clock: Clock;
  /** Keeps when keys were last used; absent: nobody signs in at this process. */
  keyUse?: Omit<KeyUseOptions, 'clock'>;
  /** Resolves TXT and MX records; absent: the system's resolver. */
  resolveTxt?: ResolveTxt;
  resolveMx?: ResolveMx;
  /** Where bounces are taken in. Without it no MAIL FROM domain is proven. */
  bounces?: BounceTarget;
  /** Whether an identity needs DNS proof before it may send. */
  verifyIdentities: boolean;
  /** Whether an Ed25519 DKIM key is made beside each RSA key (RFC 8463). */
  ed25519?: boolean;
  /** Zone of the operator's for the keys of Easy DKIM; absent: whoever has a domain publishes its key. */
  dkimZone?: DkimZoneOptions;
  limits?: Partial<ControlLimits>;
  /** Kinds of documents that may change while Postern runs; absent: all. */
  kinds?: readonly ConfigKind[];
}

/**
 * Opens the configuration, and reads into memory what all tenants share.
 * @throws PosternError of the storage group; `storage_damaged` when the master key is not the store's.
 */
export async function openControl(options: ControlOptions): Promise<Control> {
  const { config, clock, verifyIdentities, ed25519 = false, bounces = {} } = options;
  const { resolveTxt = systemResolveTxt, resolveMx = systemResolveMx } = options;
  const { kinds = CONFIG_KINDS } = options;
  const limits = { ...SES_LIMITS, ...options.limits };
  const vault = createVault(options.masterKey);

  const keys = keyCache(config, clock);
  const identities = openIdentityCache(config, clock);
  const sets = new DocumentCache<ConfigurationSet>(config, 'configuration-set', clock, 4 << 20);
  const templates = new DocumentCache<StoredTemplate>(config, 'template', clock, 16 << 20);
  const destinations = new DocumentCache<StoredEventDestination>(config, 'event-destination', clock, 4 << 20);
  const eventScopes = new DocumentCache<StoredEventScope>(config, 'event-scope', clock, 2 << 20);
  const account = new DocumentCache<StoredAccount>(config, 'account', clock, 1 << 20);
  const suppression = new DocumentCache<SuppressionAttributes>(config, 'suppression', clock, 1 << 20);
  const tenants = tenantCache(config, clock);
  const associations = new DocumentCache<TenantAssociation>(config, 'tenant-resource', clock, 4 << 20);
  const policies = new DocumentCache<StoredIdentityPolicies>(config, 'identity-policy', clock, 4 << 20);
  const dkimZone = options.dkimZone && new DkimRecords(config, clock, options.dkimZone);
  const caches: Pick<DocumentCache<object>, 'kind' | 'changed' | 'onChange'>[] = [];
  caches.push(keys, identities, sets, templates);
  caches.push(destinations, eventScopes, account, suppression, tenants, associations, policies);
  if (dkimZone) caches.push(dkimZone.cache);
  let changes = 0;
  for (const cache of caches)
    cache.onChange = () => {
      changes += 1;
    };

  const byKind = new Map(caches.map((cache) => [cache.kind, cache]));
  const closers: (() => void | Promise<void>)[] = [
    config.watch(({ kind, key }) => {
      if (kind === undefined) for (const cache of caches) cache.changed();
      else byKind.get(kind)?.changed(key);
    }),
  ];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0)) await one();
  };

  try {
    await expectOwnKeys(config, vault);
    const directives = await openDirectives({ config, clock });
    closers.push(() => directives.close());
    const documents = await openDocuments({ config, clock, kinds });
    closers.push(() => documents.close());
    const laneGroups = await openLaneGroups({ config, clock });
    closers.push(() => laneGroups.close());
    const keyUse = options.keyUse && new KeyUse({ ...options.keyUse, clock });
    closers.push(() => keyUse?.close());
    const scopes = new EventScopes(eventScopes, config);
    const resources = openTenantResources(associations, config);
    const allTenants = openTenants(tenants, { config, clock, directives, resources });
    const allIdentities = openIdentities(identities, {
      vault,
      clock,
      dns: { resolveTxt, resolveMx, bounces },
      verifyIdentities,
      ed25519,
      easy:
        dkimZone &&
        new EasyDkimKeys({ cache: identities, records: dkimZone, vault, clock, verifyIdentities }),
      index: new DocumentIndex(config, 'identity', rowsOfIdentity),
      quota: new Quota('identities', limits.identities, clock),
      tenants: allTenants,
      policies,
    });
    return {
      tenants: allTenants,
      keys: openKeys(keys, { config, vault, clock, tenants: allTenants }),
      keyUse,
      identities: allIdentities,
      identityPolicies: openIdentityPolicies(policies, (name) =>
        allIdentities.update(name, (identity) => ({ ...identity, policed: true })),
      ),
      configurationSets: openConfigurationSets(sets, {
        config,
        quota: new Quota('configuration sets', limits.configurationSets, clock),
      }),
      templates: openTemplates(templates, {
        index: new DocumentIndex(config, 'template', rowsOfTemplate),
        quota: new Quota('templates', limits.templates, clock),
      }),
      dkimZone,
      eventDestinations: openEventDestinations({ config, cache: destinations, scopes, vault, clock }),
      account: openAccount(account, suppression),
      directives,
      documents,
      laneGroups,
      changes: () => changes,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
