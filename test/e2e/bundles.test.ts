/**
 * The very bundles that CDK deploys: made by its own constructs, imported, and invoked over emulators. What only
 * breaks in a bundle (a module that wants `require`, a file that is not there) breaks here.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { Template } from 'aws-cdk-lib/assertions';
import type { Context, LambdaFunctionURLResult } from 'aws-lambda';
import { apiEnvironment } from '../../functions/environment.ts';
import type { FirstKey } from '../../functions/first-key.ts';
import { writeOutcomes } from '../../lib/engine/aws/outcome-message.ts';
import { buildStacks } from '../../lib/stacks/build.ts';
import { startTestAws, type TestAws } from '../support/aws.ts';
import { contextWith, scheduled, sqsEvent, urlEvent } from '../support/lambda.ts';
import { outcome } from '../support/outcomes.ts';
import { sign } from '../support/signing.ts';
import { openApp, type Resource, STAGE } from '../support/stacks.ts';

const SECRETS = 'postern-test-secrets';

type Handler = (event: unknown, context?: Context) => Promise<unknown>;

let aws: TestAws;
let bundles: Record<'Api' | 'Due' | 'Outcomes' | 'FirstKey', Handler>;
/** Bundles of long-lived processes. */
let processes: string[];
let key: FirstKey;
const environment = { ...process.env };

const app = openApp({ 'aws:cdk:enable-asset-metadata': true });

before(async () => {
  const { api, egress, submission } = buildStacks(app, STAGE);
  const { directory } = app.synth();
  const assets = Object.entries(
    Template.fromStack(api).findResources('AWS::Lambda::Function') as Record<
      string,
      Resource & { Metadata: { 'aws:asset:path': string } }
    >,
  );
  const imports = assets.map(async ([id, { Metadata }]) => {
    const file = join(directory, Metadata['aws:asset:path'], 'index.mjs');
    return [id.replace(/Function[0-9A-F]{8}$/, ''), ((await import(file)) as { handler: Handler }).handler];
  });
  bundles = Object.fromEntries(await Promise.all(imports)) as typeof bundles;
  processes = Object.entries({ egress, submission: submission! }).map(([name, stack]) => {
    const bundle = stack.node.findChild('Bundle') as unknown as { assetPath: string };
    return join(directory, bundle.assetPath, `${name}.mjs`);
  });

  aws = await startTestAws([]);
  const { resources, client } = aws;
  Object.assign(process.env, {
    ...apiEnvironment({
      resources,
      accountId: '123456789012',
      hostname: 'mail.example.com',
      pools: ['default'],
      returnPathDomain: 'bounces.example.com',
      secrets: SECRETS,
    }),
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
  process.env = environment;
});

/** What is written to standard output as text meanwhile: the log of a function. (The test runner writes bytes.) */
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

describe('the bundle of', () => {
  test('FirstKey makes the secrets and a key', async () => {
    key = (await bundles.FirstKey({})) as FirstKey;
    assert.match(key.secretAccessKey, /^\S{40}$/);
    const s3 = new S3Client({ forcePathStyle: true });
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: SECRETS }));
    assert.deepEqual(
      Contents.map(({ Key, Size }) => [Key, Size]),
      [['master.key', 32]],
    );
    s3.destroy();
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

  test('Due finds nothing due, and says so', async () => {
    const written = await outputOf(() => bundles.Due(scheduled, contextWith(60_000)));
    assert.match(written, /"OldestDueAgeSeconds":0/);
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

  test('each long-lived process starts, and says which setting it lacks', async () => {
    for (const file of processes) {
      const run = promisify(execFile)(process.execPath, [file], { env: { PATH: process.env.PATH } });
      await assert.rejects(run, { code: 1, stderr: /POSTERN_TABLE_RECORDS is not set/ }, file);
      assert.deepEqual(
        readdirSync(dirname(file)).sort(),
        [
          ...['install-node.sh', 'install-service.sh', 'postern@.service'],
          ...[basename(file), `${basename(file)}.map`],
        ].sort(),
      );
    }
  });
});
