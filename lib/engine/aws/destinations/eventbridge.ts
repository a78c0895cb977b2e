/**
 * Sends events to EventBridge buses, with the detail types of SES. The source is `postern.ses`: EventBridge lets only
 * AWS put events whose source begins with `aws.`.
 */
import { type EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { AWS_BATCH, type DestinationSender, type EventBridgeTarget } from '../../destinations.ts';
import { byResult, failAll } from './results.ts';

const SOURCE = 'postern.ses';

/** EventBridge's reference of SES's events. */
const DETAIL_TYPES: Readonly<Record<string, string>> = {
  Send: 'Email Sent',
  Reject: 'Email Rejected',
  Bounce: 'Email Bounced',
  Complaint: 'Email Complaint Received',
  Delivery: 'Email Delivered',
  Open: 'Email Opened',
  Click: 'Email Clicked',
  'Rendering Failure': 'Email Rendering Failed',
  DeliveryDelay: 'Email Delivery Delayed',
  Subscription: 'Email Subscribed',
};

/** Errors of an entry that come again for the same event. */
const PERMANENT = new Set(['InvalidArgument', 'MalformedDetail', 'NotAuthorizedForSourceException']);

export function eventBridgeDestination(
  client: Pick<EventBridgeClient, 'send'>,
): DestinationSender<EventBridgeTarget> {
  return {
    batch: AWS_BATCH.eventbridge,
    async send({ busArn }, events) {
      try {
        const { Entries = [] } = await client.send(
          new PutEventsCommand({
            Entries: events.map(({ at, event, json }) => ({
              EventBusName: busArn,
              Source: SOURCE,
              DetailType: DETAIL_TYPES[event.eventType] ?? event.eventType,
              Time: new Date(at),
              Detail: json,
            })),
          }),
        );
        return byResult(events, (i) => {
          const { ErrorCode, ErrorMessage } = Entries[i] ?? { ErrorCode: 'NoAnswer' };
          if (ErrorCode === undefined) return undefined;
          return { code: ErrorCode, text: ErrorMessage, permanent: PERMANENT.has(ErrorCode) };
        });
      } catch (error) {
        return failAll(events, error);
      }
    },
  };
}
