/** The account: whether it may send, and the quota that callers pace themselves by. */
import { operation, unsupported } from './operation.ts';

/** SES: "a value of -1 signifies an unlimited quota". */
const UNLIMITED = -1;

export const getAccount = operation('GetAccount', 'use', async (_input, { deps, limits, caller }) => ({
  SendingEnabled: await deps.control.account.sendingEnabled(),
  ProductionAccessEnabled: true,
  EnforcementStatus: 'HEALTHY',
  DedicatedIpAutoWarmupEnabled: false,
  // What was sent in 24 hours is not known here, and a made-up 0 would be believed: it is left out.
  SendQuota: { Max24HourSend: UNLIMITED, MaxSendRate: limits.sendRate },
  SuppressionAttributes: {
    SuppressedReasons: [...(await deps.control.account.suppression(caller.tenant)).reasons],
  },
}));

/** As in SES, an absent `SendingEnabled` means false. */
export const putAccountSendingAttributes = operation(
  'PutAccountSendingAttributes',
  'manage',
  async ({ SendingEnabled = false }, { deps }) => {
    await deps.control.account.setSendingEnabled(SendingEnabled);
    return {};
  },
);

/** For the caller's tenant. As in SES, no reasons turn suppression off. */
export const putAccountSuppressionAttributes = operation(
  'PutAccountSuppressionAttributes',
  'manage',
  async ({ SuppressedReasons = [], ValidationAttributes }, { deps, caller }) => {
    if (ValidationAttributes) throw unsupported('ValidationAttributes');
    const { account } = deps.control;
    const { scope } = await account.suppressionAttributes(caller.tenant);
    await account.setSuppressionAttributes(caller.tenant, { scope, reasons: SuppressedReasons });
    return {};
  },
);
