/**
 * Refusals and deferrals of the last day that are a fault of this side: its address is blocked, its mail is not
 * authenticated, its host names are wrong. In memory, bounded: a replica of what the records have of each message.
 */
import type { Attempt } from '../engine/items.ts';
import { diagnoseAttempt } from '../outcome/attempt.ts';
import type { Cause } from '../outcome/causes.ts';
import { providerOf } from '../shaping/providers.ts';
import { type Clock, DAY, HOUR } from '../time.ts';
import type { OwnFault } from './rules/mail.ts';

/** Causes, addresses and providers that are told apart, at most. */
const MAX_KINDS = 200;
/** From so many on, within a day, a fault is more than chance. */
const MIN_COUNT = 5;
/** Those that the operator of this service mends; content and recipients are the senders'. */
const OURS: ReadonlySet<Cause> = new Set<Cause>([
  'ip_blocked',
  'domain_blocked',
  'authentication',
  'ptr_required',
  'relay_denied',
  'protocol',
  'routing',
]);

interface Kind extends OwnFault {
  /** Counts by hour since the epoch. */
  hours: Map<number, number>;
}

export class OwnFaults {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes an attempt. Cheap for one that delivered. */
  note(attempt: Attempt): void {
    if (attempt.state !== 'bounced' && attempt.state !== 'deferred') return;
    if (attempt.mx === undefined || attempt.replies.length === 0) return;
    const { cause } = diagnoseAttempt(attempt);
    if (!OURS.has(cause)) return;
    const provider = attempt.provider ?? providerOf([attempt.mx.host]);
    const key = `${cause} ${attempt.ip ?? ''} ${provider}`;
    let kind = this.#kinds.get(key);
    if (!kind) {
      if (this.#kinds.size >= MAX_KINDS) this.#forget();
      if (this.#kinds.size >= MAX_KINDS) return;
      kind = { cause, count: 0, ip: attempt.ip, provider, text: '', hours: new Map() };
      this.#kinds.set(key, kind);
    }
    const hour = Math.floor(this.#clock.now() / HOUR);
    kind.hours.set(hour, (kind.hours.get(hour) ?? 0) + 1);
    kind.text = attempt.text.slice(0, 500);
  }

  /** The faults of the last day, the most frequent first. */
  list(): OwnFault[] {
    this.#forget();
    return [...this.#kinds.values()]
      .map(({ hours, ...fault }) => ({
        ...fault,
        count: [...hours.values()].reduce((sum, one) => sum + one, 0),
      }))
      .filter(({ count }) => count >= MIN_COUNT)
      .sort((a, b) => b.count - a.count);
  }

  #forget(): void {
    const first = Math.floor((this.#clock.now() - DAY) / HOUR) + 1;
    for (const [key, { hours }] of this.#kinds) {
      for (const hour of hours.keys()) if (hour < first) hours.delete(hour);
      if (hours.size === 0) this.#kinds.delete(key);
    }
  }
}
