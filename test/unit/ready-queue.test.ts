import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import type { Mail } from '../../lib/shaping/limits/terms.ts';
import { PathLimiter } from '../../lib/shaping/path-limiter.ts';
import { type Queued, ReadyQueue } from '../../lib/shaping/ready-queue.ts';
import type { StreamLimiter } from '../../lib/shaping/stream-limiter.ts';

class Item implements Queued<Item> {
  readonly tenant: string;
  readonly name: string;
  readonly bulk: boolean;
  readonly stream: StreamLimiter | undefined;
  next: Item | undefined = undefined;

  constructor(tenant: string, name: string, bulk = true, stream?: StreamLimiter) {
    this.tenant = tenant;
    this.name = name;
    this.bulk = bulk;
    this.stream = stream;
  }
}

const PLACE = { provider: 'other', site: 's', routed: false, ip: 'default', pool: 'default' };

/** Stream limiters of one path limiter under a document of limits. */
function flows(document: unknown): (mail: Partial<Mail>) => StreamLimiter {
  const book = new LimitBook(limitTable(document));
  const limiter = new PathLimiter();
  return (mail) =>
    limiter.stream(
      book.at(PLACE).of({ domain: 'x.test', tenant: 'a', class: 'bulk', ...mail }).mailLimits!,
      () => ({
        buckets: [],
        permits: [],
      }),
    );
}

function names(queue: ReadyQueue<Item>, count: number, now = 0, reserve = 0): string[] {
  return Array.from({ length: count }, () => queue.take(now, reserve)?.name ?? '-');
}

describe('the ready queue', () => {
  it('gives bulk its reserve while transactional mail waits, and the rest to transactional mail', () => {
    const queue = new ReadyQueue<Item>();
    for (let i = 0; i < 1000; i += 1) {
      queue.push(new Item('a', 'bulk', true));
      queue.push(new Item('a', 'urgent', false));
    }
    const taken = names(queue, 500, 0, 0.1);
    const bulk = taken.filter((name) => name === 'bulk').length;
    assert.ok(bulk === 49 || bulk === 50, `${bulk}`);
    assert.ok(taken.indexOf('bulk') < 10);
    assert.equal(names(queue, 100, 0, 0).includes('bulk'), false);
  });

  it('requeues bulk mail to make room, and no transactional mail', () => {
    const queue = new ReadyQueue<Item>();
    queue.push(new Item('a', 'urgent', false));
    queue.push(new Item('a', 'bulk', true));
    assert.equal(queue.takeBulk()!.name, 'bulk');
    assert.equal(queue.takeBulk(), undefined);
    assert.equal(queue.size, 1);
  });

  it('sends one message of a tenant within two slots, behind 1,000,000 of another', () => {
    const queue = new ReadyQueue<Item>();
    for (let i = 0; i < 1_000_000; i += 1) queue.push(new Item('a', 'a'));
    names(queue, 10);
    queue.push(new Item('b', 'b'));
    assert.ok(names(queue, 2).includes('b'));
  });

  it('is fair between 50 tenants with any backlogs (Jain ≥ 0.98)', () => {
    const queue = new ReadyQueue<Item>();
    for (let tenant = 0; tenant < 50; tenant += 1) {
      for (let i = 0; i < 100 + tenant * 100; i += 1) queue.push(new Item(`t${tenant}`, `t${tenant}`));
    }
    const shares = new Map<string, number>();
    for (const name of names(queue, 4321)) shares.set(name, (shares.get(name) ?? 0) + 1);
    const counts = [...shares.values()];
    const sum = counts.reduce((a, b) => a + b, 0);
    const jain = sum ** 2 / (50 * counts.reduce((a, b) => a + b * b, 0));
    assert.equal(counts.length, 50);
    assert.ok(jain >= 0.98, `${jain}`);
  });

  it('skips mail that waits for its own rate, until the rate lets it out', () => {
    const stream = flows({ default: { for: [{ tenant: 'a', messageRate: '10/s' }] } })({});
    const queue = new ReadyQueue<Item>();
    for (let i = 0; i < 3; i += 1) queue.push(new Item('a', `a${i}`, true, stream));
    for (let i = 0; i < 3; i += 1) queue.push(new Item('b', `b${i}`));
    const take = (now: number): string => {
      const item = queue.take(now, 0);
      item?.stream?.started(now);
      return item?.name ?? '-';
    };
    const at0 = Array.from({ length: 5 }, () => take(0));
    assert.deepEqual(at0, ['a0', 'b0', 'b1', 'b2', '-']);
    assert.equal(queue.size, 2);
    assert.equal(queue.ready, 0);
    assert.ok(queue.nextAt > 90 && queue.nextAt < 101);
    assert.equal(take(101), 'a1');
    assert.equal(take(101), '-');
    assert.equal(stream.waiting, 1);
    assert.equal(queue.takeLeastUrgent()!.name, 'a2', 'also from those that stand aside');
    assert.equal(queue.size, 0);
    assert.equal(queue.ready, 0);
  });

  it('holds back mail beyond a concurrency, and sends it as other mail ends', () => {
    const flowOf = flows({ default: { for: [{ class: 'bulk', concurrency: 2 }] } });
    const stream = flowOf({});
    const queue = new ReadyQueue<Item>();
    for (const tenant of ['a', 'b', 'c'])
      for (let i = 0; i < 2; i += 1) queue.push(new Item(tenant, tenant, true, stream));
    const take = (): string => {
      const item = queue.take(0, 0);
      item?.stream?.started(0);
      return item?.name ?? '-';
    };
    assert.deepEqual([take(), take(), take()], ['a', 'b', '-']);
    assert.equal(queue.nextAt, Number.POSITIVE_INFINITY);
    stream.ended(0);
    assert.equal(take(), 'c');
    assert.equal(take(), '-');
    stream.ended(0);
    stream.ended(0);
    assert.deepEqual([take(), take()].sort(), ['a', 'b']);
    stream.ended(0);
    stream.ended(0);
    assert.equal(take(), 'c', 'no tenant is left out');
  });

  it('gives a tenant one turn for all its campaigns', () => {
    const flowOf = flows({ default: { for: [{ campaign: '*', messageRate: '1000/s' }] } });
    const queue = new ReadyQueue<Item>();
    for (let i = 0; i < 30; i += 1)
      queue.push(new Item('a', `a${i % 10}`, true, flowOf({ campaign: `${i % 10}` })));
    for (let i = 0; i < 10; i += 1) queue.push(new Item('b', 'b'));
    const taken = names(queue, 20);
    assert.equal(taken.filter((name) => name === 'b').length, 10);
    assert.equal(new Set(taken).size, 11, 'and each campaign had its turn');
  });

  it('removes chosen mail at any position, and keeps the order of the rest', () => {
    const queue = new ReadyQueue<Item>();
    for (let i = 0; i < 6; i += 1) queue.push(new Item('a', `${i}`));
    assert.deepEqual(
      queue.remove(({ name }) => Number(name) % 2 === 0).map(({ name }) => name),
      ['0', '2', '4'],
    );
    queue.pushFront(new Item('a', 'first'));
    assert.deepEqual(names(queue, 5), ['first', '1', '3', '5', '-']);
  });
});
