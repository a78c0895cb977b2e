/**
 * Lambda entry of the outcome queue: what happened to deliveries becomes metrics, statistics and changes of
 * the suppression list, the last two as lines of the log; opens and clicks are kept with their messages.
 *
 * ```
 *  batch ─► read each message ─► records of all of them ─► opens and clicks kept ─► digest, count ─► written
 *             └─ cannot be read ─► handed back alone; after ten times it is a dead letter
 *                                  └─ storage does not answer ─► the whole batch comes again
 * ```
 * An outcome may come twice: SQS delivers at least once. What is counted here is for people and alarms; what
 * became of a delivery is in its record.
 */
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { type AwsEngine, openAws } from '../lib/engine/aws/open.ts';
import { readOutcomes } from '../lib/engine/aws/outcome-message.ts';
import { isEngagement, type MessageRecord, type Outcome } from '../lib/engine/items.ts';
import type { Records } from '../lib/engine/ports.ts';
import { createMailMetrics } from '../lib/observe/mail-metrics.ts';
import { digest } from '../lib/outcome/consume.ts';
import type { EventContext } from '../lib/outcome/mail-object.ts';
import { systemClock } from '../lib/time.ts';
import { readFunctionSettings } from './environment.ts';
import { once } from './once.ts';
import { type Output, openOutput } from './output.ts';

export interface OutcomesOptions {
  records: Pick<Records, 'message'>;
  keepReports: AwsEngine['keepReports'];
  context: EventContext;
  output: Output;
}

/** Drains batches of the outcome queue. @returns a handler that names the messages that must come again. */
export function createConsumer(options: OutcomesOptions): (event: SQSEvent) => Promise<SQSBatchResponse> {
  const { records, keepReports, context, output } = options;
  const metrics = createMailMetrics(output.emf);

  return async ({ Records: messages }) => {
    const failed: SQSBatchResponse['batchItemFailures'] = [];
    const outcomes: Outcome[] = [];
    for (const { messageId, body } of messages) {
      try {
        outcomes.push(...readOutcomes(body));
      } catch (error) {
        output.log.error('outcome refused', { sqsMessageId: messageId, error });
        failed.push({ itemIdentifier: messageId });
      }
    }
    const found = await recordsOf(records, outcomes);
    // Who reports opens and clicks writes no records.
    const engagements: { record: MessageRecord; outcome: Outcome }[] = [];
    for (const outcome of outcomes) {
      const record = found.get(outcome.messageId);
      if (record && isEngagement(outcome.kind)) {
        engagements.push({ record, outcome: { ...outcome, messageId: record.id, tenant: record.tenant } });
      }
    }
    await keepReports(engagements);
    for (const outcome of outcomes) {
      const record = found.get(outcome.messageId);
      if (record) metrics.outcome(record, outcome);
    }
    metrics.flush();
    const { statistics, suppressions, orphans } = digest(outcomes, found, context);
    for (const delta of statistics) output.log.info('statistics', { ...delta });
    for (const change of suppressions) output.log.info('suppression', { ...change });
    if (orphans > 0) output.log.warn('outcomes without a record', { orphans });
    return { batchItemFailures: failed };
  };
}

/** The records of all messages that the outcomes speak of, each read once. Those that are gone are left out. */
async function recordsOf(
  records: Pick<Records, 'message'>,
  outcomes: readonly Outcome[],
): Promise<Map<string, MessageRecord>> {
  const ids = [...new Set(outcomes.map(({ messageId }) => messageId))];
  const read = await Promise.all(ids.map(async (id) => [id, await records.message(id)] as const));
  return new Map(read.flatMap(([id, record]) => (record ? [[id, record]] : [])));
}

const consumer = once(async () => {
  const { resources, region, accountId, hostname } = readFunctionSettings(process.env);
  const output = openOutput(systemClock);
  const engine = await openAws({ resources, clock: systemClock, log: output.log });
  const { records, keepReports } = engine;
  return createConsumer({ records, keepReports, context: { region, accountId, hostname }, output });
});

export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  return (await consumer())(event);
}
