/** When a deferred delivery is tried again. */
import { PosternError } from '../errors.ts';
import { DAY, HOUR, MINUTE, type Random } from '../time.ts';

export interface RetrySchedule {
  /** Delays after the first, second, … failed attempt; the last repeats until the message expires, ms. */
  delays: readonly number[];
  /** Spread of each delay, as ± this fraction, so that deliveries that failed together do not come back together. */
  jitter: number;
}

/**
 * RFC 5321 §4.5.4.1 recommends two tries in the first hour and then one every two or three; greylisting ends after
 * about 5 to 15 minutes. So: 5, 10, 20, 40 minutes, 1, 2 and then every 4 hours. That is nine attempts in SES's
 * longest delivery time (14 hours) and 23 in three days.
 */
export const DEFAULT_RETRY: RetrySchedule = {
  delays: [5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR],
  jitter: 0.1,
};

const MIN_DELAY = 1000;
const MAX_DELAY = 7 * DAY;
const MAX_STEPS = 100;

/**
 * The time of the next attempt.
 * @param attempts attempts made, the failed one included (1 after the first).
 * @param now,expiresAt since the epoch, ms.
 * @returns undefined when that time would be at or past the expiry: the delivery has expired.
 */
export function nextAttempt(
  schedule: RetrySchedule,
  attempts: number,
  now: number,
  expiresAt: number,
  random: Random,
): number | undefined {
  const { delays, jitter } = schedule;
  const delay = delays[Math.min(Math.max(attempts, 1), delays.length) - 1]!;
  const next = Math.round(now + delay * (1 + jitter * (2 * random() - 1)));
  return next < expiresAt ? next : undefined;
}

/**
 * Validates a schedule from configuration.
 * @param where name of the setting, for the message.
 * @throws `bad_request` that names the wrong value and the allowed ones.
 */
export function checkRetrySchedule(value: unknown, where: string): RetrySchedule {
  const { delays, jitter } = (value ?? {}) as { delays?: unknown; jitter?: unknown };
  if (!Array.isArray(delays) || delays.length === 0 || delays.length > MAX_STEPS) {
    throw wrong(`${where}.delays`, `must be a list of 1 to ${MAX_STEPS} delays in milliseconds`);
  }
  delays.forEach((delay: unknown, i) => {
    if (typeof delay !== 'number' || !(delay >= MIN_DELAY && delay <= MAX_DELAY)) {
      throw wrong(
        `${where}.delays[${i}]`,
        `is ${JSON.stringify(delay)}; must be a number of milliseconds from ${MIN_DELAY} (1 s) to ${MAX_DELAY} (7 days)`,
      );
    }
  });
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 0.5)) {
    throw wrong(`${where}.jitter`, `is ${JSON.stringify(jitter)}; must be a fraction from 0 to 0.5`);
  }
  return { delays: delays as number[], jitter };
}

function wrong(setting: string, rule: string): PosternError {
  return new PosternError('bad_request', `Retry schedule: ${setting} ${rule}.`);
}
