/**
 * An egress node between the memory engine and peers in memory, with a clock that stands until a test moves it.
 * Everything between them is real.
 */
import type { Answer, Resolver } from '../../lib/dns/resolver.ts';
import { startEgress } from '../../lib/egress/egress.ts';
import type { Egress, EgressOptions } from '../../lib/egress/types.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import type { LimitDocument, LimitEntry } from '../../lib/shaping/limits/document.ts';
import type { RecipientResult } from '../../lib/smtp/types.ts';
import { seededRandom, TestClock } from './clock.ts';
import { FakeSession, queueItem } from './egress-fakes.ts';
import { settled, TestEngine } from './engine.ts';

export class TestEgress {
  readonly clock: TestClock;
  readonly engine: TestEngine;
  /** Connections in the order of opening. */
  readonly sessions: FakeSession[] = [];
  /** Pipelining depth of the sessions that are opened. */
  depth = 1;
  readonly #resolver: Resolver;
  #egress: Egress | undefined;

  /** @param now start of the clock, ms since the epoch. */
  constructor(resolver: Resolver, now?: number) {
    this.#resolver = resolver;
    this.clock = new TestClock(now);
    this.engine = new TestEngine(this.clock);
  }

  /** The node that was started last. */
  get egress(): Egress {
    return this.#egress!;
  }

  start(options: Partial<EgressOptions> = {}): Egress {
    this.#egress = startEgress({
      engine: this.engine.engine(),
      resolver: this.#resolver,
      clock: this.clock,
      random: seededRandom(1),
      node: 'node-1',
      limits: limits(),
      ehloName: 'out.sender.test',
      open: (session) => {
        const fake = new FakeSession(session, this.clock, this.depth);
        this.sessions.push(fake);
        return fake;
      },
      ...options,
    });
    return this.#egress;
  }

  /** Waits until the kernel has answered which addresses can be bound. */
  async bound(): Promise<void> {
    await this.until(() => this.egress.sources().every((one) => one.usable || !one.trouble.includes('yet')));
  }

  /** Waits for something outside the clock, bounded by turns of the event loop. */
  async until(done: () => boolean): Promise<void> {
    for (let i = 0; i < 10_000 && !done(); i += 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
    await settled();
  }

  enqueue(change: Partial<QueueItem> = {}): QueueItem {
    const item = queueItem(this.clock.now(), change);
    this.engine.enqueue(item);
    return item;
  }

  /** Moves time on in steps, and lets work outside the clock run between them. */
  async pass(ms: number, step = 1000): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      this.clock.advance(Math.min(step, left));
      await settled();
    }
  }

  /** Stops the node in time, with any behaviour of its peers. */
  async stop(): Promise<void> {
    const stopped = this.#egress?.stop();
    await settled();
    for (const session of this.sessions) if (session.state !== 'closed') session.destroy();
    await this.pass(21_000);
    await stopped;
  }
}

/** Limits without a message rate, with these changes. */
export function limits(change: LimitEntry = {}, more: Omit<LimitDocument, 'default'> = {}): LimitDocument {
  return { default: { messageRate: 'unlimited', ...change }, ...more };
}

/** A refusal of the recipient. */
export function refused(code: number, text: string, enhanced?: string): Partial<RecipientResult> {
  return { kind: 'refused', phase: 'rcpt', reply: { code, enhanced, lines: [text] } };
}

/** Every domain has an MX host of its own, `mx.<domain>`, and every host these addresses. */
export function addressesOfAll(addresses: readonly string[]): Resolver {
  const resolve = async (name: string, type: string) => {
    const expiresAt = Number.POSITIVE_INFINITY;
    if (type === 'MX')
      return { kind: 'found', records: [{ preference: 10, exchange: `mx.${name}` }], expiresAt };
    const records = addresses.filter((address) => address.includes(':') === (type === 'AAAA'));
    return records.length === 0 ? { kind: 'empty', expiresAt } : { kind: 'found', records, expiresAt };
  };
  return { resolve } as unknown as Resolver;
}

/** Answers by `TYPE name`; a missing one is NXDOMAIN. May be changed at any time. */
export type Zone = Record<string, unknown[] | 'fails' | 'empty'>;

export function zoneResolver(zone: Zone): Resolver {
  const resolve = async (name: string, type: string) => {
    const expiresAt = Number.POSITIVE_INFINITY;
    const entry = zone[`${type} ${name}`];
    if (entry === 'fails') return { kind: 'failed', text: `${type} of ${name}: SERVFAIL`, expiresAt };
    if (entry === undefined) return { kind: name in zone ? 'empty' : 'no_domain', expiresAt };
    if (entry === 'empty') return { kind: 'empty', expiresAt };
    return { kind: 'found', records: entry, expiresAt } as Answer<never>;
  };
  return { resolve } as unknown as Resolver;
}

/** `example.test` with one MX host. */
export const EXAMPLE: Zone = {
  'MX example.test': [{ preference: 10, exchange: 'mx1.example.test' }],
  'A mx1.example.test': ['8.8.8.1'],
};
