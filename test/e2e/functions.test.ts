/**
 * The functions on the AWS engine over emulators, called with events in the form of Lambda. Every request to
 * AWS is recorded and checked against the permissions of the function's role.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, mock, test } from 'node:test';
import {
  GetEmailIdentityCommand,
  ListEmailIdentitiesCommand,
  ListTagsForResourceCommand,
} from '@aws-sdk/client-sesv2';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { LambdaFunctionURLResult } from 'aws-lambda';
import { openService } from '../../functions/api-service.ts';
import { blockedLinks } from '../../functions/blocked-links.ts';
import { createDue } from '../../functions/due.ts';
import type { ApiSettings } from '../../functions/environment.ts';
import { type FirstKey, makeFirstKey, openKeysOf } from '../../functions/first-key.ts';
import { createConsumer, openGuards } from '../../functions/outcomes.ts';
import { openPipeline } from '../../lib/accept/open.ts';
import type { Submission } from '../../lib/accept/types.ts';
import { createTracking } from '../../lib/api/tracking.ts';
import { openControl } from '../../lib/control/control.ts';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import { writeOutcomes } from '../../lib/engine/aws/outcome-message.ts';
import { decodeRecord, encodeRecord } from '../../lib/engine/aws/record-codec.ts';
import { openReporter, type Reporter } from '../../lib/engine/aws/reporter.ts';
import type { MessageRecord, Outcome } from '../../lib/engine/items.ts';
import type { Engine, Rows } from '../../lib/engine/ports.ts';
import { answer, type Fetch } from '../../lib/http/function-url.ts';
import type { RawRequest } from '../../lib/http/raw-request.ts';
import { silentLog } from '../../lib/log.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { createMailMetrics } from '../../lib/observe/mail-metrics.ts';
import { StatisticsReader } from '../../lib/statistics/reader.ts';
import { StatisticsRecorder } from '../../lib/statistics/recorder.ts';
import { type Clock, DAY, HOUR } from '../../lib/time.ts';
import { Faults, moveTime, startTestAws, type TestAws } from '../support/aws.ts';
import { MASTER_KEY } from '../support/control.ts';
import { openEmf } from '../support/emf.ts';
import { sdkThrough, throughCloudFront, VIEWER } from '../support/front.ts';
import { scheduled, sqsEvent, URL_DOMAIN, urlEvent } from '../support/lambda.ts';
import { attempt, outcome } from '../support/outcomes.ts';
import { inRole } from '../support/roles.ts';
import { sign, type ToSign } from '../support/signing.ts';
import { LINKS, TRACKING_KEY, UNSUBSCRIBE } from '../support/tracking.ts';

const LANE = 'default:transactional:other';
/** No test here but that of protection has so many bounces. */
const UNPROTECTED = { check: () => Promise.resolve() };
const counting = (rows: Rows): StatisticsRecorder => new StatisticsRecorder({ rows, shards: 4 });
const clock: Clock = {
  now: () => Date.now(),
  after(delay, task) {
    const timer = setTimeout(task, delay).unref();
    return () => clearTimeout(timer);
  },
};

let aws: TestAws;
/** Engines, each with the permissions of its role. */
const engines: Engine[] = [];

/** An engine under a role: a request that the role may not make fails the test. */
async function engineOf(role: string, faults = new Faults()): Promise<AwsEngine> {
  const { resources } = aws;
  const client = faults.on(inRole(role, resources, aws.client));
  const engine = await openAws({ resources, clock, client, log: silentLog });
  engines.push(engine);
  return engine;
}

const apiFaults = new Faults();
let key: FirstKey;
let api: Fetch;
const { emf, lines } = openEmf();
/** Events have a test of their own. */
const publish = async (): Promise<void> => {};
const output = { log: silentLog, emf };

let settings: ApiSettings & { region: string };

before(async () => {
  aws = await startTestAws([LANE, LANE.replace('default', 'vip')]);
  settings = {
    resources: aws.resources,
    accountId: '123456789012',
    hostname: 'mail.example.com',
    eventDays: 7,
    region: 'us-east-1',
    pools: ['default', 'vip'],
    returnPathDomain: 'bounces.example.com',
    secrets: 'secrets',
  };
});

after(async () => {
  mock.timers.reset();
  for (const engine of engines) await engine.close();
  await aws.stop();
});

afterEach(() => {
  lines.length = 0;
});

