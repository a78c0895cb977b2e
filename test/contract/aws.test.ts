/** The AWS engine under the contract, with and without claims. */
import { mock } from 'node:test';
import { openAws } from '../../lib/engine/aws/open.ts';
import { moveTime, startTestAws, withLanes } from '../support/aws.ts';
import { engineContract } from './engine-contract.ts';
import type { ContractOptions, EngineUnderTest } from './harness.ts';

/** Time of the process, and of SQS in it. Elsewhere it cannot be moved, and passes. */
function clockOf(emulated: boolean) {
  return {
    now: () => Date.now(),
    after(delay: number, task: () => void) {
      const timer = setTimeout(task, delay).unref();
      return () => clearTimeout(timer);
    },
    async advance(ms: number): Promise<void> {
      if (emulated) moveTime(Date.now() + ms);
      else await new Promise((resolve) => setTimeout(resolve, ms));
    },
  };
}

async function open(claimBeforeSend: boolean): Promise<EngineUnderTest> {
  const aws = await startTestAws([]);
  const clock = clockOf(aws.emulated);
  const engine = await openAws({
    resources: aws.resources,
    client: withLanes(aws),
    clock,
    steady: () => Date.now(),
    claimBeforeSend,
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
