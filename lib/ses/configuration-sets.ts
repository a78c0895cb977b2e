/** Configuration sets: how the mail that names one is sent. */
import { trackingTargets } from '../accept/tracking.ts';
import { IpInventory } from '../control/ip-inventory.ts';
import type { ConfigurationSet, Control } from '../control/types.ts';
import { SUPPRESSION_SCOPES } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { canonicalDomain } from '../mail/domain.ts';
import { unsupported } from './content.ts';
import { type Call, operation } from './operation.ts';
import { page } from './pages.ts';
import { poolOf, shownPool } from './pool-names.ts';
import { deliveryMembers, pageToken, sendingMembers, setName, suppressedReasons, tags } from './shapes.ts';
import { flag, integer, oneOf, required, structure, text, type Value } from './validation.ts';

const named = { ConfigurationSetName: required(setName) };
const reputationMembers = { ReputationMetricsEnabled: flag };
const deliveryOptions = structure(deliveryMembers);
const redirectDomain = text({ min: 1, max: 253 });
const httpsPolicy = oneOf('REQUIRE', 'REQUIRE_OPEN_ONLY', 'OPTIONAL');
const suppressionMembers = {
  SuppressedReasons: suppressedReasons,
  SuppressionScope: oneOf(...SUPPRESSION_SCOPES),
  ValidationOptions: structure({}),
};
const suppressionOptions = structure(suppressionMembers);

const createInput = structure({
  ...named,
  TrackingOptions: structure({
    CustomRedirectDomain: required(redirectDomain),
    HttpsPolicy: httpsPolicy,
  }),
  DeliveryOptions: deliveryOptions,
  ReputationOptions: structure(reputationMembers),
  SendingOptions: structure(sendingMembers),
  SuppressionOptions: suppressionOptions,
  VdmOptions: structure({}),
  ArchivingOptions: structure({}),
  MessageSecurityOptions: structure({}),
  Tags: tags,
});

export const create = operation({
  access: 'manage',
  input: createInput,
  async handle(input, call) {
    const { deps, caller } = call;
    const { TrackingOptions: tracking, SuppressionOptions: suppression } = input;
    for (const member of ['VdmOptions', 'ArchivingOptions', 'MessageSecurityOptions'] as const)
      if (input[member]) throw unsupported(member);
    await deps.control.configurationSets.create({
      name: input.ConfigurationSetName,
      tenant: caller.tenant,
      delivery: deliveryOf(input.ConfigurationSetName, input.DeliveryOptions, call),
      sendingEnabled: input.SendingOptions?.SendingEnabled ?? true,
      reputationMetricsEnabled: input.ReputationOptions?.ReputationMetricsEnabled ?? false,
      tracking: tracking && trackingOf(tracking, call),
      ...suppressionOf(suppression),
      tags: input.Tags,
      createdAt: deps.clock.now(),
    });
    return {};
  },
});

