/** The submission service as it runs on AWS: the process itself, over emulators, with clients that log in. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { createTransport } from 'nodemailer';
import { apiEnvironment } from '../../functions/environment.ts';
import { ownCertificate } from '../../lib/certificate.ts';
import { openControl } from '../../lib/control/control.ts';
import { smtpPassword } from '../../lib/control/smtp-password.ts';
import type { AccessKey } from '../../lib/control/types.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { CERTIFICATE } from '../../lib/engine/aws/schema.ts';
import { readSecret } from '../../lib/engine/aws/secrets.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { systemClock } from '../../lib/time.ts';
import { startTestAws, type TestAws } from '../support/aws.ts';
import { readEmf } from '../support/emf.ts';

const ENTRY = join(import.meta.dirname, '..', '..', 'egress-node', 'submission-node.ts');
const SECRETS = 'postern-test-secrets';
const LANE = 'default:transactional:google';
const REGION = 'us-east-1';
const MAIL = { from: 'ann@example.com', to: 'bob@gmail.com', subject: 'Hi', text: 'Hello.' };

let aws: TestAws;
let engine: Engine;
let s3: S3Client;
let key: AccessKey;
let environment: NodeJS.ProcessEnv;
let directory: string;

before(async () => {
  aws = await startTestAws([LANE]);
  const { client } = aws;
  const { endpoints = {} } = client;
  // The SDK connects to the host of a queue's URL, and the emulator's name for itself does not resolve.
  const queueUrlPrefix = aws.resources.queueUrlPrefix.replace(/\/\/[^/:]+/, '//127.0.0.1');
  const resources = { ...aws.resources, queueUrlPrefix };
  engine = await openAws({ resources, clock: systemClock, client });
  const s3Options = { ...client, endpoint: endpoints.s3, forcePathStyle: true };
  s3 = new S3Client(s3Options);
  await s3.send(new CreateBucketCommand({ Bucket: SECRETS }));

  const masterKey = await readSecret('master.key', { bucket: SECRETS, client: s3Options });
  let records: { name: string; value: string }[] = [];
  const control = await openControl({
    config: engine.config,
    masterKey,
    clock: systemClock,
    verifyIdentities: true,
    resolveTxt: async (name) => records.filter((one) => one.name === name).map(({ value }) => [value]),
  });
  key = await control.keys.create({ tenant: 'default', admin: false });
  await control.identities.create({ name: 'example.com', tenant: 'default' });
  records = (await control.identities.find('example.com'))!.dkim.records;
  assert.equal((await control.identities.check('example.com')).verified, true);
  await control.close();

  directory = await mkdtemp(join(tmpdir(), 'postern-submission-'));
  await ownCertificate(directory, 'smtp.example.com');
  environment = {
    PATH: process.env.PATH,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SQS: endpoints.sqs,
    AWS_ENDPOINT_URL_DYNAMODB: endpoints.dynamodb,
    AWS_ENDPOINT_URL_S3: endpoints.s3,
    ...apiEnvironment({
      resources,
      accountId: '123456789012',
      hostname: 'smtp.example.com',
      eventDays: 7,
      pools: ['default'],
      returnPathDomain: 'bounces.example.com',
      secrets: SECRETS,
    }),
    POSTERN_SUBMISSION: '127.0.0.1:0',
    POSTERN_SUBMISSION_TLS: '127.0.0.1:0',
    POSTERN_API: '127.0.0.1:0',
  };
});

after(async () => {
  s3.destroy();
  await engine.close();
  await aws.stop();
  await rm(directory, { recursive: true });
});

interface Running {
  child: ChildProcess;
  /** STARTTLS, implicit TLS. */
  ports: [number, number];
  health: number;
  /** Lines of the log. */
  lines: string[];
}

