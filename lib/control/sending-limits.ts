/** How much the account, a tenant or a key may send. An absent member is no limit. */
import { PosternError } from '../errors.ts';

export interface SendingLimits {
  /** Recipients in any 24 hours. */
  perDay?: number;
  /** Recipients a second. */
  perSecond?: number;
  /** Recipients of one message. */
  recipients?: number;
  /** Bytes of one message, as it travels. */
  messageBytes?: number;
}

/** The least and the most of each limit. */
export const LIMIT_BOUNDS: Readonly<Record<keyof SendingLimits, readonly [least: number, most: number]>> = {
  perDay: [1, 1e12],
  perSecond: [0.01, 1e6],
  recipients: [1, 1_000],
  messageBytes: [1_024, 1 << 30],
};

/** @throws PosternError `bad_request` for one out of bounds. */
export function checkLimits(limits: SendingLimits): void {
  for (const [name, [least, most]] of Object.entries(LIMIT_BOUNDS)) {
    const value = limits[name as keyof SendingLimits];
    if (value === undefined) continue;
    if (value >= least && value <= most && (name === 'perSecond' || Number.isInteger(value))) continue;
    throw new PosternError('bad_request', `limits.${name} must be ${least} to ${most}: it is ${value}.`);
  }
}

/** As they are stored: absent where there is none. */
export function someOf(limits: SendingLimits): SendingLimits | undefined {
  return Object.values(limits).some((value) => value !== undefined) ? limits : undefined;
}

/** Whose limits hold for a message, and by whom it is counted. */
export interface LimitedSubject {
  /** `account`, `tenant/NAME` or `key/ID`: names what is counted. */
  subject: string;
  limits: SendingLimits;
}

/** The least of the limits of several subjects; absent where none has one. */
export function leastOf(subjects: readonly LimitedSubject[], limit: keyof SendingLimits): number | undefined {
  if (subjects.length === 0) return undefined;
  const found = subjects.flatMap(({ limits }) => limits[limit] ?? []);
  return found.length > 0 ? Math.min(...found) : undefined;
}
