/** Event destinations of a configuration set: the receivers of events of its mail. */
import type { EventDestination, EventTarget, NewEventDestination } from '../control/event-destination.ts';
import { EVENT_TYPE_NAMES } from '../control/event-destination.ts';
import { PosternError } from '../errors.ts';
import { unsupported } from './content.ts';
import { type Call, operation } from './operation.ts';
import { setName } from './shapes.ts';
import { flag, list, oneOf, required, structure, text, type Value } from './validation.ts';

const arn = text({ min: 1, max: 2048 });

const definition = structure({
  Enabled: flag,
  MatchingEventTypes: list(oneOf(...EVENT_TYPE_NAMES)),
  SnsDestination: structure({ TopicArn: required(arn) }),
  EventBridgeDestination: structure({ EventBusArn: required(arn) }),
  KinesisFirehoseDestination: structure({ IamRoleArn: required(arn), DeliveryStreamArn: required(arn) }),
  CloudWatchDestination: structure({
    DimensionConfigurations: required(
      list(
        structure({
          DimensionName: required(text({ min: 1, max: 256 })),
          DimensionValueSource: required(oneOf('MESSAGE_TAG', 'EMAIL_HEADER', 'LINK_TAG')),
          DefaultDimensionValue: required(text({ min: 1, max: 256 })),
        }),
      ),
    ),
  }),
  PinpointDestination: structure({}),
});
type Definition = Value<typeof definition>;

const setOnly = { ConfigurationSetName: required(setName) };
const named = { ...setOnly, EventDestinationName: required(text({ min: 1, max: 64 })) };
const whole = structure({ ...named, EventDestination: required(definition) });

export const create = operation({
  access: 'manage',
  input: whole,
  async handle({ ConfigurationSetName, EventDestinationName, EventDestination }, call) {
    requireEvents(call);
    requireSet(ConfigurationSetName, call);
    await call.deps.control.eventDestinations.create({
      name: EventDestinationName,
      tenant: call.caller.tenant,
      configurationSet: ConfigurationSetName,
      ...givenOf(EventDestination),
    });
    return {};
  },
});

export const update = operation({
  access: 'manage',
  input: whole,
  async handle({ ConfigurationSetName, EventDestinationName, EventDestination }, call) {
    const { id } = find(ConfigurationSetName, EventDestinationName, call);
    await call.deps.control.eventDestinations.update(id, givenOf(EventDestination));
    return {};
  },
});

export const remove = operation({
  access: 'manage',
  input: structure(named),
  async handle({ ConfigurationSetName, EventDestinationName }, call) {
    const { id } = find(ConfigurationSetName, EventDestinationName, call);
    await call.deps.control.eventDestinations.delete(id);
    return {};
  },
});

export const listOfSet = operation({
  access: 'use',
  input: structure(setOnly),
  handle({ ConfigurationSetName }, call) {
    requireSet(ConfigurationSetName, call);
    const found = call.deps.control.eventDestinations.of(call.caller.tenant, ConfigurationSetName);
    return { EventDestinations: found.map(shown).filter((one) => one !== undefined) };
  },
});

/** @throws PosternError `unsupported_operation` where nothing sends events: what is answered yes is done. */
function requireEvents({ deps }: Call): void {
  if (deps.events) return;
  throw new PosternError(
    'unsupported_operation',
    'This installation sends no events: event destinations are followed by standalone only.',
  );
}

function requireSet(name: string, { deps, caller }: Call): void {
  if (deps.control.configurationSets.find(name, caller.tenant)) return;
  throw new PosternError('configuration_set_missing', `Configuration set <${name}> does not exist.`);
}

function find(set: string, name: string, call: Call): EventDestination {
  requireSet(set, call);
  const found = call.deps.control.eventDestinations
    .of(call.caller.tenant, set)
    .find((one) => one.name === name);
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
function shown({ name, enabled, types, target }: EventDestination): object | undefined {
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
