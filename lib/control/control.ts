/**
 * The stored configuration: keys, identities, configuration sets, templates, the account, directives and the
 * documents that operators change, each a mirror of its part of the engine's config port.
 */
import { resolveTxt as systemResolveTxt } from 'node:dns/promises';
import type { Config } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { openAccount, type StoredAccount } from './account.ts';
import { CONFIG_KINDS, type ConfigKind } from './config-kinds.ts';
import { openConfigurationSets } from './configuration-sets.ts';
import { openDirectives } from './directives.ts';
import { DocumentCache } from './document-cache.ts';
import { openDocuments } from './documents.ts';
import { openEventDestinations, type StoredEventDestination } from './event-destinations.ts';
import { openIdentities } from './identities.ts';
import type { StoredIdentity } from './identity-store.ts';
import { openKeys, type StoredKey } from './keys.ts';
import { openLaneGroups } from './lane-groups.ts';
import type { ResolveTxt } from './proof.ts';
import { type ControlLimits, SES_LIMITS } from './quotas.ts';
import { openTemplates } from './templates.ts';
import type { ConfigurationSet, Control, StoredTemplate, SuppressionAttributes } from './types.ts';
import { createVault } from './vault.ts';

export interface ControlOptions {
  config: Config;
  /** Master key of 32 bytes: see master-key.ts. */
  masterKey: Buffer;
  clock: Clock;
  /** Resolves TXT records; absent: the system's resolver. */
  resolveTxt?: ResolveTxt;
  /** Whether an identity needs DNS proof before it may send. */
  verifyIdentities: boolean;
  /** Whether an Ed25519 DKIM key is made beside each RSA key (RFC 8463). */
  ed25519?: boolean;
  limits?: Partial<ControlLimits>;
  /** Kinds of documents that may change while Postern runs; absent: all. */
  kinds?: readonly ConfigKind[];
}

/**
 * Opens the configuration and reads all of it into memory.
 * @throws PosternError of the storage group; `storage_damaged` when the master key is not the store's.
 */
export async function openControl(options: ControlOptions): Promise<Control> {
  const { config, clock, verifyIdentities, ed25519 = false, resolveTxt = systemResolveTxt } = options;
  const { kinds = CONFIG_KINDS } = options;
  const limits = { ...SES_LIMITS, ...options.limits };
  const vault = createVault(options.masterKey);

  const keys = new DocumentCache<StoredKey>(config, 'key', clock);
  const identities = new DocumentCache<StoredIdentity>(config, 'identity', clock);
  const sets = new DocumentCache<ConfigurationSet>(config, 'configuration-set', clock);
  const templates = new DocumentCache<StoredTemplate>(config, 'template', clock);
  const eventDestinations = new DocumentCache<StoredEventDestination>(config, 'event-destination', clock);
  const account = new DocumentCache<StoredAccount>(config, 'account', clock);
  const suppression = new DocumentCache<SuppressionAttributes>(config, 'suppression', clock);
  const mirrors = [keys, identities, sets, templates, eventDestinations, account, suppression];

  const byKind = new Map<string, { changed(key: string): Promise<void> }>(
    mirrors.map((mirror) => [mirror.kind, mirror]),
  );
  const unwatch = config.watch(({ kind, key }) => byKind.get(kind)?.changed(key));
  const closers: (() => void | Promise<void>)[] = [unwatch, ...mirrors.map((mirror) => () => mirror.close())];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0)) await one();
  };

  try {
    for (const mirror of mirrors) await mirror.load();
    const directives = await openDirectives({ config, clock });
    closers.push(() => directives.close());
    const documents = await openDocuments({ config, clock, kinds });
    closers.push(() => documents.close());
    const laneGroups = await openLaneGroups({ config, clock });
    closers.push(() => laneGroups.close());
    return {
      keys: openKeys(keys, vault, clock),
      identities: openIdentities(identities, {
        vault,
        clock,
        resolveTxt,
        verifyIdentities,
        ed25519,
        limit: limits.identities,
      }),
      configurationSets: openConfigurationSets(sets, limits.configurationSets),
      templates: openTemplates(templates, limits.templates),
      eventDestinations: openEventDestinations(eventDestinations, vault, () => clock.now()),
      account: openAccount(account, suppression),
      directives,
      documents,
      laneGroups,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
