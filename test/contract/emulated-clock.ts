/** The clock of contract tests on AWS: the time of this process, which emulators share and others do not. */
import { moveTime } from '../support/aws.ts';

/** @param emulated time may be moved; elsewhere it passes. */
export function emulatedClock(emulated: boolean) {
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
