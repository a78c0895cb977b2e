/** The clock of contract tests on AWS: the time of this process, which the emulators share and real AWS does not. */
import { LONGEST_DELAY } from '../../lib/engine/aws/lanes.ts';
import { moveTime } from '../support/aws.ts';

/**
 * @param emulated time may be moved. Elsewhere only this process's is; what SQS delays or hides (15 minutes at most)
 * is waited for.
 */
export function emulatedClock(emulated: boolean) {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    after(delay: number, task: () => void) {
      const timer = setTimeout(task, delay).unref();
      return () => clearTimeout(timer);
    },
    async advance(ms: number): Promise<void> {
      if (emulated) return moveTime(Date.now() + ms);
      const wait = Math.min(ms, LONGEST_DELAY * 1000);
      ahead += ms - wait;
      await new Promise((resolve) => setTimeout(resolve, wait));
    },
  };
}