function deliveryOf(
  set: string,
  input: Value<typeof deliveryOptions> = {},
  call: Call,
): ConfigurationSet['delivery'] {
  return {
    tlsPolicy: input.TlsPolicy ?? 'OPTIONAL',
    pool: input.SendingPoolName && openPoolOf(input.SendingPoolName, set, call),
    maxDeliverySeconds: input.MaxDeliverySeconds,
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
 * their sender owns.
 * @throws PosternError `bad_request`, also when there is no domain and this service has no tracking URL of its own.
 */
function trackingOf(
  input: { CustomRedirectDomain?: string; HttpsPolicy?: Value<typeof httpsPolicy> },
  { deps, caller }: Call,
): NonNullable<ConfigurationSet['tracking']> {
  const { CustomRedirectDomain: given, HttpsPolicy: policy } = input;
  const tracking = { customRedirectDomain: given && redirectDomainOf(given), httpsPolicy: policy };
  trackingTargets({ tracking }, undefined, deps.trackingUrl);
  const { customRedirectDomain: domain } = tracking;
  if (domain && !isOwned(domain, caller.tenant, deps.control)) {
    throw new PosternError(
      'bad_request',
      `The tracking domain <${domain}> is not verified. Make it, or a domain above it, an identity first.`,
    );
  }
  return tracking;
}

/** Whether the domain, or one above it, is a verified identity of the tenant. */
function isOwned(domain: string, tenant: string, { identities }: Control): boolean {
  for (let name = domain; name.includes('.'); name = name.slice(name.indexOf('.') + 1)) {
    const identity = identities.find(name);
    if (identity?.verified && identity.tenant === tenant) return true;
  }
  return false;
}

/** @throws PosternError `bad_request` for what is no name of a host in the DNS. */
function redirectDomainOf(text: string): string {
  try {
    const domain = canonicalDomain(text);
    if (domain.includes('.')) return domain;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
  }
  throw new PosternError(
    'bad_request',
    `CustomRedirectDomain ${JSON.stringify(text)} is not a domain. Write one as click.example.com, without scheme, port or path.`,
  );
}

/** Reasons and list in place of the tenant's; what is not given stays the tenant's. */
function suppressionOf(
  input: Value<typeof suppressionOptions> = {},
): Pick<ConfigurationSet, 'suppressedReasons' | 'suppressionScope'> {
  if (input.ValidationOptions) throw unsupported('SuppressionOptions.ValidationOptions');
  return { suppressedReasons: input.SuppressedReasons, suppressionScope: input.SuppressionScope };
}

export const get = operation({
  access: 'use',
  input: structure(named),
  handle({ ConfigurationSetName: name }, { deps, caller }) {
    const set = deps.control.configurationSets.find(name, caller.tenant);
    if (!set)
      throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
    const { delivery, tracking, suppressedReasons: reasons, suppressionScope: scope } = set;
    return {
      ConfigurationSetName: name,
      DeliveryOptions: {
        TlsPolicy: delivery.tlsPolicy,
        SendingPoolName: delivery.pool && shownPool(delivery.pool),
        MaxDeliverySeconds: delivery.maxDeliverySeconds,
      },
      ReputationOptions: { ReputationMetricsEnabled: set.reputationMetricsEnabled },
      SendingOptions: { SendingEnabled: set.sendingEnabled },
      TrackingOptions: tracking && {
        CustomRedirectDomain: tracking.customRedirectDomain,
        HttpsPolicy: tracking.httpsPolicy,
      },
      SuppressionOptions: (reasons || scope) && { SuppressedReasons: reasons, SuppressionScope: scope },
      Tags: set.tags ?? [],
    };
  },
});

export const list = operation({
  access: 'use',
  input: structure({
    Filter: structure({ CONFIGURATION_SET_NAME_CONTAINS: text({ min: 1 }) }),
    NextToken: pageToken,
    PageSize: integer(0, 1000),
  }),
  handle({ Filter, NextToken, PageSize }, { deps, caller }) {
    const part = Filter?.CONFIGURATION_SET_NAME_CONTAINS ?? '';
    const names = deps.control.configurationSets
      .list(caller.tenant)
      .map((set) => set.name)
      .filter((name) => name.includes(part));
    const { items, ...rest } = page(names, (name) => name, PageSize || 1000, NextToken);
    return { ConfigurationSets: items, ...rest };
  },
});

export const remove = operation({
  access: 'manage',
  input: structure(named),
  async handle({ ConfigurationSetName: name }, { deps, caller }) {
    if (!(await deps.control.configurationSets.delete(name, caller.tenant)))
      throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
    return {};
  },
});

export const putDelivery = operation({
  access: 'manage',
  input: structure({ ...named, ...deliveryMembers }),
  handle: (input, call) =>
    change(input.ConfigurationSetName, call, (set) => ({
      ...set,
      delivery: deliveryOf(input.ConfigurationSetName, input, call),
    })),
});

/** Without domain and policy nothing of the set's mail is tracked any more. */
export const putTracking = operation({
  access: 'manage',
  input: structure({ ...named, CustomRedirectDomain: redirectDomain, HttpsPolicy: httpsPolicy }),
  async handle(input, call) {
    const { ConfigurationSetName: name, CustomRedirectDomain: domain, HttpsPolicy: policy } = input;
    const tracking = domain === undefined && policy === undefined ? undefined : trackingOf(input, call);
    return change(name, call, (set) => ({ ...set, tracking }));
  },
});

/** As in SES, an absent flag means false. */
export const putSending = operation({
  access: 'manage',
  input: structure({ ...named, ...sendingMembers }),
  handle: ({ ConfigurationSetName, SendingEnabled = false }, call) =>
    change(ConfigurationSetName, call, (set) => ({ ...set, sendingEnabled: SendingEnabled })),
});

export const putReputation = operation({
  access: 'manage',
  input: structure({ ...named, ...reputationMembers }),
  handle: ({ ConfigurationSetName, ReputationMetricsEnabled = false }, call) =>
    change(ConfigurationSetName, call, (set) => ({
      ...set,
      reputationMetricsEnabled: ReputationMetricsEnabled,
    })),
});

export const putSuppression = operation({
  access: 'manage',
  input: structure({ ...named, ...suppressionMembers }),
  async handle(input, call) {
    const options = suppressionOf(input);
    return change(input.ConfigurationSetName, call, (set) => ({ ...set, ...options }));
  },
});

async function change(
  name: string,
  { deps, caller }: Call,
  by: (set: ConfigurationSet) => ConfigurationSet,
): Promise<Record<string, never>> {
  await deps.control.configurationSets.update(name, caller.tenant, by);
  return {};
}
