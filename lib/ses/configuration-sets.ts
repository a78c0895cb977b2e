/** Configuration sets: how the mail that names one is sent. */
import { trackingTargets } from '../accept/tracking.ts';
import { IpInventory } from '../control/ip-inventory.ts';
import type { ConfigurationSet, Control } from '../control/types.ts';
import { SUPPRESSION_REASONS, type SuppressionReason } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { canonicalDomain } from '../mail/domain.ts';
import { type Call, operation, unsupported } from './operation.ts';
import { pageOf } from './pages.ts';
import { poolOf, shownPool } from './pool-names.ts';
import { checkedTags } from './tags.ts';
import { refuseAssociated } from './tenant-resources.ts';
import type { InputOf } from './types.ts';

type CreateInput = InputOf<'CreateConfigurationSet'>;
type TrackingInput = Pick<
  InputOf<'PutConfigurationSetTrackingOptions'>,
  'CustomRedirectDomain' | 'HttpsPolicy'
>;
type HttpsPolicy = NonNullable<TrackingInput['HttpsPolicy']>;

/** Maximum length of the name of a host (RFC 1035 §2.3.4). */
const MAX_DOMAIN = 253;

export const createConfigurationSet = operation('CreateConfigurationSet', 'manage', async (input, call) => {
  const { deps, caller } = call;
  const { ConfigurationSetName: name, TrackingOptions: tracking } = input;
  if (input.ArchivingOptions?.ArchiveArn) throw unsupported('ArchivingOptions');
  refuseSmime(input.MessageSecurityOptions);
  await deps.control.configurationSets.create({
    name,
    tenant: caller.tenant,
    delivery: deliveryOf(name, input.DeliveryOptions, call),
    // As in SES, absent options send and measure; an absent flag in options that are there means false.
    sendingEnabled: input.SendingOptions === undefined || (input.SendingOptions.SendingEnabled ?? false),
    reputationMetricsEnabled:
      input.ReputationOptions === undefined || (input.ReputationOptions.ReputationMetricsEnabled ?? false),
    tracking: tracking && (await trackingOf(tracking, call)),
    ...suppressionOf(input.SuppressionOptions),
    vdm: vdmOf(input.VdmOptions),
    tags: checkedTags(input.Tags),
    createdAt: deps.clock.now(),
  });
  return {};
});

function deliveryOf(
  set: string,
  input: NonNullable<CreateInput['DeliveryOptions']> = {},
  call: Call,
): ConfigurationSet['delivery'] {
  return {
    tlsPolicy: input.TlsPolicy ?? 'OPTIONAL',
    pool: input.SendingPoolName && openPoolOf(input.SendingPoolName, set, call),
    maxDeliverySeconds: input.MaxDeliverySeconds,
    sharedPoolMode: input.SharedPoolDeliveryMode,
  };
}

/**
 * The pool that a set names. One that is dedicated to others is answered like one that does not exist: its name is
 * its owner's. @throws PosternError `bad_request`
 */
function openPoolOf(name: string, set: string, { deps, caller }: Call): string {
  const pool = poolOf(name);
  const inventory = new IpInventory(deps.control.documents, deps.installed);
  if (inventory.isOpen(pool, { tenant: caller.tenant, configurationSet: set })) return pool;
  throw new PosternError('bad_request', `SendingPool <${name}> doesn't exist`);
}

/**
 * As SES: the domain must be a verified identity of the caller, or below one, because links must use a name that
 * their sender owns. Without a domain, links are this service's own.
 * @throws PosternError `bad_request`, also when there is no domain and this service has no tracking URL of its own.
 */
async function trackingOf(
  { CustomRedirectDomain: given, HttpsPolicy: policy }: TrackingInput,
  { deps, caller }: Call,
): Promise<NonNullable<ConfigurationSet['tracking']>> {
  if (given?.trim() === '' || (given === undefined && deps.trackingUrl === undefined))
    throw new PosternError('bad_request', 'CustomRedirectDomain must be specified.');
  const tracking = { customRedirectDomain: given && redirectDomainOf(given), httpsPolicy: policy };
  trackingTargets({ tracking }, undefined, deps.trackingUrl);
  const { customRedirectDomain: domain } = tracking;
  if (domain && !(await isOwned(domain, caller.tenant, deps.control)))
    throw new PosternError('bad_request', `Domain <${domain}> is not verified under this account.`);
  return tracking;
}

