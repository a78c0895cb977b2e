import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PermitHolder, sharePermits } from '../../lib/engine/permits.ts';
import { SharedPermits, type Waiter } from '../../lib/shaping/shared-permits.ts';
import { seededRandom } from '../support/clock.ts';

const LEASE = 30_000;

/** A node that always has mail beyond its permits, or none. */
interface Node {
  permits: SharedPermits;
  owner: string;
  /** Paths, each with or without mail, and the ends of messages under way. */
  greedy: boolean;
  alive: boolean;
  ends: number[];
  begun: number;
}

/** Nodes that share `limit` permits; each answer of the engine takes up to 40 ms, and is at times lost. */
class Nodes {
  now = 1_000_000;
  /** Whether the engine answers. */
  up = true;
  readonly nodes: Node[] = [];
  readonly #limit: number;
  readonly #random = seededRandom(3);
  readonly #holders: (PermitHolder & { until: number })[] = [];
  readonly #due: { at: number; act: () => void }[] = [];
  #most = 0;

  constructor(limit: number, count: number) {
    this.#limit = limit;
    for (let i = 0; i < count; i += 1) this.start(`node-${i}`);
  }

  start(owner: string): Node {
    const limit = { name: 'flights', match: {}, each: [], concurrency: this.#limit };
    const permits = new SharedPermits('flights', limit, () => this.#ask(node));
    const node: Node = { permits, owner, greedy: true, alive: true, ends: [], begun: 0 };
    this.nodes.push(node);
    return node;
  }

  #ask(node: Node): void {
    const { permits, owner } = node;
    const request = permits.request();
    const askedAt = this.now;
    const random = this.#random;
    const arrived = this.up && random() < 0.99;
    const answered = arrived && random() < 0.99;
    this.#due.push({
      at: this.now + 1 + random() * 20,
      act: () => {
        const live = this.#holders.filter((one) => one.until > this.now);
        const shared = sharePermits(owner, request, live);
        const others = live.filter((one) => one.owner !== owner);
        if (arrived) {
          const own = { owner, held: shared.held, want: request.want, until: this.now + request.ttl };
          this.#holders.splice(0, this.#holders.length, ...others, own);
        }
        this.#due.push({
          at: this.now + 1 + random() * 20,
          act: () => {
            if (!node.alive) return;
            if (answered) permits.granted(shared.held, shared.share, askedAt, this.now);
            else permits.failed(this.now);
          },
        });
      },
    });
  }

  kill(node: Node): void {
    node.alive = false;
    node.ends = [];
  }

  get running(): number {
    return this.nodes.reduce((sum, { ends }) => sum + ends.length, 0);
  }

  /** @returns the share of the permits that was used. */
  run(ms: number, length = 400): number {
    let used = 0;
    for (const end = this.now + ms; this.now < end; this.now += 1) {
      const due = this.#due.splice(0).filter((one) => {
        if (one.at > this.now) return true;
        one.act();
        return false;
      });
      this.#due.push(...due);
      for (const node of this.nodes) if (node.alive) this.#work(node, length);
      this.#most = Math.max(this.#most, this.running);
      assert.ok(this.running <= this.#limit, `${this.running} under way at ${this.now}`);
      used += this.running / this.#limit / ms;
    }
    return used;
  }

  #work(node: Node, length: number): void {
    const { permits } = node;
    const over = node.ends.filter((at) => at <= this.now).length;
    node.ends = node.ends.filter((at) => at > this.now);
    for (let i = 0; i < over; i += 1) permits.ended(this.now);
    if (this.now % 1000 === 0) permits.tick(this.now);
    while (node.greedy && permits.free(this.now, node)) {
      permits.begun(node);
      node.begun += 1;
      node.ends.push(this.now + 1 + this.#random() * length * 2);
    }
  }
}

describe('shared permits', () => {
  it('are used nearly in full, never beyond, and evenly by nodes with equal demand', () => {
    const all = new Nodes(40, 4);
    all.run(20_000);
    const before = all.nodes.map(({ begun }) => begun);
    assert.ok(all.run(120_000) >= 0.95);
    const begun = all.nodes.map((node, i) => node.begun - before[i]!);
    assert.ok(Math.min(...begun) >= 0.8 * Math.max(...begun), begun.join());
  });

  it('move to nodes with mail, and come back', () => {
    const all = new Nodes(40, 3);
    const [one, two, three] = all.nodes as [Node, Node, Node];
    two.greedy = false;
    three.greedy = false;
    all.run(10_000);
    assert.ok(all.run(60_000) >= 0.95);
    two.greedy = true;
    all.run(10_000);
    assert.ok(two.ends.length >= 15 && one.ends.length >= 15, `${one.ends.length} ${two.ends.length}`);
    one.greedy = false;
    all.run(15_000);
    assert.ok(all.run(10_000) >= 0.95);
    assert.equal(one.permits.held(all.now), 0);
  });

  it('of a dead node are free again after a lease', () => {
    const all = new Nodes(40, 2);
    all.run(20_000);
    all.kill(all.nodes[0]!);
    const again = all.start('node-0 again');
    all.run(LEASE + 3_000);
    assert.ok(all.run(10_000) >= 0.9);
    assert.ok(again.ends.length >= 15);
  });

  it('of a limit of one rotate between nodes', () => {
    const all = new Nodes(1, 2);
    all.run(60_000, 50);
    const begun = all.nodes.map((node) => node.begun);
    assert.ok(
      begun.every((count) => count > 100),
      begun.join(),
    );
  });

  it('are not used past their lease while the engine does not answer, and are used again when it does', () => {
    const all = new Nodes(10, 2);
    all.run(10_000);
    all.up = false;
    all.run(LEASE + 2_000);
    assert.equal(all.running, 0);
    all.up = true;
    all.run(5_000);
    assert.ok(all.run(10_000) >= 0.9);
  });

  it('wake waiters in order of arrival, transactional before bulk, and bulk at times', () => {
    const asked: SharedPermits[] = [];
    const permits = new SharedPermits(
      'x',
      { name: 'x', match: {}, each: [], concurrency: 1 },
      (one) => void asked.push(one),
    );
    const called: string[] = [];
    const waiter = (name: string, bulk: boolean): Waiter => ({ bulk, wake: () => called.push(name) > 0 });
    const first = {};
    assert.equal(permits.free(0, first), false, 'nothing is held yet');
    assert.equal(asked.length, 1);
    permits.granted(1, 1, 0, 0);
    assert.equal(permits.free(0, first), true);
    permits.begun(first);
    const bulk = {};
    const urgent = {};
    permits.park(waiter('bulk', true), bulk);
    permits.park(waiter('urgent', false), urgent);
    permits.ended(10);
    assert.deepEqual(called, ['urgent']);
    assert.equal(permits.free(10, first), false, 'it is another one’s turn');
    assert.equal(permits.free(10, urgent), true);
    permits.begun(urgent);
    for (let i = 0; i < 20 && !called.includes('bulk'); i += 1) {
      permits.park(waiter(`urgent ${i}`, false), urgent);
      permits.ended(20 + i);
      permits.begun(urgent);
    }
    assert.ok(called.includes('bulk'), called.join());
  });
});
