/**
 * Checks bulk mail at accept against the rules of the large providers, and remembers for a day what was sent as which
 * domain. DNS is asked with the resolver's cache, once for many messages of a domain, and never waited for longer than two
 * seconds: what is unknown is no fault.
 */
import { TtlCache } from '../cache.ts';
import type { Resolver } from '../dns/resolver.ts';
import type { BulkFault } from '../mail/bulk-rules.ts';
import { type Clock, DAY, HOUR, MINUTE, SECOND } from '../time.ts';
import { gatherWalk } from './gather/dmarc.ts';
import { LookUps } from './gather/look-ups.ts';
import { type BulkSample, type BulkSender, domainFaults } from './rules/bulk.ts';

/** How long the faults of a sender are held, and those that may have been mended, ms. */
const KEPT = 10 * MINUTE;
const KEPT_FAULTY = MINUTE;
const MAX_KEPT = 20_000;
const MAX_TIME = 2 * SECOND;
const MAX_LOOK_UPS = 30;
/** Domains that are counted apart. */
const MAX_DOMAINS = 1_000;
/** Domains whose DNS the report looks at: those with the most mail. */
const MAX_REPORTED = 50;

interface Counted {
  sender: BulkSender;
  /** By hour since the epoch: messages, and those without one-click. */
  hours: Map<number, [messages: number, without: number]>;
}

export class BulkCheck {
  readonly #resolver: Pick<Resolver, 'resolve'>;
  readonly #clock: Clock;
  readonly #kept = new TtlCache<readonly BulkFault[]>(MAX_KEPT);
  readonly #underWay = new Map<string, Promise<readonly BulkFault[]>>();
  readonly #domains = new Map<string, Counted>();

  constructor({ resolver, clock }: { resolver: Pick<Resolver, 'resolve'>; clock: Clock }) {
    this.#resolver = resolver;
    this.#clock = clock;
  }

  /** Counts a message. */
  note(sender: BulkSender, oneClick: boolean): void {
    const hour = Math.floor(this.#clock.now() / HOUR);
    let counted = this.#domains.get(sender.domain);
    if (!counted) {
      if (this.#domains.size >= MAX_DOMAINS) this.#forget(hour);
      if (this.#domains.size >= MAX_DOMAINS) return;
      this.#domains.set(sender.domain, (counted = { sender, hours: new Map() }));
    }
    counted.sender = sender;
    const [messages, without] = counted.hours.get(hour) ?? [0, 0];
    counted.hours.set(hour, [messages + 1, without + (oneClick ? 0 : 1)]);
  }

  /** Faults of a sender's domain; none while DNS gives no answer. */
  faultsOf(sender: BulkSender): Promise<readonly BulkFault[]> | readonly BulkFault[] {
    const { domain, signs = '', returnPath } = sender;
    const key = `${domain} ${signs} ${returnPath}`;
    const kept = this.#kept.get(key, this.#clock.now());
    if (kept) return kept;
    let asked = this.#underWay.get(key);
    if (!asked) {
      asked = this.#ask(sender).then((faults) => {
        this.#underWay.delete(key);
        this.#kept.set(key, faults, this.#clock.now() + (faults.length > 0 ? KEPT_FAULTY : KEPT));
        return faults;
      });
      this.#underWay.set(key, asked);
    }
    return asked;
  }

  /** The bulk mail of the last day, the domains with the most first. */
  async samples(): Promise<BulkSample[]> {
    this.#forget(Math.floor(this.#clock.now() / HOUR));
    const counted = [...this.#domains.values()].map(({ sender, hours }) => {
      let [messages, withoutOneClick] = [0, 0];
      for (const [all, without] of hours.values()) {
        messages += all;
        withoutOneClick += without;
      }
      return { sender, messages, withoutOneClick };
    });
    const most = counted.sort((a, b) => b.messages - a.messages).slice(0, MAX_REPORTED);
    return Promise.all(
      most.map(async ({ sender, ...counts }) => ({
        domain: sender.domain,
        ...counts,
        faults: await this.faultsOf(sender),
      })),
    );
  }

  async #ask(sender: BulkSender): Promise<readonly BulkFault[]> {
    const lookUps = new LookUps({
      resolver: { resolve: (name, type) => this.#resolver.resolve(name, type) },
      clock: this.#clock,
      maxLookUps: MAX_LOOK_UPS,
      maxTime: MAX_TIME,
    });
    const [from, signer, path] = await Promise.all(
      [sender.domain, sender.signs ?? sender.domain, sender.returnPath].map((one) =>
        gatherWalk(one, lookUps),
      ),
    );
    // A walk with an unanswered name may lack the record that decides.
    if ([from, signer, path].some((one) => !one!.whole)) return [];
    return domainFaults(sender, { from: from!.walk, signer: signer!.walk, returnPath: path!.walk });
  }

  #forget(hour: number): void {
    const first = hour - DAY / HOUR + 1;
    for (const [domain, { hours }] of this.#domains) {
      for (const one of hours.keys()) if (one < first) hours.delete(one);
      if (hours.size === 0) this.#domains.delete(domain);
    }
  }
}