/** Whether the domain, or one above it, is a verified identity of the tenant. */
async function isOwned(domain: string, tenant: string, { identities }: Control): Promise<boolean> {
  for (let name = domain; name.includes('.'); name = name.slice(name.indexOf('.') + 1)) {
    const identity = await identities.find(name);
    if (identity?.verified && identity.tenant === tenant) return true;
  }
  return false;
}

/** @throws PosternError `bad_request` for what is no name of a host in the DNS. */
function redirectDomainOf(text: string): string {
  try {
    const domain = text.length <= MAX_DOMAIN ? canonicalDomain(text) : '';
    if (domain.includes('.')) return domain;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
  }
  throw new PosternError(
    'bad_request',
    `CustomRedirectDomain ${JSON.stringify(text.slice(0, MAX_DOMAIN))} is not a domain. Write one as click.example.com, without scheme, port or path.`,
  );
}

/** Reasons and list in place of the tenant's; what is not given stays the tenant's. */
function suppressionOf(
  input: NonNullable<CreateInput['SuppressionOptions']> = {},
): Pick<ConfigurationSet, 'suppressedReasons' | 'suppressionScope'> {
  const {
    SuppressedReasons: reasons,
    SuppressionScope: suppressionScope,
    ValidationOptions: validation,
  } = input;
  if (validation && validation.ConditionThreshold?.ConditionThresholdEnabled !== 'DISABLED')
    throw unsupported('SuppressionOptions.ValidationOptions');
  return { suppressedReasons: reasons && [...new Set(reasons)], suppressionScope };
}

/**
 * Engagement is counted for every set, whatever is said here. Amazon's choice of shared addresses is not to be had:
 * `DISABLED` is kept, and shown.
 */
function vdmOf(input: CreateInput['VdmOptions']): ConfigurationSet['vdm'] {
  if (input === undefined) return undefined;
  const { DashboardOptions: dashboard, GuardianOptions: guardian } = input;
  if (guardian?.OptimizedSharedDelivery === 'ENABLED') throw unsupported('OptimizedSharedDelivery ENABLED');
  return {
    engagementMetrics: dashboard?.EngagementMetrics,
    sharedDelivery: guardian?.OptimizedSharedDelivery,
  };
}

/** The default scheme signs by no S/MIME, as mail does without this option. */
function refuseSmime(input: CreateInput['MessageSecurityOptions']): void {
  if (input?.SigningScheme?.SmimeScheme) throw unsupported('SmimeScheme');
}

export async function findConfigurationSet(name: string, { deps, caller }: Call): Promise<ConfigurationSet> {
  const set = await deps.control.configurationSets.find(name, caller.tenant);
  if (set) return set;
  throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
}

export const getConfigurationSet = operation(
  'GetConfigurationSet',
  'use',
  async ({ ConfigurationSetName: name }, call) => {
    const set = await findConfigurationSet(name, call);
    const { delivery, tracking, suppressedReasons: reasons, suppressionScope: scope, vdm } = set;
    return {
      ConfigurationSetName: name,
      DeliveryOptions: {
        TlsPolicy: delivery.tlsPolicy,
        SendingPoolName: delivery.pool && shownPool(delivery.pool),
        MaxDeliverySeconds: delivery.maxDeliverySeconds,
        SharedPoolDeliveryMode: delivery.sharedPoolMode,
      },
      ReputationOptions: { ReputationMetricsEnabled: set.reputationMetricsEnabled },
      SendingOptions: { SendingEnabled: set.sendingEnabled },
      TrackingOptions: tracking && {
        CustomRedirectDomain: tracking.customRedirectDomain ?? ownTrackingHost(call),
        HttpsPolicy: tracking.httpsPolicy as HttpsPolicy | undefined,
      },
      SuppressionOptions:
        reasons || scope ? { SuppressedReasons: reasons, SuppressionScope: scope } : undefined,
      VdmOptions: vdm && {
        DashboardOptions: vdm.engagementMetrics && { EngagementMetrics: vdm.engagementMetrics },
        GuardianOptions: vdm.sharedDelivery && { OptimizedSharedDelivery: vdm.sharedDelivery },
      },
      Tags: set.tags ?? [],
    };
  },
);

