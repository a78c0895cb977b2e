import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type FauxqsServer, startFauxqs } from 'fauxqs';
import { ownCertificate, readPem } from '../../lib/certificate.ts';
import { CERTIFICATE } from '../../lib/engine/aws/schema.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import { defaultBudget } from '../../lib/smtp-server/octet-budget.ts';
import { openCertificate } from '../../lib/submission/stored-certificate.ts';
import { startSubmission } from '../../lib/submission/submission.ts';
import { HOUR } from '../../lib/time.ts';
import { openTestAccept } from '../support/accept.ts';
import { TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';

let directory: string;
/** Key and certificate, twice, of names of their own. */
const pems: string[] = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-certificate-'));
  for (const name of ['old', 'new']) {
    const own = await mkdtemp(join(directory, name));
    await ownCertificate(own, `${name}.example.com`);
    pems.push(await readFile(join(own, 'tls.pem'), 'utf8'));
  }
});

after(() => rm(directory, { recursive: true }));

describe('a certificate in PEM', () => {
  test('is accepted with its chain, with key and certificates in any order', () => {
    const { key, cert } = readPem(pems[0]!);
    const chain = readPem(pems[1]!).cert;
    const read = readPem(`${cert}${chain}${key}\n`);
    assert.equal(read.key, key);
    assert.equal(read.cert, cert + chain);
    assert.ok(read.expires > Date.now());
  });

  test('is refused with the reason', () => {
    const [old, other] = pems.map(readPem) as [ReturnType<typeof readPem>, ReturnType<typeof readPem>];
    const wrong: [string, RegExp][] = [
      ['', /no private key/],
      [old.cert, /no private key/],
      [old.key, /no certificate/],
      [old.key + other.cert, /not that of its key/],
      [old.key + old.cert.replace('MII', 'xxx'), /cannot be read/],
    ];
    for (const [text, message] of wrong)
      assert.throws(() => readPem(text), failure('bad_request', message), text.slice(0, 40));
  });
});

describe('the certificate of the submission service', () => {
  const bucket = 'secrets';
  let server: FauxqsServer;
  let s3: S3Client;
  const environment = { ...process.env };

  before(async () => {
    server = await startFauxqs({ port: 0, logger: false });
    Object.assign(process.env, {
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${server.port}`,
    });
    s3 = new S3Client({ forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  });

  after(async () => {
    s3.destroy();
    await server.stop();
    process.env = environment;
  });

  const put = (Body: string) => s3.send(new PutObjectCommand({ Bucket: bucket, Key: CERTIFICATE, Body }));

  test('is reloaded from its place and served at once; a broken one changes nothing', async () => {
    await put(pems[0]!);
    const clock = new TestClock();
    let onLine: (text: string) => void = () => undefined;
    const next = () => new Promise<string>((resolve) => (onLine = resolve));
    const log: Log = { ...silentLog, info: (text) => onLine(text), error: (text) => onLine(text) };
    const certificate = await openCertificate({ bucket, clock, log });
    const { accept, control } = await openTestAccept();
    const submission = await startSubmission({
      host: '127.0.0.1',
      port: 0,
      implicitTls: true,
      budget: defaultBudget(0),
      hostname: 'old.example.com',
      tls: certificate.current(),
      relayFrom: [],
      allowInsecureAuth: false,
      maxMessageBytes: 1_000,
      maxRecipients: 1,
      dataDeadline: 1_000,
      maxClients: 10,
      region: 'us-east-1',
      accept,
      control,
      clock,
      log: silentLog,
    });
    certificate.follow((renewed) => submission.renew(renewed));
    assert.equal(await served(submission.address.port), 'old.example.com');

    for (const [text, message, name] of [
      ['broken', 'certificate not renewed; what ran before goes on', 'old.example.com'],
      [pems[1]!, 'certificate renewed', 'new.example.com'],
    ] as const) {
      await put(text);
      const line = next();
      clock.advance(HOUR);
      assert.equal(await line, message);
      assert.equal(await served(submission.address.port), name);
      // The next read is scheduled when this one has ended.
      await new Promise(setImmediate);
    }
    certificate.stop();
    await submission.close();
  });
});

/** Common name of the certificate that is served. */
function served(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      resolve([subject.CN].flat()[0]!);
    });
    socket.once('error', reject);
  });
}
