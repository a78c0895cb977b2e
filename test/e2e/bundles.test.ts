/**
 * The very bundles that CDK deploys: made by its own constructs, imported, and invoked over emulators. A fault that only
 * shows in a bundle (a module that needs `require`, a missing file) shows here. The bundles include a policy in
 * TypeScript, which the API calls for messages and the egress node for replies.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Template } from 'aws-cdk-lib/assertions';
import type { Context, LambdaFunctionURLResult } from 'aws-lambda';
import { SMTPServer } from 'smtp-server';
import { nodeEnvironment } from '../../egress-node/service/node-environment.ts';
import { apiEnvironment, zoneEnvironment } from '../../functions/environment.ts';
import type { FirstKey } from '../../functions/first-key.ts';
import { openControl } from '../../lib/control/control.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { readOutcomes, writeOutcomes } from '../../lib/engine/aws/outcome-message.ts';
import type { AwsResources } from '../../lib/engine/aws/schema.ts';
import { readSecret } from '../../lib/engine/aws/secrets.ts';
import type { RawRequest } from '../../lib/http/raw-request.ts';
import { silentLog } from '../../lib/log.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { LANE_GROUPS } from '../../lib/shaping/providers.ts';
import { buildStacks } from '../../lib/stacks/build.ts';
import { bundlePolicy, policyFor } from '../../lib/stacks/policy.ts';
import { systemClock } from '../../lib/time.ts';
import { createTrackingLinks } from '../../lib/tracking/links.ts';
import { startTestAws, type TestAws } from '../support/aws.ts';
import { failure } from '../support/control.ts';
import { contextWith, scheduled, sqsEvent, URL_DOMAIN, urlEvent } from '../support/lambda.ts';
import { outcome } from '../support/outcomes.ts';
import { PolicyFile, policySource } from '../support/policy.ts';
import { sign } from '../support/signing.ts';
import { openApp, type Resource, STAGE } from '../support/stacks.ts';

const SECRETS = 'postern-test-secrets';
const LANES = ['transactional', 'bulk'].flatMap((one) =>
  LANE_GROUPS.map((group) => `default:${one}:${group}`),
);
const POLICY_FILES = ['policy-worker.mjs', 'policy.mjs'];
const POLICY = policySource(`
  onAccept(message) {
    if (message.subject === 'Broken') throw new Error('No idea');
    return message.subject === 'Refused' ? { refuse: 'Not that.' } : undefined;
  },
  onReply: (reply) => (reply.enhanced === '4.2.2' ? { state: 'bounced' } : undefined)`);

type Handler = (event: unknown, context?: Context) => Promise<unknown>;

let aws: TestAws;
let resources: AwsResources;
let bundles: Record<
  'Api' | 'Due' | 'Proofs' | 'DkimKeys' | 'DkimZone' | 'Outcomes' | 'Events' | 'Jobs' | 'Track' | 'FirstKey',
  Handler
>;
/** Directories of the functions' bundles, by function. */
let directories: Record<string, string>;
/** Bundles of long-lived processes: egress, submission. */
let processes: string[];
let key: FirstKey;
let file: PolicyFile;
const environment = { ...process.env };

const app = openApp({ 'aws:cdk:enable-asset-metadata': true });

before(async () => {
  file = await PolicyFile.make();
  await writeFile(file.path, POLICY);
  const policy = await bundlePolicy(file.path, join(app.outdir, 'policy'));
  const { api, egress, submission } = buildStacks(app, STAGE, policy);
  const { directory } = app.synth();
  const assets = Object.entries(
    Template.fromStack(api).findResources('AWS::Lambda::Function') as Record<
      string,
      Resource & { Metadata: { 'aws:asset:path': string } }
    >,
  );
  directories = Object.fromEntries(
    assets.map(([id, { Metadata }]) => [
      id.replace(/Function[0-9A-F]{8}$/, ''),
      join(directory, Metadata['aws:asset:path']),
    ]),
  );
  const imports = Object.entries(directories).map(async ([name, bundle]) => [
    name,
    ((await import(join(bundle, 'index.mjs'))) as { handler: Handler }).handler,
  ]);
  bundles = Object.fromEntries(await Promise.all(imports)) as typeof bundles;
  processes = Object.entries({ egress, submission: submission! }).map(([name, stack]) => {
    const bundle = stack.node.findChild('Bundle') as unknown as { assetPath: string };
    return join(directory, bundle.assetPath, `${name}.mjs`);
  });

  aws = await startTestAws(LANES);
  const { client } = aws;
  const { sqs } = client.endpoints ?? {};
  resources = { ...aws.resources };
  // The queue URLs of the emulator have a host name that not every resolver resolves.
  if (sqs) resources.queueUrlPrefix = `${sqs}${new URL(resources.queueUrlPrefix).pathname}`;
  Object.assign(process.env, {
    ...apiEnvironment({
      resources,
      accountId: '123456789012',
      hostname: 'mail.example.com',
      eventDays: 7,
      pools: ['default'],
      returnPathDomain: 'bounces.example.com',
      secrets: SECRETS,
    }),
    ...zoneEnvironment({ resources, dkimZone: 'dkim.mail.example.com', zoneId: 'Z0123456789ABC' }),
    AWS_REGION: client.region,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SQS: client.endpoints?.sqs,
    AWS_ENDPOINT_URL_S3: client.endpoints?.s3,
    AWS_ENDPOINT_URL_DYNAMODB: client.endpoints?.dynamodb,
  });
  const s3 = new S3Client({ forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: SECRETS }));
  s3.destroy();
});

