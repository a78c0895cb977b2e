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
import type { Control, SuppressionAttributes } from './types.ts';

export interface StoredAccount {
  sendingEnabled: boolean;
}

const KEY = 'account';

/** @param suppression documents with the attributes of each tenant under its name. */
export function openAccount(
  mirror: DocumentCache<StoredAccount>,
  suppression: DocumentCache<SuppressionAttributes>,
): Control['account'] {
  return {
    sendingEnabled: () => mirror.get(KEY)?.sendingEnabled ?? true,
    setSendingEnabled: (sendingEnabled) => mirror.set(KEY, { sendingEnabled }),

    suppressionAttributes: (tenant) => suppression.get(tenant) ?? {},
    setSuppressionAttributes: (tenant, { scope, reasons }) =>
      suppression.set(tenant, { scope, reasons: reasons && unique(reasons) }),

    suppression(tenant, set) {
      const own = suppression.get(tenant);
      const scope = set?.suppressionScope ?? own?.scope ?? 'TENANT';
      return {
        list: scope === 'ACCOUNT' ? ACCOUNT_TENANT : tenant,
        reasons:
          set?.suppressedReasons ??
          own?.reasons ??
          suppression.get(ACCOUNT_TENANT)?.reasons ??
          SUPPRESSION_REASONS,
      };
    },
  };
}

function unique(reasons: readonly SuppressionReason[]): readonly SuppressionReason[] {
  return [...new Set(reasons)];
}
