/**
 * Settings of the account: the switch that stops all sending, and for each tenant the use of suppression lists.
 *
 * ```
 *  whose list:  configuration set  ─►  tenant  ─►  the tenant's own (SES: the account's)
 *  reasons:     configuration set  ─►  tenant  ─►  account  ─►  both
 * ```
 */
import { ACCOUNT_TENANT, SUPPRESSION_REASONS, type SuppressionReason } from '../engine/suppression.ts';
import type { DocumentCache } from './document-cache.ts';
import { checkLimits, type SendingLimits, someOf } from './sending-limits.ts';
import type { AccountAttributes, Control, SuppressionAttributes } from './types.ts';

export interface StoredAccount {
  sendingEnabled: boolean;
  attributes?: AccountAttributes;
  limits?: SendingLimits;
}

const KEY = 'account';

/** @param suppression documents with the attributes of each tenant under its name. */
export function openAccount(
  account: DocumentCache<StoredAccount>,
  suppression: DocumentCache<SuppressionAttributes>,
): Control['account'] {
  const change = (by: (stored: StoredAccount) => StoredAccount): Promise<unknown> =>
    account.update(KEY, by, { sendingEnabled: true });

  return {
    sendingEnabled: async () => (await account.get(KEY))?.sendingEnabled ?? true,
    async setSendingEnabled(sendingEnabled) {
      await change((stored) => ({ ...stored, sendingEnabled }));
    },

    limits: async () => (await account.get(KEY))?.limits,
    async setLimits(limits) {
      checkLimits(limits);
      await change((stored) => ({ ...stored, limits: someOf(limits) }));
    },

    attributes: async () => (await account.get(KEY))?.attributes ?? {},
    async setAttributes(given) {
      await change((stored) => ({ ...stored, attributes: { ...stored.attributes, ...given } }));
    },

    suppressionAttributes: async (tenant) => (await suppression.get(tenant)) ?? {},
    setSuppressionAttributes: (tenant, { scope, reasons }) =>
      suppression.set(tenant, { scope, reasons: reasons && unique(reasons) }),

    async suppression(tenant, set) {
      const [own, general] = await suppression.getAll([tenant, ACCOUNT_TENANT]);
      const scope = set?.suppressionScope ?? own?.scope ?? 'TENANT';
      return {
        list: scope === 'ACCOUNT' ? ACCOUNT_TENANT : tenant,
        reasons: set?.suppressedReasons ?? own?.reasons ?? general?.reasons ?? SUPPRESSION_REASONS,
      };
    },
  };
}

function unique(reasons: readonly SuppressionReason[]): readonly SuppressionReason[] {
  return [...new Set(reasons)];
}
