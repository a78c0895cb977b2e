/** The switch that stops all sending. */
import type { Mirror } from './mirror.ts';
import type { Control } from './types.ts';

export interface StoredAccount {
  sendingEnabled: boolean;
}

const KEY = 'account';

export function openAccount(mirror: Mirror<StoredAccount>): Control['account'] {
  return {
    sendingEnabled: () => mirror.get(KEY)?.sendingEnabled ?? true,
    setSendingEnabled: (sendingEnabled) => mirror.set(KEY, { sendingEnabled }),
  };
}
