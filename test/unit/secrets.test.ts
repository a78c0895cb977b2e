import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type FauxqsServer, startFauxqs } from 'fauxqs';
import { readSecret } from '../../lib/engine/aws/secrets.ts';
import { failure } from '../support/control.ts';

const bucket = 'secrets';
let server: FauxqsServer;
let s3: S3Client;

before(async () => {
  server = await startFauxqs({ port: 0, logger: false });
  s3 = new S3Client(client());
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
});

after(async () => {
  s3.destroy();
  await server.stop();
});

function client(port = server.port) {
  return {
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  };
}

test('a secret is generated once, a different one for each name', async () => {
  const options = { bucket, client: client() };
  const master = await readSecret('master.key', options);
  assert.equal(master.length, 32);
  assert.deepEqual(await readSecret('master.key', options), master);
  assert.notDeepEqual(await readSecret('return-path.key', options), master);
});

test('two processes that generate a secret at once get the same one', async () => {
  // The emulator would overwrite. S3 answers 412 to a conditional write that came second.
  const winner = Buffer.alloc(32, 9);
  let put = false;
  const racing = createServer((request, response) => {
    if (request.method === 'PUT') {
      assert.equal(request.headers['if-none-match'], '*');
      put = true;
      request.resume().on('end', () => response.writeHead(412).end());
    } else if (put) response.end(winner);
    else response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
  });
  racing.listen(0, '127.0.0.1');
  await once(racing, 'listening');
  const { port } = racing.address() as AddressInfo;
  assert.deepEqual(await readSecret('master.key', { bucket, client: client(port) }), winner);
  assert.ok(put);
  racing.closeAllConnections();
  racing.close();
});

test('a damaged secret is refused', async () => {
  const damaged = 'damaged';
  await s3.send(new CreateBucketCommand({ Bucket: damaged }));
  await s3.send(new PutObjectCommand({ Bucket: damaged, Key: 'master.key', Body: 'short' }));
  const options = { bucket: damaged, client: client() };
  await assert.rejects(
    readSecret('master.key', options),
    failure('storage_damaged', /has 5 bytes instead of 32/),
  );
});

test('a bucket that does not answer is a temporary failure', async () => {
  const options = { bucket, client: client(1) };
  await assert.rejects(readSecret('master.key', options), failure('storage_unavailable'));
});
