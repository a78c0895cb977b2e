/** The memory engine under the contract. */
import { openMemory } from '../../lib/engine/memory/open.ts';
import { TestClock } from '../support/clock.ts';
import { engineContract } from './engine-contract.ts';

engineContract(
  'memory',
  async () => {
    const clock = new TestClock();
    const engine = openMemory({ clock });
    return { engine, clock, close: () => engine.close() };
  },
  { strictTurns: true },
);