after(async () => {
  await aws.stop();
  await file.remove();
  process.env = environment;
});

/** The text of a function's bundle: what its start compiles, and what is loaded when it is first needed. */
function partsOf(directory: string): { first: string; later: string } {
  const chunks = new Set(['index.mjs']);
  const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
  for (const name of chunks)
    for (const [, chunk] of read(name).matchAll(/\b(?:from|import)\s*"\.\/([^"]+\.mjs)"/g))
      chunks.add(chunk!);
  const others = readdirSync(directory).filter((name) => name.endsWith('.mjs') && !chunks.has(name));
  return { first: [...chunks].map(read).join(), later: others.map(read).join() };
}

/** Text written to standard output meanwhile: the log of a function. (The test runner writes bytes.) */
async function outputOf(work: () => Promise<unknown>): Promise<string> {
  const { write } = process.stdout;
  let written = '';
  process.stdout.write = ((chunk: string | Buffer) => {
    if (typeof chunk !== 'string') return write.call(process.stdout, chunk);
    written += chunk;
    return true;
  }) as typeof write;
  try {
    await work();
  } finally {
    process.stdout.write = write;
  }
  return written;
}

/** A call of the Postern API through its bundle. */
async function postern(
  method: string,
  rawPath: string,
  body?: object,
): Promise<Exclude<LambdaFunctionURLResult, string>> {
  const headers: [string, string][] = [
    ['content-type', 'application/json'],
    ['host', URL_DOMAIN],
    ['authorization', `Bearer ${key.accessKeyId}.${key.secretAccessKey}`],
  ];
  const bytes = Buffer.from(body ? JSON.stringify(body) : '');
  const request = { method, rawPath, rawQuery: '', headers, sourceIp: '192.0.2.1', body: bytes };
  return (await bundles.Api(urlEvent(request))) as Exclude<LambdaFunctionURLResult, string>;
}