async function call(request: Partial<ToSign>): Promise<{ status: number; json: Record<string, unknown> }> {
  const signed = await sign({
    id: key.accessKeyId,
    secret: key.secretAccessKey,
    at: Date.now(),
    rawPath: '/v2/email/outbound-emails',
    ...request,
  });
  return resultOf(await answer(api, urlEvent(signed)));
}

/** A call of the Postern API, with a bearer key. */
async function callPostern(method: string, path: string, body: object) {
  const headers: [string, string][] = [
    ['host', URL_DOMAIN],
    ['content-type', 'application/json'],
    ['authorization', `Bearer ${key.accessKeyId}.${key.secretAccessKey}`],
  ];
  const event = urlEvent({
    method,
    rawPath: `/v1/${path}`,
    rawQuery: '',
    headers,
    body: Buffer.from(JSON.stringify(body)),
    sourceIp: '192.0.2.77',
  });
  return resultOf(await answer(api, event));
}

function resultOf(result: LambdaFunctionURLResult): { status: number; json: Record<string, unknown> } {
  assert.ok(typeof result === 'object');
  return { status: result.statusCode!, json: JSON.parse(result.body!) as Record<string, unknown> };
}

const message = {
  FromEmailAddress: 'ann@example.com',
  Destination: { ToAddresses: ['bob@example.net'] },
  Content: { Simple: { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'Hello Bob' } } } },
};

describe('first-key', () => {
  test('creates a key for the first administrator, once', async () => {
    const { config } = await engineOf('api FirstKeyRole');
    const keys = openKeysOf(config, MASTER_KEY);
    key = await makeFirstKey(keys);
    assert.match(key.accessKeyId, /^AKIA\w{16}$/);
    await assert.rejects(makeFirstKey(keys), { code: 'already_exists' });
  });
});

describe('api', () => {
  before(async () => {
    api = await openService({
      engine: await engineOf('api ApiRole', apiFaults),
      settings,
      masterKey: MASTER_KEY,
      returnPathKey: Buffer.alloc(32, 3),
      trackingKey: TRACKING_KEY,
      clock,
      random: Math.random,
      output,
    });
  });

  test('refuses unsigned requests in the words of SES', async () => {
    const unsigned = await sign({ id: 'AKIA', secret: 'x', at: Date.now() });
    const headers = unsigned.headers.filter(([name]) => name !== 'authorization');
    const { status, json } = resultOf(await answer(api, urlEvent({ ...unsigned, headers })));
    assert.deepEqual([status, json.message], [403, 'Missing Authentication Token']);
  });

  test('refuses a signature over another path, query, header or body', async () => {
    const signed = await sign({
      id: key.accessKeyId,
      secret: key.secretAccessKey,
      at: Date.now(),
      rawPath: '/v2/email/identities',
      rawQuery: 'PageSize=10',
      query: { PageSize: '10' },
      method: 'GET',
    });
    const changed = [
      { rawPath: '/v2/email/identities/' },
      { rawQuery: 'PageSize=11' },
      { body: Buffer.from('x') },
      {
        headers: signed.headers.map(([name, value]): [string, string] => [
          name,
          name === 'host' ? 'other' : value,
        ]),
      },
    ];
    for (const change of changed) {
      const { status } = resultOf(await answer(api, urlEvent({ ...signed, ...change })));
      assert.equal(status, 403, JSON.stringify(Object.keys(change)));
    }
    assert.equal(resultOf(await answer(api, urlEvent(signed))).status, 200);
  });

  test('accepts paths and bodies as they were signed', async () => {
    const created = await call({
      rawPath: '/v2/email/identities',
      body: JSON.stringify({ EmailIdentity: 'example.com' }),
    });
    assert.equal(created.status, 200);
    // boto3 sends no payload hash, and a body without a type of text comes in base64.
    const found = await call({
      method: 'GET',
      rawPath: '/v2/email/identities/example%2Ecom',
      checksum: false,
      headers: { 'content-type': 'application/octet-stream', 'x-note': 'à  bientôt' },
    });
    assert.equal(found.status, 200);
    assert.equal(found.json.IdentityType, 'DOMAIN');
  });

  test('sends nothing for an unproven domain', async () => {
    const { status, json } = await call({ body: JSON.stringify(message) });
    assert.equal(status, 400);
    assert.match(json.message as string, /not verified/);
  });

  test('puts mail into its lane, and counts it', async () => {
    await proveDomain();
    const { status, json } = await call({ body: JSON.stringify(message) });
    assert.equal(status, 200, JSON.stringify(json));
    const { queue } = await engineOf('egress Rolea');
    const [leased] = await queue.lease({ lane: LANE, max: 10, visibility: 30_000, wait: 0 });
    assert.equal(leased!.item.recipient, 'bob@example.net');
    assert.match(leased!.item.mailFrom, /@bounces\.example\.com$/);
    assert.match(leased!.bytes.toString(), /^DKIM-Signature: /m);
    await queue.settle([{ kind: 'end', leased: leased!, state: 'delivered', attempt: attempt({}) }]);
    assert.deepEqual(lines.at(-1)?.values, { Accepted: [1] });
  });
});

