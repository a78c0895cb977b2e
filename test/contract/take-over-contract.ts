/** Contract of what moves with an IP: the next node has what the one before sent and learnt. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test } from 'node:test';
import { openForgottenSites, orderForgotten } from '../../lib/control/forgotten-sites.ts';
import { openWarmupReports, type WarmupReports } from '../../lib/control/warmup-reports.ts';
import { ShapingCheckpoints } from '../../lib/egress/shaping-checkpoints.ts';
import type { Site } from '../../lib/egress/site.ts';
import { SourceAddress } from '../../lib/egress/source-address.ts';
import { WarmupCheckpoints } from '../../lib/egress/warmup-checkpoints.ts';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { HOUR } from '../../lib/time.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import { TestClock } from '../support/clock.ts';
import type { EngineUnderTest } from './harness.ts';

const LEASE = 12_000;
const SITE = { name: 'mx.example' } as Site;
const PLAN = readPlan({ schedule: [{ days: 1, messages: 1000 }] }, 'warmup');
const LIMITS = new LimitBook(limitTable({ default: { messageRate: '24/d' } })).at({
  provider: 'other',
  site: SITE.name,
  routed: false,
  ip: 'any',
  pool: 'default',
}).own;

/** One node as the owner of one IP. */
class Holder {
  readonly clock: TestClock;
  readonly source: SourceAddress;
  readonly book = new WarmupBook();
  readonly shaping: ShapingCheckpoints;
  readonly warmup: WarmupCheckpoints;
  readonly reports: WarmupReports;
  readonly #under: EngineUnderTest;

  constructor(
    under: EngineUnderTest,
    ip: string,
    owner: string,
    clock: TestClock,
    reports: WarmupReports,
    forgotten: (site: string) => number,
  ) {
    const { leases } = under.engine;
    this.#under = under;
    this.reports = reports;
    this.clock = clock;
    this.source = new SourceAddress(ip, 'out.example', ip, { lease: `egress-ip:${ip}`, owner });
    this.shaping = new ShapingCheckpoints(leases, this.clock, forgotten);
    this.book.setPlan(ip, PLAN);
    this.warmup = new WarmupCheckpoints({
      book: this.book,
      leases,
      clock: this.clock,
      holds: () => this.source.usable(this.clock.now()),
      holder: () => this.source.holder,
      reports,
    });
  }

  /** Takes the lease when it is free, with the checkpoints of the IP. */
  async take(): Promise<boolean> {
    const { lease, owner } = this.source.holder!;
    const end = await this.#under.engine.leases.acquire(lease, owner, LEASE);
    if (end === undefined) return false;
    await this.warmup.acquired(this.source.ip!);
    await this.shaping.acquired(this.source);
    this.source.heldUntil = Number.MAX_SAFE_INTEGER;
    return true;
  }

  /** Lets the checkpoint loops run until `done`: storage takes its own time. */
  async until(done: () => boolean): Promise<void> {
    for (let looks = 0; !done(); looks += 1) {
      assert.ok(looks < 1000, 'it never came');
      this.clock.advance(100);
      await this.#under.engine.leases.checkpoint(`after ${this.source.name}`);
    }
  }

  get room(): number {
    return this.book.room(this.source.ip!, 'google', this.clock.now());
  }

  get status() {
    return this.book.status(this.source.ip!, this.clock.now()).google!;
  }

  /** The process dies. */
  die(): void {
    this.shaping.stop();
    this.warmup.stop();
    this.reports.close();
  }

  async stop(): Promise<void> {
    await Promise.all([this.shaping.release(this.source), this.warmup.release(this.source.ip!)]);
    const { lease, owner } = this.source.holder!;
    await this.#under.engine.leases.release(lease, owner);
    this.die();
  }
}

export function takeOverContract(under: () => EngineUnderTest): void {
  describe('an IP that changes hands', () => {
    async function holder(ip: string, owner: string): Promise<Holder> {
      const clock = new TestClock(under().clock.now());
      const { config } = under().engine;
      const reports = await openWarmupReports(config, clock);
      const forgotten = await openForgottenSites(config, clock);
      forgotten.close();
      return new Holder(under(), ip, owner, clock, reports, (site) => forgotten.at(site));
    }

    /** A node that has used some of the budget, was throttled, and has sent one message to a site. */
    async function working(ip: string): Promise<Holder> {
      const first = await holder(ip, 'one');
      assert.equal(await first.take(), true);
      await first.until(() => first.room > 0);
      const now = first.clock.now();
      first.book.take(ip, 'google', now, 10);
      const limiter = first.source.limiter(SITE.name);
      assert.equal(limiter.messageWait(now, LIMITS), 0);
      limiter.messageStarted(now, LIMITS);
      limiter.down = { tls: false, failures: 3, until: now + HOUR, code: 'connect_failed', text: 'refused' };
      limiter.learntAt = now;
      return first;
    }

    test('in order: the next node counts exactly what was sent and has what was learnt', async () => {
      const ip = newIp();
      const first = await working(ip);
      const sentAt = first.clock.now();
      await first.stop();
      const second = await holder(ip, 'two');
      assert.equal(await second.take(), true);
      assert.equal(second.status.sent, 10);
      const limiter = second.source.limiter(SITE.name);
      assert.equal(limiter.down!.failures, 3);
      assert.equal(Math.round(limiter.messageWait(sentAt, LIMITS) / 1000), 3600);
      assert.equal(second.source.limiter('other.example').messageWait(sentAt, LIMITS), 0);
      await second.stop();
    });

    test('to a node after the site was forgotten: sent mail counts, learnt values do not', async () => {
      const ip = newIp();
      const first = await working(ip);
      const sentAt = first.clock.now();
      await first.stop();
      const { config } = under().engine;
      await orderForgotten(config, { site: SITE.name, at: sentAt, by: 'AKIAOPS' });
      const second = await holder(ip, 'two');
      assert.equal(await second.take(), true);
      const limiter = second.source.limiter(SITE.name);
      assert.equal(limiter.down, undefined);
      assert.equal(Math.round(limiter.messageWait(sentAt, LIMITS) / 1000), 3600);
      await second.stop();
      await config.delete('site-forgotten', (await config.list('site-forgotten'))[0]!.key);
    });

    test('by death: no budget or limit is exceeded, and a complaint is counted once', async () => {
      const ip = newIp();
      const first = await working(ip);
      const report = { ip, provider: 'google', signal: 'complained', at: under().clock.now() } as const;
      await first.reports.put(report, { messageId: ip, n: 0 });
      await first.until(() => first.reports.of(ip).size === 0);
      await first.until(() => first.status.counts.complained === 1);
      await first.reports.put(report, { messageId: ip, n: 1 });
      first.die();
      const second = await holder(ip, 'two');
      assert.equal(await second.take(), false);
      await under().clock.advance(LEASE + 1);
      assert.equal(await second.take(), true);
      await second.until(() => second.room > 0 && second.reports.of(ip).size === 0);
      assert.equal(second.status.counts.complained, 2);
      assert.ok(second.status.sent >= 10 && second.status.sent <= 110, `${second.status.sent}`);
      const limiter = second.source.limiter(SITE.name);
      assert.ok(limiter.messageWait(second.clock.now(), LIMITS) > HOUR / 2);
      await second.stop();
    });
  });
}

/** An address of this test alone. */
function newIp(): string {
  const part = (): string => randomInt(1, 65_536).toString(16);
  return `2001:db8::${part()}:${part()}:${part()}`;
}