/** Host of the links of sets without a domain of their own. */
function ownTrackingHost({ deps: { trackingUrl } }: Call): string {
  return trackingUrl === undefined ? '' : new URL(trackingUrl).host;
}

export const listConfigurationSets = operation(
  'ListConfigurationSets',
  'use',
  async ({ Filter, NextToken, PageSize }, { deps, caller }) => {
    const part = Filter?.CONFIGURATION_SET_NAME_CONTAINS ?? '';
    const { items, ...rest } = await pageOf(
      (from) => deps.control.configurationSets.list(caller.tenant, from),
      { PageSize, NextToken },
      part === '' ? undefined : ({ name }) => name.includes(part),
    );
    return { ConfigurationSets: items.map(({ name }) => name), ...rest };
  },
);

export const deleteConfigurationSet = operation(
  'DeleteConfigurationSet',
  'manage',
  async ({ ConfigurationSetName: name }, call) => {
    const { deps, caller } = call;
    await refuseAssociated({ kind: 'configuration-set', name, owner: caller.tenant }, call);
    if (await deps.control.configurationSets.delete(name, caller.tenant)) return {};
    throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
  },
);

export const putConfigurationSetDeliveryOptions = operation(
  'PutConfigurationSetDeliveryOptions',
  'manage',
  (input, call) =>
    change(input.ConfigurationSetName, call, (set) => ({
      ...set,
      delivery: deliveryOf(input.ConfigurationSetName, input, call),
    })),
);

/** Without domain and policy nothing of the set's mail is tracked any more. */
export const putConfigurationSetTrackingOptions = operation(
  'PutConfigurationSetTrackingOptions',
  'manage',
  async (input, call) => {
    const { ConfigurationSetName: name, CustomRedirectDomain: domain, HttpsPolicy: policy } = input;
    const tracking = domain === undefined && policy === undefined ? undefined : await trackingOf(input, call);
    return change(name, call, (set) => ({ ...set, tracking }));
  },
);

/** As in SES, an absent flag means false. */
export const putConfigurationSetSendingOptions = operation(
  'PutConfigurationSetSendingOptions',
  'manage',
  ({ ConfigurationSetName, SendingEnabled = false }, call) =>
    change(ConfigurationSetName, call, (set) => ({ ...set, sendingEnabled: SendingEnabled })),
);

export const putConfigurationSetReputationOptions = operation(
  'PutConfigurationSetReputationOptions',
  'manage',
  ({ ConfigurationSetName, ReputationMetricsEnabled = false }, call) =>
    change(ConfigurationSetName, call, (set) => ({
      ...set,
      reputationMetricsEnabled: ReputationMetricsEnabled,
    })),
);

export const putConfigurationSetSuppressionOptions = operation(
  'PutConfigurationSetSuppressionOptions',
  'manage',
  async (input, call) => {
    for (const reason of input.SuppressedReasons ?? []) requireReason(reason);
    const options = suppressionOf(input);
    return change(input.ConfigurationSetName, call, (set) => ({ ...set, ...options }));
  },
);

/** SES has words of its own for a reason in this operation. */
function requireReason(reason: SuppressionReason): void {
  if (SUPPRESSION_REASONS.includes(reason)) return;
  const words = SUPPRESSION_REASONS.toSorted().join(', ');
  throw new PosternError('bad_request', `Reason ${reason} is invalid, must be one of [${words}].`);
}

export const putConfigurationSetVdmOptions = operation(
  'PutConfigurationSetVdmOptions',
  'manage',
  async ({ ConfigurationSetName, VdmOptions }, call) => {
    const vdm = vdmOf(VdmOptions);
    return change(ConfigurationSetName, call, (set) => ({ ...set, vdm }));
  },
);

export const updateConfigurationSet = operation(
  'UpdateConfigurationSet',
  'manage',
  async ({ ConfigurationSetName, MessageSecurityOptions }, call) => {
    await findConfigurationSet(ConfigurationSetName, call);
    refuseSmime(MessageSecurityOptions);
    return {};
  },
);

async function change(
  name: string,
  { deps, caller }: Call,
  by: (set: ConfigurationSet) => ConfigurationSet,
): Promise<Record<string, never>> {
  await deps.control.configurationSets.update(name, caller.tenant, by);
  return {};
}