describe('api, for pools', () => {
  test('accepts mail for pools that have lanes and, where there is one, are in the routing document', async () => {
    const send = async (pool: string) => {
      const mail = {
        from: 'ann@example.com',
        to: ['bob@example.net'],
        subject: 'Hello',
        text: 'Hello.',
        pool,
      };
      const { status, json } = await callPostern('POST', 'messages', mail);
      return status < 300 ? 'taken' : JSON.stringify(json);
    };
    const route = async (pools: object) => {
      const { status, json } = await callPostern('PUT', 'config/routing/default', { pools });
      assert.equal(status, 200, JSON.stringify(json));
    };
    assert.equal(await send('vip'), 'taken');
    assert.match(await send('news'), /Sending pool <news> does not exist/);
    await route({ news: { ips: ['203.0.113.10'] } });
    assert.match(await send('vip'), /Sending pool <vip> does not exist/);
    assert.match(await send('news'), /Sending pool <news> does not exist/, 'it has no lanes');
    assert.equal(await send('default'), 'taken');
    await route({ vip: { ips: ['203.0.113.10'] } });
    assert.equal(await send('vip'), 'taken');
    const { queue } = await engineOf('egress Rolea');
    const left = await queue.lease({ lane: LANE, max: 10, visibility: 30_000, wait: 0 });
    await queue.settle(
      left.map((leased) => ({ kind: 'end', leased, state: 'delivered', attempt: attempt({}) })),
    );
  });
});

describe('the API behind a custom domain', () => {
  const SECRET = 'kX3vQ9sT1bN7mZ5cR2wY8dF4hJ6gL0pA';
  const reach = (secret: string) => (request: RawRequest) =>
    answer(api, throughCloudFront(request, secret), SECRET);
  const endpoint = 'https://api.example.com';

  test('accepts the SDK’s signature over that domain, with paths and queries as they were sent', async () => {
    const client = sdkThrough(endpoint, key, reach(SECRET));
    const { EmailIdentities } = await client.send(new ListEmailIdentitiesCommand({ PageSize: 10 }));
    assert.deepEqual(
      EmailIdentities?.map(({ IdentityName }) => IdentityName),
      ['example.com'],
    );
    const missing = client.send(new GetEmailIdentityCommand({ EmailIdentity: 'a b/ü@example.com' }));
    await assert.rejects(missing, { name: 'NotFoundException' });
    const arn = 'arn:aws:ses:us-east-1:123456789012:identity/example.com';
    await client.send(new ListTagsForResourceCommand({ ResourceArn: arn })).catch((error: Error) => {
      // The operation may be unsupported: its signature was valid.
      assert.equal(error.name, 'BadRequestException');
    });
    client.destroy();
  });

  test('records the address of the caller, not of the distribution', async () => {
    const seen: string[] = [];
    const fetch: Fetch = (_, { incoming }) => {
      seen.push(incoming.sourceIp, ...incoming.headers.map(([name]) => name));
      return new Response('{}');
    };
    const request = await sign({ id: 'AKIA', secret: 'x', at: Date.now() });
    const result = await answer(fetch, throughCloudFront(request, SECRET), SECRET);
    assert.equal(seen[0], VIEWER);
    assert.ok(!seen.some((name) => name.startsWith('x-postern-')));
    assert.ok(typeof result === 'object');
    assert.equal(result.headers?.['cache-control'], 'no-store');
  });

  test('trusts the forwarded address only with the secret, and never in a stage without a distribution', async () => {
    for (const secret of ['', 'x', `${SECRET}x`, SECRET.toLowerCase()]) {
      const client = sdkThrough(endpoint, key, reach(secret));
      await assert.rejects(client.send(new ListEmailIdentitiesCommand({})), {
        name: 'InvalidSignatureException',
      });
      client.destroy();
    }
    const none = sdkThrough(endpoint, key, (request) => answer(api, throughCloudFront(request, SECRET)));
    await assert.rejects(none.send(new ListEmailIdentitiesCommand({})), {
      name: 'InvalidSignatureException',
    });
    none.destroy();
  });

  test('still answers at the Function URL’s own name', async () => {
    const direct = sdkThrough(`https://${URL_DOMAIN}`, key, (request) =>
      answer(api, urlEvent(request), SECRET),
    );
    await direct.send(new ListEmailIdentitiesCommand({}));
    direct.destroy();
  });
});