function run(): { child: ChildProcess; lines: string[]; started: Promise<Record<string, unknown>> } {
  const child = spawn(process.execPath, [ENTRY], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  const reader = createInterface(child.stdout!);
  const started = new Promise<Record<string, unknown>>((resolve, reject) => {
    reader.on('line', (line) => {
      lines.push(line);
      const parsed = JSON.parse(line) as Record<string, unknown>;
      if (parsed.message === 'started') resolve(parsed);
    });
    child.once('exit', (code) => reject(new Error(`It ended with ${code}: ${lines.join('\n')}`)));
  });
  return { child, lines, started };
}

async function start(): Promise<Running> {
  const { child, lines, started } = run();
  const { ports, health } = (await started) as unknown as Pick<Running, 'ports' | 'health'>;
  return { child, ports, health, lines };
}

function send(port: number, options: Record<string, unknown> = {}) {
  return createTransport({
    host: '127.0.0.1',
    port,
    auth: { user: key.id, pass: smtpPassword(key.secret, REGION) },
    tls: { rejectUnauthorized: false },
    ...options,
  }).sendMail(MAIL);
}

test('does not start without its certificate, and names the remedy', async () => {
  const { child, lines, started } = run();
  await assert.rejects(started, /ended with 1/);
  assert.equal(child.exitCode, 1);
  assert.match(lines.join('\n'), /There is no submission\.pem in postern-test-secrets/);
});

test('accepts mail on both ports into its lane, counts it, and stops cleanly', async () => {
  const pem = await readFile(join(directory, 'tls.pem'));
  await s3.send(new PutObjectCommand({ Bucket: SECRETS, Key: CERTIFICATE, Body: pem }));
  const { child, ports, health, lines } = await start();
  const [starttls, implicit] = ports;

  const answer = await fetch(`http://127.0.0.1:${health}/healthz`);
  assert.deepEqual([answer.status, await answer.json()], [200, { ok: true }]);

  const first = await send(starttls, { requireTLS: true });
  assert.match(first.response, /^250 Ok \S+$/);
  await send(implicit, { secure: true });
  await assert.rejects(send(starttls, { ignoreTLS: true }), /5(30|38)/);
  await assert.rejects(
    send(starttls, { auth: { user: key.id, pass: key.secret } }),
    /535 Authentication Credentials Invalid/,
  );

  const leased = await engine.queue.lease({ lane: LANE, max: 10, visibility: 30_000, wait: 0 });
  assert.equal(leased.length, 2);
  const { item, bytes } = leased.find((one) => first.response.includes(one.item.messageId))!;
  assert.equal(item.recipient, 'bob@gmail.com');
  assert.match(item.mailFrom, /@bounces\.example\.com$/);
  const text = bytes.toString();
  assert.match(text, /^DKIM-Signature: /m);
  assert.match(text, /^Received: by smtp\.example\.com \(Postern\) with ESMTPSA /m);
  assert.equal((await engine.records.message(item.messageId))?.keyId, key.id);

  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 0);
  const metrics = lines.filter((line) => line.includes('"_aws"')).map((line) => readEmf(`${line}\n`));
  const total = (name: 'Accepted' | 'Submissions' | 'SubmissionFailures'): number =>
    metrics.reduce((sum, { values }) => sum + (values[name]?.[0] ?? 0), 0);
  assert.deepEqual([total('Accepted'), total('Submissions'), total('SubmissionFailures')], [2, 2, 0]);
  // Ten years, as `ownCertificate` makes them.
  const [seconds] = metrics.at(-1)!.values.CertificateSeconds!;
  assert.ok(seconds! > 9 * 365 * 86_400, String(seconds));

  await s3.send(new DeleteObjectCommand({ Bucket: SECRETS, Key: CERTIFICATE }));
});

test('refuses mail temporarily when the storage fails, and reports bad health', async () => {
  const pem = await readFile(join(directory, 'tls.pem'));
  await s3.send(new PutObjectCommand({ Bucket: SECRETS, Key: CERTIFICATE, Body: pem }));
  const { child, ports, health, lines } = await start();
  await send(ports[0], { requireTLS: true });
  await aws.stop();
  await assert.rejects(send(ports[0], { requireTLS: true }), /45\d /);
  const answer = await fetch(`http://127.0.0.1:${health}/healthz`);
  assert.equal(answer.status, 503);
  child.kill('SIGTERM');
  await once(child, 'exit');
  const failures = lines
    .filter((line) => line.includes('"SubmissionFailures"'))
    .map((line) => readEmf(`${line}\n`).values.SubmissionFailures![0]!);
  assert.equal(failures.at(-1), 1);
});
