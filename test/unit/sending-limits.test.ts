/** Limits of the account, a tenant and a key: daily quotas of several processes, rates, recipients and sizes. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { DailyQuota } from '../../lib/accept/daily-quota.ts';
import { SendRate } from '../../lib/accept/send-rate.ts';
import type { Caller, Submission } from '../../lib/accept/types.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine, Rows } from '../../lib/engine/ports.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../lib/time.ts';
import { openTestAccept, simple, type TestAccept } from '../support/accept.ts';
import { seededRandom, TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';

const START = Date.UTC(2026, 2, 1, 12);

/** Rows that count what is asked of them. */
function counting({ rows }: Engine): Pick<Rows, 'put' | 'query'> & { calls: number } {
  return {
    calls: 0,
    put(given) {
      this.calls += 1;
      return rows.put(given);
    },
    query(query) {
      this.calls += 1;
      return rows.query(query);
    },
  };
}

describe('a daily quota', () => {
  let clock: TestClock;
  let engine: Engine;
  beforeEach(() => {
    clock = new TestClock(START);
    engine = openMemory({ clock });
  });
  const open = (process: string, rows: Pick<Rows, 'put' | 'query'> = engine.rows) =>
    new DailyQuota({ rows, clock, process });

  test('is used to the last recipient, and not beyond', async () => {
    const quota = open('a');
    let taken = 0;
    for (let n = 0; n < 130; n += 1) if (await quota.take('tenant/shop', 1, 100)) taken += 1;
    assert.equal(taken, 100);
    assert.equal(await quota.count('tenant/shop'), 100);
    assert.equal(await quota.take('tenant/press', 1, 100), true, 'of another subject');
  });

  test('takes a message to several as a whole, or not', async () => {
    const quota = open('a');
    assert.equal(await quota.take('s', 60, 100), true);
    assert.equal(await quota.take('s', 50, 100), false);
    assert.equal(await quota.take('s', 40, 100), true);
    assert.equal(await quota.take('s', 1, 100), false);
    quota.release('s', 40);
    assert.equal(await quota.take('s', 40, 100), true);
  });

  test('of several processes is never exceeded, and 97 % of it is used', async () => {
    const random = seededRandom(7);
    const processes = Array.from({ length: 5 }, (_, i) => open(`p${i}`));
    let taken = 0;
    for (let round = 0; round < 300; round += 1) {
      clock.advance(100);
      const results = await Promise.all(
        processes.flatMap((one) =>
          Array.from({ length: Math.floor(random() * 12) }, () => one.take('s', 1, 5_000)),
        ),
      );
      taken += results.filter(Boolean).length;
      assert.ok(taken <= 5_000, `${taken} after ${round}`);
    }
    assert.ok(taken > 4_850, `${taken} of 5000`);
  });

  test('costs a process that sends much few requests', async () => {
    const rows = counting(engine);
    const quota = open('a', rows);
    for (let n = 0; n < 50_000; n += 1) {
      clock.advance(1);
      assert.equal(await quota.take('s', 1, 1_000_000), true);
    }
    assert.ok(rows.calls < 60, `${rows.calls} requests for 50000 messages`);
  });

  test('comes back after 24 hours, a half hour at most later', async () => {
    const quota = open('a');
    assert.equal(await quota.take('s', 100, 100), true);
    clock.advance(DAY - MINUTE);
    assert.equal(await quota.take('s', 1, 100), false);
    clock.advance(31 * MINUTE);
    assert.equal(await quota.take('s', 100, 100), true);
    assert.equal(await open('b').take('s', 1, 100), false, 'for another process, too');
  });

  test('is remembered by a process that begins anew', async () => {
    assert.equal(await open('a').take('s', 99, 100), true);
    clock.advance(3 * HOUR);
    const next = open('b');
    assert.deepEqual([await next.take('s', 2, 100), await next.take('s', 1, 100)], [false, true]);
  });

  test('fails with the store, and counts nothing then', async () => {
    const broken = { ...engine.rows, put: () => Promise.reject(new Error('away')), query: engine.rows.query };
    await assert.rejects(open('a', broken).take('s', 1, 100), /away/);
    assert.equal(await open('b').take('s', 100, 100), true);
  });
});

