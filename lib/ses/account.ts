/** The account: what is known of it, whether it may send, and the quota that callers pace themselves by. */
import { DailyQuota } from '../accept/daily-quota.ts';
import { limitedBy } from '../accept/limits.ts';
import { type LimitedSubject, leastOf } from '../control/sending-limits.ts';
import type { AccountAttributes } from '../control/types.ts';
import { StatisticsReader } from '../statistics/reader.ts';
import { DAY, HOUR } from '../time.ts';
import { type Call, operation, unsupported } from './operation.ts';

/** SES: "a value of -1 signifies an unlimited quota". */
const UNLIMITED = -1;

export const getAccount = operation('GetAccount', 'use', async (_input, call) => {
  const { deps, limits, caller } = call;
  const { account } = deps.control;
  const limited = await limitedBy(deps.control, caller.tenant, caller.keyId);
  const [enabled, attributes, suppression, sent] = await Promise.all([
    account.sendingEnabled(),
    account.attributes(),
    account.suppression(caller.tenant),
    sentInADay(call, limited),
  ]);
  return {
    SendingEnabled: enabled,
    ProductionAccessEnabled: true,
    EnforcementStatus: 'HEALTHY',
    DedicatedIpAutoWarmupEnabled: attributes.autoWarmup ?? true,
    SendQuota: {
      Max24HourSend: leastOf(limited, 'perDay') ?? UNLIMITED,
      MaxSendRate: Math.min(limits.sendRate, leastOf(limited, 'perSecond') ?? limits.sendRate),
      SentLast24Hours: sent,
    },
    SuppressionAttributes: { SuppressedReasons: [...suppression.reasons] },
    Details: detailsOf(attributes),
    VdmAttributes: vdmOf(attributes),
    DeliveryAttributes: attributes.sharedPoolMode && { SharedPoolDeliveryMode: attributes.sharedPoolMode },
  };
});

/**
 * Recipients of the last day: by the least daily limit that holds, as it is counted; without one, those whose mail the
 * tenant sent, whole hours counted.
 */
async function sentInADay({ deps, caller }: Call, limited: readonly LimitedSubject[]): Promise<number> {
  const { clock, engine } = deps;
  const least = leastOf(limited, 'perDay');
  const counted = limited.find(({ limits }) => least !== undefined && limits.perDay === least);
  if (counted) return new DailyQuota({ rows: engine.rows, clock, process: 'reader' }).count(counted.subject);
  const now = clock.now();
  const series = await new StatisticsReader(engine.rows).series({
    tenant: caller.tenant,
    from: now - DAY + HOUR,
    before: now + HOUR,
    granularity: 'hour',
  });
  return series.reduce((sum, { counts }) => sum + (counts.sent ?? 0), 0);
}

function detailsOf({ details }: AccountAttributes) {
  return (
    details && {
      MailType: details.mailType,
      WebsiteURL: details.websiteUrl,
      ContactLanguage: details.contactLanguage,
      UseCaseDescription: details.useCase,
      AdditionalContactEmailAddresses: details.contacts,
      // Nobody reviews an account of its own operator.
      ReviewDetails: { Status: 'GRANTED' as const },
    }
  );
}

function vdmOf({ vdm = 'DISABLED', engagementMetrics, sharedDelivery }: AccountAttributes) {
  return {
    VdmEnabled: vdm,
    DashboardAttributes: engagementMetrics && { EngagementMetrics: engagementMetrics },
    GuardianAttributes: sharedDelivery && { OptimizedSharedDelivery: sharedDelivery },
  };
}

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
  async ({ SuppressedReasons = [], ValidationAttributes: validation }, { deps, caller }) => {
    if (validation && validation.ConditionThreshold.ConditionThresholdEnabled !== 'DISABLED')
      throw unsupported('ValidationAttributes');
    const { account } = deps.control;
    const { scope } = await account.suppressionAttributes(caller.tenant);
    await account.setSuppressionAttributes(caller.tenant, { scope, reasons: SuppressedReasons });
    return {};
  },
);

/** Kept and shown: every account here has production access. */
export const putAccountDetails = operation('PutAccountDetails', 'manage', async (input, { deps }) => {
  await deps.control.account.setAttributes({
    details: {
      mailType: input.MailType,
      websiteUrl: input.WebsiteURL,
      contactLanguage: input.ContactLanguage,
      useCase: input.UseCaseDescription,
      contacts: input.AdditionalContactEmailAddresses,
    },
  });
  return {};
});

/** The figures of the dashboard are answered either way; what Amazon's own network would do is refused. */
export const putAccountVdmAttributes = operation(
  'PutAccountVdmAttributes',
  'manage',
  async ({ VdmAttributes: vdm }, { deps }) => {
    const engagementMetrics = vdm.DashboardAttributes?.EngagementMetrics;
    const sharedDelivery = vdm.GuardianAttributes?.OptimizedSharedDelivery;
    if (sharedDelivery === 'ENABLED') throw unsupported('OptimizedSharedDelivery ENABLED');
    await deps.control.account.setAttributes({ vdm: vdm.VdmEnabled, engagementMetrics, sharedDelivery });
    return {};
  },
);

/** Kept and shown: there are no shared addresses in other regions. */
export const putAccountDeliveryAttributes = operation(
  'PutAccountDeliveryAttributes',
  'manage',
  async ({ SharedPoolDeliveryMode: sharedPoolMode }, { deps }) => {
    await deps.control.account.setAttributes({ sharedPoolMode });
    return {};
  },
);