describe('the bundle of', () => {
  test('FirstKey creates the secrets and a key', async () => {
    key = (await bundles.FirstKey({})) as FirstKey;
    assert.match(key.secretAccessKey, /^\S{40}$/);
    const s3 = new S3Client({ forcePathStyle: true });
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: SECRETS }));
    assert.deepEqual(
      Contents.map(({ Key, Size }) => [Key, Size]),
      [['master.key', 32]],
    );
    s3.destroy();
    await proveDomain();
  });

  test('Api answers a signed call', async () => {
    const signed = await sign({
      id: key.accessKeyId,
      secret: key.secretAccessKey,
      at: Date.now(),
      method: 'GET',
    });
    const result = (await bundles.Api(urlEvent(signed))) as Exclude<LambdaFunctionURLResult, string>;
    assert.equal(result.statusCode, 200, result.body);
    assert.equal((JSON.parse(result.body!) as { SendingEnabled: boolean }).SendingEnabled, true);
  });

  test('Api starts without what its first call may not need', () => {
    const { first, later } = partsOf(directories.Api!);
    assert.ok(first.includes('/v2/email/identities'));
    // The API of Postern, SES v1, the console.
    for (const text of ['See /v1/openapi.json', 'CloneReceiptRuleSet', 'Sign out on a page']) {
      assert.ok(later.includes(text), text);
      assert.ok(!first.includes(text), text);
    }
  });

  test('Api serves the console, with its files, to who signs in', async () => {
    const visit = async (method: string, path: string, cookie = '', form = '') => {
      const headers: [string, string][] = [
        ['host', URL_DOMAIN],
        ['origin', `https://${URL_DOMAIN}`],
        ['content-type', 'application/x-www-form-urlencoded'],
        ['cookie', cookie],
      ];
      const rawPath = `/console${path}`;
      const request = {
        method,
        rawPath,
        rawQuery: '',
        headers,
        sourceIp: '192.0.2.1',
        body: Buffer.from(form),
      };
      return (await bundles.Api(urlEvent(request))) as Exclude<LambdaFunctionURLResult, string>;
    };
    const fields = new URLSearchParams({ id: key.accessKeyId, secret: key.secretAccessKey });
    const { statusCode, cookies } = await visit('POST', '/sign-in', '', fields.toString());
    assert.equal(statusCode, 303);
    const page = await visit('GET', '', cookies![0]!.split(';')[0]);
    assert.equal(page.statusCode, 200);
    assert.match(page.body!, /<h1>Overview<\/h1>/);
    const files = [...page.body!.matchAll(/(?:src|href)="\/console(\/assets\/[^"]+)"/g)].map(
      ([, file]) => file!,
    );
    assert.equal(files.length, 5);
    for (const file of files) assert.equal((await visit('GET', file)).statusCode, 200, file);
  });

  test('Track redirects a click and reports it, and redirects nowhere without its token', async () => {
    // The first function that needs the key generates it: here, the API.
    const links = createTrackingLinks(await readSecret('tracking.key', { bucket: SECRETS }));
    const message = { messageId: newMessageId(Date.now()), n: 0 };
    const click = links.click('click.example.com', message, 0, 'https://a.example/', '');
    const request = (path: string): RawRequest => ({
      method: 'GET',
      rawPath: path,
      rawQuery: '',
      headers: [
        ['x-forwarded-host', 'click.example.com'],
        ['user-agent', 'Reader'],
      ],
      sourceIp: '192.0.2.1',
      body: Buffer.alloc(0),
    });
    const followed = (await bundles.Track(urlEvent(request(click)))) as Exclude<
      LambdaFunctionURLResult,
      string
    >;
    assert.deepEqual([followed.statusCode, followed.headers?.location], [302, 'https://a.example/']);
    const image = (await bundles.Track(
      urlEvent(request(links.open('click.example.com', message))),
    )) as Exclude<LambdaFunctionURLResult, string>;
    assert.equal(image.isBase64Encoded, true);
    assert.equal(Buffer.from(image.body!, 'base64').toString('latin1', 0, 6), 'GIF89a');
    const refused = (await bundles.Track(urlEvent(request(`${click}x`)))) as typeof followed;
    assert.equal(refused.statusCode, 404);
    assert.equal(refused.headers?.location, undefined);

    const sqs = new SQSClient({});
    const QueueUrl = `${resources.queueUrlPrefix}outcomes`;
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 }),
    );
    assert.deepEqual(
      Messages.flatMap(({ Body }) => readOutcomes(Body!)).map(({ kind, messageId }) => [kind, messageId]),
      [
        ['click', message.messageId],
        ['open', message.messageId],
      ],
    );
    sqs.destroy();
  });

  test('Due reports that nothing is due', async () => {
    const written = await outputOf(() => bundles.Due(scheduled, contextWith(60_000)));
    assert.match(written, /"OldestDueAgeSeconds":0/);
  });

  test('Proofs reports that no domain is due', async () => {
    const written = await outputOf(() => bundles.Proofs(scheduled, contextWith(60_000)));
    assert.match(written, /"checked":0/);
  });

  test('Jobs looks for jobs, and finds none', async () => {
    await bundles.Jobs(scheduled, contextWith(60_000));
  });

  test('DkimKeys reports that no key is to be prepared, and DkimZone writes nothing', async () => {
    const written = await outputOf(() => bundles.DkimKeys(scheduled, contextWith(60_000)));
    assert.match(written, /"DkimKeysOverdue":0/);
    assert.equal(await outputOf(() => bundles.DkimZone(scheduled, contextWith(60_000))), '');
  });

  test('Outcomes drains a batch', async () => {
    const event = sqsEvent([writeOutcomes([outcome('cancelled')]), '{}']);
    const written = await outputOf(async () =>
      assert.deepEqual(await bundles.Outcomes(event), {
        batchItemFailures: [{ itemIdentifier: 'message-1' }],
      }),
    );
    assert.match(written, /outcome refused/);
  });

  test('Events looks at destinations, and sends to a broker by a package that needs `require`', async () => {
    const written = await outputOf(() => bundles.Events(scheduled));
    assert.match(written, /"EventDestinationsBehind":0/);
    const target = { kind: 'amqp', url: 'amqp://127.0.0.1:1', exchange: 'mail', routingKey: 'events' };
    const made = await postern('POST', '/v1/event-destinations', { name: 'broker', types: ['SEND'], target });
    assert.equal(made.statusCode, 201, made.body);
    const { id } = JSON.parse(made.body!) as { id: string };
    // A new destination shows within about a second.
    await new Promise((done) => setTimeout(done, 1_100));
    const event = { eventType: 'Send', mail: { tags: {}, headers: [] } };
    const one = { id: 'e', tenant: 'default', messageId: 'm', at: Date.now(), event };
    const parcel = { v: 1, kind: 'send', destination: id, events: [one] };
    assert.deepEqual(await bundles.Events(sqsEvent([JSON.stringify(parcel)])), { batchItemFailures: [] });
    const shown = await postern('GET', `/v1/event-destinations/${id}`);
    const { health } = JSON.parse(shown.body!) as { health: { waiting: number; lastError: string } };
    assert.equal(health.waiting, 1);
    assert.match(health.lastError, /ECONNREFUSED/);
  });

  test('each long-lived process starts, and names a missing setting', async () => {
    for (const file of processes) {
      const run = promisify(execFile)(process.execPath, [file], { env: { PATH: process.env.PATH } });
      await assert.rejects(run, { code: 1, stderr: /POSTERN_TABLE_RECORDS is not set/ }, file);
      assert.deepEqual(
        readdirSync(dirname(file)).sort(),
        [
          ...[
            'install-node.sh',
            'install-service.sh',
            'install-outside.sh',
            'verify-node.sh',
            'postern@.service',
          ],
          ...[basename(file), `${basename(file)}.map`],
          ...POLICY_FILES,
        ].sort(),
      );
    }
  });
});

