/** A backup of a store under load, and its restoration elsewhere. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { type Backup, Backups, MANIFEST } from '../../lib/control/backup/backups.ts';
import { restoreBackup } from '../../lib/control/backup/restore.ts';
import { openDirectives } from '../../lib/control/directives.ts';
import { loadMasterKey } from '../../lib/control/master-key.ts';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { FILE, STEPS } from '../../lib/engine/embedded/store/schema.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';
import { silentLog } from '../../lib/log.ts';
import { systemClock as clock } from '../../lib/time.ts';
import { admit, collect, defer, end, mail } from './harness.ts';

let root: string;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'postern-backup-'));
});
after(() => rm(root, { recursive: true }));

const newDirectory = (): string => join(root, `data-${count++}`);

async function opened(directory: string): Promise<{ engine: Engine; backups: Backups }> {
  const engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  return { engine, backups: new Backups({ directory, engine, clock, log: silentLog, version: '1.0.0' }) };
}

async function finished(backups: Backups, { id }: Backup): Promise<Backup> {
  await backups.stop();
  return (await backups.find(id))!;
}

describe('a backup', () => {
  test('under load has all that was accepted before it, and restores sound and paused', async (context) => {
    const data = newDirectory();
    const key = await loadMasterKey(data);
    const { engine, backups } = await opened(data);
    const accepted: string[] = [];
    let busy = true;
    context.after(() => {
      busy = false;
    });
    const load = (async () => {
      while (busy) {
        const messages = Array.from({ length: 20 }, () => mail(clock.now(), { body: 'x'.repeat(2_000) }));
        await admit(engine, ...messages);
        accepted.push(...messages.map(({ record }) => record.id));
        const taken = await engine.queue.lease({
          lane: 'default:bulk:other',
          max: 10,
          visibility: 60_000,
          wait: 0,
        });
        await engine.queue.settle(
          taken.map((one, i) =>
            i % 2 ? end(one, clock.now()) : defer(one, clock.now(), clock.now() + 3_600_000),
          ),
        );
      }
    })();
    while (accepted.length < 400) await new Promise(setImmediate);
    const before = [...accepted];
    const backup = await backups.start();
    await assert.rejects(backups.start(), { code: 'already_exists' });
    const done = await finished(backups, backup);
    assert.equal(done.state, 'done', done.error);
    // It goes on being used while the copy is made.
    const during = accepted.length;
    while (accepted.length < during + 100) await new Promise(setImmediate);
    busy = false;
    await load;
    await engine.close();
    const copied = (await readdir(done.directory)).filter((name) => name !== 'journal');
    assert.deepEqual(copied.sort(), [MANIFEST, 'master.key', FILE]);
    for (const name of ['master.key', FILE])
      assert.equal((await stat(join(done.directory, name))).mode & 0o777, 0o600, name);

    const copy = newDirectory();
    const steps: string[] = [];
    const restored = await restoreBackup(done.directory, copy, clock, (what) => steps.push(what));
    assert.deepEqual(steps, ['Copying', 'Checking', 'Pausing']);
    assert.deepEqual(checkStore(copy).problems, []);
    assert.deepEqual(await loadMasterKey(copy), key);
    const again = await openEmbedded({ directory: copy, clock, minimumFree: 0 });
    for (const id of before) assert.ok(await again.records.message(id), `${id} is missing`);
    const directives = await openDirectives({ config: again.config, clock });
    assert.deepEqual(
      directives.list().map(({ id, match, action }) => ({ id, match, action })),
      [{ id: restored.directive, match: {}, action: { kind: 'suspend' } }],
    );
    await collect(again, 'default:bulk:other', 1);
    await directives.close();
    await again.close();
  });

  test('that was cut off, or is damaged, is not restored, and nothing is left', async () => {
    const data = newDirectory();
    const { engine, backups } = await opened(data);
    await admit(engine, ...Array.from({ length: 50 }, () => mail(clock.now(), { body: 'x'.repeat(4_096) })));
    const done = await finished(backups, await backups.start());
    await engine.close();
    const cut = join(data, 'backups', 'cut');
    await mkdir(cut);
    assert.deepEqual(
      (await backups.list()).map(({ id, state }) => [id === 'cut', state]),
      [
        [false, 'done'],
        [true, 'failed'],
      ],
    );
    const copy = newDirectory();
    await assert.rejects(restoreBackup(cut, copy, clock), { code: 'not_found', message: /no backup\.json/ });
    await assert.rejects(restoreBackup(join(root, 'none'), copy, clock), { message: /does not exist/ });
    await truncate(join(done.directory, FILE), 100_000);
    await assert.rejects(restoreBackup(done.directory, copy, clock), { code: 'storage_damaged' });
    assert.deepEqual(await readdir(copy), []);
    await writeFile(join(copy, 'mine'), '');
    await assert.rejects(restoreBackup(done.directory, copy, clock), {
      code: 'already_exists',
      message: /not empty/,
    });
    for (const id of ['../../etc', '..', '.', ''])
      assert.equal(await backups.find(id), undefined, JSON.stringify(id));
  });

  test('of an older version is brought up to date with its mail', async () => {
    const data = newDirectory();
    const { engine, backups } = await opened(data);
    await admit(engine, mail(clock.now()), mail(clock.now(), { due: clock.now() + 3_600_000 }));
    const done = await finished(backups, await backups.start());
    await engine.close();
    const db = new DatabaseSync(join(done.directory, FILE));
    const before = STEPS.findIndex((step) => step.includes('CREATE TABLE later'));
    for (const step of STEPS.slice(before)) {
      for (const [, what, name] of step.matchAll(/CREATE (TABLE|INDEX) (\w+)/g))
        db.exec(`DROP ${what} IF EXISTS ${name}`);
    }
    // Claims had a table of another name.
    db.exec(/CREATE TABLE idempotency.+?;/s.exec(STEPS[0]!)![0]);
    db.exec(`PRAGMA user_version = ${before}`);
    db.close();
    const copy = newDirectory();
    await restoreBackup(done.directory, copy, clock);
    const again = await openEmbedded({ directory: copy, clock, minimumFree: 0 });
    const [depth] = (await again.queue.depths()).depths;
    assert.deepEqual([depth!.ready, depth!.later], [1, 1]);
    await again.close();
  });

  test('that fails says so, and does not block the next', async () => {
    const data = newDirectory();
    const { engine } = await opened(data);
    const failing = { snapshot: () => Promise.reject(new PosternError('storage_full', 'The disk is full.')) };
    const backups = new Backups({
      directory: data,
      engine: failing,
      clock,
      log: silentLog,
      version: '1.0.0',
    });
    const done = await finished(backups, await backups.start());
    assert.deepEqual([done.state, done.error], ['failed', 'The disk is full.']);
    assert.equal((await backups.start()).state, 'running', 'a failed one does not block the next');
    await backups.stop();
    await engine.close();
  });
});
