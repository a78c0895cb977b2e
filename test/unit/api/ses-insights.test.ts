/** `BatchGetMetricData` and `GetMessageInsights` by the SDK, over counted and stored mail. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  BatchGetMetricDataCommand,
  type BatchGetMetricDataQuery,
  GetMessageInsightsCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import type { MessageRecord } from '../../../lib/engine/items.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import type { Engine } from '../../../lib/engine/ports.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { DAY } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { ACCEPTED_AT, attempt, MESSAGE_ID, messageRecord, outcome } from '../../support/outcomes.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

const bounced = attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' });
const [START, END] = [new Date(ACCEPTED_AT - DAY), new Date(ACCEPTED_AT + 2 * DAY)];

describe('insights', () => {
  let server: SesServer;
  let engine: Engine;
  let client: SESv2Client;

  before(async () => {
    engine = openMemory({ clock: new TestClock(ACCEPTED_AT) });
    server = await startSesServer({ stored: engine });
    client = server.client();
    const tally = new Tally();
    const add = (change: Partial<MessageRecord>, more: object): void =>
      tally.add(messageRecord({ tenant: 'default', ...change }), outcome('attempt', more));
    add({ recipients: ['a@gmail.com'] }, { attempt: attempt({ mx: undefined }) });
    add({ fromDomain: 'two.example' }, { attempt: attempt({}), at: ACCEPTED_AT + DAY });
    add({ fromDomain: 'two.example' }, { attempt: bounced, at: ACCEPTED_AT + DAY });
    add({ tenant: 'tenant-2' }, { attempt: attempt({}) });
    await new StatisticsRecorder({ rows: engine.rows, shards: 1 }).count('batch', tally);
  });
  after(async () => {
    await server.close();
    await engine.close();
  });

  const ask = (change: Partial<BatchGetMetricDataQuery>, by = client) =>
    by.send(
      new BatchGetMetricDataCommand({
        Queries: [{ Id: 'one', Namespace: 'VDM', Metric: 'SEND', StartDate: START, EndDate: END, ...change }],
      }),
    );
  const values = async (change: Partial<BatchGetMetricDataQuery>, by = client): Promise<number[]> =>
    (await ask(change, by)).Results![0]!.Values!;

  test('metrics by day, of the tenant of the key', async () => {
    const { Results } = await ask({});
    assert.equal(Results![0]!.Id, 'one');
    assert.deepEqual(Results![0]!.Timestamps, [START, new Date(ACCEPTED_AT), new Date(ACCEPTED_AT + DAY)]);
    assert.deepEqual(Results![0]!.Values, [0, 1, 2]);
    assert.deepEqual(await values({ Metric: 'PERMANENT_BOUNCE' }), [0, 0, 1]);
    const other = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    assert.deepEqual(await values({}, other), [0, 1, 0]);
    assert.deepEqual(await values({ Dimensions: { TENANT_NAME: 'tenant-2' } }), [0, 1, 0]);
    await assert.rejects(ask({ Dimensions: { TENANT_NAME: '' } }), { name: 'BadRequestException' });
    await assert.rejects(ask({ Dimensions: { TENANT_NAME: 'default' } }, other), {
      name: 'AccessDeniedException',
    });
  });

  test('metrics by one dimension', async () => {
    assert.deepEqual(await values({ Dimensions: { EMAIL_IDENTITY: 'two.example' } }), [0, 0, 2]);
    assert.deepEqual(await values({ Dimensions: { ISP: 'Gmail' } }), [0, 1, 0]);
    assert.deepEqual(
      await values({ Dimensions: { CONFIGURATION_SET: 'cs', TENANT_NAME: 'default' } }),
      [0, 1, 2],
    );
    assert.deepEqual(await values({ Dimensions: { ISP: '*' } }), [0, 1, 2]);
  });

  test('what is not kept is refused by name', async () => {
    const two = { ISP: 'Gmail', EMAIL_IDENTITY: 'two.example' };
    await assert.rejects(ask({ Metric: 'DELIVERY_OPEN' }), /DELIVERY_OPEN is not supported/);
    await assert.rejects(ask({ Dimensions: two }), /two of EMAIL_IDENTITY/);
    await assert.rejects(ask({ Dimensions: { EMAIL_IDENTITY: 'a@two.example' } }), /of an address/);
    await assert.rejects(ask({ StartDate: END }), /StartDate must be before EndDate/);
    await assert.rejects(ask({ StartDate: new Date(ACCEPTED_AT - 93 * DAY) }), /93 days at most/);
  });

  test('the history of a message, by recipient', async () => {
    const record = messageRecord({ tenant: 'default', recipients: ['ann@gmail.com', 'bob@example.net'] });
    await engine.queue.admit([
      {
        record,
        body: Buffer.alloc(0),
        deliveries: [],
        settled: [
          outcome('attempt', { n: 0, at: ACCEPTED_AT + 500, attempt: attempt({}) }),
          outcome('attempt', { n: 1, at: ACCEPTED_AT + 600, attempt: { ...bounced, at: ACCEPTED_AT + 600 } }),
        ],
      },
    ]);
    await engine.records.append([
      outcome('complaint', { n: 0, at: ACCEPTED_AT + DAY, detail: { feedbackType: 'abuse' } }),
    ]);
    const answer = await client.send(new GetMessageInsightsCommand({ MessageId: MESSAGE_ID }));
    assert.equal(answer.Subject, 'Hi');
    assert.ok(answer.EmailTags!.some(({ Name, Value }) => Name === 'campaign' && Value === 'x'));
    const [ann, bob] = answer.Insights!;
    assert.deepEqual([ann!.Destination, ann!.Isp], ['ann@gmail.com', 'Gmail']);
    assert.deepEqual(
      ann!.Events!.map(({ Type, Timestamp }) => [Type, Timestamp!.getTime() - ACCEPTED_AT]),
      [
        ['SEND', 0],
        ['DELIVERY', 500],
        ['COMPLAINT', DAY],
      ],
    );
    assert.equal(ann!.Events!.at(-1)!.Details!.Complaint!.ComplaintFeedbackType, 'abuse');
    assert.deepEqual(bob!.Events!.at(-1)!.Details!.Bounce, {
      BounceType: 'PERMANENT',
      BounceSubType: 'General',
      DiagnosticCode: 'smtp; 550 5.1.1 user unknown',
    });
    const other = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    for (const [by, MessageId] of [
      [other, MESSAGE_ID],
      [client, 'none'],
    ] as const)
      await assert.rejects(by.send(new GetMessageInsightsCommand({ MessageId })), {
        name: 'NotFoundException',
      });
  });
});
