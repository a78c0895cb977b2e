/**
 * Notification topics of identities. The topic of an identity is an event destination of its tenant that has the
 * identity's notifications alone; one destination has all types that go to one topic.
 */
import { createHash } from 'node:crypto';
import type { EventDestination, EventType } from '../../control/event-destination.ts';
import type { Identity } from '../../control/types.ts';
import { PosternError } from '../../errors.ts';
import { requireEvents } from '../event-destinations.ts';
import { findIdentity } from '../identities.ts';
import type { Call } from '../operation.ts';
import type { ActionInput } from '../types.ts';
import { action } from './action.ts';
import { eachIdentity } from './verification.ts';

type NotificationType = ActionInput<'SetIdentityNotificationTopic'>['NotificationType'];

const TYPES = { Bounce: 'BOUNCE', Complaint: 'COMPLAINT', Delivery: 'DELIVERY' } as const satisfies Record<
  NotificationType,
  EventType
>;

interface IdentityTopic extends EventDestination {
  notifications: NonNullable<EventDestination['notifications']>;
}

async function topicsOf({ name, tenant }: Identity, { deps }: Call): Promise<IdentityTopic[]> {
  const all = await deps.control.eventDestinations.of(tenant, undefined);
  return all.filter((one): one is IdentityTopic => one.notifications?.identity === name);
}

function arnOf({ target }: EventDestination): string | undefined {
  return target.kind === 'sns' ? target.topicArn : undefined;
}

/** Names are unique in a tenant, and hold no dots and no @. */
function nameOf(identity: string, topicArn: string): string {
  return `identity-${createHash('sha256').update(`${identity} ${topicArn}`).digest('hex').slice(0, 24)}`;
}

/** Without a topic, that type is notified of no more. */
export const setIdentityNotificationTopic = action(
  'SetIdentityNotificationTopic',
  'manage',
  async ({ Identity: name, NotificationType: given, SnsTopic }, call) => {
    requireEvents(call);
    const identity = await findIdentity(name, call);
    const { eventDestinations } = call.deps.control;
    const type = TYPES[given];
    const before = await topicsOf(identity, call);
    const headers = before.flatMap(({ notifications }) => notifications.headers);
    const notifications = { identity: identity.name, headers: [...new Set(headers)] };
    if (SnsTopic) {
      const known = before.find((one) => arnOf(one) === SnsTopic);
      if (known?.types.includes(type)) return {};
      if (known) await eventDestinations.update(known.id, { types: [...known.types, type] });
      else
        await eventDestinations.create({
          name: nameOf(identity.name, SnsTopic),
          tenant: identity.tenant,
          notifications,
          enabled: true,
          types: [type],
          target: { kind: 'sns', topicArn: SnsTopic },
        });
    }
    // Taken from the topic before only now: a failure above leaves what was.
    for (const one of before) {
      if (!one.types.includes(type) || arnOf(one) === SnsTopic) continue;
      const types = one.types.filter((other) => other !== type);
      if (types.length === 0) await eventDestinations.delete(one.id);
      else await eventDestinations.update(one.id, { types });
    }
    return {};
  },
);

/** @throws PosternError `bad_request` when the type has no topic yet that could have headers. */
export const setIdentityHeadersInNotificationsEnabled = action(
  'SetIdentityHeadersInNotificationsEnabled',
  'manage',
  async ({ Identity: name, NotificationType: given, Enabled }, call) => {
    const identity = await findIdentity(name, call);
    const type = TYPES[given];
    const topics = await topicsOf(identity, call);
    if (Enabled && !topics.some((one) => one.types.includes(type)))
      throw new PosternError(
        'bad_request',
        `Notifications of type ${given} have no topic. Set one first, by SetIdentityNotificationTopic.`,
      );
    for (const { id, notifications } of topics) {
      const others = notifications.headers.filter((one) => one !== type);
      const headers = Enabled ? [...others, type] : others;
      const changed = { notifications: { identity: identity.name, headers } };
      await call.deps.control.eventDestinations.update(id, changed);
    }
    return {};
  },
);

export const getIdentityNotificationAttributes = action(
  'GetIdentityNotificationAttributes',
  'use',
  async ({ Identities }, call) => ({
    NotificationAttributes: await eachIdentity(Identities, call, async (identity) => {
      const topics = await topicsOf(identity, call);
      const topic = (type: EventType): string => {
        const found = topics.find((one) => one.types.includes(type));
        return (found && arnOf(found)) ?? '';
      };
      const headers = (type: EventType): boolean =>
        topics.some(({ notifications }) => notifications.headers.includes(type));
      return {
        BounceTopic: topic('BOUNCE'),
        ComplaintTopic: topic('COMPLAINT'),
        DeliveryTopic: topic('DELIVERY'),
        ForwardingEnabled: identity.feedbackForwarding,
        HeadersInBounceNotificationsEnabled: headers('BOUNCE'),
        HeadersInComplaintNotificationsEnabled: headers('COMPLAINT'),
        HeadersInDeliveryNotificationsEnabled: headers('DELIVERY'),
      };
    }),
  }),
);
