/**
 * Where promised mail is that has not arrived: told from the records and the lanes, so that a slow machine is not
 * taken for a loss. A delivery has no item in the tables while it waits in its lane for the first time; then its lane
 * has it, ready, in flight at a node or delayed.
 */
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { AwsOptions } from '../../lib/engine/aws/open.ts';
import { laneQueue } from '../../lib/engine/aws/schema.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { FINAL_STATES } from '../../lib/engine/states.ts';

export interface Missing {
  recipient: string;
  /** State, reason and time, for a person. */
  record: string;
  /** It has ended by its record, though it never arrived. */
  ended: boolean;
  /** When it is due, ms; 0: now. */
  due: number;
}

/** Looks the records of messages up. */
export async function findMissing(
  records: Engine['records'],
  missing: readonly { recipient: string; messageId: string }[],
): Promise<Missing[]> {
  const found: Missing[] = [];
  for (const { recipient, messageId } of missing) {
    const [delivery] = await records.deliveries(messageId);
    const { state = 'no record', reason = '', until = 0, attempts = [] } = delivery ?? {};
    const tried = attempts.length > 0 ? `, tried ${attempts.length} times` : '';
    found.push({
      recipient,
      record: `${state} (${reason})${tried}`,
      ended: delivery === undefined || FINAL_STATES.has(delivery.state),
      due: until,
    });
  }
  return found;
}

/** What a lane's queue holds, by SQS's counts. */
export interface LaneContent {
  ready: number;
  inFlight: number;
  delayed: number;
}

/** What all lanes hold together. */
export async function contentOf(
  lanes: readonly string[],
  { resources, client }: Pick<AwsOptions, 'resources'> & { client: NonNullable<AwsOptions['client']> },
): Promise<LaneContent> {
  const { region, credentials, endpoints } = client;
  const sqs = new SQSClient({ region, credentials, endpoint: endpoints?.sqs });
  const sum = { ready: 0, inFlight: 0, delayed: 0 };
  for (const lane of lanes) {
    const { Attributes = {} } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: resources.queueUrlPrefix + laneQueue(lane),
        AttributeNames: ['All'],
      }),
    );
    sum.ready += Number(Attributes.ApproximateNumberOfMessages ?? 0);
    sum.inFlight += Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0);
    sum.delayed += Number(Attributes.ApproximateNumberOfMessagesDelayed ?? 0);
  }
  sqs.destroy();
  return sum;
}

/** One line for each kind of record, and the problems: loss apart from what is only late. */
export function reportMissing(
  missing: readonly Missing[],
  content: LaneContent,
  now: number,
): { figures: string[]; problems: string[] } {
  if (missing.length === 0) return { figures: [], problems: [] };
  const kinds = Map.groupBy(missing, ({ record, due }) =>
    due > now ? `${record}, due in up to ${Math.ceil((due - now) / 60_000)} min` : record,
  );
  const held = content.ready + content.inFlight + content.delayed;
  const ended = missing.filter((one) => one.ended);
  const queued = missing.filter((one) => !one.ended && one.due <= now);
  // Of those that are due only the lanes can have them; the ledger's come when they are.
  const nowhere = Math.max(0, queued.length - held);
  const lost = ended.length + nowhere;
  return {
    figures: [
      `not arrived ${missing.length}; the lanes hold ${content.ready} ready, ${content.inFlight} in flight, ${content.delayed} delayed`,
      ...[...kinds].map(([kind, all]) => `  ${all.length} × ${kind}, as ${all[0]!.recipient}`),
    ],
    problems: [
      ...(lost > 0
        ? [
            `${lost} lost: ${ended.length} ended by their records, ${nowhere} in no lane; as ${(ended[0] ?? queued[0])!.recipient}`,
          ]
        : []),
      ...(missing.length > lost
        ? [`${missing.length - lost} late: still under way when nothing moved any more`]
        : []),
    ],
  };
}