describe('a rate', () => {
  let clock: TestClock;
  let engine: Engine;
  beforeEach(() => {
    clock = new TestClock(START);
    engine = openMemory({ clock });
  });
  const open = (process: string, alone = false, rows: Pick<Rows, 'put' | 'query'> = engine.rows) =>
    new SendRate({ rows, clock, process, alone });
  /** Messages that are taken in a while, of one each 10 ms. */
  async function in_(seconds: number, rates: SendRate[], limit: number): Promise<number> {
    let taken = 0;
    for (let n = 0; n < seconds * 100; n += 1) {
      clock.advance(10);
      for (const one of rates) if (await one.take('s', 1, limit)) taken += 1;
    }
    return taken;
  }

  test('lets a second’s worth go at once, and then the rate', async () => {
    const rate = open('a', true);
    assert.equal(await in_(10, [rate], 20), 20 + 199);
    assert.equal(await in_(10, [rate], 20), 200);
  });

  test('below one a second lets messages go, each after its time', async () => {
    const rate = open('a', true);
    assert.equal(await in_(10, [rate], 0.5), 1 + 5 - 1);
  });

  test('lets a message to many go, and the next ones wait for all of it', async () => {
    const rate = open('a', true);
    assert.equal(await rate.take('s', 50, 10), true);
    clock.advance(4 * SECOND);
    assert.equal(await rate.take('s', 1, 10), false);
    clock.advance(SECOND);
    assert.equal(await rate.take('s', 1, 10), true);
  });

  test('is divided among the processes that send, and is one’s again when the others end', async () => {
    const rates = [open('a'), open('b'), open('c'), open('d')];
    await in_(12, rates, 40);
    const together = await in_(10, rates, 40);
    assert.ok(together >= 390 && together <= 400, `${together} in 10 s`);
    clock.advance(30 * SECOND);
    await in_(11, [rates[0]!], 40);
    assert.equal(await in_(10, [rates[0]!], 40), 400);
  });

  test('costs two requests in ten seconds, and none where a process is alone', async () => {
    const rows = counting(engine);
    await in_(60, [open('a', false, rows)], 1_000);
    assert.equal(rows.calls, 12);
    const none = counting(engine);
    await in_(60, [open('b', true, none)], 1_000);
    assert.equal(none.calls, 0);
  });
});

describe('mail', () => {
  const SHOP: Caller = { keyId: 'AKIASHOP', tenant: 'shop', admin: false, sourceIp: '192.0.2.9' };
  let t: TestAccept;
  beforeEach(async () => {
    t = await openTestAccept();
    await t.control.tenants.create({ name: 'shop' });
    await t.control.identities.create({ name: 'shop.example', tenant: 'shop' });
  });
  const mail = (change: Partial<Submission> = {}) => simple({ from: 'a@shop.example', ...change });
  async function send(
    submissions: Submission[],
    door: 'ses-v2' | 'smtp' | 'postern' = 'ses-v2',
  ): Promise<string[]> {
    const results = await t.accept.submit(submissions, { door, caller: SHOP });
    return results.map((one) => ('error' in one ? `${one.error.code} ${one.error.message}` : 'accepted'));
  }
  const limit = (limits: object) => t.control.tenants.update('shop', (tenant) => ({ ...tenant, limits }));

  test('is counted by recipients, for the tenant and the account', async () => {
    await limit({ perDay: 3 });
    assert.deepEqual(await send([mail({ to: ['a@gmail.com', 'b@gmail.com'] }), mail(), mail()]), [
      'accepted',
      'accepted',
      'quota_exceeded Daily message quota exceeded: the tenant shop may send to 3 recipients in 24 hours.',
    ]);
    await limit({});
    await t.control.account.setLimits({ perDay: 1 });
    const [first, second] = await send([mail(), mail()]);
    assert.equal(first, 'accepted');
    assert.match(second!, /^quota_exceeded .*the account may send to 1 recipients/);
  });

  test('that is refused for another reason counts for nothing', async () => {
    await limit({ perDay: 1 });
    assert.match((await send([mail({ from: 'a@other.example' })]))[0]!, /^identity_not_verified/);
    await limit({ perDay: 1, messageBytes: 1_024 });
    const long = mail({ content: { kind: 'simple', subject: 's', text: 'x'.repeat(2_000) } });
    assert.match(
      (await send([long]))[0]!,
      /^message_rejected Message length is more than 1024 bytes long: '\d+'/,
    );
    await limit({ perDay: 1 });
    t.queue.next = () => {
      throw new Error('away');
    };
    await assert.rejects(send([mail()]));
    t.queue.next = undefined;
    assert.deepEqual(await send([mail()]), ['accepted']);
  });

  test('that is too fast is refused with what SDKs try again', async () => {
    await limit({ perSecond: 2 });
    const [, , third] = await send([mail(), mail(), mail()]);
    assert.match(third!, /^throttled Maximum sending rate exceeded: the tenant shop may send to 2/);
    t.clock.advance(SECOND);
    assert.deepEqual(await send([mail()]), ['accepted']);
  });

  test('has the recipients that its limits allow, and 50 by SES’s API', async () => {
    const many = (count: number) => mail({ to: Array.from({ length: count }, (_, n) => `a${n}@gmail.com`) });
    t = await openTestAccept({ maxRecipients: 100 });
    await t.control.identities.create({ name: 'shop.example', tenant: 'shop' });
    assert.deepEqual(await send([many(100)], 'postern'), ['accepted']);
    assert.deepEqual(await send([many(50)]), ['accepted']);
    assert.match((await send([many(51)]))[0]!, /^too_many_recipients Recipient count exceeds 50/);
    await limit({ recipients: 2 });
    assert.match((await send([many(3)], 'smtp'))[0]!, /^too_many_recipients Recipient count exceeds 2/);
    assert.deepEqual(await send([many(2)], 'smtp'), ['accepted']);
  });

  test('has limits within bounds', async () => {
    for (const limits of [
      { perDay: 0 },
      { perDay: 1.5 },
      { perSecond: 0 },
      { recipients: 1_001 },
      { messageBytes: 1_023 },
    ]) {
      const [name] = Object.keys(limits);
      await assert.rejects(limit(limits), failure('bad_request', new RegExp(`limits\\.${name} must be`)));
      await assert.rejects(t.control.account.setLimits(limits), failure('bad_request'));
    }
  });
});
