/**
 * Lambda entry of the outcome queue: bounces and complaints change the suppression lists, opens and clicks are stored
 * with their messages, events are handed to their destinations; outcomes of deliveries become metrics and statistics.
 *
 * ```
 *  batch ─► read each message ─► records of all ─► suppression lists ─► opens and clicks ─► events ─► statistics, metrics
 *             └─ cannot be read ─────┴─ one cannot be ──┴─ not changed ─► handed back alone
 *                                     storage does not answer ─► the whole batch comes again
 * ```
 * A message that is returned ten times becomes a dead letter. An outcome may come twice, because SQS delivers at
 * least once. The lists tolerate that, and events carry the ids that they had; statistics count a batch of SQS messages
 * once, and those that come again in another batch twice; the result of a delivery is in its record.
 */
import { createHash } from 'node:crypto';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { Contacts } from '../lib/contacts/contacts.ts';
import { contactChanger } from '../lib/contacts/unsubscribe.ts';
import { takeUnsubscribe, type UnsubscribeContact } from '../lib/contacts/unsubscriber.ts';
import { PROTECTION, ROUTING } from '../lib/control/config-kinds.ts';
import { openDirectives } from '../lib/control/directives.ts';
import { openDocuments } from '../lib/control/documents.ts';
import { tenantCache } from '../lib/control/tenants.ts';
import { type AwsEngine, openAws } from '../lib/engine/aws/open.ts';
import { readOutcomes } from '../lib/engine/aws/outcome-message.ts';
import { isEngagement, type MessageRecord, type Outcome } from '../lib/engine/items.ts';
import type { Records, Suppressions } from '../lib/engine/ports.ts';
import type { PosternError } from '../lib/errors.ts';
import { createMailMetrics } from '../lib/observe/mail-metrics.ts';
import { recordsOf, suppress } from '../lib/outcome/apply-suppression.ts';
import type { EventContext } from '../lib/outcome/mail-object.ts';
import { TenantProtection } from '../lib/statistics/protection.ts';
import { StatisticsRecorder } from '../lib/statistics/recorder.ts';
import { SplitGuard } from '../lib/statistics/split-guard.ts';
import { Tally } from '../lib/statistics/tally.ts';
import { systemClock } from '../lib/time.ts';
import { readIndexSettings } from './environment.ts';
import { openEventParts, publisher } from './event-parts.ts';
import { once } from './once.ts';
import { type Output, openOutput } from './output.ts';

/** Rows of statistics side by side: twenty functions at most count at one time (lib/stacks/api.ts). */
const SHARDS = 4;

export interface OutcomesOptions {
  records: Pick<Records, 'message' | 'reports'>;
  /** Changes a contact that leaves a list; absent: this service keeps no lists. */
  unsubscribe?: UnsubscribeContact;
  suppressions: Pick<Suppressions, 'put' | 'remove'>;
  keepReports: AwsEngine['keepReports'];
  statistics: Pick<StatisticsRecorder, 'count'>;
  protection: Pick<TenantProtection, 'check'>;
  /** Absent: no split has a way back. */
  splits?: Pick<SplitGuard, 'check' | 'watched'>;
  /** Keeps events for those who fetch them, and hands them to their destinations: durable when it resolves. */
  publish: (outcomes: readonly Outcome[], records: ReadonlyMap<string, MessageRecord>) => Promise<void>;
  context: EventContext;
  output: Output;
}

