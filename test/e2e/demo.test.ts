import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '..', '..');

test('npm run demo ends by itself and shows every provider’s limit', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'bench', 'demo', 'demo.ts'), '700'],
    { cwd: ROOT },
  );
  assert.match(stdout, /^700 messages in .*: every one ended, none lost/m);
  const rows = [...stdout.matchAll(/^(\S.*?) {2,}(\d+) +(\d+) +(\d+) +(\d+) /gm)].map(
    ([, provider, messages, delivered, deferred, bounced]) => ({
      provider,
      complete: Number(messages) === Number(delivered) + Number(bounced),
      deferred: Number(deferred),
    }),
  );
  assert.equal(rows.length, 7);
  assert.deepEqual(
    rows.filter(({ complete }) => !complete),
    [],
  );
  assert.ok(rows.find(({ provider }) => provider === 'greylisting')!.deferred > 0);
});
