import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openControl } from '../../lib/control/control.ts';
import { loadMasterKey } from '../../lib/control/master-key.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { TestClock } from '../support/clock.ts';

test('no file of a data directory holds a secret in clear, and secrets survive a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-control-'));
  try {
    const clock = new TestClock();
    const open = async () => {
      const engine = await openEmbedded({ directory, clock, minimumFree: 0 });
      const masterKey = await loadMasterKey(directory);
      const control = await openControl({
        config: engine.config,
        masterKey,
        clock,
        verifyIdentities: false,
        ed25519: true,
      });
      return { engine, control, masterKey };
    };
    const first = await open();
    const key = await first.control.keys.create({ tenant: 'default', admin: true });
    const identity = await first.control.identities.create({ name: 'example.com', tenant: 'default' });
    const signing = await first.control.identities.signingKeys(identity);
    const secrets = [key.secret, first.masterKey.toString('hex'), first.masterKey.toString('base64')];
    for (const { privateKey } of signing) {
      const der = privateKey.split('\n').slice(1, -2);
      secrets.push(...der, Buffer.from(der.join(''), 'base64').subarray(-24).toString('latin1'));
    }

    const search = async () => {
      const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter(
        (one) => one.isFile() && one.name !== 'master.key',
      );
      let size = 0;
      for (const file of files) {
        const bytes = await readFile(join(file.parentPath, file.name));
        size += bytes.length;
        for (const secret of secrets) assert.equal(bytes.indexOf(secret, 0, 'latin1'), -1, file.name);
      }
      assert.ok(size > 0);
    };
    await search();
    await first.control.close();
    await first.engine.close();
    await search();

    const second = await open();
    assert.deepEqual(await second.control.keys.find(key.id), key);
    assert.deepEqual(await second.control.identities.signingKeys(identity), signing);
    await second.control.close();
    await second.engine.close();
  } finally {
    await rm(directory, { recursive: true });
  }
});
