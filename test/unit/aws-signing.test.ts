/** The clients' requests, as a service reads them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { GetQueueUrlCommand } from '@aws-sdk/client-sqs';
import { createClients } from '../../lib/engine/aws/clients.ts';

it('requests are signed with the credentials of their time, in parallel and after a failure', async () => {
  const signedBy: string[] = [];
  const server = createServer((request, response) => {
    signedBy.push(
      /Credential=([^/]+)\/\d{8}\/us-east-1\/sqs\//.exec(request.headers.authorization ?? '')?.[1] ?? '',
    );
    request.resume();
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    response.end('{"QueueUrl":"http://localhost/1/queue"}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let asked = 0;
  const credentials = async () => {
    asked += 1;
    if (asked === 1) throw new Error('no credentials yet');
    // They have expired already, so that each request asks for others.
    return { accessKeyId: `KEY${asked}`, secretAccessKey: `secret${asked}`, expiration: new Date(1) };
  };
  const sqs = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients = createClients({ region: 'us-east-1', credentials, endpoints: { sqs } }, () => 0);
  const ask = () => clients.sqs.send(new GetQueueUrlCommand({ QueueName: 'queue' }));
  try {
    await assert.rejects(ask(), /no credentials yet/);
    await ask();
    await ask();
    await Promise.all([ask(), ask()]);
    assert.equal(signedBy.length, 4);
    assert.ok(signedBy.every((key) => key.startsWith('KEY')));
    assert.notEqual(signedBy[0], signedBy[1]);
    assert.notEqual(signedBy[1], signedBy[2]);
  } finally {
    clients.destroy();
    server.close();
  }
});
