/** How a process on the AWS engine follows the configuration, also when it was stopped for a while. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openAws } from '../../lib/engine/aws/open.ts';
import type { Config } from '../../lib/engine/ports.ts';
import { Faults } from '../support/aws.ts';
import { advance, awsNodes, SKIP, until } from './aws-nodes.ts';
import { newLane } from './harness.ts';

describe('aws: changes of the configuration', { skip: SKIP }, () => {
  const { aws, open } = awsNodes();

  test('of another process arrive, and after a gap every document counts as changed', async () => {
    const [one, two] = [await open(), await open()];
    const kind = `kind ${newLane()}`;
    const seen = new Set<string>();
    const leave = two.engine.config.watch((change) => {
      if (change.kind === kind) seen.add(change.key);
    });
    await two.engine.config.catchUp();
    for (let n = 0; n < 40; n += 1) await one.engine.config.put(kind, `key ${n}`, n);
    await until(() => seen.size === 40);
    leave();
  });

  /** A process whose timers do not run, as those of a Lambda function between two calls. */
  async function frozen(
    now = () => Date.now(),
  ): Promise<{ config: Config; faults: Faults; close(): Promise<void> }> {
    const faults = new Faults();
    const engine = await openAws({
      resources: aws().resources,
      client: faults.on(aws().client),
      clock: { now, after: () => () => {} },
    });
    return { config: engine.config, faults, close: () => engine.close() };
  }

  test('reach the watchers of a stopped process when it catches up', async () => {
    const writer = await open();
    const { config, faults, close } = await frozen();
    const kind = `kind ${newLane()}`;
    const known = new Map<string, unknown>();
    config.watch(async (change) => {
      if (change.kind === kind) known.set(change.key, (await config.get(kind, change.key))?.value);
    });
    await config.catchUp();
    await writer.engine.config.put(kind, 'key', 'revoked');
    const looks = faults.calls.get('GetItem');
    await config.catchUp();
    assert.equal(faults.calls.get('GetItem'), looks, 'a read of the last second is good enough');
    advance(1_100);
    await Promise.all([config.catchUp(), config.catchUp()]);
    assert.equal(known.get('key'), 'revoked');
    assert.equal(faults.calls.get('GetItem'), looks! + 2, 'one read for both calls, and the document');
    await close();
  });

  test('are read once per catch-up, also when the read takes more than a second', async () => {
    let time = Date.now();
    const { config, faults, close } = await frozen(() => (time += 1_500));
    config.watch(() => {});
    await config.catchUp();
    const looks = faults.calls.get('GetItem')!;
    await config.catchUp();
    assert.equal(faults.calls.get('GetItem'), looks + 1);
    await close();
  });

  test('that cannot be read fail the catch-up, so that no process acts on stale documents', async () => {
    const { config, faults, close } = await frozen();
    config.watch(() => {});
    await config.catchUp();
    advance(60_000);
    faults.add({ command: 'GetItem', kind: 'refused', times: 1, error: 'AccessDenied' });
    await assert.rejects(config.catchUp(), { code: 'storage_unavailable' });
    await config.catchUp();
    await close();
  });
});
