/** Limits as the SES SDKs meet them: the quota that they read, and refusals that they try again or not. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as v1 from '@aws-sdk/client-ses';
import * as sdk from '@aws-sdk/client-sesv2';
import { DailyQuota } from '../../../lib/accept/daily-quota.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import { PosternError } from '../../../lib/errors.ts';
import { systemClock } from '../../../lib/time.ts';
import { type SesServer, startSesServer } from '../../support/ses-server.ts';

const { rows } = openMemory({ clock: systemClock });
let server: SesServer;
before(async () => {
  server = await startSesServer({ rows });
});
after(() => server.close());
beforeEach(() => {
  server.accept.refuse = () => {};
  server.accept.calls.length = 0;
});

const mail = {
  FromEmailAddress: 'a@example.com',
  Destination: { ToAddresses: ['b@example.net'] },
  Content: { Simple: { Subject: { Data: 's' }, Body: { Text: { Data: 't' } } } },
};
const old = {
  Source: 'a@example.com',
  Destination: { ToAddresses: ['b@example.net'] },
  Message: { Subject: { Data: 's' }, Body: { Text: { Data: 't' } } },
};

describe('the quota', () => {
  const quota = async () => (await server.client().send(new sdk.GetAccountCommand({}))).SendQuota;

  test('is unlimited while nobody has a limit', async () => {
    assert.deepEqual(await quota(), { Max24HourSend: -1, MaxSendRate: 1000, SentLast24Hours: 0 });
  });

  test('is the least of those that hold for the caller, with what is counted by it', async () => {
    await server.control.account.setLimits({ perDay: 1_000, perSecond: 50 });
    await server.control.tenants.update('default', (tenant) => ({
      ...tenant,
      limits: { perDay: 200, perSecond: 80 },
    }));
    const counter = new DailyQuota({ rows, clock: systemClock, process: 'p' });
    assert.equal(await counter.take('tenant/default', 7, 200), true);
    assert.deepEqual(await quota(), { Max24HourSend: 200, MaxSendRate: 50, SentLast24Hours: 7 });
    const byOld = await server.clientV1().send(new v1.GetSendQuotaCommand({}));
    assert.deepEqual([byOld.Max24HourSend, byOld.MaxSendRate, byOld.SentLast24Hours], [200, 50, 7]);
    await server.control.account.setLimits({});
    await server.control.tenants.update('default', (tenant) => ({ ...tenant, limits: {} }));
    assert.deepEqual(await quota(), { Max24HourSend: -1, MaxSendRate: 1000, SentLast24Hours: 0 });
  });
});

describe('a refusal', () => {
  test('for the rate is tried again by the SDKs, and the message goes when there is room', async () => {
    let refusals = 0;
    server.accept.refuse = () => {
      if ((refusals += 1) <= 2) throw new PosternError('throttled', 'Maximum sending rate exceeded: …');
    };
    const client = server.client({ maxAttempts: 3 });
    const { MessageId } = await client.send(new sdk.SendEmailCommand(mail));
    assert.ok(MessageId);
    assert.equal(server.accept.calls.length, 3);
  });

  test('has the names of each version', async () => {
    const failureOf = (call: Promise<unknown>): Promise<string> =>
      call.then(
        () => 'none',
        (error: Error & { $metadata: { httpStatusCode: number } }) =>
          `${error.$metadata.httpStatusCode} ${error.name}`,
      );
    for (const [code, expected, byOld] of [
      ['throttled', '429 TooManyRequestsException', '400 Throttling'],
      ['quota_exceeded', '400 LimitExceededException', '400 Throttling'],
      ['tenant_paused', '400 SendingPausedException', '400 AccountSendingPausedException'],
    ] as const) {
      server.accept.refuse = () => {
        throw new PosternError(code, 'no');
      };
      assert.equal(await failureOf(server.client().send(new sdk.SendEmailCommand(mail))), expected);
      assert.equal(await failureOf(server.clientV1().send(new v1.SendEmailCommand(old))), byOld);
    }
  });

  test('is said of each entry of a bulk call', async () => {
    await server.control.templates.create({
      name: 'hi',
      tenant: 'default',
      subject: 's',
      text: 't',
      createdAt: 0,
    });
    const codes = ['throttled', 'quota_exceeded', 'tenant_paused'] as const;
    let n = 0;
    server.accept.refuse = () => {
      throw new PosternError(codes[n++]!, 'no');
    };
    const { BulkEmailEntryResults } = await server.client().send(
      new sdk.SendBulkEmailCommand({
        FromEmailAddress: mail.FromEmailAddress,
        DefaultContent: { Template: { TemplateName: 'hi', TemplateData: '{}' } },
        BulkEmailEntries: codes.map(() => ({ Destination: mail.Destination })),
      }),
    );
    assert.deepEqual(
      BulkEmailEntryResults!.map(({ Status }) => Status),
      ['ACCOUNT_THROTTLED', 'ACCOUNT_DAILY_QUOTA_EXCEEDED', 'ACCOUNT_SENDING_PAUSED'],
    );
  });
});
