import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SharedPermits, type Waiter } from '../../lib/shaping/shared-permits.ts';
import { DivisionSimulation, type SharingNode as Node } from '../support/division-simulation.ts';
import { grantingHost } from '../support/shares.ts';

const LEASE = 30_000;
/** More messages than any limit here lets out. */
const GREEDY = 1_000;

/** Nodes that share `concurrency` permits; a message takes 400 ms on average. */
function nodes(concurrency: number, count: number, longest = 800): DivisionSimulation {
  const all = new DivisionSimulation({ limit: { concurrency }, longest, lost: 0.01 });
  for (let i = 0; i < count; i += 1) all.start(GREEDY);
  return all;
}

/** The share of the permits that is used. */
async function use(all: DivisionSimulation, ms: number, concurrency: number): Promise<number> {
  let used = 0;
  for (let at = 0; at < ms; at += 50) {
    await all.time.run(50);
    used += (all.running / concurrency) * (50 / ms);
  }
  return used;
}

describe('shared permits', () => {
  it('are used nearly in full, never beyond, and evenly by nodes with equal demand', async () => {
    const all = nodes(40, 4);
    await all.time.run(20_000);
    const before = all.nodes.map(({ sent }) => sent);
    assert.ok((await use(all, 120_000, 40)) >= 0.95);
    const sent = all.nodes.map((node, i) => node.sent - before[i]!);
    assert.ok(Math.min(...sent) >= 0.8 * Math.max(...sent), sent.join());
  });

  it('move to nodes with mail, and come back', async () => {
    const all = nodes(40, 3);
    const [one, two, three] = all.nodes as [Node, Node, Node];
    two.load = 0;
    three.load = 0;
    await all.time.run(20_000);
    assert.ok((await use(all, 60_000, 40)) >= 0.95);
    two.load = GREEDY;
    await all.time.run(20_000);
    assert.ok(two.running >= 15 && one.running >= 15, `${one.running} ${two.running}`);
    one.load = 0;
    await all.time.run(20_000);
    assert.ok((await use(all, 10_000, 40)) >= 0.95);
  });

  it('of a dead node are free again after a lease', async () => {
    const all = nodes(40, 2);
    await all.time.run(20_000);
    all.kill(all.nodes[0]!);
    const again = all.start(GREEDY, 'another');
    await all.time.run(LEASE + 20_000);
    assert.ok((await use(all, 10_000, 40)) >= 0.9);
    assert.ok(again.running >= 15);
  });

  it('of a limit of one rotate between nodes', async () => {
    const all = nodes(1, 2, 100);
    await all.time.run(180_000);
    const sent = all.nodes.map((node) => node.sent);
    assert.ok(Math.min(...sent) > 100, sent.join());
  });

  it('are not used past their lease while the engine does not answer, and are used again when it does', async () => {
    const all = nodes(10, 2);
    await all.time.run(10_000);
    all.tables.lost = 1;
    await all.time.run(LEASE + 2_000);
    assert.equal(all.running, 0);
    all.tables.lost = 0;
    await all.time.run(30_000);
    assert.ok((await use(all, 10_000, 10)) >= 0.9);
  });

  it('wake waiters in order of arrival, transactional before bulk, and bulk at times', () => {
    const limit = { name: 'x', match: {}, each: [], concurrency: 1 };
    const permits = new SharedPermits(
      'x',
      limit,
      grantingHost(() => 0),
      0,
    );
    const called: string[] = [];
    const waiter = (name: string, bulk: boolean): Waiter => ({ bulk, wake: () => called.push(name) > 0 });
    const first = {};
    assert.equal(permits.free(0, first), false, 'nothing is held yet');
    assert.equal(permits.free(0, first), true);
    permits.begun(first, 0);
    const bulk = {};
    const urgent = {};
    permits.park(waiter('bulk', true), bulk);
    permits.park(waiter('urgent', false), urgent);
    permits.ended(10);
    assert.deepEqual(called, ['urgent']);
    assert.equal(permits.free(10, first), false, 'it is another one’s turn');
    assert.equal(permits.free(10, urgent), true);
    permits.begun(urgent, 20);
    for (let i = 0; i < 20 && !called.includes('bulk'); i += 1) {
      permits.park(waiter(`urgent ${i}`, false), urgent);
      permits.ended(20 + i);
      permits.begun(urgent, 20);
    }
    assert.ok(called.includes('bulk'), called.join());
  });
});