describe('api, after it was stopped for a while', () => {
  test('refuses a key that was revoked meanwhile, and every key while the store is unavailable', async () => {
    const { config } = await engineOf('api ApiRole');
    const control = await openControl({ config, masterKey: MASTER_KEY, clock, verifyIdentities: true });
    const first = key;
    const made = await control.keys.create({ admin: true, tenant: 'default' });
    key = { accessKeyId: made.id, secretAccessKey: made.secret };
    const account = { method: 'GET', rawPath: '/v2/email/account' };
    try {
      moveTime(Date.now() + 1_100);
      assert.equal((await call(account)).status, 200);
      await control.keys.revoke(made.id);
      moveTime(Date.now() + 1_100);
      assert.equal((await call(account)).status, 403);
      key = first;
      moveTime(Date.now() + 1_100);
      apiFaults.add({ command: 'Query', kind: 'refused', times: 1, error: 'AccessDenied' });
      assert.equal((await call(account)).status, 503);
      assert.equal((await call(account)).status, 200);
    } finally {
      key = first;
      await control.close();
    }
  });
});

/** Stores the domain as proven, in place of a DNS check. */
async function proveDomain(): Promise<void> {
  const { config } = await engineOf('api ApiRole');
  let records: { name: string; value: string }[] = [];
  const control = await openControl({
    config,
    masterKey: MASTER_KEY,
    clock,
    verifyIdentities: true,
    resolveTxt: (name) =>
      Promise.resolve(records.filter((one) => one.name === name).map(({ value }) => [value])),
  });
  records = (await control.identities.find('example.com'))!.dkim.records;
  assert.equal((await control.identities.check('example.com')).verified, true);
  await control.close();
  // A call that comes a second later sees the change, with or without a run of its timers.
  moveTime(Date.now() + 1_100);
}

describe('due', () => {
  const schedule = (minutes: number) => ({
    messages: [
      {
        from: 'ann@example.com',
        to: ['late@example.net'],
        subject: 'Later',
        text: 'Later.',
        sendAt: new Date(Date.now() + minutes * 60_000).toISOString(),
      },
    ],
  });

  test('plans and moves mail that is due soon, and reports the lateness of the oldest', async () => {
    const { ledger } = await engineOf('api DueRole');
    const due = createDue(ledger, output, clock);
    const { status, json } = await callPostern('POST', 'messages', schedule(40).messages[0]!);
    assert.ok(status >= 200 && status < 300, JSON.stringify(json));

    await due(scheduled);
    const sqs = new SQSClient({ ...aws.client, endpoint: aws.client.endpoints!.sqs });
    const asked = async (): Promise<string[]> => {
      const QueueUrl = `${aws.resources.queueUrlPrefix}due`;
      const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 0 }));
      return Messages.map(({ Body }) => Body!);
    };
    assert.deepEqual(await asked(), []);
    moveTime(Date.now() + 30 * 60_000);
    await due(scheduled);
    const shards = await asked();
    assert.equal(shards.length, 1);
    const { queue } = await engineOf('egress Rolea');
    const request = { lane: LANE, max: 10, visibility: 30_000, wait: 0 };
    moveTime(Date.now() + 11 * 60_000);
    assert.deepEqual(await queue.lease(request), []);
    await due(scheduled);
    await due(sqsEvent(shards));
    assert.deepEqual(
      lines.flatMap(({ values }) => values.OldestDueAgeSeconds ?? []).map((late) => Math.floor(late / 60)),
      [0, 0, 1],
    );
    assert.equal((await queue.lease(request)).length, 1);
    sqs.destroy();
  });
});

