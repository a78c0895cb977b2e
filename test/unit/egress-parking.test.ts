/** Mail of a site that cannot be reached, in a lane that many providers share: parked, and recalled. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { SiteRecall } from '../../lib/egress/site-recall.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import { HOUR, MINUTE } from '../../lib/time.ts';
import { EXAMPLE, TestEgress, zoneResolver } from '../support/egress.ts';
import { FakeSession } from '../support/egress-fakes.ts';
import { settled } from '../support/engine.ts';

const SITE = 'mx1.example.test';
const LANE = 'default:transactional:other';

let node: TestEgress;
/** Whether the hosts of the site take connections. */
let up: boolean;

/** Starts the node; each connection opens, and each message is taken, at once, unless the site is down. */
function start(): void {
  node.start({
    open: (options) => {
      const session = new FakeSession(options, node.clock);
      node.sessions.push(session);
      const serve = (): void => {
        while (session.taken.length > 0) session.finish();
        if (session.state !== 'closed') node.clock.after(100, serve);
      };
      node.clock.after(10, () => {
        if (!up) session.end('connect_failed', 'connect');
        else {
          session.opened();
          serve();
        }
      });
      return session;
    },
  });
}

/** Makes the outage last: until the site has failed so many times in a row. */
async function fail(change: () => Partial<QueueItem> = () => ({}), times = 3): Promise<void> {
  up = false;
  for (let i = 0; (node.egress.sites()[0]?.failures ?? 0) < times; i += 1) {
    assert.ok(i < 1_000);
    node.enqueue(change());
    await node.pass(times > 3 ? 30_000 : 5_000, 5_000);
  }
}

/** Puts mail into the lane, and @returns how it was put back: until how long from now, and for which site. */
async function putBack(count: number, change = {}): Promise<{ wait: number; site: string | undefined }[]> {
  const before = node.engine.of('release').length;
  for (let i = 0; i < count; i += 1) node.enqueue(change);
  await settled();
  return node.engine
    .of('release')
    .slice(before)
    .map(({ until, site }) => ({ wait: until - node.clock.now(), site }));
}

beforeEach(() => {
  node = new TestEgress(zoneResolver(EXAMPLE));
  up = false;
});

afterEach(() => node.stop());