/** Drains batches of the outcome queue. @returns a handler that names the messages to retry. */
export function createConsumer(options: OutcomesOptions): (event: SQSEvent) => Promise<SQSBatchResponse> {
  const { records, suppressions, keepReports, publish, statistics, protection, splits, output } = options;
  const { log } = output;
  const metrics = createMailMetrics(output.emf);

  return async ({ Records: messages }) => {
    const failed: SQSBatchResponse['batchItemFailures'] = [];
    const refuse = (sqsMessageId: string, text: string, error: unknown): void => {
      log.error(text, { sqsMessageId, error });
      failed.push({ itemIdentifier: sqsMessageId });
    };
    const read: { id: string; outcomes: Outcome[] }[] = [];
    for (const { messageId, body } of messages) {
      try {
        read.push({ id: messageId, outcomes: readOutcomes(body) });
      } catch (error) {
        refuse(messageId, 'outcome refused', error);
      }
    }
    const unreadable = new Map<string, PosternError>();
    const found = await recordsOf(
      records,
      read.flatMap(({ outcomes }) => outcomes),
      (messageId, error) => unreadable.set(messageId, error),
    );
    const known = read.filter(({ id, outcomes }) => {
      const bad = outcomes.find(({ messageId }) => unreadable.has(messageId));
      if (bad) refuse(id, 'outcome refused', unreadable.get(bad.messageId));
      return !bad;
    });
    const suppressed = await Promise.allSettled(
      known.map(({ outcomes }) => suppress(suppressions, outcomes, found, log)),
    );
    const done: Outcome[] = [];
    const batch = createHash('sha256');
    for (const [at, result] of suppressed.entries()) {
      const { id, outcomes } = known[at]!;
      if (result.status === 'fulfilled') {
        done.push(...(await withUnsubscribed(options, outcomes)));
        batch.update(`${id}\n`);
      } else refuse(id, 'suppression lists not changed', result.reason);
    }
    // The function that reports opens, clicks and who unsubscribes cannot write records.
    const engagements: { record: MessageRecord; outcome: Outcome }[] = [];
    for (const outcome of done) {
      const record = found.get(outcome.messageId);
      if (record && (isEngagement(outcome.kind) || outcome.kind === 'subscription')) {
        engagements.push({ record, outcome: { ...outcome, messageId: record.id, tenant: record.tenant } });
      }
    }
    await keepReports(engagements);
    await publish(done, found);
    const tally = new Tally(splits?.watched);
    let orphans = 0;
    for (const outcome of done) {
      const record = found.get(outcome.messageId);
      if (record) tally.add(record, outcome);
      else orphans += 1;
    }
    if (tally.rows > 0) {
      await statistics.count(batch.digest('base64url'), tally);
      await protection.check(tally.tenants());
      await splits?.check();
    }
    for (const outcome of done) {
      const record = found.get(outcome.messageId);
      if (record) metrics.outcome(record, outcome);
    }
    metrics.flush();
    if (orphans > 0) log.warn('outcomes without a record', { orphans });
    return { batchItemFailures: failed };
  };
}

/** The outcomes with each unsubscribe request acted on, and without its repeats. */
async function withUnsubscribed(
  { records, unsubscribe }: Pick<OutcomesOptions, 'records' | 'unsubscribe'>,
  outcomes: Outcome[],
): Promise<Outcome[]> {
  if (!outcomes.some(({ kind }) => kind === 'subscription')) return outcomes;
  const taken: Outcome[] = [];
  for (const outcome of outcomes) {
    if (outcome.kind !== 'subscription') taken.push(outcome);
    else {
      const one = await takeUnsubscribe({ records, unsubscribe }, outcome);
      if (one) taken.push(one.outcome);
    }
  }
  return taken;
}

/** Opens the protection of tenants and the way back of splits, with the directives and the documents that they need. */
export async function openGuards(
  { config, rows }: Pick<AwsEngine, 'config' | 'rows'>,
  { log, emf }: Output,
): Promise<{ protection: TenantProtection; splits: SplitGuard }> {
  const [directives, documents] = await Promise.all([
    openDirectives({ config, clock: systemClock, sweeps: ['orders'] }),
    openDocuments({ config, clock: systemClock, kinds: [PROTECTION, ROUTING] }),
  ]);
  const onVerdict = (kind: 'warn' | 'pause'): void =>
    emf.put({}, { [kind === 'warn' ? 'Reputation.TenantsWarned' : 'Reputation.TenantsPaused']: 1 });
  const cache = tenantCache(config, systemClock);
  const tenants = { find: (name: string) => cache.get(name) };
  const parts = { rows, directives, documents, clock: systemClock, log };
  return {
    protection: new TenantProtection({ ...parts, tenants, onVerdict }),
    splits: new SplitGuard(parts),
  };
}

const consumer = await once(async () => {
  const { resources, region, accountId, hostname, eventDays } = readIndexSettings(process.env);
  const clock = systemClock;
  const output = openOutput(clock);
  const engine = await openAws({ resources, clock, log: output.log });
  const { records, suppressions, keepReports, rows } = engine;
  const statistics = new StatisticsRecorder({ rows, shards: SHARDS });
  const guards = await openGuards(engine, output);
  const context = { region, accountId, hostname };
  const parts = openEventParts({ engine, context, eventDays, clock, random: Math.random, output });
  const publish = publisher(parts, context, clock);
  const consume = createConsumer({
    records,
    unsubscribe: contactChanger(new Contacts(rows, systemClock)),
    suppressions,
    keepReports,
    publish,
    statistics,
    ...guards,
    context,
    output,
  });
  return async (event: SQSEvent) => {
    // This process may have been stopped between two calls, and a directive or a destination changed meanwhile.
    await engine.config.catchUp();
    return consume(event);
  };
});

export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  return (await consumer())(event);
}
