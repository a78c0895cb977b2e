/** Event destinations of a configuration set: the receivers of events of its mail. */
import type { EventDestination, EventTarget, NewEventDestination } from '../control/event-destination.ts';
import { PosternError } from '../errors.ts';
import { findConfigurationSet } from './configuration-sets.ts';
import { type Call, operation, unsupported } from './operation.ts';
import type { InputOf, OutputOf } from './types.ts';

type Definition = InputOf<'CreateConfigurationSetEventDestination'>['EventDestination'];
type ShownDestination = NonNullable<
  OutputOf<'GetConfigurationSetEventDestinations'>['EventDestinations']
>[number];

const MAX_NAME = 64;

export const createConfigurationSetEventDestination = operation(
  'CreateConfigurationSetEventDestination',
  'manage',
  async ({ ConfigurationSetName, EventDestinationName, EventDestination }, call) => {
    requireEvents(call);
    await findConfigurationSet(ConfigurationSetName, call);
    requireName(EventDestinationName);
    await call.deps.control.eventDestinations.create({
      name: EventDestinationName,
      tenant: call.caller.tenant,
      configurationSet: ConfigurationSetName,
      ...givenOf(EventDestination),
    });
    return {};
  },
);

export const updateConfigurationSetEventDestination = operation(
  'UpdateConfigurationSetEventDestination',
  'manage',
  async ({ ConfigurationSetName, EventDestinationName, EventDestination }, call) => {
    const { id } = await find(ConfigurationSetName, EventDestinationName, call);
    await call.deps.control.eventDestinations.update(id, givenOf(EventDestination));
    return {};
  },
);

export const deleteConfigurationSetEventDestination = operation(
  'DeleteConfigurationSetEventDestination',
  'manage',
  async ({ ConfigurationSetName, EventDestinationName }, call) => {
    const { id } = await find(ConfigurationSetName, EventDestinationName, call);
    await call.deps.control.eventDestinations.delete(id);
    return {};
  },
);

export const getConfigurationSetEventDestinations = operation(
  'GetConfigurationSetEventDestinations',
  'use',
  async ({ ConfigurationSetName }, call) => {
    await findConfigurationSet(ConfigurationSetName, call);
    const found = await call.deps.control.eventDestinations.of(call.caller.tenant, ConfigurationSetName);
    return { EventDestinations: found.map(shown).filter((one) => one !== undefined) };
  },
);

function requireName(name: string): void {
  if (/^[A-Za-z0-9_-]+$/.test(name) && name.length <= MAX_NAME) return;
  throw new PosternError(
    'bad_request',
    `The name of an event destination has 1 to ${MAX_NAME} of the characters A-Z, a-z, 0-9, - and _.`,
  );
}

/** @throws PosternError `unsupported_operation` where nothing sends events: what is answered yes is done. */
export function requireEvents({ deps }: Call): void {
  if (deps.events) return;
  throw new PosternError('unsupported_operation', 'This process sends no events.');
}

async function find(set: string, name: string, call: Call): Promise<EventDestination> {
  await findConfigurationSet(set, call);
  const all = await call.deps.control.eventDestinations.of(call.caller.tenant, set);
  const found = all.find((one) => one.name === name);
  if (found) return found;
  throw new PosternError('not_found', `Event destination <${name}> does not exist.`);
}

/** @throws PosternError `bad_request` unless there is exactly one destination, as SES requires. */
function givenOf(given: Definition): Pick<NewEventDestination, 'enabled' | 'types' | 'target'> {
  if (given.PinpointDestination) throw unsupported('PinpointDestination');
  const targets: EventTarget[] = [];
  const { SnsDestination: sns, EventBridgeDestination: bus, KinesisFirehoseDestination: firehose } = given;
  const { CloudWatchDestination: cloudWatch } = given;
  if (sns) targets.push({ kind: 'sns', topicArn: sns.TopicArn });
  if (bus) targets.push({ kind: 'eventbridge', busArn: bus.EventBusArn });
  if (firehose) {
    targets.push({ kind: 'firehose', streamArn: firehose.DeliveryStreamArn, roleArn: firehose.IamRoleArn });
  }
  if (cloudWatch) {
    const dimensions = cloudWatch.DimensionConfigurations.map((one) => ({
      name: one.DimensionName,
      source: one.DimensionValueSource,
      fallback: one.DefaultDimensionValue,
    }));
    targets.push({ kind: 'cloudwatch', dimensions });
  }
  const [target, second] = targets;
  if (!target || second) {
    throw new PosternError(
      'bad_request',
      'You must provide exactly one destination for the event destination.',
    );
  }
  return { enabled: given.Enabled ?? false, types: [...new Set(given.MatchingEventTypes ?? [])], target };
}

/** A destination in SES's form; undefined for a kind that SES lacks. */
function shown({ name, enabled, types, target }: EventDestination): ShownDestination | undefined {
  const common = { Name: name, Enabled: enabled, MatchingEventTypes: types };
  switch (target.kind) {
    case 'sns':
      return { ...common, SnsDestination: { TopicArn: target.topicArn } };
    case 'eventbridge':
      return { ...common, EventBridgeDestination: { EventBusArn: target.busArn } };
    case 'firehose':
      return {
        ...common,
        KinesisFirehoseDestination: { IamRoleArn: target.roleArn, DeliveryStreamArn: target.streamArn },
      };
    case 'cloudwatch':
      return {
        ...common,
        CloudWatchDestination: {
          DimensionConfigurations: target.dimensions.map(({ name: dimension, source, fallback }) => ({
            DimensionName: dimension,
            DimensionValueSource: source,
            DefaultDimensionValue: fallback,
          })),
        },
      };
    default:
      return undefined;
  }
}
