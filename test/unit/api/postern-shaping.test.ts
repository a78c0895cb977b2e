import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PosternError } from '../../../lib/errors.ts';
import type { ExplainQuery, MailExplanation } from '../../../lib/shaping/explain.ts';
import { queueItem } from '../../support/egress-fakes.ts';
import { messageRecord } from '../../support/outcomes.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
const asked: ExplainQuery[] = [];
let inHand = '';

before(async () => {
  server = await startPosternServer({
    waitStatus: (messageId, n) =>
      n === 0 && messageId === inHand
        ? { code: 'site_limit', text: 'The limit is 1/h (messageRate, limits.default).', until: 90_000 }
        : undefined,
    laneRest: (lane) =>
      lane === 'news:bulk:google'
        ? { code: 'connect_failed', text: 'No connection to mx.example.', until: 120_000 }
        : undefined,
    async explain(query) {
      asked.push(query);
      if (query.domain === 'gone.test')
        throw new PosternError('not_found', 'The domain gone.test does not exist.');
      const used = '7 of 10 this second';
      const rate = { limit: 'messageRate', value: '10/s', origin: 'limits.default', used, wait: 80.4 };
      const explanation: MailExplanation = {
        site: 'mx.example.test',
        provider: 'other',
        ip: '192.0.2.1',
        waiting: 3,
        nextAt: server.clock.now() + 81,
        lines: [{ limit: 'tls', value: 'required', origin: 'built-in.default' }, rate],
        binding: rate,
      };
      return [explanation];
    },
  });
});
after(() => server.close());

