/** The account: whether it may send, and the quota that callers pace themselves by. */
import { unsupported } from './content.ts';
import { operation } from './operation.ts';
import { sendingMembers, suppressedReasons } from './shapes.ts';
import { structure } from './validation.ts';

/** SES: "a value of -1 signifies an unlimited quota". */
const UNLIMITED = -1;

export const get = operation({
  access: 'use',
  input: structure({}),
  handle: (_input, { deps, limits, caller }) => {
    const enabled = deps.control.account.sendingEnabled();
    return {
      SendingEnabled: enabled,
      ProductionAccessEnabled: true,
      EnforcementStatus: 'HEALTHY',
      DedicatedIpAutoWarmupEnabled: false,
      // What was sent in 24 hours is not known here, and a made-up 0 would be believed: it is left out.
      SendQuota: { Max24HourSend: UNLIMITED, MaxSendRate: limits.sendRate },
      SuppressionAttributes: { SuppressedReasons: deps.control.account.suppression(caller.tenant).reasons },
    };
  },
});

/** As in SES, an absent `SendingEnabled` means false. */
export const putSending = operation({
  access: 'manage',
  input: structure(sendingMembers),
  async handle({ SendingEnabled = false }, { deps }) {
    await deps.control.account.setSendingEnabled(SendingEnabled);
    return {};
  },
});

/** For the caller's tenant. As in SES, no reasons turn suppression off. */
export const putSuppression = operation({
  access: 'manage',
  input: structure({ SuppressedReasons: suppressedReasons, ValidationAttributes: structure({}) }),
  async handle({ SuppressedReasons = [], ValidationAttributes }, { deps, caller }) {
    if (ValidationAttributes) throw unsupported('ValidationAttributes');
    const { account } = deps.control;
    const { scope } = account.suppressionAttributes(caller.tenant);
    await account.setSuppressionAttributes(caller.tenant, { scope, reasons: SuppressedReasons });
    return {};
  },
});
