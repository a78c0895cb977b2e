/** `ListRecommendations` and `GetEmailAddressInsights` with a real DNS server. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  GetEmailAddressInsightsCommand,
  ListRecommendationsCommand,
  type ListRecommendationsCommandInput,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { createResolver } from '../../../lib/dns/resolver.ts';
import { fromMail } from '../../../lib/doctor/recommendations.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import type { Engine } from '../../../lib/engine/ports.ts';
import { systemClock } from '../../../lib/time.ts';
import { a, mx, startDnsServer, type TestDnsServer } from '../../support/dns-server.ts';
import { txt } from '../../support/doctor.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

/** Ahead of the time by which calls are signed, within what signatures may differ. */
let ahead = 0;
const clock = { now: () => systemClock.now() + ahead, after: systemClock.after.bind(systemClock) };

let dns: TestDnsServer;
let engine: Engine;
let server: SesServer;
let client: SESv2Client;
before(async () => {
  dns = await startDnsServer();
  const resolver = createResolver({
    servers: [{ address: '127.0.0.1', port: dns.port }],
    clock: systemClock,
  });
  engine = openMemory({ clock });
  server = await startSesServer({ clock, stored: engine, dns: { resolver, sources: ['8.8.4.4'] } });
  client = server.client();
  for (const name of ['one.example', 'two.example'])
    await server.control.identities.create({ name, tenant: 'default' });
  await server.control.identities.create({ name: 'ann@one.example', tenant: 'default' });
  await server.control.identities.create({
    name: 'their.example',
    tenant: 'tenant-2',
    keyLength: 'RSA_1024_BIT',
  });
});
after(async () => {
  await server.close();
  await engine.close();
  await dns.close();
});
beforeEach(() => {
  // Past the time for which a check is given again.
  ahead += 31_000;
  dns.zone.clear();
});

const ask = (input: ListRecommendationsCommandInput = {}, by = client) =>
  by.send(new ListRecommendationsCommand(input));
const brief = async (input: ListRecommendationsCommandInput = {}) =>
  (await ask(input)).Recommendations!.map(({ ResourceArn, Type, Impact, Status }) =>
    [ResourceArn!.slice(ResourceArn!.indexOf('/') + 1), Type, Impact, Status].join(' '),
  );
const ONE = { RESOURCE_ARN: 'arn:aws:ses:us-east-1:123456789012:identity/one.example' } as const;

async function publish(domain: string): Promise<void> {
  const { dkim } = (await server.control.identities.find(domain))!;
  for (const { name, value } of dkim.records) dns.zone.set(`TXT ${name}`, txt(value));
  dns.zone.set(`TXT bounces.${domain}`, txt('v=spf1 ip4:8.8.4.4 -all'));
  dns.zone.set(`MX bounces.${domain}`, mx([10, 'postern.example']));
  dns.zone.set(`TXT _dmarc.${domain}`, txt(`v=DMARC1; p=reject; rua=mailto:x@${domain}`));
}

describe('recommendations', () => {
  test('name what is missing of each domain of the tenant, and how to mend it', async () => {
    const open = (domain: string) =>
      ['BIMI LOW', 'DKIM HIGH', 'DMARC HIGH', 'SPF HIGH'].map((one) => `${domain} ${one} OPEN`);
    assert.deepEqual(await brief(), [...open('one.example'), ...open('two.example')]);
    const { Recommendations } = await ask({ Filter: { TYPE: 'SPF', STATUS: 'OPEN' } });
    assert.match(Recommendations![0]!.Description!, /bounces\.one\.example TXT v=spf1 ip4:8\.8\.4\.4 ~all/);
    const user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    const theirs = await ask({}, user);
    assert.deepEqual(
      [...new Set(theirs.Recommendations!.map((one) => one.ResourceArn))],
      ['arn:aws:ses:us-east-1:123456789012:identity/their.example'],
    );
    await assert.rejects(ask({ Filter: ONE }, user), { name: 'NotFoundException' });
  });

  test('are FIXED when DNS has the records, and OPEN anew when they are gone', async () => {
    await publish('one.example');
    assert.deepEqual(await brief({ Filter: ONE }), [
      'one.example BIMI LOW OPEN',
      'one.example DKIM HIGH FIXED',
      'one.example DMARC HIGH FIXED',
      'one.example SPF HIGH FIXED',
    ]);
    const [before] = (await ask({ Filter: { STATUS: 'FIXED', TYPE: 'DKIM' } })).Recommendations!;
    assert.ok(before!.LastUpdatedTimestamp! > before!.CreatedTimestamp!);
    dns.zone.clear();
    ahead += 31_000;
    assert.equal((await brief({ Filter: ONE }))[1], 'one.example DKIM HIGH OPEN');
    const [now] = (await ask({ Filter: { TYPE: 'DKIM' } })).Recommendations!;
    assert.ok(now!.CreatedTimestamp! > before!.CreatedTimestamp!);
  });

  test('stay as they are while DNS does not answer', async () => {
    await publish('one.example');
    assert.equal((await brief({ Filter: ONE }))[3], 'one.example SPF HIGH FIXED');
    ahead += 31_000;
    dns.zone.clear();
    for (const type of ['TXT', 'MX'])
      for (const name of ['one.example', 'bounces.one.example', '_dmarc.one.example', '_dmarc.example'])
        dns.zone.set(`${type} ${name}`, { rcode: 2 });
    assert.equal((await brief({ Filter: ONE }))[3], 'one.example SPF HIGH FIXED');
  });

  test('come in pages, by the filters of SES', async () => {
    const all: string[] = [];
    for (let NextToken: string | undefined, pages = 0; pages < 9; pages += 1) {
      const page = await ask({ PageSize: 3, NextToken });
      all.push(...page.Recommendations!.map((one) => `${one.ResourceArn} ${one.Type}`));
      NextToken = page.NextToken;
      if (NextToken === undefined) break;
    }
    assert.equal(all.length, 8);
    assert.equal(new Set(all).size, 8);
    assert.deepEqual(await brief({ Filter: { IMPACT: 'LOW', STATUS: 'OPEN' } }), [
      'one.example BIMI LOW OPEN',
      'two.example BIMI LOW OPEN',
    ]);
    for (const input of [
      { Filter: { IMPACT: 'LOW', TYPE: 'SPF' } },
      { Filter: { NONE: 'x' } as never },
      { PageSize: 0 },
      { PageSize: 101 },
      { NextToken: 'x' },
    ])
      await assert.rejects(ask(input as ListRecommendationsCommandInput), { name: 'BadRequestException' });
    assert.deepEqual(
      await brief({ Filter: { RESOURCE_ARN: 'arn:aws:ses:us-east-1:123456789012:configuration-set/x' } }),
      [],
    );
  });

  test('of bounces and complaints are about enough mail, at the rates of providers', () => {
    const types = (sent: number, permanentBounces: number, complaints: number) =>
      fromMail({ sent, permanentBounces, complaints }).map(({ type, impact }) => `${type} ${impact}`);
    assert.deepEqual(types(999, 999, 999), []);
    assert.deepEqual(types(1000, 49, 0), []);
    assert.deepEqual(types(1000, 50, 1), ['BOUNCE LOW', 'COMPLAINT LOW']);
    assert.deepEqual(types(1000, 100, 3), ['BOUNCE HIGH', 'COMPLAINT HIGH']);
  });
});

