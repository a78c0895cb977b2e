/** Mail at a rate, from many tenants of which one has half, taken in as the API does it. */
import type { AwsEngine } from '../../lib/engine/aws/open.ts';
import type { Random } from '../../lib/time.ts';
import { mail } from '../../test/contract/harness.ts';
import type { SimulatedClock } from '../simulate/clock.ts';

export const TENANTS = 10_000;
/** Shares of the lanes, about as a list of consumers is: the largest provider first. */
export const SHARES = [
  ['google', 0.4],
  ['microsoft', 0.2],
  ['yahoo', 0.12],
  ['apple', 0.08],
  ['other', 0.2],
] as const;

export interface Accepted {
  /** How long a call took, ms of virtual time. */
  took: number;
  at: number;
}

export interface LoadOptions {
  clock: SimulatedClock;
  random: Random;
  engine: AwsEngine;
  /** Messages a second. */
  rate: number;
  /** How long, ms. */
  lasts: number;
}

/** What became of a load. It may go on filling while time runs. */
export class Load {
  readonly accepted: Accepted[] = [];
  failed = 0;
  #serial = 0;
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { clock, rate, lasts } = options;
    for (let at = 0; at < lasts; at += 1) {
      const due = Math.floor(((at + 1) * rate) / 1000) - Math.floor((at * rate) / 1000);
      clock.after(at, () => {
        for (let one = 0; one < due; one += 1) void this.#send();
      });
    }
  }

  async #send(): Promise<void> {
    const { clock, random, engine } = this.#options;
    const begun = clock.now();
    const tenant = random() < 0.5 ? 'largest' : `t${Math.floor(random() * TENANTS)}`;
    const key = `call ${(this.#serial += 1)}`;
    const address = `u${Math.floor(random() * 1e9)}@example.net`;
    const message = mail(begun, { tenant, lane: laneFor(random()), recipients: [address], key, body: BODY });
    try {
      await engine.suppressions.find([{ tenant, address }]);
      const claim = { key, digest: DIGEST, expiresAt: begun + 900_000, response: message.record.id };
      await engine.queue.admit([message], claim);
      this.accepted.push({ took: clock.now() - begun, at: clock.now() });
    } catch {
      this.failed += 1;
    }
  }
}

const BODY = 'Subject: simulated\r\n\r\nIt goes on.\r\n';
const DIGEST = 'd'.repeat(64);

function laneFor(part: number): string {
  let left = part;
  const found = SHARES.find(([, share]) => (left -= share) <= 0) ?? SHARES[0];
  return `default:bulk:${found[0]}`;
}
