/** What the embedded engine does when its storage fails: a clear error, nothing promised, nothing lost. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Batch, MessageTuple } from '../../lib/engine/embedded/protocol.ts';
import { APPLICATION_ID, FILE, STEPS } from '../../lib/engine/embedded/store/schema.ts';
import { Store } from '../../lib/engine/embedded/store/store.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import type { PosternError } from '../../lib/errors.ts';
import { TestClock } from '../support/clock.ts';
import { admit, collect, end, LONG, mail, newLane } from './harness.ts';

const CHECK = join(import.meta.dirname, '../../lib/engine/embedded/check.ts');

/** Takes a store back to before the table of claims. */
const WITHOUT_CLAIMS = `DROP TABLE claims; ${/CREATE TABLE idempotency.+?;/s.exec(STEPS[0]!)![0]}`;

describe('embedded engine: faults', () => {
  const clock = new TestClock();
  let directory: string;
  let opened: Engine[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-faults-'));
    opened = [];
  });

  afterEach(async () => {
    for (const engine of opened) await engine.close();
    await rm(directory, { recursive: true });
  });

  async function start(minimumFree = 0): Promise<Engine> {
    const engine = await openEmbedded({ directory, clock, minimumFree });
    opened.push(engine);
    return engine;
  }

  test('a directory in use is refused to a second engine and is free after close', async () => {
    const first = await start();
    await assert.rejects(start(), { code: 'storage_locked' });
    await first.close();
    await start();
  });

  test('a reader of a store in use sees a snapshot, and writes go on', async () => {
    const engine = await start();
    await admit(engine, mail(clock.now()), mail(clock.now()));
    const reader = new DatabaseSync(join(directory, FILE), { readOnly: true });
    reader.exec('BEGIN');
    const count = () => reader.prepare('SELECT count(*) AS count FROM messages').get()!.count;
    assert.equal(count(), 2);
    await admit(engine, mail(clock.now(), { body: 'x'.repeat(10 << 20) }));
    assert.equal(count(), 2);
    assert.equal(checkStore(directory).counts.messages, 3);
    assert.deepEqual(checkStore(directory).problems, []);
    await engine.close();
    // An open reader does not block the next start.
    assert.equal((await (await start()).queue.lanes()).length, 1);
    reader.close();
    assert.deepEqual(checkStore(directory).problems, []);
  });

  test('an older Postern, which locks the store exclusively, and this one refuse each other', async () => {
    await (await start()).close();
    const before = new DatabaseSync(join(directory, FILE), { timeout: 0 });
    before.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT');
    await assert.rejects(start(), { code: 'storage_locked' });
    assert.throws(() => checkStore(directory), { code: 'storage_locked' });
    before.close();
    await start();
    const late = new DatabaseSync(join(directory, FILE), { timeout: 0 });
    assert.throws(() => late.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE'), /locked/);
    late.close();
  });

  test('the checker ends with a sentence and an exit code for every input', async () => {
    const run = (...directories: string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [CHECK, ...directories], {
        encoding: 'utf8',
      });
      return [status, (stdout + stderr).trim().split('\n').at(-1)];
    };
    assert.deepEqual(run(), [2, 'Name the data directory: npm run check:store -- <data directory>']);
    assert.deepEqual(run(directory), [
      2,
      `The store cannot be checked. There is no store in ${directory}: it holds no postern.db.`,
    ]);
    const engine = await start();
    await admit(engine, mail(clock.now()));
    assert.deepEqual(run(directory), [0, `The store in ${directory} is sound.`]);
    await engine.close();
    const db = new DatabaseSync(join(directory, FILE));
    db.exec('DELETE FROM bodies');
    db.close();
    const [code, verdict] = run(directory);
    assert.equal(code, 1);
    assert.match(String(verdict), /is not sound \(problems: 1\)\. Stop Postern/);
    await writeFile(join(directory, FILE), 'x'.repeat(40_000));
    const [status, sentence] = run(directory);
    assert.equal(status, 2);
    assert.match(
      String(sentence),
      /^The store cannot be checked\. The store in .* is not a database of Postern/,
    );
  });

  test('a directory that can never be made is refused at once', { timeout: 5_000 }, async () => {
    await assert.rejects(openEmbedded({ directory: '/proc/postern/data', clock }), {
      code: 'storage_unavailable',
      message: /\/proc\/postern/,
    });
  });

  test('a store of a newer version is refused and not touched', async () => {
    await (await start()).close();
    const db = new DatabaseSync(join(directory, FILE));
    db.exec('PRAGMA user_version = 99');
    db.close();
    await assert.rejects(start(), { code: 'storage_too_new' });
    assert.throws(() => checkStore(directory), { code: 'storage_too_new' });
  });

  test('a store of an older version is checked as it is and migrated on open', async () => {
    const db = new DatabaseSync(join(directory, FILE));
    db.exec(STEPS[0]!);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`);
    db.close();
    assert.deepEqual(checkStore(directory).problems, []);
    const { suppressions } = await start();
    const entry = { tenant: 'a', address: 'ann@example.net', reason: 'BOUNCE', at: 1, since: 1 } as const;
    assert.equal(await suppressions.put(entry), true);
    assert.deepEqual(await suppressions.list({ tenant: 'a', max: 1 }), [entry]);
  });

  test('a store of before the counts of the ledger is brought up to date with its mail', async () => {
    const due = clock.now() + 60_000;
    const before = await start();
    await admit(
      before,
      mail(clock.now()),
      mail(clock.now(), { due }),
      mail(clock.now(), { due, tenant: 'b' }),
    );
    await before.close();
    const db = new DatabaseSync(join(directory, FILE));
    const step = STEPS.findIndex((one) => one.includes('CREATE TABLE later'));
    db.exec(`DROP TABLE later; DROP INDEX ledger_by_site; ${WITHOUT_CLAIMS} PRAGMA user_version = ${step}`);
    db.close();
    assert.deepEqual(checkStore(directory).problems, []);
    const after = await start();
    const { depths } = await after.queue.depths();
    assert.deepEqual(
      depths.map(({ tenant, ready, later }) => [tenant, ready, later]),
      [
        ['tenant', 1, 1],
        ['b', 0, 1],
      ],
    );
    assert.deepEqual(await after.ledger.waiting(), { count: 2, next: due });
    assert.deepEqual(checkStore(directory).problems, []);
  });

  test('a store of before the table of claims keeps those that have not expired', async () => {
    const before = await start();
    await admit(before, mail(clock.now()));
    await before.close();
    const db = new DatabaseSync(join(directory, FILE));
    const step = STEPS.findIndex((one) => one.includes('CREATE TABLE claims'));
    db.exec(`${WITHOUT_CLAIMS} PRAGMA user_version = ${step}`);
    const insert = db.prepare('INSERT INTO idempotency VALUES (?, ?, ?, ?)');
    for (let n = 0; n < 20; n += 1)
      insert.run(`key ${n}`, 'digest', clock.now() + (n - 9) * 100_000, `answer ${n}`);
    db.close();
    const after = await start();
    for (let n = 0; n < 20; n += 1) {
      const claim = n > 9 ? { digest: 'digest', response: `answer ${n}` } : undefined;
      assert.deepEqual(await after.records.claim(`key ${n}`), claim);
    }
    assert.equal(checkStore(directory).counts.claims, 10);
  });

  test('a wrong count of the ledger is found', async () => {
    const engine = await start();
    await admit(engine, mail(clock.now(), { due: clock.now() + 60_000 }));
    await engine.close();
    const db = new DatabaseSync(join(directory, FILE));
    db.exec("UPDATE later SET count = 2; INSERT INTO later VALUES ('default:bulk:other', 'nobody', 1)");
    db.close();
    assert.deepEqual(checkStore(directory).problems, [
      'the number of waiting deliveries of a lane and tenant is wrong (default:bulk:other nobody)',
      'the number of waiting deliveries of a lane and tenant is wrong (default:bulk:other tenant)',
    ]);
  });

  test('another program’s database is refused', async () => {
    const db = new DatabaseSync(join(directory, FILE));
    db.exec('CREATE TABLE theirs (x)');
    db.close();
    await assert.rejects(start(), { code: 'storage_damaged' });
  });

  test('a file that is not a database is refused', async () => {
    await writeFile(join(directory, FILE), 'x'.repeat(40_000));
    await assert.rejects(start(), { code: 'storage_damaged' });
  });

  test('a truncated file is refused', async () => {
    const engine = await start();
    await admit(engine, ...Array.from({ length: 50 }, () => mail(clock.now(), { body: 'x'.repeat(4096) })));
    await engine.close();
    await truncate(join(directory, FILE), 200_000);
    await assert.rejects(start(), { code: 'storage_damaged' });
    assert.throws(() => assert.deepEqual(checkStore(directory).problems, []));
  });

  test('a directory that cannot be made is refused', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    const options = { directory: join(file, 'data'), clock };
    await assert.rejects(openEmbedded(options), { code: 'storage_unavailable' });
  });

  test('damage found while reading is an error, and the checker reports it', async () => {
    const lane = newLane();
    const engine = await start();
    await admit(
      engine,
      ...Array.from({ length: 200 }, () => mail(clock.now(), { lane, body: 'x'.repeat(4096) })),
    );
    await engine.close();
    const db = new DatabaseSync(join(directory, FILE), { readOnly: true });
    const leaf = db
      .prepare(
        "SELECT pgoffset, pgsize FROM dbstat WHERE name = 'bodies' AND pagetype = 'leaf' ORDER BY path LIMIT 1",
      )
      .get() as { pgoffset: number; pgsize: number };
    db.close();
    const file = await open(join(directory, FILE), 'r+');
    await file.write(Buffer.alloc(leaf.pgsize, 0xff), 0, leaf.pgsize, leaf.pgoffset);
    await file.close();
    const again = await start();
    await assert.rejects(
      again.queue.lease({ lane, max: 10, visibility: LONG, wait: 0 }),
      (error: PosternError) => {
        assert.equal(error.code, 'storage_damaged');
        assert.ok(!error.message.includes(directory), 'the error does not show where the store is');
        assert.ok(String(error.cause).includes(directory), 'the log is');
        return true;
      },
    );
    await again.close();
    let problems: string[] = [];
    try {
      problems = checkStore(directory).problems;
    } catch (error) {
      problems = [String(error)];
    }
    assert.ok(problems.length > 0);
  });

  test('on a full disk new mail is refused, and accepted mail goes on', async () => {
    const lane = newLane();
    const engine = await start();
    const message = mail(clock.now(), { lane });
    const claim = { key: 'k', digest: 'd', expiresAt: clock.now() + LONG, response: 'first' };
    await engine.queue.admit([message], claim);
    await engine.close();
    const full = await start(Number.MAX_SAFE_INTEGER);
    await assert.rejects(full.queue.admit([mail(clock.now(), { lane })]), (error: PosternError) => {
      assert.equal(error.code, 'storage_full');
      assert.ok(!error.message.includes(directory), 'the error does not show where the store is');
      return true;
    });
    assert.equal((await full.queue.admit([message], claim)).kind, 'repeated');
    const health = await full.health();
    assert.equal(health.ok, false);
    const [leased] = await collect(full, lane, 1);
    await full.queue.settle([end(leased!, clock.now())]);
    assert.equal(await full.records.state(message.record.id, 0), 'delivered');
  });

  test('a disk that fills up during a batch fails only the calls that do not fit', () => {
    const store = new Store({ directory, minimumFree: 0 });
    const item = (id: string) => JSON.stringify({ ...mail(0).deliveries[0]!, messageId: id });
    const tuple = (id: string, length: number): MessageTuple => [
      id,
      1,
      JSON.stringify(mail(0).record),
      length,
      [['lane', 'tenant', 0, 0, item(id)]],
      [],
      [],
    ];
    const batch = (sizes: number[]): Batch => ({
      names: sizes.map(() => 'admit'),
      arguments: sizes.map((size, i) => ({ now: 1, messages: [tuple(`${size}-${i}`, size)] })),
      regions: sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0)),
      size: sizes.reduce((sum, size) => sum + size, 0),
      bytes: new Uint8Array(sizes.reduce((sum, size) => sum + size, 0)).buffer,
    });
    store.db.exec('PRAGMA max_page_count = 60');
    const answer = store.run(batch([100, 2_000_000, 200]));
    assert.deepEqual(
      answer.faults?.map((fault) => fault?.code),
      [undefined, 'storage_full', undefined],
    );
    assert.deepEqual(answer.values.map(Array.isArray), [true, false, true]);
    store.close();
    const { problems, counts } = checkStore(directory);
    assert.equal(counts.messages, 2);
    // The records of this test name another message; both deliveries must be whole.
    assert.deepEqual(problems, []);
  });

  test('a call that fails does not fail its neighbours in the batch', async () => {
    const engine = await start();
    const lane = newLane();
    const first = mail(clock.now(), { lane });
    const results = await Promise.allSettled([
      engine.queue.admit([mail(clock.now(), { lane })]),
      // The second message has the id of the first: all or nothing.
      engine.queue.admit([first, first]),
      engine.queue.admit([mail(clock.now(), { lane })]),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal((results[1] as PromiseRejectedResult).reason.code, 'already_exists');
    assert.equal(await engine.records.message(first.record.id), undefined);
    await collect(engine, lane, 2);
  });

  test('when the storage thread dies, every call and the health check fail; no accepted mail is lost', async () => {
    const started = new Promise<Worker>((resolve) => process.once('worker', resolve));
    const engine = await start();
    const thread = await started;
    const lane = newLane();
    await admit(engine, mail(clock.now(), { lane }));
    const polled = engine.queue.lease({ lane: newLane(), max: 1, visibility: LONG, wait: LONG });
    const refused = assert.rejects(polled, { code: 'storage_unavailable' });
    await thread.terminate();
    await refused;
    await assert.rejects(engine.queue.admit([mail(clock.now(), { lane })]), { code: 'storage_unavailable' });
    await assert.rejects(engine.records.message('x'), { code: 'storage_unavailable' });
    assert.equal((await engine.health()).ok, false);
    await engine.close();
    const again = await start();
    assert.equal((await collect(again, lane, 1))[0]!.receives, 2);
  });

  test('after close every call fails with shutting_down', async () => {
    const engine = await start();
    const polled = engine.queue.lease({ lane: newLane(), max: 1, visibility: LONG, wait: LONG });
    const refused = assert.rejects(polled, { code: 'shutting_down' });
    await Promise.all([engine.close(), engine.close(), refused]);
    await assert.rejects(engine.records.message('x'), { code: 'shutting_down' });
    await assert.rejects(engine.queue.lease({ lane: 'x', max: 1, visibility: 1, wait: 1 }), {
      code: 'shutting_down',
    });
  });
});