/** A call of the API's bundle, signed as SDKs do it. */
async function call(rawPath: string, body: object): Promise<{ status: number; json: unknown }> {
  const { accessKeyId: id, secretAccessKey: secret } = key;
  const signed = await sign({ id, secret, at: Date.now(), rawPath, body: JSON.stringify(body) });
  return answerOf(await bundles.Api(urlEvent(signed)));
}

/** The answer of the bundle's Postern API. */
async function read(rawPath: string): Promise<unknown> {
  const authorization = `Bearer ${key.accessKeyId}.${key.secretAccessKey}`;
  const headers: [string, string][] = [
    ['host', 'mail.example'],
    ['authorization', authorization],
  ];
  const { status, json } = answerOf(
    await bundles.Api(
      urlEvent({
        method: 'GET',
        rawPath,
        rawQuery: '',
        headers,
        body: Buffer.alloc(0),
        sourceIp: '192.0.2.77',
      }),
    ),
  );
  assert.equal(status, 200, JSON.stringify(json));
  return json;
}

function answerOf(result: unknown): { status: number; json: unknown } {
  const { statusCode, body } = result as Exclude<LambdaFunctionURLResult, string>;
  return { status: statusCode!, json: JSON.parse(body!) };
}

const send = (to: string, subject: string) =>
  call('/v2/email/outbound-emails', {
    FromEmailAddress: 'ann@example.com',
    Destination: { ToAddresses: [to] },
    Content: { Simple: { Subject: { Data: subject }, Body: { Text: { Data: 'x' } } } },
  });

