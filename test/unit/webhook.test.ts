import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { createResolver } from '../../lib/dns/resolver.ts';
import { openSenders } from '../../lib/events/senders.ts';
import { createWebhookSender, type WebhookSender } from '../../lib/events/webhook.ts';
import { HOUR, systemClock } from '../../lib/time.ts';
import { TestClock } from './../support/clock.ts';
import { a, startDnsServer } from './../support/dns-server.ts';

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
const closers: (() => unknown)[] = [];
let requests: { request: IncomingMessage; body: string }[];

beforeEach(() => {
  requests = [];
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A receiver on loopback. @returns its port. */
async function receiver(
  answer: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<number> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      requests.push({ request, body });
      answer(response, request);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function sender(options: Partial<Parameters<typeof createWebhookSender>[0]> = {}): WebhookSender {
  const made = createWebhookSender({ clock: systemClock, resolve: async () => ['127.0.0.1'], ...options });
  closers.push(() => made.close());
  return made;
}

const target = (port: number, host = 'hooks.test') => ({ url: `http://${host}:${port}/in`, secret: SECRET });
const allowing = (port: number) => ({ allowed: new Set([`hooks.test:${port}`, `127.0.0.1:${port}`]) });

describe('a webhook', () => {
  test('gets the event with a signature that the Standard Webhooks library verifies', async () => {
    const port = await receiver((response) => response.writeHead(204).end());
    const answer = await sender(allowing(port)).send(target(port), 'event-1', '{"a":1}');
    assert.equal(answer.kind, 'taken');
    assert.equal(answer.status, 204);
    const [{ request, body }] = requests as [(typeof requests)[number]];
    assert.equal(request.headers['webhook-id'], 'event-1');
    assert.deepEqual(new Webhook(SECRET).verify(body, request.headers as Record<string, string>), { a: 1 });
  });

  test('is not reached at an address that is not public', async () => {
    const port = await receiver((response) => response.end());
    for (const addresses of [['127.0.0.1'], ['10.0.0.1', '169.254.169.254'], ['::ffff:127.0.0.1'], []]) {
      const answer = await sender({ resolve: async () => addresses }).send(target(port), 'e', '{}');
      assert.equal(answer.kind, 'retry');
      assert.match(answer.text, /no (public )?address/);
    }
    for (const host of ['127.0.0.1', '[::1]', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]']) {
      const answer = await sender().send(target(port, host), 'e', '{}');
      assert.equal(answer.kind, 'retry');
      assert.match(answer.text, /not a public address/);
    }
    assert.equal(requests.length, 0);
  });

  test('is reached at the checked address, even if its name resolves differently afterwards', async () => {
    const port = await receiver((response) => response.end());
    const answers = [['192.0.2.1'], ['127.0.0.1']];
    const asked: string[] = [];
    const rebinding = sender({
      resolve: async (name) => {
        asked.push(name);
        return answers.shift() ?? ['127.0.0.1'];
      },
    });
    assert.equal((await rebinding.send(target(port), 'e', '{}')).kind, 'retry');
    assert.equal((await rebinding.send(target(port), 'e', '{}')).kind, 'retry');
    assert.deepEqual(asked, ['hooks.test', 'hooks.test']);
    assert.equal(requests.length, 0);
  });

  test('is looked up once for a connection, over a real server, and reached at no private address of the answer', async () => {
    const port = await receiver((response) => response.end());
    const dns = await startDnsServer({ 'A hooks.test': a('127.0.0.1', '10.0.0.1') });
    closers.push(() => dns.close());
    const { port: dnsPort } = dns.endpoint;
    const resolver = createResolver({
      servers: [{ address: '127.0.0.1', port: dnsPort }],
      clock: systemClock,
    });
    const open = (webhookAllow: string[]) => {
      const { senders, close } = openSenders({ resolver, clock: systemClock, region: 'x', webhookAllow });
      closers.push(close);
      return senders.webhook;
    };
    const event = { eventType: 'Send', mail: { tags: {}, headers: [] } };
    const message = { id: 'e', tenant: 't', messageId: 'm', at: 0, event, json: '{}' };
    const hook = { kind: 'webhook', ...target(port) } as const;
    const [refused] = await open([]).send(hook, [message]);
    assert.deepEqual(refused, { kind: 'retry', text: 'hooks.test has no public address', after: undefined });
    assert.equal(requests.length, 0);
    assert.deepEqual(dns.questions.toSorted(), ['udp A hooks.test', 'udp AAAA hooks.test']);
    assert.deepEqual(await open([`hooks.test:${port}`]).send(hook, [message]), [{ kind: 'taken' }]);
  });

  test('that redirects is not followed', async () => {
    const port = await receiver((response) => response.writeHead(302, { location: '/elsewhere' }).end());
    const answer = await sender(allowing(port)).send(target(port), 'e', '{}');
    assert.equal(answer.kind, 'retry');
    assert.equal(answer.status, 302);
    assert.equal(requests.length, 1);
  });

  test('that answers 410 is gone', async () => {
    const port = await receiver((response) => response.writeHead(410).end('moved away'));
    const answer = await sender(allowing(port)).send(target(port), 'e', '{}');
    assert.equal(answer.kind, 'gone');
    assert.equal(answer.text, 'moved away');
  });

  test('sets the time of the next try by Retry-After, up to an hour', async () => {
    for (const [value, after] of [
      ['120', 120_000],
      ['999999', HOUR],
      ['soon', undefined],
    ] as const) {
      const port = await receiver((response) => response.writeHead(429, { 'retry-after': value }).end());
      assert.equal((await sender(allowing(port)).send(target(port), 'e', '{}')).after, after);
    }
  });

  test('that answers slowly fails at the deadline', async () => {
    const clock = new TestClock();
    let begun = (): void => {};
    const reached = new Promise<void>((done) => {
      begun = done;
    });
    const port = await receiver((response) => {
      response.writeHead(200);
      response.write('a');
      begun();
    });
    const answer = sender({ ...allowing(port), clock }).send(target(port), 'e', '{}');
    await reached;
    clock.advance(15_000);
    assert.equal((await answer).kind, 'retry');
    assert.match((await answer).text, /no whole answer within 15 s/);
  });

  test('that streams without end is read up to 1 KB', async () => {
    const port = await receiver((response) => {
      response.writeHead(200);
      const flood = (): void => {
        while (response.write('x'.repeat(65_536)));
        if (!response.destroyed) response.once('drain', flood);
      };
      flood();
    });
    const answer = await sender(allowing(port)).send(target(port), 'e', '{}');
    assert.equal(answer.kind, 'taken');
    assert.equal(answer.text.length, 1_024);
  });

  test('that refuses the connection is retried', async () => {
    const port = await receiver(() => {});
    for (const close of closers.splice(0)) await close();
    const answer = await sender(allowing(port)).send(target(port), 'e', '{}');
    assert.equal(answer.kind, 'retry');
    assert.match(answer.text, /ECONNREFUSED/);
  });
});
