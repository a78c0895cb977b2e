/** What viewers share: how often the store is asked for any number of them, and that nobody is shown another's. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ENTRIES, GRACE, Shared, viewOf } from '../../../lib/console/shared.ts';
import { Link } from '../../../lib/engine/embedded/link.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { HOUR, SECOND } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { ConsoleVisitor } from '../../support/console-visitor.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

const live = { headers: { accept: 'text/event-stream' } };
const AGE = 2 * SECOND;

describe('the overview', () => {
  let server: PosternServer;
  let admin: ConsoleVisitor;
  const asked: string[] = [];
  const { send } = Link.prototype;
  before(async () => {
    server = await startPosternServer();
    admin = await ConsoleVisitor.of(server.url, 'admin');
    Link.prototype.send = function (name, argument, bytes, done) {
      asked.push(name);
      send.call(this, name, argument, bytes, done as never);
    };
  });
  after(async () => {
    Link.prototype.send = send;
    await server.close();
  });

  /** What the store is asked for meanwhile. */
  async function askedBy(work: () => Promise<unknown>): Promise<string[]> {
    asked.length = 0;
    await work();
    return [...asked];
  }

  test('asks the store for little, and for nothing again within two seconds', async () => {
    const first = await askedBy(() => admin.visit(''));
    assert.ok(first.length > 0 && first.length <= 7, first.join(' '));
    const second = await askedBy(() => Promise.all(Array.from({ length: 20 }, () => admin.visit(''))));
    assert.deepEqual(second, []);
  });

  test('of twenty viewers at once asks for it once, and for no statistics that it has just read', async () => {
    server.clock.advance(AGE + GRACE);
    const calls = await askedBy(() => Promise.all(Array.from({ length: 20 }, () => admin.visit(''))));
    assert.ok(calls.length > 0 && calls.length <= 3, calls.join(' '));
    assert.ok(!calls.includes('queryRows'), calls.join(' '));
  });

  test('that nine follow asks for it once for all of them', async () => {
    const gone = new AbortController();
    const streams = await Promise.all(
      Array.from({ length: 9 }, async () => {
        const { body } = await admin.open('', { ...live, signal: gone.signal });
        return body!.pipeThrough(new TextDecoderStream()).getReader();
      }),
    );
    for (const stream of streams) assert.match((await stream.read()).value!, /^event: page/);
    await server.call('POST', '/directives', {
      key: 'admin',
      body: { match: { domain: 'shared.example' }, action: { kind: 'suspend' }, reason: 'it is shared' },
    });
    // Each stream waits for its time.
    while (server.clock.pending < streams.length) await new Promise(setImmediate);
    const calls = await askedBy(async () => {
      server.clock.advance(3 * SECOND);
      for (const stream of streams) assert.match((await stream.read()).value!, /it is shared/);
    });
    assert.ok(calls.length > 0 && calls.length <= 3, calls.join(' '));
    gone.abort();
  });

  test('shows what was accepted, of a day and of the last hour', async () => {
    const tally = new Tally();
    tally.accepted('other', server.clock.now() - 5 * HOUR, 1_000);
    tally.accepted('other', server.clock.now(), 234);
    await new StatisticsRecorder({ rows: server.engine.rows, shards: 1 }).count('accepted', tally);
    const other = await ConsoleVisitor.of(server.url, 'other');
    const tile = /<li><span class="word">Accepted<.*?<\/li>/s.exec((await other.visit('')).text)![0];
    assert.match(tile, /1,234.*234 in the last hour/s);
    server.clock.advance(AGE + GRACE);
  });

  test('of a tenant or of a restricted key is not what another is shown', async () => {
    const { json } = await server.call('POST', '/keys', {
      key: 'admin',
      body: { admin: true, scopes: ['send'] },
    });
    const narrow = new ConsoleVisitor(server.url);
    await narrow.signIn(json);
    const other = await ConsoleVisitor.of(server.url, 'other');
    server.clock.advance(AGE + GRACE);
    assert.match((await admin.visit('')).text, /it is shared/);
    assert.equal((await narrow.visit('')).status, 403);
    assert.doesNotMatch((await other.visit('')).text, /it is shared/);
  });

  test('shows at once what was changed in the console', async () => {
    const id = /directives\?id=([^"&]+)/.exec((await admin.visit('')).text)![1]!;
    assert.equal((await admin.submit('/directives', { do: 'end', id: decodeURIComponent(id) })).status, 303);
    assert.doesNotMatch((await admin.visit('')).text, /it is shared/);
  });
});

describe('what is shared', () => {
  const clock = new TestClock();

  test('is made by one at a time, and given while the next is made until its grace is over', async () => {
    const shared = new Shared(clock);
    let made = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = async () => {
      made += 1;
      if (made === 2) await promise;
      return made;
    };
    const ask = () => shared.of('x', AGE, slow, GRACE);
    assert.deepEqual(await Promise.all([ask(), ask()]), [1, 1]);
    clock.advance(AGE - 1);
    assert.deepEqual([await ask(), made], [1, 1]);
    clock.advance(1);
    assert.deepEqual([await ask(), await ask(), made], [1, 1, 2]);
    clock.advance(GRACE);
    const late = ask();
    resolve();
    assert.deepEqual([await late, made], [2, 2]);
  });

  test('is no failure: whoever waited for one tries for himself', async () => {
    const shared = new Shared(clock);
    const failing = shared.of('x', AGE, () => Promise.reject(new Error('the key was revoked')));
    const other = shared.of('x', AGE, async () => 'own');
    await assert.rejects(failing, /revoked/);
    assert.equal(await other, 'own');
    assert.equal(await shared.of('x', AGE, async () => 'again'), 'again');
  });

  test('is forgotten after a change, what was under way at the time too', async () => {
    const shared = new Shared(clock);
    const { promise, resolve } = Promise.withResolvers<string>();
    const before = shared.of('x', AGE, () => promise);
    shared.clear();
    resolve('before');
    assert.equal(await before, 'before');
    assert.equal(await shared.of('x', AGE, async () => 'after'), 'after');
  });

  test('is bounded in number', async () => {
    const shared = new Shared(clock);
    for (let i = 0; i < 3 * ENTRIES; i++) await shared.of(`${i}`, AGE, async () => i);
    assert.ok(shared.size <= ENTRIES);
  });

  test('differs by tenant, by right and by each restriction', () => {
    const key = { id: 'A', tenant: 't', admin: false };
    const views = [
      key,
      { ...key, tenant: 'u' },
      { ...key, admin: true },
      { ...key, scopes: ['read'] },
      { ...key, id: 'B', scopes: ['read'] },
      { ...key, id: 'C', networks: ['192.0.2.0/24'] },
      { ...key, id: 'D', identities: ['example.com'] },
      { ...key, id: 'E', expiresAt: '2030-01-01T00:00:00.000Z' },
    ];
    assert.equal(new Set(views.map(viewOf)).size, views.length);
    assert.equal(viewOf({ ...key, id: 'F', name: 'another' }), viewOf(key));
  });
});
