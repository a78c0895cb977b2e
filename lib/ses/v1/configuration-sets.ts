/** Configuration sets and their event destinations, whose enumerations v1 writes in other letters. */
import { PosternError } from '../../errors.ts';
import {
  createConfigurationSet as createV2,
  deleteConfigurationSet as deleteV2,
  findConfigurationSet,
  getConfigurationSet,
  listConfigurationSets as listV2,
  putConfigurationSetReputationOptions,
  putConfigurationSetSendingOptions,
  putConfigurationSetTrackingOptions,
  putConfigurationSetDeliveryOptions as putDeliveryV2,
} from '../configuration-sets.ts';
import {
  createConfigurationSetEventDestination as createDestinationV2,
  deleteConfigurationSetEventDestination as deleteDestinationV2,
  getConfigurationSetEventDestinations,
  updateConfigurationSetEventDestination as updateDestinationV2,
} from '../event-destinations.ts';
import type { Call } from '../operation.ts';
import type { ActionInput, ActionOutput, InputOf, OutputOf } from '../types.ts';
import { action } from './action.ts';
import { toCamel, toV1, toV2 } from './words.ts';

type V2Definition = InputOf<'CreateConfigurationSetEventDestination'>['EventDestination'];
type V2Shown = NonNullable<OutputOf<'GetConfigurationSetEventDestinations'>['EventDestinations']>[number];
type V1Destination = ActionInput<'CreateConfigurationSetEventDestination'>['EventDestination'];
type V1Shown = NonNullable<ActionOutput<'DescribeConfigurationSet'>['EventDestinations']>[number];
type V1Dimension = NonNullable<
  NonNullable<V1Shown['CloudWatchDestination']>['DimensionConfigurations']
>[number];

export const createConfigurationSet = action(
  'CreateConfigurationSet',
  'manage',
  async ({ ConfigurationSet: { Name } }, call) => {
    await createV2.handle({ ConfigurationSetName: Name }, call);
    return {};
  },
);

export const deleteConfigurationSet = action('DeleteConfigurationSet', 'manage', async (input, call) => {
  await deleteV2.handle(input, call);
  return {};
});

export const listConfigurationSets = action(
  'ListConfigurationSets',
  'use',
  async ({ NextToken, MaxItems }, call) => {
    const found = await listV2.handle({ NextToken, PageSize: MaxItems }, call);
    return {
      ConfigurationSets: found.ConfigurationSets?.map((Name) => ({ Name })),
      NextToken: found.NextToken,
    };
  },
);

export const describeConfigurationSet = action(
  'DescribeConfigurationSet',
  'use',
  async ({ ConfigurationSetName, ConfigurationSetAttributeNames: wanted = [] }, call) => {
    const set = await getConfigurationSet.handle({ ConfigurationSetName }, call);
    const asked = new Set<string>(wanted);
    const destinations = asked.has('eventDestinations')
      ? await getConfigurationSetEventDestinations.handle({ ConfigurationSetName }, call)
      : undefined;
    const tracking = set.TrackingOptions;
    const tls = set.DeliveryOptions?.TlsPolicy;
    return {
      ConfigurationSet: { Name: ConfigurationSetName },
      EventDestinations: destinations?.EventDestinations?.map(shownDestination),
      TrackingOptions:
        asked.has('trackingOptions') && tracking
          ? { CustomRedirectDomain: tracking.CustomRedirectDomain }
          : undefined,
      DeliveryOptions:
        asked.has('deliveryOptions') && tls ? { TlsPolicy: toV1<'Require' | 'Optional'>(tls) } : undefined,
      ReputationOptions: asked.has('reputationOptions')
        ? {
            SendingEnabled: set.SendingOptions?.SendingEnabled,
            ReputationMetricsEnabled: set.ReputationOptions?.ReputationMetricsEnabled,
          }
        : undefined,
    };
  },
);

/** Without options, mail of the set asks for no TLS again. The pool and the other options stay. */
export const putConfigurationSetDeliveryOptions = action(
  'PutConfigurationSetDeliveryOptions',
  'manage',
  async ({ ConfigurationSetName, DeliveryOptions }, call) => {
    const { DeliveryOptions: known } = await getConfigurationSet.handle({ ConfigurationSetName }, call);
    const TlsPolicy = toV2<'REQUIRE' | 'OPTIONAL'>(DeliveryOptions?.TlsPolicy ?? 'Optional');
    await putDeliveryV2.handle({ ...known, ConfigurationSetName, TlsPolicy }, call);
    return {};
  },
);

export const updateConfigurationSetReputationMetricsEnabled = action(
  'UpdateConfigurationSetReputationMetricsEnabled',
  'manage',
  async ({ ConfigurationSetName, Enabled: ReputationMetricsEnabled }, call) => {
    const request = { ConfigurationSetName, ReputationMetricsEnabled };
    await putConfigurationSetReputationOptions.handle(request, call);
    return {};
  },
);

