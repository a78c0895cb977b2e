/** Events to Firehose streams: a line of JSON for each, so that what S3 receives can be read line by line. */
import { type FirehoseClient, PutRecordBatchCommand } from '@aws-sdk/client-firehose';
import { AWS_BATCH, type DestinationSender, type FirehoseTarget } from '../../destinations.ts';
import { byResult, failAll } from './results.ts';

export function firehoseDestination(client: Pick<FirehoseClient, 'send'>): DestinationSender<FirehoseTarget> {
  return {
    batch: AWS_BATCH.firehose,
    async send({ streamArn }, events) {
      try {
        const { RequestResponses = [] } = await client.send(
          new PutRecordBatchCommand({
            DeliveryStreamName: streamArn.slice(streamArn.lastIndexOf('/') + 1),
            Records: events.map(({ json }) => ({ Data: Buffer.from(`${json}\n`) })),
          }),
        );
        return byResult(events, (i) => {
          const { ErrorCode, ErrorMessage } = RequestResponses[i] ?? { ErrorCode: 'NoAnswer' };
          return ErrorCode === undefined
            ? undefined
            : { code: ErrorCode, text: ErrorMessage, permanent: false };
        });
      } catch (error) {
        return failAll(events, error);
      }
    },
  };
}
