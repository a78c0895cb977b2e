/** The account as SES shows it: what was kept of it, and what was sent. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { GetSendQuotaCommand, GetSendStatisticsCommand } from '@aws-sdk/client-ses';
import {
  GetAccountCommand,
  PutAccountDeliveryAttributesCommand,
  PutAccountDetailsCommand,
  PutAccountSendingAttributesCommand,
  PutAccountSuppressionAttributesCommand,
  PutAccountVdmAttributesCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { DAY, HOUR, MINUTE } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

let server: SesServer;
let client: SESv2Client;
let user: SESv2Client;
before(async () => {
  server = await startSesServer({ limits: { sendRate: 77 } });
  client = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
});
after(() => server.close());

const account = async () => {
  const { $metadata: _, ...shown } = await client.send(new GetAccountCommand({}));
  return shown;
};

test('a new account sends, and has nothing switched on', async () => {
  assert.deepEqual(await account(), {
    SendingEnabled: true,
    ProductionAccessEnabled: true,
    EnforcementStatus: 'HEALTHY',
    DedicatedIpAutoWarmupEnabled: true,
    SendQuota: { Max24HourSend: -1, MaxSendRate: 77, SentLast24Hours: 0 },
    SuppressionAttributes: { SuppressedReasons: ['BOUNCE', 'COMPLAINT'] },
    VdmAttributes: { VdmEnabled: 'DISABLED' },
  });
});

test('what is put is kept, each beside the others', async () => {
  const details = {
    MailType: 'MARKETING' as const,
    WebsiteURL: 'https://example.com',
    ContactLanguage: 'EN' as const,
    UseCaseDescription: 'News.',
    AdditionalContactEmailAddresses: ['ann@example.com'],
  };
  await client.send(new PutAccountDetailsCommand({ ...details, ProductionAccessEnabled: true }));
  await client.send(new PutAccountDeliveryAttributesCommand({ SharedPoolDeliveryMode: 'REGIONAL' }));
  const vdm = { VdmEnabled: 'ENABLED', DashboardAttributes: { EngagementMetrics: 'ENABLED' } } as const;
  await client.send(new PutAccountVdmAttributesCommand({ VdmAttributes: vdm }));
  await client.send(new PutAccountSendingAttributesCommand({ SendingEnabled: false }));
  await client.send(new PutAccountSendingAttributesCommand({ SendingEnabled: true }));
  const shown = await account();
  assert.deepEqual(shown.Details, { ...details, ReviewDetails: { Status: 'GRANTED' } });
  assert.deepEqual(shown.DeliveryAttributes, { SharedPoolDeliveryMode: 'REGIONAL' });
  assert.deepEqual(shown.VdmAttributes, vdm);
  assert.equal(shown.SendingEnabled, true);
});

test('what is not done, or no value, is refused', async () => {
  const guardian = { OptimizedSharedDelivery: 'ENABLED' } as const;
  for (const call of [
    new PutAccountVdmAttributesCommand({
      VdmAttributes: { VdmEnabled: 'ENABLED', GuardianAttributes: guardian },
    }),
    new PutAccountDeliveryAttributesCommand({ SharedPoolDeliveryMode: 'ACCOUNT' as 'GLOBAL' }),
    new PutAccountDeliveryAttributesCommand({ SharedPoolDeliveryMode: undefined }),
    new PutAccountDetailsCommand({ MailType: 'TRANSACTIONAL', WebsiteURL: 'x'.repeat(1001) }),
    new PutAccountSuppressionAttributesCommand({
      ValidationAttributes: { ConditionThreshold: { ConditionThresholdEnabled: 'ENABLED' } },
    }),
  ])
    await assert.rejects(client.send(call as PutAccountVdmAttributesCommand), {
      name: 'BadRequestException',
    });
  await assert.rejects(
    user.send(new PutAccountDeliveryAttributesCommand({ SharedPoolDeliveryMode: 'GLOBAL' })),
    { name: 'AccessDeniedException' },
  );
});

test('what was sent is counted: in a day for the quota, by quarter hours of two weeks for v1', async () => {
  const now = Date.UTC(2026, 5, 10, 12, 40);
  const clock = new TestClock(now);
  const stored = openMemory({ clock });
  const tally = new Tally();
  const add = (at: number, tenant = 'default', change: object = {}): void =>
    tally.add(messageRecord({ tenant }), outcome('attempt', { at, attempt: attempt(change) }));
  const bounced = { state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' };
  add(now);
  add(now, 'default', bounced);
  add(now - 23 * HOUR);
  add(now - 25 * HOUR);
  add(now - 13 * DAY);
  add(now - 15 * DAY);
  add(now, 'tenant-2');
  await new StatisticsRecorder({ rows: stored.rows, shards: 1 }).count('batch', tally);
  const counted = await startSesServer({ stored, clock });
  try {
    // The client corrects its clock by the first answer.
    const old = counted.clientV1({ maxAttempts: 2 });
    assert.equal((await old.send(new GetSendQuotaCommand({}))).SentLast24Hours, 3);
    const { SendDataPoints: points } = await old.send(new GetSendStatisticsCommand({}));
    const quarter = (at: number) => new Date(at - (at % (15 * MINUTE)));
    const point = (at: number, DeliveryAttempts: number, Bounces: number) => ({
      Timestamp: quarter(at),
      DeliveryAttempts,
      Bounces,
      Complaints: 0,
      Rejects: 0,
    });
    assert.deepEqual(points, [
      point(now - 13 * DAY, 1, 0),
      point(now - 25 * HOUR, 1, 0),
      point(now - 23 * HOUR, 1, 0),
      point(now, 2, 1),
    ]);
  } finally {
    await counted.close();
    await stored.close();
  }
});
