import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { Delivery } from '../../lib/egress/delivery.ts';
import { InFlight } from '../../lib/egress/in-flight.ts';
import { SourceLeases } from '../../lib/egress/source-leases.ts';
import type { LeasedItem, Leases, Queue } from '../../lib/engine/ports.ts';
import { createSteadyClock } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { queueItem } from '../support/egress-fakes.ts';

const IP = '127.0.0.1';

/** Names as the AWS engine leases them: free when no renewal was seen for a whole lease. */
class WatchedLeases {
  owner: string | undefined;
  version = 0;
  down = false;
  readonly #clock: TestClock;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  /** The port of one node. */
  view(): Leases {
    let seen = { version: 0, until: 0 };
    return {
      acquire: async (_name: string, owner: string, ttl: number) => {
        if (this.down) throw new Error('no answer');
        const now = this.#clock.now();
        const over = seen.version === this.version && now >= seen.until;
        if (this.owner === undefined || this.owner === owner || over) {
          this.owner = owner;
          this.version += 1;
          return now + ttl;
        }
        if (seen.version !== this.version) seen = { version: this.version, until: now + ttl };
        return undefined;
      },
      release: async (_name: string, owner: string) => {
        if (this.owner === owner) this.owner = undefined;
      },
    } as unknown as Leases;
  }
}

const running: SourceLeases[] = [];

async function node(name: string, clock: TestClock, leases: WatchedLeases) {
  const lost: string[] = [];
  let onRenewalFailed = 0;
  const sources = new SourceLeases({
    leases: leases.view(),
    clock,
    node: name,
    ips: [IP],
    ehloName: `${name}.example`,
    ehloNames: {},
    localAddresses: {},
    onAcquired: async () => {},
    onLost: ({ ip }) => void lost.push(ip!),
    onRenewalFailed: () => void (onRenewalFailed += 1),
    onRelease: async () => {},
  });
  running.push(sources);
  await sources.start();
  return {
    sources,
    lost,
    onRenewalFailed: () => onRenewalFailed,
    usable: () => sources.byIp(IP)!.usable(clock.now()),
  };
}

/** Moves time on in steps of a second; sockets are real, and answer in between. */
async function pass(clock: TestClock, seconds: number, each?: () => boolean): Promise<number> {
  for (let at = 1; at <= seconds; at += 1) {
    clock.advance(1000);
    for (let turns = 0; turns < 50; turns += 1) await new Promise<void>((resolve) => setImmediate(resolve));
    if (each?.()) return at;
  }
  return Number.POSITIVE_INFINITY;
}

afterEach(async () => {
  for (const sources of running.splice(0)) await sources.stop();
});

describe('the lease of a source address', () => {
  it('is taken over within 15 s of the death of its owner, and never while the owner may use it', async () => {
    const clock = new TestClock();
    const leases = new WatchedLeases(clock);
    const first = await node('first', clock, leases);
    const second = await node('second', clock, leases);
    assert.equal(first.usable(), true);
    await pass(clock, 30, () => {
      assert.ok(first.usable() && !second.usable());
      return false;
    });
    // The owner dies: nothing of it runs any more.
    await first.sources.stop();
    leases.owner = 'first';
    const seconds = await pass(clock, 20, () => {
      assert.ok(!(first.usable() && second.usable()));
      return second.usable();
    });
    assert.ok(seconds <= 15, `took ${seconds} s`);
  });

  it('that cannot be renewed stops being used before it ends, and is acquired again afterwards', async () => {
    const clock = new TestClock();
    const leases = new WatchedLeases(clock);
    const { sources, usable, lost, onRenewalFailed } = await node('first', clock, leases);
    leases.down = true;
    const seconds = await pass(clock, 12, () => !usable());
    assert.ok(seconds > 4 && seconds < 12, `used for ${seconds} s`);
    assert.deepEqual(lost, [IP]);
    assert.match(sources.byIp(IP)!.trouble, /no answer/);
    assert.ok(onRenewalFailed() >= 2);
    leases.down = false;
    const before = onRenewalFailed();
    assert.equal(await pass(clock, 3, usable), 1);
    assert.equal(onRenewalFailed(), before);
  });

  it('of a paused process is over at its first step, before any timer has run', async () => {
    const clock = new TestClock();
    const { sources } = await node('first', clock, new WatchedLeases(clock));
    const source = sources.byIp(IP)!;
    const woken = clock.now() + 20_000;
    assert.equal(source.usable(woken), false);
    assert.equal(source.mayGoOn(woken), false);
  });
});

describe('a delivery in flight', () => {
  it('is not prolonged once its lease has run out', async () => {
    const clock = new TestClock();
    const extended: LeasedItem[] = [];
    const queue = { extend: async (leased: LeasedItem[]) => void extended.push(...leased) };
    const inFlight = new InFlight(queue as unknown as Queue, { items: 10, bytes: 1e6 }, 120_000);
    const lane = {
      pool: 'default',
      class: 'bulk' as const,
      shared: false,
      held: 0,
      overflowed() {},
      tried() {},
      putBack() {},
    };
    const held = [1_000, 50_000].map((left) => {
      const leased = { item: queueItem(clock.now()), bytes: Buffer.from('x'), receives: 1, receipt: left };
      const delivery = new Delivery(leased, lane, clock.now() + left);
      inFlight.add(delivery);
      return delivery;
    });
    clock.advance(1_000);
    await inFlight.extend(clock.now());
    assert.deepEqual(
      extended.map(({ receipt }) => receipt),
      [50_000],
    );
    assert.equal(held[0]!.visibleUntil, clock.now());
    assert.equal(held[1]!.visibleUntil, clock.now() + 120_000);
  });
});

describe('the steady clock', () => {
  it('does not jump with the wall clock, and follows it slowly', () => {
    let wall = 1_000_000;
    let steady = 5;
    const clock = createSteadyClock(
      () => wall,
      () => steady,
    );
    const pass = (ms: number): number => {
      wall += ms;
      steady += ms;
      return clock.now();
    };
    assert.equal(clock.now(), 1_000_000);
    wall -= 60_000;
    assert.equal(pass(0), 1_000_000);
    assert.equal(pass(10_000), 1_009_900);
    wall += 120_000;
    assert.equal(pass(10_000), 1_020_000);
    assert.equal(pass(100_000_000), wall);
  });
});
