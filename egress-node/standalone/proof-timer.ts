/** Checks the proofs of domains that are due, while standalone runs: the rule is in lib/control/proof-checks.ts. */
import type { Control } from '../../lib/control/types.ts';
import type { Log } from '../../lib/log.ts';
import { type Clock, MINUTE } from '../../lib/time.ts';

export interface ProofTimerOptions {
  identities: Pick<Control['identities'], 'recheck'>;
  clock: Clock;
  log: Pick<Log, 'info' | 'warn'>;
}

/** Interval between two checks for due proofs, ms. */
const INTERVAL = 10 * MINUTE;

export function startProofTimer({ identities, clock, log }: ProofTimerOptions): { stop(): Promise<void> } {
  let cancel = (): void => {};
  let running: Promise<void> = Promise.resolve();
  let stopped = false;

  async function look(): Promise<void> {
    try {
      const { lost, regained } = await identities.recheck();
      for (const domain of lost)
        log.warn('the proof of a domain is gone from its DNS: nothing is sent as it', { domain });
      for (const domain of regained) log.info('a domain is proven', { domain });
    } catch (error) {
      log.warn('proofs of domains could not be looked up; the next try is in ten minutes', { error });
    }
    if (!stopped) later();
  }

  function later(): void {
    cancel = clock.after(INTERVAL, () => {
      running = look();
    });
  }

  later();
  return {
    async stop() {
      stopped = true;
      cancel();
      await running;
    },
  };
}
