/**
 * What limits how much is taken in: of the account, the tenant and the key, each of which may have its own. Who has none is
 * not counted.
 */
import { randomBytes } from 'node:crypto';
import { type LimitedSubject, leastOf } from '../control/sending-limits.ts';
import type { Control } from '../control/types.ts';
import type { Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { DailyQuota } from './daily-quota.ts';
import { SendRate } from './send-rate.ts';

/** A key that is none: mail of networks that need no login. */
const RELAY = 'relay';

/** Those who have limits, of a message by its tenant and key. @throws PosternError of the storage group. */
export async function limitedBy(
  { account, tenants, keys }: Pick<Control, 'account' | 'tenants' | 'keys'>,
  tenant: string,
  keyId: string,
): Promise<LimitedSubject[]> {
  const [ofAccount, stored, key] = await Promise.all([
    account.limits(),
    tenants.find(tenant),
    keyId === RELAY ? undefined : keys.find(keyId),
  ]);
  return [
    ...(ofAccount ? [{ subject: 'account', limits: ofAccount }] : []),
    ...(stored?.limits ? [{ subject: `tenant/${tenant}`, limits: stored.limits }] : []),
    ...(key?.limits ? [{ subject: `key/${keyId}`, limits: key.limits }] : []),
  ];
}

/** What was taken for a message, to be given back when it is not taken in. */
export interface Taken {
  release(): void;
}

const NOTHING: Taken = { release: () => undefined };

export class SendingMeter {
  readonly daily: DailyQuota;
  readonly #rate: SendRate;

  /** @param alone whether no other process takes mail in. */
  constructor(options: { rows: Pick<Rows, 'put' | 'query'>; clock: Clock; alone: boolean }) {
    const process = randomBytes(8).toString('hex');
    this.daily = new DailyQuota({ ...options, process });
    this.#rate = new SendRate({ ...options, process });
  }

  /**
   * Counts the recipients of a message by all who have limits.
   * @throws PosternError `throttled` for a rate, `quota_exceeded` for a day, each in SES's words; the storage group.
   */
  async take(subjects: readonly LimitedSubject[], recipients: number): Promise<Taken> {
    if (subjects.length === 0) return NOTHING;
    const undo: (() => void)[] = [];
    const release = (): void => {
      for (const one of undo.splice(0)) one();
    };
    try {
      for (const { subject, limits } of subjects) {
        const { perSecond, perDay } = limits;
        if (perSecond !== undefined) {
          if (!(await this.#rate.take(subject, recipients, perSecond)))
            throw new PosternError(
              'throttled',
              `Maximum sending rate exceeded: ${told(subject)} may send to ${perSecond} recipients a second.`,
            );
          undo.push(() => this.#rate.release(subject, recipients));
        }
        if (perDay !== undefined) {
          if (!(await this.daily.take(subject, recipients, perDay)))
            throw new PosternError(
              'quota_exceeded',
              `Daily message quota exceeded: ${told(subject)} may send to ${perDay} recipients in 24 hours.`,
            );
          undo.push(() => this.daily.release(subject, recipients));
        }
      }
    } catch (error) {
      release();
      throw error;
    }
    return { release };
  }
}

function told(subject: string): string {
  const [kind, name] = subject.split('/');
  return name === undefined ? 'the account' : `the ${kind} ${name}`;
}

/** Refuses a message that is longer than who sends it may send. @throws PosternError `message_rejected` in SES's words. */
export function requireSize(subjects: readonly LimitedSubject[], bytes: number): void {
  const most = leastOf(subjects, 'messageBytes');
  if (most === undefined || bytes <= most) return;
  throw new PosternError('message_rejected', `Message length is more than ${most} bytes long: '${bytes}'.`);
}
