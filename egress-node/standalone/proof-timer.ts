/** Checks the proofs of domains that are due, while standalone runs: the rule is in lib/control/proof-checks.ts. */
import type { Control } from '../../lib/control/types.ts';
import type { Log } from '../../lib/log.ts';
import { type Clock, DAY, MINUTE } from '../../lib/time.ts';

export interface ProofTimerOptions {
  identities: Pick<Control['identities'], 'recheck' | 'turnKeys'>;
  clock: Clock;
  log: Pick<Log, 'info' | 'warn'>;
}

/** Interval between two checks for due proofs, and between two of the keys that are to be prepared, ms. */
const INTERVAL = 10 * MINUTE;
const KEYS_EVERY = DAY;

export function startProofTimer({ identities, clock, log }: ProofTimerOptions): { stop(): Promise<void> } {
  let cancel = (): void => {};
  let running: Promise<void> = Promise.resolve();
  let stopped = false;
  let keysAt = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    try {
      const { lost, regained, turned } = await identities.recheck();
      for (const domain of lost)
        log.warn('the proof of a domain is gone from its DNS: nothing is sent as it', { domain });
      for (const domain of regained) log.info('a domain is proven', { domain });
      for (const domain of turned) log.info('the next DKIM key of a domain signs from now on', { domain });
      await turnKeys();
    } catch (error) {
      log.warn('proofs of domains could not be looked up; the next try is in ten minutes', { error });
    }
    if (!stopped) later();
  }

  async function turnKeys(): Promise<void> {
    if (clock.now() - keysAt < KEYS_EVERY) return;
    const { prepared, overdue } = await identities.turnKeys();
    keysAt = clock.now();
    for (const domain of prepared)
      log.info('the next DKIM key of a domain is published; it signs when DNS has shown it for a week', {
        domain,
      });
    for (const domain of overdue)
      log.warn(
        'the next DKIM key of a domain is not found through its CNAME: its present key goes on signing',
        {
          domain,
        },
      );
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