describe('insights about an address', () => {
  async function verdicts(EmailAddress: string): Promise<string> {
    const { MailboxValidation } = await client.send(new GetEmailAddressInsightsCommand({ EmailAddress }));
    const { IsValid, Evaluations = {} } = MailboxValidation!;
    const all = { IsValid, ...Evaluations };
    return Object.entries(all)
      .map(([name, verdict]) => `${name} ${verdict!.ConfidenceVerdict}`)
      .join(', ');
  }

  test('are what syntax, DNS and mail to it say', async () => {
    dns.zone.set('MX takes.example', mx([10, 'mx.takes.example']));
    dns.zone.set('MX never.example', mx([0, '']));
    dns.zone.set('A plain.example', a('192.0.2.1'));
    dns.zone.set('MX broken.example', { rcode: 2 });
    const fine = 'HasValidSyntax HIGH, HasValidDnsRecords';
    assert.equal(
      await verdicts('ann@takes.example'),
      `IsValid MEDIUM, ${fine} HIGH, MailboxExists MEDIUM, IsRoleAddress LOW`,
    );
    assert.equal(
      await verdicts('Info+x@plain.example'),
      `IsValid MEDIUM, ${fine} HIGH, MailboxExists MEDIUM, IsRoleAddress HIGH`,
    );
    for (const name of ['never.example', 'none.example'])
      assert.equal(
        await verdicts(`a@${name}`),
        `IsValid LOW, ${fine} LOW, MailboxExists LOW, IsRoleAddress LOW`,
      );
    assert.match(await verdicts('a@broken.example'), /IsValid MEDIUM.*HasValidDnsRecords MEDIUM/);
    assert.match(await verdicts('not an address'), /^IsValid LOW, HasValidSyntax LOW/);
    for (const EmailAddress of ['', 'a'.repeat(321)])
      await assert.rejects(client.send(new GetEmailAddressInsightsCommand({ EmailAddress })), {
        name: 'BadRequestException',
      });
  });

  test('know what mail to it met, and who is listed', async () => {
    dns.zone.set('MX takes.example', mx([10, 'mx.takes.example']));
    const met = async (to: string, state: 'delivered' | 'bounced') => {
      const record = messageRecord({
        id: `m ${to}`,
        tenant: 'default',
        recipients: [to],
        acceptedAt: clock.now(),
      });
      const ended = attempt(state === 'bounced' ? { state, reason: 'peer_permanent', text: '550 no' } : {});
      const settled = [outcome('attempt', { messageId: record.id, tenant: 'default', n: 0, attempt: ended })];
      await engine.queue.admit([{ record, body: Buffer.from('x'), deliveries: [], settled }]);
    };
    await met('good@takes.example', 'delivered');
    await met('bad@takes.example', 'bounced');
    await engine.suppressions.put({
      tenant: 'default',
      address: 'gone@takes.example',
      reason: 'BOUNCE',
      at: clock.now(),
    });
    assert.match(await verdicts('GOOD@takes.example'), /IsValid HIGH.*MailboxExists HIGH/);
    assert.match(await verdicts('bad@takes.example'), /IsValid LOW.*MailboxExists LOW/);
    assert.match(await verdicts('gone@takes.example'), /IsValid LOW.*MailboxExists LOW/);
  });
});
