/** Events to SNS topics, as SES publishes them: the event is the message. */
import { PublishBatchCommand, type SNSClient } from '@aws-sdk/client-sns';
import { AWS_BATCH, type DestinationSender, type SnsTarget } from '../../destinations.ts';
import { byResult, failAll } from './results.ts';

const SUBJECT = 'Amazon SES Email Event Notification';

export function snsDestination(client: Pick<SNSClient, 'send'>): DestinationSender<SnsTarget> {
  return {
    batch: AWS_BATCH.sns,
    async send({ topicArn }, events) {
      try {
        const { Failed = [] } = await client.send(
          new PublishBatchCommand({
            TopicArn: topicArn,
            PublishBatchRequestEntries: events.map(({ id, json }, i) => ({
              Id: String(i),
              Subject: SUBJECT,
              Message: json,
              // A FIFO topic keeps the order of a message's events and drops repeats within five minutes.
              ...(topicArn.endsWith('.fifo') && {
                MessageDeduplicationId: id,
                MessageGroupId: events[i]!.messageId,
              }),
            })),
          }),
        );
        const failed = new Map(Failed.map((entry) => [Number(entry.Id), entry]));
        return byResult(events, (i) => {
          const entry = failed.get(i);
          if (!entry) return undefined;
          return { code: entry.Code, text: entry.Message, permanent: entry.SenderFault === true };
        });
      } catch (error) {
        return failAll(events, error);
      }
    },
  };
}
