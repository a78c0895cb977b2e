/**
 * The DNS look-ups of one check: each name once, so many at most and so long at most. The names come from records that
 * strangers write: an include that includes itself, or a hundred hosts in a hundred mechanisms, must end.
 */
import type { Answer, DnsRecords, Resolver } from '../../dns/resolver.ts';
import type { Clock } from '../../time.ts';

/** Look-ups of one check. SPF alone may need 10 with 10 hosts each, in two address families. */
const MAX_LOOK_UPS = 250;
/** Time of all look-ups of a check together, ms. */
const MAX_TIME = 20_000;

export interface LookUpOptions {
  resolver: Pick<Resolver, 'resolve'>;
  clock: Clock;
  maxLookUps?: number;
  maxTime?: number;
}

/** The records, none, or why it is unknown. */
export type Found<R> = { records: R[]; authentic: boolean; exists: boolean } | { unanswered: string };

export class LookUps {
  readonly #resolver: LookUpOptions['resolver'];
  readonly #clock: Clock;
  readonly #end: number;
  readonly #made = new Map<string, Promise<Answer<unknown>>>();
  readonly #max: number;

  constructor({ resolver, clock, maxLookUps = MAX_LOOK_UPS, maxTime = MAX_TIME }: LookUpOptions) {
    this.#resolver = resolver;
    this.#clock = clock;
    this.#max = maxLookUps;
    this.#end = clock.now() + maxTime;
  }

  /** Past the resolver's cache: who has just published a record must not wait for the end of a negative answer's life. */
  resolve<T extends keyof DnsRecords>(name: string, type: T): Promise<Answer<DnsRecords[T]>> {
    const key = `${type} ${name.toLowerCase()}`;
    let answer = this.#made.get(key);
    if (answer === undefined) {
      answer =
        this.#made.size < this.#max
          ? this.#within(name, type)
          : this.#refused(`more than ${this.#max} look-ups are needed`);
      this.#made.set(key, answer);
    }
    return answer as Promise<Answer<DnsRecords[T]>>;
  }

  /** As `resolve`, with "no such name" and "no such record" as no records. */
  async find<T extends keyof DnsRecords>(name: string, type: T): Promise<Found<DnsRecords[T]>> {
    const answer = await this.resolve(name, type);
    if (answer.kind === 'failed') return { unanswered: answer.text };
    const authentic = answer.authentic === true;
    if (answer.kind === 'found') return { records: answer.records, authentic, exists: true };
    return { records: [], authentic, exists: answer.kind === 'empty' };
  }

  #within<T extends keyof DnsRecords>(name: string, type: T): Promise<Answer<unknown>> {
    const left = this.#end - this.#clock.now();
    if (left <= 0) return this.#refused('the check took too long');
    return new Promise((resolve) => {
      const cancel = this.#clock.after(left, () => resolve(this.#failure('the check took too long')));
      void this.#resolver.resolve(name, type, true).then((answer) => {
        cancel();
        resolve(answer);
      });
    });
  }

  #refused(text: string): Promise<Answer<unknown>> {
    return Promise.resolve(this.#failure(text));
  }

  #failure(text: string): Answer<unknown> {
    return { kind: 'failed', text, expiresAt: this.#clock.now() };
  }
}