describe('mail of a site that cannot be reached', () => {
  it('comes back at the next try while the outage is short', async () => {
    start();
    for (let i = 0; i < 10; i += 1) node.enqueue();
    await node.pass(10_000);
    assert.ok(node.egress.sites()[0]!.failures > 0, 'the site is down');
    const back = await putBack(3);
    assert.deepEqual(
      back.map(({ wait, site }) => [wait < 20_000, site]),
      back.map(() => [true, SITE]),
    );
    assert.equal(back.length, 3);
  });

  it('is parked in an outage that lasts, but for one in a minute, which probes', async () => {
    start();
    await fail();
    await putBack(1);
    for (let i = 0; i < 2; i += 1) {
      const retry = node.egress.sites()[0]!.reason!.until - node.clock.now();
      const back = await putBack(5);
      assert.deepEqual(
        back.map(({ site }) => site),
        back.map(() => SITE),
      );
      const [probes, parked] = [true, false].map((near) => back.filter(({ wait }) => wait < HOUR === near));
      assert.equal(probes!.length, i, 'one a minute');
      for (const { wait } of probes!) assert.ok(wait >= retry && wait <= retry + 1_000);
      for (const { wait } of parked!) assert.ok(wait > 1.8 * HOUR && wait < 2.2 * HOUR);
      await node.pass(MINUTE);
    }
    await putBack(1);
    const [dying] = await putBack(1, { expiresAt: node.clock.now() + 20 * MINUTE });
    assert.equal(dying!.wait, 20 * MINUTE, 'and not longer than it lives');
    // What is tried waits for the site too, and one of it for the next try alone: mail is parked.
    const before = node.engine.of('defer').length;
    await node.pass(5 * MINUTE);
    const [first, ...tried] = node.engine.of('defer').slice(before);
    assert.ok(first!.until - first!.attempt.at < 8 * MINUTE, 'not as late as its schedule has it');
    assert.ok([first!, ...tried].every(({ site }) => site === SITE));
  });

  it('follows its own schedule where no other mail waits for the site', async () => {
    start();
    node.enqueue();
    await node.pass(3 * HOUR, 30_000);
    const waits = node.engine
      .of('defer')
      .map(({ until, attempt }) => Math.round((until - attempt.at) / MINUTE));
    assert.ok(waits.length >= 5, waits.join());
    for (const [at, least] of [4, 9, 18, 36, 54].entries()) assert.ok(waits[at]! >= least, waits.join());
  });

  it('is tried when a probe of another node arrives, once in ten minutes, and not at the retry alone', async () => {
    start();
    await fail(() => ({ expiresAt: node.clock.now() + MINUTE }), 8);
    assert.ok(node.egress.sites()[0]!.reason!.until - node.clock.now() > 13 * MINUTE);
    up = true;
    await node.pass(9 * MINUTE);
    node.enqueue({ site: SITE });
    await node.pass(3_000);
    assert.equal(node.egress.counters.delivered, 0);
    await node.pass(MINUTE);
    node.enqueue({ site: SITE });
    await node.pass(3_000);
    assert.equal(node.egress.counters.delivered, 1);
  });

  it('is not parked in a lane of one provider, which rests as a whole', async () => {
    start();
    await fail();
    const back = await putBack(3, { lane: 'default:transactional:google' });
    assert.deepEqual(
      back.map(({ wait, site }) => [wait < HOUR, site]),
      back.map(() => [true, undefined]),
    );
  });

  it('leaves soon when the site is reached again, though it was parked for hours', async () => {
    start();
    // What could bring the news expires.
    const brief = () => ({ expiresAt: node.clock.now() + MINUTE });
    await fail(brief);
    await putBack(1, brief());
    const parked = await putBack(50);
    assert.ok(parked.every(({ wait }) => wait > HOUR));
    up = true;
    await node.pass(5 * MINUTE);
    assert.equal(node.egress.counters.delivered, 0);
    node.enqueue();
    // Twenty every ten seconds: the pace of the site is not known.
    await node.pass(30_000);
    assert.equal(node.egress.counters.delivered, 51);
    assert.equal((await node.engine.others.ledger.recall(SITE, 1)).recalled, 0);
  });

  it('is tried as soon as another node has reached the site', async () => {
    start();
    await fail();
    up = true;
    const retry = node.egress.sites()[0]!.reason!.until - node.clock.now();
    assert.ok(retry > 90_000);
    node.enqueue({ recalled: node.clock.now() });
    await node.pass(1_000);
    assert.equal(node.egress.counters.delivered, 0, 'it has just failed here');
    await node.pass(MINUTE);
    node.enqueue({ recalled: node.clock.now() - 5 * MINUTE });
    await node.pass(1_000);
    assert.equal(node.egress.counters.delivered, 0, 'what was recalled before it failed here is no news');
    node.enqueue({ recalled: node.clock.now() - 1_000 });
    await node.pass(3_000);
    assert.ok(node.egress.counters.delivered > 0);
  });

  it('is recalled by a node that never failed to reach it, when one of it arrives there', async () => {
    up = true;
    const { queue } = node.engine.others;
    const parked = node.enqueue();
    await settled();
    // As a node puts it back whose address the site refuses.
    const [leased] = await queue.lease({ lane: LANE, max: 1, visibility: MINUTE, wait: 0 });
    const reason = { code: 'connect_failed', text: 'Down.' };
    const until = node.clock.now() + HOUR;
    await queue.settle([{ kind: 'release', leased: leased!, until, reason, site: 'other.example' }]);
    start();
    node.enqueue();
    await node.pass(20_000);
    assert.equal(node.egress.counters.delivered, 1);
    node.enqueue({ site: 'other.example' });
    await node.pass(20_000);
    assert.equal(node.egress.counters.delivered, 3);
    assert.equal(node.engine.of('end').at(-1)!.leased.item.messageId, parked.messageId);
  });
});

describe('the recall of a site', () => {
  it('is paced, ends when nothing waits, stops while the site is down, and outlives a fault of storage', async () => {
    const calls: [site: string, max: number][] = [];
    const answers: ({ recalled: number; more: boolean } | Error)[] = [];
    const room = new Map<string, number | undefined>([['a', 30.5]]);
    const recall = new SiteRecall({
      room: (site) => room.get(site),
      ledger: {
        recall: async (site, max) => {
          calls.push([site, max]);
          const answer = answers.shift() ?? { recalled: 0, more: false };
          if (answer instanceof Error) throw answer;
          return answer;
        },
      },
    });
    let now = 1_000_000;
    const after = async (ms: number): Promise<number> => {
      now += ms;
      recall.tick(now);
      await settled();
      return calls.length;
    };
    assert.equal(await after(1_000), 0);
    answers.push({ recalled: 30, more: true }, new Error('no storage'));
    recall.reached('a');
    recall.reached('a');
    assert.equal(await after(1_000), 1);
    assert.deepEqual(calls[0], ['a', 30]);
    assert.equal(await after(9_000), 1);
    room.set('a', 1e6);
    assert.equal(await after(1_000), 2);
    assert.deepEqual(calls[1], ['a', 1_000], 'bounded');
    room.set('a', -5);
    assert.equal(await after(10_000), 2, 'the site has enough');
    room.set('a', 20);
    assert.equal(await after(10_000), 3, 'and it ends: nothing more waits');
    assert.equal(await after(60_000), 3);
    recall.reached('a');
    room.set('a', undefined);
    assert.equal(await after(1_000), 3);
    room.set('a', 20);
    assert.equal(await after(60_000), 3, 'it was down, and nobody has reached it since');
  });
});