describe('outcomes', () => {
  test('counts readable outcomes, and returns only the others', async () => {
    const { records, suppressions, keepReports, rows: counted } = await engineOf('api OutcomesRole');
    const logged: [string, unknown][] = [];
    const note = (event: string, fields?: unknown): void => void logged.push([event, fields]);
    const consume = createConsumer({
      records,
      keepReports,
      publish,
      suppressions,
      statistics: counting(counted),
      protection: UNPROTECTED,
      context: { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' },
      output: { emf, log: { debug: note, info: note, warn: note, error: note } },
    });
    const { json } = await call({ body: JSON.stringify(message) });
    const messageId = (json.MessageId as string).slice(0, 60);
    const at = Date.now();
    const happened: Outcome[] = [
      outcome('attempt', { messageId, at, attempt: attempt({ at }), tenant: 'default' }),
      outcome('complaint', { messageId, at, tenant: 'default', detail: { feedbackType: 'abuse' } }),
      outcome('attempt', { messageId: 'gone', attempt: attempt({}) }),
    ];
    lines.length = 0;
    const event = sqsEvent([
      writeOutcomes(happened.slice(0, 2)),
      'not JSON',
      writeOutcomes([{ ...happened[0]!, v: 99 }]),
      writeOutcomes(happened.slice(2)),
    ]);
    assert.deepEqual(await consume(event), {
      batchItemFailures: [{ itemIdentifier: 'message-1' }, { itemIdentifier: 'message-2' }],
    });
    const { Latency, ...counts } = lines[0]!.values;
    assert.deepEqual(counts, { Attempted: [1], Delivered: [1], Complaints: [1] });
    assert.equal(Latency?.length, 1);
    assert.deepEqual(lines[1]!.values, {
      'Reputation.BounceRate': [0],
      'Reputation.ComplaintRate': [0, 1],
    });
    const events = logged.map(([name]) => name);
    assert.deepEqual(events, [
      'outcome refused',
      'outcome refused',
      'suppression',
      'outcomes without a record',
    ]);
    // The same batch comes again: it is counted once.
    await consume(event);
    const { rows } = await engineOf('api ApiRole');
    const [point] = await new StatisticsReader(rows).series({
      tenant: 'default',
      from: at - DAY,
      before: at + DAY,
      granularity: 'day',
    });
    assert.deepEqual(point!.counts, {
      complaints: 1,
      delivered: 1,
      ratedComplaints: 1,
      ratedSent: 1,
      sent: 1,
    });
    await complainedOf(json.MessageId as string);
  });

  /** `bob@example.net` complained: mail to him now ends at once, and a late outcome changes nothing. */
  async function complainedOf(messageId: string): Promise<void> {
    const listed = await call({
      method: 'GET',
      rawPath: '/v2/email/suppression/addresses/BOB%40example.net',
    });
    const { EmailAddress, Reason, Attributes } = listed.json.SuppressedDestination as Record<string, unknown>;
    assert.deepEqual([EmailAddress, Reason], ['bob@example.net', 'COMPLAINT']);
    assert.equal((Attributes as { MessageId: string }).MessageId, messageId);
    const { status, json } = await call({ body: JSON.stringify(message) });
    assert.equal(status, 200, 'it is accepted');
    const { records } = await engineOf('api ApiRole');
    const [delivery] = await records.deliveries((json.MessageId as string).slice(0, 60));
    assert.equal(delivery!.state, 'suppressed');
    assert.match(delivery!.text, /^Not sent: bob@example\.net is on the suppression list since /);
    const removed = await call({
      method: 'DELETE',
      rawPath: '/v2/email/suppression/addresses/bob%40example.net',
    });
    assert.equal(removed.status, 200);
  }

  test('returns only the outcomes that it cannot list; repeated ones restore no removed address', async () => {
    const faults = new Faults();
    const { records, suppressions, keepReports, rows: counted } = await engineOf('api OutcomesRole', faults);
    const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
    const consume = createConsumer({
      records,
      suppressions,
      keepReports,
      publish,
      statistics: counting(counted),
      protection: UNPROTECTED,
      context,
      output,
    });
    const to = { ...message, Destination: { ToAddresses: ['gone@example.net', 'other@example.net'] } };
    const { json } = await call({ body: JSON.stringify(to) });
    const messageId = (json.MessageId as string).slice(0, 60);
    const refused = attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' });
    const bounced = (n: number): Outcome =>
      outcome('attempt', { messageId, n, at: Date.now(), tenant: 'default', attempt: refused });
    const event = sqsEvent([writeOutcomes([bounced(0)]), writeOutcomes([bounced(1)])]);
    lines.length = 0;
    const when = (input: Record<string, unknown>): boolean => JSON.stringify(input).includes('gone@');
    faults.add({ command: 'UpdateItem', times: 1, kind: 'refused', error: 'ValidationException', when });
    assert.deepEqual(await consume(event), { batchItemFailures: [{ itemIdentifier: 'message-0' }] });
    assert.deepEqual(lines[0]!.values, { Attempted: [1], Bounced: [1] }, 'what comes again is counted then');
    assert.deepEqual(await consume(event), { batchItemFailures: [] });
    const api = (await engineOf('api ApiRole')).suppressions;
    const addresses = to.Destination.ToAddresses.map((address) => ({ tenant: 'default', address }));
    const found = async () => (await api.find(addresses)).map((one) => one?.reason);
    assert.deepEqual(await found(), ['BOUNCE', 'BOUNCE']);
    moveTime(Date.now() + 1_000);
    assert.equal(await api.remove('default', 'gone@example.net', Date.now()), true);
    assert.deepEqual(await consume(event), { batchItemFailures: [] });
    assert.deepEqual(await found(), [undefined, 'BOUNCE']);
  });

  test('returns only the outcomes of a message whose record is of a newer version', async () => {
    const { records, suppressions, keepReports, rows: counted } = await engineOf('api OutcomesRole');
    const { json } = await call({ body: JSON.stringify(message) });
    const messageId = (json.MessageId as string).slice(0, 60);
    const consume = createConsumer({
      records: {
        reports: (id) => records.reports(id),
        message: async (id) =>
          id === 'newer'
            ? decodeRecord<MessageRecord>(encodeRecord({ v: 99 }), 'a record')
            : records.message(id),
      },
      keepReports,
      publish,
      suppressions,
      statistics: counting(counted),
      protection: UNPROTECTED,
      context: { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' },
      output,
    });
    const delivered = (id: string) => outcome('attempt', { messageId: id, attempt: attempt({}) });
    lines.length = 0;
    const event = sqsEvent([
      writeOutcomes([delivered(messageId), delivered('newer')]),
      writeOutcomes([delivered(messageId)]),
    ]);
    assert.deepEqual(await consume(event), { batchItemFailures: [{ itemIdentifier: 'message-0' }] });
    assert.deepEqual([lines[0]!.values.Attempted, lines[0]!.values.Delivered], [[1], [1]]);
  });

  test('returns the whole batch when storage does not answer', async () => {
    const consume = createConsumer({
      records: {
        message: () => Promise.reject(new Error('away')),
        reports: () => Promise.reject(new Error('away')),
      },
      keepReports: () => Promise.resolve(),
      publish,
      suppressions: (await engineOf('api OutcomesRole')).suppressions,
      statistics: { count: () => assert.fail('nothing was read') },
      protection: UNPROTECTED,
      context: { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' },
      output,
    });
    await assert.rejects(consume(sqsEvent([writeOutcomes([outcome('cancelled')])])), /away/);
    assert.equal(lines.length, 0);
  });
});

/** An answer with status and headers, in the form of Lambda. */
type Answered = Exclude<LambdaFunctionURLResult, string>;

describe('track', () => {
  const HTML = '<body><a ses:tags="k:v" href="https://a.example/?x=1">a</a></body>';

  /** Calls tracking under its role; `lost` counts unreported opens and clicks. */
  function openTrack(faults = new Faults()): {
    get(url: string, method?: string): Promise<Answered>;
    lost: () => number;
  } {
    const { queueUrlPrefix } = aws.resources;
    const client = faults.on(inRole('api TrackRole', aws.resources, aws.client));
    const { config: configTable } = aws.resources.tables;
    const reporter = openReporter({ queueUrlPrefix, configTable, clock, client });
    reporters.push(reporter);
    let lost = 0;
    const app = createTracking({
      unsubscribeLinks: UNSUBSCRIBE.links,
      blocked: blockedLinks(reporter, clock, silentLog),
      links: LINKS,
      report: (outcome) => reporter.report([outcome]),
      clock,
      log: silentLog,
      onUnreported: () => void lost++,
    });
    return {
      lost: () => lost,
      async get(url, method = 'GET') {
        const { host, pathname: rawPath } = new URL(url);
        const request: RawRequest = {
          method,
          rawPath,
          rawQuery: '',
          headers: [
            ['x-postern-front', 'front'],
            ['x-postern-viewer-host', host],
            ['x-postern-viewer-address', '203.0.113.9'],
            ['host', 'lambda-url.us-east-1.on.aws'],
            ['user-agent', 'Reader'],
          ],
          sourceIp: '192.0.2.77',
          body: Buffer.alloc(0),
        };
        const fetch: Fetch = (one, env) => app.fetch(one, env);
        return (await answer(fetch, urlEvent(request), 'front')) as Answered;
      },
    };
  }

  const reporters: Reporter[] = [];
  after(() => {
    for (const one of reporters) one.close();
  });

  /** Sends a tracked message. @returns its id, and its links by kind. */
  async function send(engine: Engine): Promise<{ id: string; image: string; link: string }> {
    const { json } = await call({
      body: JSON.stringify({
        ...message,
        ConfigurationSetName: 'tracked',
        Content: { Simple: { Subject: { Data: 'Hello' }, Body: { Html: { Data: HTML } } } },
      }),
    });
    const id = json.MessageId as string;
    const waiting = await engine.queue.lease({ lane: LANE, max: 10, visibility: 60_000, wait: 0 });
    const html = waiting
      .find(({ item }) => id.startsWith(item.messageId))!
      .bytes.toString()
      .replaceAll('=\r\n', '')
      .replaceAll('=3D', '=');
    const [link, image] = [...html.matchAll(/https:\/\/track\.example\.com\/t\/[\w/-]+/g)].map(
      ([url]) => url,
    );
    return { id, image: image!, link: link! };
  }

  test('reports opens, clicks and who unsubscribes, which are shown with their message', async () => {
    await call({
      rawPath: '/v2/email/configuration-sets',
      body: JSON.stringify({
        ConfigurationSetName: 'tracked',
        TrackingOptions: { CustomRedirectDomain: 'track.example.com', HttpsPolicy: 'REQUIRE' },
      }),
    });
    const anybody = await openAws({ resources: aws.resources, clock, client: aws.client, log: silentLog });
    engines.push(anybody);
    await drain(anybody);
    const { id, image, link } = await send(anybody);
    const track = openTrack();
    assert.equal((await track.get(image)).isBase64Encoded, true);
    const followed = await track.get(link);
    assert.deepEqual([followed.statusCode, followed.headers?.location], [302, 'https://a.example/?x=1']);
    assert.equal((await track.get(link.replace('track.example.com', 'other.example.com'))).statusCode, 404);
    const off = { blocked: [{ domain: 'a.example', reason: 'Phishing was reported.' }] };
    assert.equal((await callPostern('PUT', 'config/links/default', off)).status, 200);
    const switchedOff = await openTrack().get(link);
    assert.deepEqual([switchedOff.statusCode, switchedOff.headers?.location], [410, undefined]);
    assert.equal((await callPostern('PUT', 'config/links/default', {})).status, 200);
    const reader = { messageId: id, tenant: 'default', address: 'bob@example.net' };
    const leave = `https://track.example.com${UNSUBSCRIBE.links.make('track.example.com', reader)}`;
    assert.match((await track.get(leave)).body!, /<form method="post">/);
    for (const _ of [1, 2]) assert.equal((await track.get(leave, 'POST')).statusCode, 200);

    const { records, suppressions, keepReports, rows: counted } = await engineOf('api OutcomesRole');
    const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
    const consume = createConsumer({
      records,
      suppressions,
      keepReports,
      publish,
      statistics: counting(counted),
      protection: UNPROTECTED,
      context,
      output,
    });
    const event = sqsEvent([writeOutcomes(await drain(anybody))]);
    assert.deepEqual(await consume(event), { batchItemFailures: [] });
    // SQS may deliver twice.
    assert.deepEqual(await consume(event), { batchItemFailures: [] });

    const shown = await answer(
      api,
      urlEvent({
        method: 'GET',
        rawPath: `/v1/messages/${encodeURIComponent(id)}/events`,
        rawQuery: '',
        headers: [
          ['host', 'api.example.com'],
          ['authorization', `Bearer ${key.accessKeyId}.${key.secretAccessKey}`],
        ],
        sourceIp: '192.0.2.1',
        body: Buffer.alloc(0),
      }),
    );
    const { events } = resultOf(shown).json as {
      events: { eventType: string; open?: object; click?: object }[];
    };
    const timestamp = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;
    assert.deepEqual(events.map(({ eventType }) => eventType).sort(), [
      'Click',
      'Open',
      'Send',
      'Subscription',
    ]);
    const open = events.find(({ eventType }) => eventType === 'Open');
    const click = events.find(({ eventType }) => eventType === 'Click');
    const { timestamp: openedAt, ...opened } = open!.open as Record<string, string>;
    assert.match(openedAt!, timestamp);
    assert.deepEqual(opened, { ipAddress: '203.0.113.9', userAgent: 'Reader', isBotEvent: 'Likely' });
    const { timestamp: clickedAt, ...clicked } = click!.click as Record<string, string>;
    assert.match(clickedAt!, timestamp);
    assert.deepEqual(clicked, {
      ipAddress: '203.0.113.9',
      userAgent: 'Reader',
      link: 'https://a.example/?x=1',
      linkTags: { k: ['v'] },
      isBotEvent: 'Likely',
    });
  });

  test('redirects when the outcome queue does not answer', async () => {
    const link = `https://track.example.com${LINKS.click('track.example.com', { messageId: newMessageId(Date.now()) }, 0, 'https://a.example/', '')}`;
    const faults = new Faults();
    faults.add({ command: 'SendMessageBatch', kind: 'cut', times: 100 });
    const track = openTrack(faults);
    const followed = await track.get(link);
    assert.deepEqual([followed.statusCode, track.lost()], [302, 1]);
  });

  /** Empties the outcome queue. */
  async function drain(engine: Engine): Promise<Outcome[]> {
    const all: Outcome[] = [];
    for (let cursor = 0; ; ) {
      const page = await engine.records.feed(cursor, 100);
      if (page.outcomes.length === 0) return all;
      all.push(...page.outcomes);
      cursor = page.cursor;
    }
  }
});

describe('the submission service', () => {
  test('accepts mail with the rights of its role, and no others', async () => {
    const engine = await engineOf('submission Role');
    const metrics = createMailMetrics(emf);
    const { accept, control, close } = await openPipeline({
      engine,
      settings,
      masterKey: MASTER_KEY,
      returnPathKey: Buffer.alloc(32, 3),
      trackingKey: TRACKING_KEY,
      clock,
      random: Math.random,
      metrics,
      maxMessageBytes: 40 << 20,
    });
    const content = (bytes: number) =>
      Buffer.from(`From: ann@example.com\r\nSubject: Hi\r\n\r\n${'Hello. '.repeat(bytes / 7)}\r\n`);
    const submit = (bytes: Buffer, more: Partial<Submission> = {}) =>
      accept.submit(
        [
          {
            ...{ to: ['bob@example.net'], cc: [], bcc: [], replyTo: [], mailFrom: 'ann@example.com' },
            content: { kind: 'raw', bytes },
            ...more,
          },
        ],
        {
          door: 'smtp',
          caller: { keyId: key.accessKeyId, tenant: 'default', admin: false, sourceIp: VIEWER },
        },
      );
    // One in the lane, one with its body outside the lane because it is large, one in the ledger because it is for later.
    for (const [bytes, sendAt] of [
      [100, undefined],
      [3_000_000, undefined],
      [100, Date.now() + HOUR],
    ] as const) {
      const [result] = await submit(content(bytes), { sendAt });
      assert.ok('messageId' in result!, JSON.stringify(result));
    }
    await assert.rejects(control.keys.create({ tenant: 'default', admin: true }), /submission Role may not/);
    await assert.rejects(
      engine.queue.lease({ lane: LANE, max: 1, visibility: 30_000, wait: 0 }),
      /submission Role may not sqs:ReceiveMessage/,
    );
    assert.equal((await engine.health()).ok, true);
    await close();
  });
});

describe('protection', () => {
  test('pauses a tenant for its bounces under the role of the function, for every node to see', async () => {
    const { records, suppressions, keepReports, rows, config } = await engineOf('api OutcomesRole');
    const guards = await openGuards({ rows, config }, output);
    const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
    const statistics = counting(rows);
    const consume = createConsumer({
      records,
      suppressions,
      keepReports,
      publish,
      statistics,
      ...guards,
      context,
      output,
    });
    const { json } = await call({ body: JSON.stringify(message) });
    const messageId = (json.MessageId as string).slice(0, 60);
    const at = Date.now();
    const refused = attempt({
      at,
      state: 'bounced',
      reason: 'peer_permanent',
      text: '550 5.1.1 no such user',
    });
    const many = Array.from({ length: 1_000 }, (_, n) =>
      outcome('attempt', { messageId, at, tenant: 'default', attempt: n < 200 ? refused : attempt({ at }) }),
    );
    lines.length = 0;
    const event = sqsEvent([writeOutcomes(many)]);
    event.Records[0]!.messageId = 'of protection';
    assert.deepEqual(await consume(event), { batchItemFailures: [] });
    assert.ok(lines.some(({ values }) => values['Reputation.TenantsPaused']?.[0] === 1));
    const { config: seen } = await engineOf('egress Rolea');
    const { value } = (await seen.get('directive', 'reputation-default'))!;
    assert.match((value as { reason: string }).reason, /^Paused: \d+ of \d+ messages since .* bounced hard/);
  });
});
