/** Settings of the account: the switch that stops all sending, and for each tenant the use of its suppression list. */
import { SUPPRESSION_REASONS, type SuppressionReason } from '../engine/suppression.ts';
import type { DocumentCache } from './document-cache.ts';
import type { Control } from './types.ts';

export interface StoredAccount {
  sendingEnabled: boolean;
}

/** A tenant's use of its suppression list. The document's key is the tenant. */
export interface StoredSuppression {
  reasons: readonly SuppressionReason[];
}

const KEY = 'account';

export function openAccount(
  mirror: DocumentCache<StoredAccount>,
  suppression: DocumentCache<StoredSuppression>,
): Control['account'] {
  return {
    sendingEnabled: () => mirror.get(KEY)?.sendingEnabled ?? true,
    setSendingEnabled: (sendingEnabled) => mirror.set(KEY, { sendingEnabled }),
    suppressedReasons: (tenant) => suppression.get(tenant)?.reasons ?? SUPPRESSION_REASONS,
    setSuppressedReasons: (tenant, reasons) => suppression.set(tenant, { reasons: [...new Set(reasons)] }),
  };
}