export const updateConfigurationSetSendingEnabled = action(
  'UpdateConfigurationSetSendingEnabled',
  'manage',
  async ({ ConfigurationSetName, Enabled: SendingEnabled }, call) => {
    await putConfigurationSetSendingOptions.handle({ ConfigurationSetName, SendingEnabled }, call);
    return {};
  },
);

type V1TrackingInput = ActionInput<'CreateConfigurationSetTrackingOptions'>;

/** @param there whether the set must have tracking options already. */
async function putTracking(
  input: V1TrackingInput,
  there: boolean,
  call: Call,
): Promise<Record<string, never>> {
  const { ConfigurationSetName, TrackingOptions } = input;
  const { tracking } = await findConfigurationSet(ConfigurationSetName, call);
  if (there && !tracking) throw noTracking(ConfigurationSetName);
  if (!there && tracking)
    throw new PosternError(
      'already_exists',
      `Tracking options for configuration set <${ConfigurationSetName}> already exist.`,
    );
  const { CustomRedirectDomain = '' } = TrackingOptions;
  await putConfigurationSetTrackingOptions.handle({ ConfigurationSetName, CustomRedirectDomain }, call);
  return {};
}

function noTracking(set: string): PosternError {
  return new PosternError('not_found', `Tracking options for configuration set <${set}> do not exist.`);
}

export const createConfigurationSetTrackingOptions = action(
  'CreateConfigurationSetTrackingOptions',
  'manage',
  (input, call) => putTracking(input, false, call),
);

export const updateConfigurationSetTrackingOptions = action(
  'UpdateConfigurationSetTrackingOptions',
  'manage',
  (input, call) => putTracking(input, true, call),
);

export const deleteConfigurationSetTrackingOptions = action(
  'DeleteConfigurationSetTrackingOptions',
  'manage',
  async ({ ConfigurationSetName }, call) => {
    const { tracking } = await findConfigurationSet(ConfigurationSetName, call);
    if (!tracking) throw noTracking(ConfigurationSetName);
    await putConfigurationSetTrackingOptions.handle({ ConfigurationSetName }, call);
    return {};
  },
);

export const createConfigurationSetEventDestination = action(
  'CreateConfigurationSetEventDestination',
  'manage',
  async ({ ConfigurationSetName, EventDestination }, call) => {
    await createDestinationV2.handle({ ConfigurationSetName, ...v2Destination(EventDestination) }, call);
    return {};
  },
);

export const updateConfigurationSetEventDestination = action(
  'UpdateConfigurationSetEventDestination',
  'manage',
  async ({ ConfigurationSetName, EventDestination }, call) => {
    await updateDestinationV2.handle({ ConfigurationSetName, ...v2Destination(EventDestination) }, call);
    return {};
  },
);

export const deleteConfigurationSetEventDestination = action(
  'DeleteConfigurationSetEventDestination',
  'manage',
  async (input, call) => {
    await deleteDestinationV2.handle(input, call);
    return {};
  },
);

function v2Destination(given: V1Destination): {
  EventDestinationName: string;
  EventDestination: V2Definition;
} {
  const {
    KinesisFirehoseDestination: firehose,
    CloudWatchDestination: cloudWatch,
    SNSDestination: sns,
  } = given;
  return {
    EventDestinationName: given.Name,
    EventDestination: {
      Enabled: given.Enabled,
      MatchingEventTypes: given.MatchingEventTypes.map((type) => toV2(type)),
      KinesisFirehoseDestination: firehose && {
        IamRoleArn: firehose.IAMRoleARN,
        DeliveryStreamArn: firehose.DeliveryStreamARN,
      },
      CloudWatchDestination: cloudWatch && {
        DimensionConfigurations: cloudWatch.DimensionConfigurations.map((one) => ({
          ...one,
          DimensionValueSource: toV2(one.DimensionValueSource),
        })),
      },
      SnsDestination: sns && { TopicArn: sns.TopicARN },
    },
  };
}

/** A destination as v1 shows it; one of a kind that v1 lacks has no target there. */
function shownDestination(one: V2Shown): V1Shown {
  const {
    KinesisFirehoseDestination: firehose,
    CloudWatchDestination: cloudWatch,
    SnsDestination: sns,
  } = one;
  return {
    Name: one.Name,
    Enabled: one.Enabled,
    // Two types of events are newer than v1.
    MatchingEventTypes: one.MatchingEventTypes?.filter(
      (type) => type !== 'DELIVERY_DELAY' && type !== 'SUBSCRIPTION',
    ).map((type) => toCamel(type)),
    KinesisFirehoseDestination: firehose && {
      IAMRoleARN: firehose.IamRoleArn,
      DeliveryStreamARN: firehose.DeliveryStreamArn,
    },
    CloudWatchDestination: cloudWatch && {
      DimensionConfigurations: cloudWatch.DimensionConfigurations?.map(
        (dimension): V1Dimension => ({
          ...dimension,
          DimensionValueSource: toCamel<NonNullable<V1Dimension['DimensionValueSource']>>(
            dimension.DimensionValueSource!,
          ),
        }),
      ),
    },
    SNSDestination: sns && { TopicARN: sns.TopicArn },
  };
}