describe('explaining why mail waits', () => {
  test('shows counts of the mail of all tenants to administrators alone', async () => {
    const answerOf = async (key: 'user' | 'admin') =>
      (await server.call('GET', '/shaping/explain?domain=example.com', { key })).json.explanations[0];
    const [admin, user] = [await answerOf('admin'), await answerOf('user')];
    assert.deepEqual([admin.waiting, admin.binding.used], [3, '7 of 10 this second']);
    assert.equal(user.waiting, undefined);
    assert.doesNotMatch(JSON.stringify(user), /used|7 of 10/);
    assert.equal(user.binding.limit, 'messageRate');
  });

  test('lists every limit of mail to a domain, and names the binding one', async () => {
    const { status, json } = await server.call(
      'GET',
      '/shaping/explain?domain=B%C3%BCcher.example&class=bulk&ip=192.0.2.1',
      {
        key: 'user',
      },
    );
    assert.equal(status, 200);
    assert.deepEqual(asked.at(-1), {
      domain: 'xn--bcher-kva.example',
      site: undefined,
      ip: '192.0.2.1',
      pool: undefined,
      campaign: undefined,
      tenant: 'default',
      class: 'bulk',
    });
    const [explanation] = json.explanations;
    assert.deepEqual(explanation.binding, {
      limit: 'messageRate',
      value: '10/s',
      origin: 'limits.default',
      waitMs: 81,
    });
    assert.equal(explanation.limits.length, 2);
    assert.equal(explanation.nextAt, '2026-01-01T00:00:00.081Z');
  });

  test('of a message explains each delivery that has not ended', async () => {
    const record = messageRecord({
      tenant: 'default',
      class: 'bulk',
      pool: 'news',
      campaign: 'spring',
      recipients: ['a@one.test', 'b@two.test'],
    });
    const item = (n: number) => ({
      v: 1,
      messageId: record.id,
      n,
      tenant: 'default',
      lane: 'news:bulk:other',
      mailFrom: '',
      recipient: record.recipients[n]!,
      domain: record.recipients[n]!.split('@')[1]!,
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      acceptedAt: record.acceptedAt,
      expiresAt: record.expiresAt,
      attempts: 0,
      due: server.clock.now() + 1000,
    });
    await server.engine.queue.admit([{ record, body: Buffer.from('x\r\n'), deliveries: [item(0), item(1)] }]);
    const { status, json } = await server.call('GET', `/shaping/explain?message=${record.id}`, {
      key: 'user',
    });
    assert.equal(status, 200);
    assert.deepEqual(
      json.explanations.map(({ recipient }: { recipient: string }) => recipient),
      ['a@one.test', 'b@two.test'],
    );
    assert.deepEqual([asked.at(-1)!.pool, asked.at(-1)!.campaign], ['news', 'spring']);
    const foreign = await server.call('GET', `/shaping/explain?message=${record.id}`, { key: 'other' });
    assert.equal(foreign.status, 404);
  });

  test('is part of the message while it rests in its lane', async () => {
    const record = messageRecord({
      id: 'resting',
      class: 'bulk',
      tenant: 'default',
      pool: 'news',
      recipients: ['a@gmail.com', 'b@paused.test', 'c@two.test'],
    });
    const deliveries = record.recipients.map((recipient, n) => ({
      ...queueItem(server.clock.now()),
      messageId: record.id,
      n,
      tenant: 'default',
      recipient,
      domain: recipient.split('@')[1]!,
      lane: `news:bulk:${n === 0 ? 'google' : 'other'}`,
    }));
    await server.engine.queue.admit([{ record, body: Buffer.from('x\r\n'), deliveries }]);
    const until = server.clock.now() + 60_000;
    const order = {
      match: { domain: 'paused.test' },
      action: { kind: 'suspend' },
      reason: 'maintenance',
      until,
    };
    const { id } = await server.control.directives.order(order, { operator: 'AKIAOPS' });
    const { json } = await server.call('GET', `/messages/${record.id}`, { key: 'user' });
    const [rests, suspended, queued] = json.deliveries;
    assert.deepEqual(
      [rests.state, rests.reason, rests.text, rests.nextAttemptAt],
      ['queued', 'connect_failed', 'No connection to mx.example.', '1970-01-01T00:02:00.000Z'],
    );
    assert.deepEqual([suspended.state, suspended.reason], ['queued', 'suspended']);
    assert.match(suspended.text, /^maintenance \(directive /);
    assert.equal(suspended.nextAttemptAt, new Date(until).toISOString());
    assert.deepEqual([queued.state, queued.nextAttemptAt], ['queued', undefined]);
    await server.control.directives.remove(id);
  });

  test('is part of the message while egress holds it', async () => {
    const record = messageRecord({
      id: 'in-hand',
      tenant: 'default',
      recipients: ['a@one.test', 'b@two.test'],
    });
    inHand = record.id;
    const [one, two] = record.recipients.map((recipient, n) => ({
      ...queueItem(server.clock.now()),
      messageId: record.id,
      n,
      tenant: 'default',
      recipient,
      lane: 'default:bulk:other',
    }));
    await server.engine.queue.admit([{ record, body: Buffer.from('x\r\n'), deliveries: [one!, two!] }]);
    const leased = await server.engine.queue.lease({
      lane: 'default:bulk:other',
      max: 2,
      visibility: 60_000,
      wait: 0,
    });
    assert.equal(leased.length, 2);
    const { json } = await server.call('GET', `/messages/${record.id}`, { key: 'user' });
    const [waits, sent] = json.deliveries;
    assert.deepEqual(
      [waits.state, waits.reason, waits.text, waits.nextAttemptAt],
      ['queued', 'site_limit', 'The limit is 1/h (messageRate, limits.default).', '1970-01-01T00:01:30.000Z'],
    );
    assert.deepEqual([sent.state, sent.reason], ['attempting', 'attempting']);
  });

  test('refuses invalid parameters, and other tenants', async () => {
    const refused: [string, 'user' | 'admin', number][] = [
      ['', 'admin', 400],
      ['?domain=a.test&site=b', 'admin', 400],
      ['?domain=a..b', 'admin', 400],
      ['?domain=a.test&class=fast', 'admin', 400],
      ['?domain=gone.test', 'admin', 404],
      ['?domain=a.test&tenant=other', 'user', 403],
    ];
    for (const [query, key, expected] of refused) {
      const { status } = await server.call('GET', `/shaping/explain${query}`, { key });
      assert.equal(status, expected, query);
    }
    const { status } = await server.call('GET', '/shaping/explain?domain=a.test&tenant=other', {
      key: 'admin',
    });
    assert.equal(status, 200);
  });

  test('needs a process with egress', async () => {
    const silent = await startPosternServer();
    try {
      const { status, json } = await silent.call('GET', '/shaping/explain?domain=a.test', { key: 'admin' });
      assert.deepEqual([status, json.error.code], [400, 'unsupported_operation']);
    } finally {
      await silent.close();
    }
  });
});
