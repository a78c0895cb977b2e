/** The policy file of MTA-STS from a real HTTPS server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { generate } from 'selfsigned';
import { createPolicyFetch } from '../../../lib/doctor/gather/policy-file.ts';
import { systemClock } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';

let server: Server;
let local: { port: number; ca: string };
let answer: (path: string) => {
  status?: number;
  type?: string;
  body?: string;
  location?: string;
  hang?: boolean;
};

before(async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'mta-sts.shop.test' }], {
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'mta-sts.shop.test' }] }],
  });
  server = createServer({ key, cert }, (request, response) => {
    const { status = 200, type = 'text/plain', body = '', location, hang } = answer(request.url!);
    response.writeHead(status, { 'content-type': type, ...(location && { location }) });
    response.write(body);
    if (!hang) response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  local = { port: (server.address() as AddressInfo).port, ca: cert };
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const resolve = async (name: string) => (name.startsWith('mta-sts.') ? ['127.0.0.1'] : []);
const fetched = (domain = 'shop.test', clock = systemClock) =>
  createPolicyFetch({ resolve, clock, local })(domain);

test('reads the file of its well-known path', async () => {
  answer = (path) => ({ body: path, type: 'text/plain; charset=utf-8' });
  assert.deepEqual(await fetched(), { body: '/.well-known/mta-sts.txt' });
});

test('follows no redirect, and takes no other status or type', async () => {
  answer = () => ({ status: 301, location: '/other' });
  assert.deepEqual(await fetched(), { problem: 'the server answers 301' });
  answer = () => ({ status: 404 });
  assert.deepEqual(await fetched(), { problem: 'the server answers 404' });
  answer = () => ({ type: 'text/html' });
  assert.deepEqual(await fetched(), { problem: 'its type is "text/html", not text/plain' });
});

test('refuses a certificate of another name, and one that nobody issued', async () => {
  answer = () => ({});
  assert.match(JSON.stringify(await fetched('other.test')), /does not match certificate/);
  const strict = createPolicyFetch({ resolve, clock: systemClock, local: { port: local.port, ca: '' } });
  assert.match(JSON.stringify(await strict('shop.test')), /self-signed|unable/);
});

test('ends at 64 KB, and at ten seconds', async () => {
  answer = () => ({ body: 'x'.repeat(64 * 1024) });
  assert.ok('body' in (await fetched()));
  answer = () => ({ body: 'x'.repeat(64 * 1024 + 1), hang: true });
  assert.deepEqual(await fetched(), { problem: 'it is larger than 64 KB' });
  const clock = new TestClock();
  const reached = new Promise<void>((done) => {
    answer = () => {
      done();
      return { body: 'version', hang: true };
    };
  });
  const slow = fetched('shop.test', clock);
  await reached;
  clock.advance(10_000);
  assert.deepEqual(await slow, { problem: 'no whole answer within 10 s' });
});

test('connects to no private address, however the name resolves', async () => {
  for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1']) {
    const inside = createPolicyFetch({ resolve: async () => [address], clock: systemClock });
    assert.deepEqual(await inside('shop.test'), { problem: 'mta-sts.shop.test has no public address' });
  }
});
