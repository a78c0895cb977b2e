/** The memory engine under the contract, and the config port of unit tests under its part of it. */
import { describe } from 'node:test';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { TestClock } from '../support/clock.ts';
import { MemoryConfig } from '../support/memory-config.ts';
import { configContract } from './config-contract.ts';
import { engineContract } from './engine-contract.ts';
import type { EngineUnderTest } from './harness.ts';

engineContract(
  'memory',
  async () => {
    const clock = new TestClock();
    const engine = openMemory({ clock });
    return { engine, clock, close: () => engine.close() };
  },
  { strictTurns: true },
);

describe('the config port of unit tests', () => {
  const engine = { config: new MemoryConfig() } as Partial<Engine> as Engine;
  const under: EngineUnderTest = { engine, clock: new TestClock(), close: () => Promise.resolve() };
  configContract(() => under);
});
