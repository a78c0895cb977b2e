import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { loadMasterKey } from '../../lib/control/master-key.ts';
import { smtpPassword } from '../../lib/control/smtp-password.ts';
import { createVault } from '../../lib/control/vault.ts';
import { failure } from '../support/control.ts';

const directories: string[] = [];
after(() => Promise.all(directories.map((path) => rm(path, { recursive: true }))));

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postern-vault-'));
  directories.push(path);
  return path;
}

describe('vault', () => {
  const vault = createVault(Buffer.alloc(32, 1));

  test('opens sealed text, which shows nothing of the secret', () => {
    const sealed = vault.seal('geheim-ä', 'key A');
    assert.equal(vault.open(sealed, 'key A'), 'geheim-ä');
    assert.ok(!sealed.includes('geheim') && !sealed.includes(Buffer.from('geheim').toString('base64url')));
    assert.notEqual(vault.seal('geheim-ä', 'key A'), sealed, 'a nonce is used once');
  });

  test('refuses a secret that was moved to another document', () => {
    const sealed = vault.seal('secret', 'key A');
    assert.throws(() => vault.open(sealed, 'key B'), failure('storage_damaged', /key B was changed/));
  });

  test('refuses any changed byte', () => {
    const sealed = vault.seal('secret', 'key A');
    const start = sealed.lastIndexOf('.') + 1;
    const bytes = Buffer.from(sealed.slice(start), 'base64url');
    for (let place = 0; place < bytes.length; place += 1) {
      const changed = Buffer.from(bytes);
      changed[place]! ^= 1;
      const text = sealed.slice(0, start) + changed.toString('base64url');
      assert.throws(() => vault.open(text, 'key A'), failure('storage_damaged'));
    }
    for (const cut of ['', 'v1', sealed.slice(0, start), sealed.slice(0, start + 20)]) {
      assert.throws(() => vault.open(cut, 'key A'), failure('storage_damaged'));
    }
  });

  test('reports a secret of another master key and a damaged one as different errors', () => {
    const other = createVault(Buffer.alloc(32, 2)).seal('secret', 'key A');
    assert.throws(() => vault.open(other, 'key A'), failure('storage_damaged', /Restore the master\.key/));
  });

  test('accepts only a master key of 32 bytes', () => {
    for (const size of [0, 31, 33])
      assert.throws(() => createVault(Buffer.alloc(size)), failure('bad_request'));
  });
});

describe('master key', () => {
  test('is generated once, readable by its owner only, and read afterwards', async () => {
    const path = join(await directory(), 'deep', 'data');
    const key = await loadMasterKey(path);
    assert.equal(key.length, 32);
    assert.equal((await stat(join(path, 'master.key'))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(path), ['master.key'], 'nothing is left aside');
    assert.deepEqual(await loadMasterKey(path), key);
  });

  test('is the same for processes that start together', async () => {
    const path = await directory();
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadMasterKey(path)));
    for (const key of keys) assert.deepEqual(key, await readFile(join(path, 'master.key')));
  });

  test('is refused when other users may read it', async () => {
    const path = await directory();
    await loadMasterKey(path);
    for (const mode of [0o640, 0o604, 0o622]) {
      await chmod(join(path, 'master.key'), mode);
      await assert.rejects(loadMasterKey(path), failure('storage_unavailable', /chmod 600/));
    }
  });

  test('is refused when it is incomplete', async () => {
    const path = await directory();
    for (const size of [0, 31, 33]) {
      await writeFile(join(path, 'master.key'), Buffer.alloc(size), { mode: 0o600 });
      await assert.rejects(loadMasterKey(path), failure('storage_damaged', /Restore it/));
    }
  });

  test('names the path that cannot be used', async () => {
    const path = join(await directory(), 'file');
    await writeFile(path, '');
    await assert.rejects(loadMasterKey(path), failure('storage_unavailable', /master\.key cannot be used/));
  });
});

test('the SMTP password is derived as SES derives it', () => {
  assert.equal(
    smtpPassword('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'us-east-1'),
    'BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9',
  );
});
