/** The embedded engine across restarts and kills, and with more than it keeps in memory. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { FILE, JOURNAL } from '../../lib/engine/embedded/store/schema.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { BATCH_MEMORY } from '../../lib/engine/rows.ts';
import { TestClock } from '../support/clock.ts';
import { admit, assertEmpty, collect, defer, end, LONG, mail, newLane } from './harness.ts';

describe('embedded engine: restarts', () => {
  const clock = new TestClock();
  let directory: string;
  let engine: Engine;
  const logged: string[] = [];
  const note = (message: string, fields?: object): void =>
    void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log = { info: note, error: note };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-restart-'));
    engine = await openEmbedded({ directory, clock, minimumFree: 0, log });
    logged.length = 0;
  });

  afterEach(async () => {
    await engine.close();
    assert.deepEqual(checkStore(directory).problems, []);
    await rm(directory, { recursive: true });
  });

  async function restart(): Promise<void> {
    await engine.close();
    assert.deepEqual(checkStore(directory).problems, []);
    engine = await openEmbedded({ directory, clock, minimumFree: 0, log });
  }

  test('suppressions survive a restart', async () => {
    const entry = { tenant: 'a', address: 'ann@example.net', reason: 'COMPLAINT', at: 1, since: 1 } as const;
    await engine.suppressions.put(entry);
    await engine.suppressions.put({ ...entry, address: 'bob@example.net' });
    await engine.suppressions.remove('a', 'bob@example.net', 2);
    await restart();
    const asked = ['ann', 'bob', 'cy'].map((name) => ({ tenant: 'a', address: `${name}@example.net` }));
    assert.deepEqual(await engine.suppressions.find(asked), [entry, undefined, undefined]);
  });

  test('rows and counted batches survive a restart, and expired ones are pruned', async () => {
    const row = { kind: 'statistics', partition: 'a', key: 'k' };
    const delta = { ...row, add: { n: 1 }, expiresAt: clock.now() + 1_000 };
    assert.equal(await engine.rows.add('batch', [delta]), true);
    await engine.rows.put([{ ...row, key: 'stays', value: 1 }]);
    await restart();
    assert.equal(await engine.rows.add('batch', [delta]), false);
    assert.deepEqual((await engine.rows.get([row]))[0]?.value, { n: 1 });
    clock.advance(BATCH_MEMORY);
    // The row of a counted batch, and the row that it counted: the next sweep must come soon while there are more.
    for (const removed of [1, 1, 0]) assert.equal(await engine.records.prune(0, 1), removed);
    await engine.close();
    assert.equal(checkStore(directory).counts.rows, 1);
  });

  test('claims survive a restart, and those of five minutes that are over are pruned, as many as are asked for', async () => {
    const claim = (n: number, life: number) => ({
      key: `key ${n}`,
      digest: 'd',
      expiresAt: clock.now() + life,
      response: `answer ${n}`,
    });
    const claims = [claim(1, 60_000), claim(2, 70_000), claim(3, 80_000), claim(4, 2 * 3_600_000)];
    for (const one of claims) await engine.queue.admit([mail(clock.now())], one);
    await restart();
    for (const { key, response } of claims)
      assert.deepEqual(await engine.records.claim(key), { digest: 'd', response });
    const repeat = await engine.queue.admit([mail(clock.now())], { ...claims[0]!, response: 'second' });
    assert.deepEqual(repeat, { kind: 'repeated', response: 'answer 1' });
    clock.advance(3_600_000);
    assert.equal(await engine.records.prune(0, 2), 2);
    assert.equal(await engine.records.prune(0, 2), 1);
    assert.equal(await engine.records.prune(0, 2), 0);
    assert.equal((await engine.records.claim('key 4'))?.response, 'answer 4');
  });

  test('mail of a tenant is leased in the order of admission, from memory and from disk', async () => {
    const lane = newLane();
    const messages = Array.from({ length: 700 }, () => mail(clock.now(), { lane }));
    await admit(engine, ...messages);
    const ids = messages.map((message) => message.record.id);
    const first = await collect(engine, lane, 100);
    assert.deepEqual(
      first.map((leased) => leased.item.messageId),
      ids.slice(0, 100),
    );
    await engine.queue.settle(first.map((leased) => end(leased, clock.now())));
    await restart();
    const rest = await collect(engine, lane, 600);
    assert.deepEqual(
      rest.map((leased) => leased.item.messageId),
      ids.slice(100),
    );
    // Nothing was leased at the clean end, so nothing can have been sent.
    assert.ok(rest.every((leased) => leased.receives === 1));
  });

  test('after an end with open leases, earlier items must be checked and new ones need not', async () => {
    const lane = newLane();
    await admit(engine, mail(clock.now(), { lane }), mail(clock.now(), { lane }));
    await engine.queue.lease({ lane, max: 1, visibility: LONG, wait: 0 });
    await restart();
    await admit(engine, mail(clock.now(), { lane }));
    const receives = (await collect(engine, lane, 3)).map((leased) => leased.receives);
    assert.deepEqual(receives, [2, 2, 1]);
  });

  test('ends that were noted and never settled count after a restart, once', async () => {
    const lane = newLane();
    const message = mail(clock.now(), {
      lane,
      recipients: ['a@example.net', 'b@example.net', 'c@example.net'],
    });
    await admit(engine, message, mail(clock.now(), { lane }));
    const [a, b, , other] = await collect(engine, lane, 4);
    engine.queue.note([end(a!, clock.now()), end(b!, clock.now(), 'bounced')]);
    const settled = end(other!, clock.now());
    engine.queue.note([settled]);
    await engine.queue.settle([settled]);
    await restart();
    assert.deepEqual(logged, ['journal.settled {"deliveries":2}']);
    assert.deepEqual(await readdir(join(directory, JOURNAL)), []);
    const { id } = message.record;
    const records = await engine.records.deliveries(id);
    assert.deepEqual(
      records.map(({ state }) => state),
      ['delivered', 'bounced', 'queued'],
    );
    const [last] = await collect(engine, lane, 1);
    assert.equal(last!.item.n, 2);
    await assertEmpty(engine, lane);
    await engine.queue.settle([end(last!, clock.now())]);
    await restart();
    const { outcomes } = await engine.records.feed(0, 10);
    assert.equal(outcomes.length, 4, 'one for each delivery');
    assert.equal(logged.length, 1, 'nothing is left to settle');
  });

  test('a note of a delivery that is not there any more changes nothing, even when its place is taken', async () => {
    const lane = newLane();
    await admit(engine, mail(clock.now(), { lane }));
    const [old] = await collect(engine, lane, 1);
    engine.queue.note([end(old!, clock.now())]);
    const journal = join(directory, JOURNAL);
    const kept = await readFile(join(journal, '1.v1'));
    await engine.queue.settle([end(old!, clock.now())]);
    await restart();
    // An empty tenant queue is dropped at the start, and the keys of the next one begin anew.
    await restart();
    const message = mail(clock.now(), { lane });
    await admit(engine, message);
    await engine.close();
    await writeFile(join(journal, '1.v1'), kept);
    engine = await openEmbedded({ directory, clock, minimumFree: 0, log });
    const [leased] = await collect(engine, lane, 1);
    assert.equal(leased!.item.messageId, message.record.id);
    assert.deepEqual(logged, []);
  });

  test('a journal with a damaged middle is reported, and the rest of it counts', async () => {
    const lane = newLane();
    await admit(engine, ...Array.from({ length: 4 }, () => mail(clock.now(), { lane })));
    engine.queue.note((await collect(engine, lane, 4)).map((leased) => end(leased, clock.now())));
    const file = join(directory, JOURNAL, '1.v1');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('\n', 'x').slice(0, -3));
    const { problems, counts } = checkStore(directory);
    assert.deepEqual([problems, counts.journal, counts.journal_damage], [[], 1, 1]);
    await engine.close();
    engine = await openEmbedded({ directory, clock, minimumFree: 0, log });
    assert.match(
      logged.join(),
      /journal.damaged.*is damaged from byte 0 to.*journal.settled {"deliveries":1}/,
    );
    await collect(engine, lane, 3);
  });

  test('a long queue on disk does not delay another tenant after a restart', async () => {
    const lane = newLane();
    await admit(engine, ...Array.from({ length: 2_000 }, () => mail(clock.now(), { lane, tenant: 'busy' })));
    await admit(engine, mail(clock.now(), { lane, tenant: 'quiet' }));
    await restart();
    const next = await engine.queue.lease({ lane, max: 10, visibility: LONG, wait: 0 });
    assert.equal(next.filter((leased) => leased.item.tenant === 'quiet').length, 1);
    assert.equal((await engine.queue.lanes())[0]!.ready, 1_991);
  });

  test('items beyond what memory holds come back from disk, once and in order', async () => {
    const lane = newLane();
    const body = 'x'.repeat(64 << 10);
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) {
      const messages = Array.from({ length: 50 }, () => mail(clock.now(), { lane, body }));
      await admit(engine, ...messages);
      ids.push(...messages.map((message) => message.record.id));
    }
    // 38 MiB are ready. Half of them go out while more arrive.
    const seen: string[] = [];
    for (let i = 0; i < 6; i++) {
      const items = await collect(engine, lane, 50);
      seen.push(...items.map((leased) => leased.item.messageId));
      await engine.queue.settle(items.map((leased) => end(leased, clock.now())));
      const message = mail(clock.now(), { lane, body });
      await admit(engine, message);
      ids.push(message.record.id);
    }
    const rest = await collect(engine, lane, 306);
    seen.push(...rest.map((leased) => leased.item.messageId));
    assert.deepEqual(seen, ids);
    assert.ok(rest.every((leased) => leased.bytes.equals(Buffer.from(body))));
    await engine.queue.settle(rest.map((leased) => end(leased, clock.now())));
  });

  test('the timer promotes thousands of deliveries due at once, also after a restart', async () => {
    const lane = newLane();
    const due = clock.now() + 60_000;
    await admit(engine, ...Array.from({ length: 1_500 }, () => mail(clock.now(), { lane, due })));
    await restart();
    assert.deepEqual(await engine.ledger.waiting(), { count: 1_500, next: due });
    const polled = engine.queue.lease({ lane, max: 10, visibility: LONG, wait: LONG });
    clock.advance(60_100);
    const first = await polled;
    const rest = await collect(engine, lane, 1_500 - first.length);
    assert.ok(rest.every((leased) => leased.receives === 1));
    assert.deepEqual(await engine.ledger.waiting(), { count: 0, next: undefined });
  });

  test('the body is deleted with the last delivery of its message, not before', async () => {
    const lane = newLane();
    const message = mail(clock.now(), {
      lane,
      recipients: ['a@example.net', 'b@example.net', 'c@example.net'],
    });
    await admit(engine, message);
    const [one, two, three] = await collect(engine, lane, 3);
    await engine.queue.settle([end(one!, clock.now()), defer(two!, clock.now(), clock.now() + 1_000)]);
    await restart();
    clock.advance(2_000);
    const [back] = (await collect(engine, lane, 2)).filter((leased) => leased.item.n === two!.item.n);
    assert.deepEqual(back!.bytes, Buffer.from(message.body));
    await engine.queue.settle([end(back!, clock.now(), 'expired')]);
    await engine.close();
    assert.equal(checkStore(directory).counts.bodies, 1);
    engine = await openEmbedded({ directory, clock, minimumFree: 0 });
    const [last] = await collect(engine, lane, 1);
    assert.equal(last!.item.n, three!.item.n);
    await engine.queue.settle([end(last!, clock.now(), 'bounced')]);
    await engine.close();
    assert.equal(checkStore(directory).counts.bodies, 0);
  });

  test('a cursor of the feed stays valid after everything was pruned', async () => {
    const lane = newLane();
    await admit(engine, mail(clock.now(), { lane }));
    await engine.queue.settle([end((await collect(engine, lane, 1))[0]!, clock.now())]);
    const { cursor } = await engine.records.feed(0, 10);
    clock.advance(1_000);
    assert.equal(await engine.records.prune(clock.now(), 10), 1);
    await restart();
    await admit(engine, mail(clock.now(), { lane }));
    await engine.queue.settle([end((await collect(engine, lane, 1))[0]!, clock.now())]);
    assert.equal((await engine.records.feed(cursor, 10)).outcomes.length, 1);
  });

  test('the checker reports each kind of damage', async () => {
    const lane = newLane();
    const messages = Array.from({ length: 4 }, () => mail(clock.now(), { lane }));
    await admit(engine, ...messages);
    await engine.queue.settle([end((await collect(engine, lane, 1))[0]!, clock.now())]);
    await engine.close();
    const sound = checkStore(directory);
    assert.deepEqual(sound.problems, []);
    assert.equal(sound.counts.delivered, 1);
    assert.equal(sound.counts.queued, 3);
    const breakages = [
      'DELETE FROM bodies WHERE message = (SELECT max(message) FROM bodies)',
      'DELETE FROM queue WHERE key = (SELECT max(key) FROM queue)',
      'INSERT INTO ledger (due, message, n, share, item) SELECT 1, message, n, share, item FROM queue LIMIT 1',
      "UPDATE outcomes SET state = 'accepted'",
      "UPDATE messages SET record = 'x' WHERE seq = (SELECT max(seq) FROM messages)",
      'UPDATE shelves SET count = count + 1',
      "INSERT INTO bodies (message, bytes) VALUES (5, x'00')",
    ];
    for (const sql of breakages) {
      const db = new DatabaseSync(join(directory, FILE));
      db.exec('BEGIN');
      db.exec(sql);
      db.exec('COMMIT');
      db.close();
      assert.ok(checkStore(directory).problems.length > 0, sql);
    }
    await rm(directory, { recursive: true });
    engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  });
});

test('embedded engine: a process killed under load loses nothing that it had answered or noted', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-kill-'));
  const answered = { admitted: new Set<string>(), noted: new Set<string>(), settled: new Set<string>() };
  try {
    for (let round = 0; round < 4; round++) {
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL('./kill-me.ts', import.meta.url)), directory],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const exited = once(child, 'exit');
      let text = '';
      for await (const chunk of child.stdout.setEncoding('utf8')) {
        text += chunk;
        if (text.length > 40_000 * (round + 1)) child.kill('SIGKILL');
      }
      await exited;
      // Only whole lines: the last one may be cut off.
      for (const line of text.slice(0, text.lastIndexOf('\n')).split('\n')) {
        const [what, id] = line.split(' ');
        if (what === 'admitted' || what === 'noted' || what === 'settled') answered[what].add(id!);
      }
      assert.deepEqual(checkStore(directory).problems, []);
    }
    assert.ok(answered.settled.size > 0 && answered.admitted.size > answered.settled.size);
    const engine = await openEmbedded({ directory, clock: new TestClock(), minimumFree: 0 });
    assert.ok(answered.noted.size > answered.settled.size, 'each kill cuts a settlement off');
    for (const id of answered.admitted) {
      const state = await engine.records.state(id, 0);
      assert.ok(
        state === 'delivered' || (state === 'queued' && !answered.noted.has(id)),
        `${id} is ${state}`,
      );
    }
    await engine.close();
  } finally {
    await rm(directory, { recursive: true });
  }
});
