/** The script that decides whether a node's deployment goes on, with a fake command `aws`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openHealth } from '../../egress-node/service/health.ts';

const SCRIPT = join(import.meta.dirname, '..', '..', 'egress-node', 'service', 'verify-node.sh');
const directory = mkdtempSync(join(tmpdir(), 'postern-verify-'));
after(() => rmSync(directory, { recursive: true }));

/** @param status of the stack. @param ringing names of alarms that started after the node. */
async function verify(well: boolean, status: string, ringing: string): Promise<[number, string, string]> {
  const called = join(directory, 'called');
  writeFileSync(called, '');
  const aws = join(directory, 'aws');
  writeFileSync(
    aws,
    `#!/bin/bash
printf '%s\\n' "$@" >> '${called}'
case "$1" in
  cloudformation) echo '${status}' ;;
  cloudwatch) printf '%s' '${ringing}' ;;
esac
`,
  );
  chmodSync(aws, 0o755);
  const health = await openHealth({ host: '127.0.0.1', port: 0 }, async () => ({
    ok: well,
    detail: 'no lease',
  }));
  const child = spawn('bash', [SCRIPT], {
    env: {
      PATH: `${directory}:${process.env.PATH}`,
      WATCH: '0',
      PATIENCE: '0',
      STACK: 'postern-test-egress',
      ALARMS: 'postern-test: Lease lost\npostern-test: Dead deliveries',
      HEALTH: `http://127.0.0.1:${health.port}/healthz`,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const code = await new Promise<number>((resolve) => child.once('close', (ended) => resolve(ended ?? -1)));
  health.close();
  return [code, errors, readFileSync(called, 'utf8')];
}

describe('the deployment of a node', () => {
  test('goes on when the node may send and no alarm is on', async () => {
    const [code, , called] = await verify(true, 'UPDATE_IN_PROGRESS', '');
    assert.equal(code, 0);
    assert.match(
      called,
      /--alarm-names\npostern-test: Lease lost\npostern-test: Dead deliveries\n--state-value\nALARM/,
    );
    assert.match(called, /StateUpdatedTimestamp>='\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'/);
  });

  test('stops at an alarm that starts meanwhile', async () => {
    const [code, errors] = await verify(true, 'UPDATE_IN_PROGRESS', 'postern-test: Lease lost');
    assert.equal(code, 1);
    assert.match(errors, /rings since this version sends: postern-test: Lease lost/);
  });

  test('stops at a node that may not send, with the reason', async () => {
    const [code, errors, called] = await verify(false, 'UPDATE_IN_PROGRESS', '');
    assert.equal(code, 1);
    assert.match(errors, /may not send: .*"detail":"no lease"/);
    assert.equal(called, '');
  });

  test('is not stopped by alarms during a rollback, or on creation', async () => {
    for (const status of ['UPDATE_ROLLBACK_IN_PROGRESS', 'CREATE_IN_PROGRESS']) {
      const [code, , called] = await verify(true, status, 'postern-test: Lease lost');
      assert.equal(code, 0, status);
      assert.doesNotMatch(called, /cloudwatch/);
    }
  });
});
