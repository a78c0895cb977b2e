/**
 * Events as CloudWatch metrics: one count for each event, by the dimensions of the destination, in SES's names.
 */
import { type CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import {
  AWS_BATCH,
  type CloudWatchTarget,
  type DestinationSender,
  EVENT_NAMESPACE,
  type MetricDimension,
  type PublishedEvent,
} from '../../destinations.ts';
import { byResult, failAll } from './results.ts';

/** CloudWatch's limit for a dimension's value. */
const MAX_VALUE = 256;

export function cloudWatchDestination(
  client: Pick<CloudWatchClient, 'send'>,
): DestinationSender<CloudWatchTarget> {
  return {
    batch: AWS_BATCH.cloudwatch,
    async send({ dimensions }, events) {
      try {
        await client.send(
          new PutMetricDataCommand({
            Namespace: EVENT_NAMESPACE,
            MetricData: events.map(({ at, event }) => ({
              MetricName: event.eventType.replaceAll(' ', ''),
              Timestamp: new Date(at),
              Unit: 'Count',
              Value: 1,
              Dimensions: dimensions.map((dimension) => ({
                Name: dimension.name,
                Value: dimensionValue(dimension, event).slice(0, MAX_VALUE),
              })),
            })),
          }),
        );
        return byResult(events, () => undefined);
      } catch (error) {
        return failAll(events, error);
      }
    },
  };
}

function dimensionValue(
  { name, source, fallback }: MetricDimension,
  { mail, click }: PublishedEvent,
): string {
  const found =
    source === 'MESSAGE_TAG'
      ? mail.tags[name]?.[0]
      : source === 'LINK_TAG'
        ? click?.linkTags?.[name]?.[0]
        : mail.headers.find((header) => header.name.toLowerCase() === name.toLowerCase())?.value;
  return found || fallback;
}