describe('a deployed policy', () => {
  test('is part of the bundles whose code calls it, and of no other', async () => {
    const beside = async (directory: string) =>
      (await readdir(directory)).filter((name) => name.startsWith('policy')).sort(compare);
    for (const one of [directories.Api!, ...processes.map(dirname)]) {
      assert.deepEqual(await beside(one), POLICY_FILES);
    }
    for (const name of ['Due', 'Proofs', 'DkimKeys', 'DkimZone', 'Jobs', 'Outcomes', 'FirstKey'])
      assert.deepEqual(await beside(directories[name]!), []);
    const none = await bundlePolicy(join(app.outdir, 'postern.policy.ts'), app.outdir);
    assert.equal(none, undefined);
    assert.deepEqual([policyFor('accept', none), policyFor('egress', none)], [[], []]);
    const files = POLICY_FILES;
    assert.deepEqual(policyFor('accept', { files, hooks: ['onShape'] }), []);
    assert.deepEqual(policyFor('egress', { files, hooks: ['onAccept'] }), []);
  });

  test('that cannot run fails the synthesis with file, line and reason', async () => {
    const cases = [
      [
        'export default {\n  onRoute: ( => 1 };',
        /postern\.policy\.ts: .*\(line 2 of .*postern\.policy\.ts\)/,
      ],
      [`import './nothing.ts';\nexport default {};`, /Could not resolve "\.\/nothing\.ts" \(line 1/],
      ['export default { onAcept: () => undefined };', /default\.onAcept: is unknown/],
      ['throw new Error("No database");', /No database \(line 1\)/],
    ] as const;
    for (const [text, reason] of cases) {
      await writeFile(file.path, text);
      await assert.rejects(
        bundlePolicy(file.path, join(app.outdir, 'refused')),
        failure('bad_request', reason),
      );
    }
  });

  test('is called by the API, and stops no mail when it fails', async () => {
    const refused = await send('bob@example.net', 'Refused');
    assert.deepEqual(
      [refused.status, refused.json],
      [400, { __type: 'MessageRejected', message: 'Not that.' }],
    );
    const written = await outputOf(async () => {
      const broken = await send('bob@example.net', 'Broken');
      assert.equal(broken.status, 200, JSON.stringify(broken.json));
    });
    assert.match(written, /"policy\.failed","hook":"onAccept","reason":"No idea \(line \d+\)"/);
    assert.match(written, /"PolicyFailures":1,/);
    const state = await read('/v1/policy');
    assert.deepEqual(
      (state as { hooks: { name: string }[] }).hooks.map(({ name }) => name),
      ['onAccept', 'onReply'],
    );
  });

  test('is called by an egress node', async () => {
    const sink = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      onRcptTo({ address }, _session, callback) {
        if (!address.startsWith('full')) callback();
        else callback(Object.assign(new Error('4.2.2 Mailbox full'), { responseCode: 452 }));
      },
      onData: (stream, _session, callback) => void stream.resume().on('end', callback),
    });
    sink.listen(0, '127.0.0.1');
    await once(sink.server, 'listening');
    const { port } = sink.server.address() as AddressInfo;
    const child = spawn(process.execPath, [processes[0]!], {
      env: {
        ...process.env,
        ...nodeEnvironment({ resources, node: 'a', secrets: SECRETS }),
        POSTERN_SOURCES: '127.0.0.1=a.example.com:default',
        POSTERN_ROUTES: `*=127.0.0.1:${port}`,
        POSTERN_DNS: '127.0.0.1:9',
        POSTERN_INBOUND: '127.0.0.1:0',
        POSTERN_API: '127.0.0.1:0',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    try {
      const { json } = await send('full@example.net', 'Hello');
      const path = `/v1/messages/${encodeURIComponent((json as { MessageId: string }).MessageId)}`;
      let delivery: { state: string; reason: string } | undefined;
      while (delivery?.state !== 'bounced') {
        assert.equal(child.exitCode, null);
        assert.notEqual(delivery?.state, 'deferred');
        ({
          deliveries: [delivery],
        } = (await read(path)) as { deliveries: (typeof delivery)[] });
      }
      assert.equal(delivery.reason, 'bounced_by_policy');
    } finally {
      sink.close();
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
    assert.equal(child.exitCode, 0);
  });
});

/** Stores the domain as proven, in place of a DNS check. */
async function proveDomain(): Promise<void> {
  const clock = systemClock;
  const engine = await openAws({ resources, clock, client: aws.client, log: silentLog });
  const { config } = engine;
  let records: { name: string; value: string }[] = [];
  const control = await openControl({
    config,
    masterKey: await readSecret('master.key', { bucket: SECRETS }),
    clock,
    verifyIdentities: true,
    resolveTxt: (name) =>
      Promise.resolve(records.filter((one) => one.name === name).map(({ value }) => [value])),
  });
  records = (await control.identities.create({ name: 'example.com', tenant: 'default' })).dkim.records;
  assert.equal((await control.identities.check('example.com')).verified, true);
  await control.close();
  await engine.close();
}

function compare(one: string, other: string): number {
  return one < other ? -1 : 1;
}
