/** `/v1/stats` over a real server: ranges, dimensions, tenants, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MessageRecord } from '../../../lib/engine/items.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { HOUR } from '../../../lib/time.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

describe('statistics', () => {
  let server: PosternServer;
  const stats = (query: string, key: 'admin' | 'user' | 'other' = 'admin') =>
    server.call('GET', `/stats${query}`, { key });

  before(async () => {
    server = await startPosternServer();
    const now = server.clock.now();
    const tally = new Tally();
    const add = (change: Partial<MessageRecord>, hoursAgo: number, ip = '192.0.2.25'): void =>
      tally.add(
        messageRecord(change),
        outcome('attempt', { at: now - hoursAgo * HOUR, attempt: attempt({ ip }) }),
      );
    add({ tenant: 'default', campaign: 'spring' }, 1);
    add({ tenant: 'default' }, 1, '192.0.2.26');
    add({ tenant: 'default' }, 30);
    add({ tenant: 'other', fromDomain: 'other.example' }, 1);
    await new StatisticsRecorder({ rows: server.engine.rows, shards: 1 }).count('batch', tally);
  });
  after(() => server.close());

  test('a key sees its own tenant, an administrator all of them or one', async () => {
    const delivered = async (query: string, key?: 'admin' | 'user' | 'other') =>
      (await stats(query, key)).json.total.delivered as number | undefined;
    assert.equal(await delivered(''), 3);
    assert.equal(await delivered('?tenant=default'), 2);
    assert.equal(await delivered('', 'user'), 2);
    assert.equal(await delivered('', 'other'), 1);
    const refused = await stats('?tenant=default', 'other');
    assert.deepEqual([refused.status, refused.json.error.code], [403, 'access_denied']);
    assert.equal((await stats('?by=tenant', 'user')).status, 403);
  });

  test('points by hour and day, by dimension, and of one value', async () => {
    const now = server.clock.now();
    const at = (ago: number) => new Date(now - ago * HOUR).toISOString();
    const week = `&from=${at(100)}&to=${at(0)}`;
    const hours = await stats(`?tenant=default${week}`);
    assert.deepEqual(hours.json.points, [
      { at: at(30), sent: 1, delivered: 1 },
      { at: at(1), sent: 2, delivered: 2 },
    ]);
    const days = await stats(`?tenant=default&granularity=day&by=ip${week}`);
    assert.deepEqual(
      days.json.points.map((point: { value: string; delivered: number }) => [point.value, point.delivered]),
      [
        ['192.0.2.25', 1],
        ['192.0.2.25', 1],
        ['192.0.2.26', 1],
      ],
    );
    assert.deepEqual((await stats('?tenant=default&campaign=spring')).json.total, { sent: 1, delivered: 1 });
    assert.deepEqual((await stats('?tenant=default&granularity=quarter')).json.total, {
      sent: 2,
      delivered: 2,
    });
  });

  test('the totals of each tenant', async () => {
    const { json } = await stats('?by=tenant&granularity=day');
    assert.deepEqual(
      json.points.map((point: { value: string; sent: number }) => [point.value, point.sent]),
      [
        ['default', 2],
        ['other', 1],
      ],
    );
    assert.equal(json.next, undefined);
    assert.deepEqual((await stats('?by=tenant&after=default')).json.total, { sent: 1, delivered: 1 });
  });

  test('the rates of a tenant, and the directive that pauses it', async () => {
    const tally = new Tally();
    const at = server.clock.now();
    const refused = attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' });
    for (let n = 0; n < 1_000; n += 1) {
      const happened = outcome('attempt', { at, attempt: n < 150 ? refused : attempt({}) });
      tally.add(messageRecord({ tenant: 'other' }), happened);
    }
    await new StatisticsRecorder({ rows: server.engine.rows, shards: 1 }).count('bounces', tally);
    const rates = async (query = '', key: 'admin' | 'other' = 'other') =>
      (await server.call('GET', `/reputation${query}`, { key })).json;
    const before = await rates();
    assert.deepEqual(
      [before.tenant, before.sent, before.bounceRate, before.verdict, before.paused],
      ['other', 1_000, 0.15, 'pause', false],
    );
    await server.control.directives.impose({
      id: 'reputation-other',
      match: { tenant: 'other' },
      action: { kind: 'suspend' },
      reason: before.text,
      until: at + HOUR,
      origin: { rule: 'reputation', reply: before.text },
    });
    const paused = await rates('?tenant=other', 'admin');
    assert.deepEqual([paused.paused, paused.directive], [true, 'reputation-other']);
    const gone = await server.call('DELETE', `/directives/${paused.directive}`, { key: 'admin' });
    assert.equal(gone.status, 204);
    assert.equal((await rates()).paused, false);
    const all = await rates('', 'admin');
    assert.deepEqual([all.tenant, all.verdict, all.paused], [undefined, 'warn', false]);
    assert.equal((await rates('?tenant=default', 'admin')).representative, false);
  });

  test('what cannot be answered is refused with the parameter and why', async () => {
    const cases: [string, RegExp][] = [
      ['granularity=minute', /^granularity: is none of/],
      ['by=sender', /^by: is none of identity/],
      ['by=ip&provider=google', /^by: is not provider: /],
      ['ip=192.0.2.1&provider=google', /^provider: is a second dimension/],
      ['granularity=quarter&by=ip', /^granularity: is quarter/],
      ['from=2026-01-01', /^from: must be a time/],
      ['from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', /^from: is not before `to`/],
      ['from=2025-10-01T00:00:00Z', /^from: is more than 31 days/],
      ['from=2025-12-29T00:00:00Z&granularity=quarter', /^from: is more than 2 days/],
      ['by=tenant&tenant=default', /^by: is tenant/],
      ['tenant=a/b', /^tenant: is not the name/],
    ];
    for (const [query, message] of cases) {
      const { status, json } = await stats(`?${query}`);
      assert.deepEqual([query, status, json.error.code], [query, 400, 'bad_request']);
      assert.match(json.error.message, message);
    }
  });
});
