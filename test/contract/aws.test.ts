/** The AWS engine under the contract, with and without claims. */
import { mock } from 'node:test';
import { openAws } from '../../lib/engine/aws/open.ts';
import { startTestAws, withLanes } from '../support/aws.ts';
import { emulatedClock } from './emulated-clock.ts';
import { engineContract } from './engine-contract.ts';
import type { ContractOptions, EngineUnderTest } from './harness.ts';

async function open(claimBeforeSend: boolean): Promise<EngineUnderTest> {
  const aws = await startTestAws([]);
  const clock = emulatedClock(aws.emulated);
  const engine = await openAws({
    resources: { ...aws.resources, claimBeforeSend },
    client: withLanes(aws),
    clock,
    steady: () => clock.now(),
    depthAge: 0,
  });
  return {
    engine,
    clock,
    async close() {
      await engine.close();
      await aws.stop();
      mock.timers.reset();
    },
  };
}

const options: ContractOptions = { recordsExpire: true };
engineContract('aws', () => open(false), { ...options, cancelsOnlyWaiting: true });
engineContract('aws with claims', () => open(true), options);
