/** The embedded engine under the contract. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { TestClock } from '../support/clock.ts';
import { engineContract } from './engine-contract.ts';
import type { EngineUnderTest } from './harness.ts';

engineContract(
  'embedded',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-engine-'));
    const clock = new TestClock();
    const under: EngineUnderTest = {
      engine: await openEmbedded({ directory, clock, minimumFree: 0 }),
      clock,
      async reopen() {
        await under.engine.close();
        under.engine = await openEmbedded({ directory, clock, minimumFree: 0 });
        return under.engine;
      },
      async close() {
        await under.engine.close();
        await rm(directory, { recursive: true });
      },
    };
    return under;
  },
  { strictTurns: true },
);
