/** The settler beside a storage that refuses some settlements and outcomes for good. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Delivery } from '../../lib/egress/delivery.ts';
import { Settler } from '../../lib/egress/settler.ts';
import type { Attempt, Outcome } from '../../lib/engine/items.ts';
import type { LeasedItem, Queue, Records, Settlement } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';
import { attempt } from '../contract/harness.ts';
import { TestClock } from '../support/clock.ts';
import { queueItem } from '../support/egress-fakes.ts';

const BAD = 'no \uffff';

/** A storage that accepts whole calls only, and none with the text `BAD`; `always` is a recipient that it always refuses. */
function start(always?: string) {
  const written: Settlement[] = [];
  const outcomes: Outcome[] = [];
  const settled: unknown[] = [];
  const logged: [string, Record<string, unknown> | undefined][] = [];
  let refused = 0;
  const refuse = (): never => {
    throw new PosternError('storage_refused', 'InvalidMessageContents');
  };
  const settler = new Settler({
    queue: {
      note: () => undefined,
      settle: async (list: Settlement[]) => {
        if (list.some((one) => JSON.stringify(one).includes(BAD) || one.leased.item.recipient === always))
          refuse();
        written.push(...list);
      },
    } as Partial<Queue> as Queue,
    records: {
      append: async (list: Outcome[]) => {
        if (JSON.stringify(list).includes(BAD)) refuse();
        outcomes.push(...list);
      },
    } as Partial<Records> as Records,
    clock: new TestClock(),
    log: { error: (message, fields) => void logged.push([message, fields]) },
    inFlight: { remove: (delivery) => void settled.push(delivery) },
    lanes: { roomMade: () => undefined },
    refused: () => (refused += 1),
  });
  return { settler, written, outcomes, settled, logged, refused: () => refused };
}

function ending(recipient: string, text: string): Settlement {
  const item = queueItem(0, { recipient });
  const leased: LeasedItem = { item, bytes: Buffer.from('secret body'), receives: 1, receipt: undefined };
  const result: Attempt = attempt(0, 'bounced', { text, replies: [{ phase: 'rcpt', code: 550, text }] });
  return { kind: 'end', leased, state: 'bounced', attempt: result };
}

describe('an entry that the storage refuses for good', () => {
  it('is written without its texts, logged, counted, and delays none of 20 others', async () => {
    const { settler, written, settled, logged, refused } = start();
    for (let n = 0; n < 21; n += 1)
      settler.push({} as Delivery, ending(`${n}@x.test`, n === 13 ? BAD : 'no such user'));
    await settler.drained();
    assert.equal(written.length, 21);
    assert.equal(settled.length, 21);
    assert.equal(refused(), 1);
    const plain = written.find((one) => one.leased.item.recipient === '13@x.test');
    assert.ok(plain?.kind === 'end' && plain.state === 'bounced' && plain.attempt.replies.length === 0);
    const [[message, fields] = []] = logged;
    assert.equal(message, 'settlement.refused');
    assert.ok(JSON.stringify(fields).includes(BAD), 'the log has what was refused');
    assert.ok(!JSON.stringify(fields).includes('bytes'), 'the log has no mail');
  });

  it('is dropped when the storage refuses it without texts too, and leaves its slot', async () => {
    const { settler, written, settled, logged } = start('1@x.test');
    for (let n = 0; n < 3; n += 1) settler.push({} as Delivery, ending(`${n}@x.test`, 'no'));
    await settler.drained();
    assert.deepEqual(written.map((one) => one.leased.item.recipient).sort(), ['0@x.test', '2@x.test']);
    assert.equal(settled.length, 3);
    assert.deepEqual(
      logged.map(([message]) => message),
      ['settlement.refused', 'settlement.lost'],
    );
  });

  it('may be an outcome: the others are recorded', async () => {
    const { settler, outcomes, logged, refused } = start();
    settler.report(
      ['a', BAD, 'b'].map((said) => ({
        v: 1,
        messageId: 'm',
        at: 0,
        kind: 'bounce',
        tenant: 't',
        detail: { said },
      })),
    );
    await settler.drained();
    assert.deepEqual(
      outcomes.map(({ detail }) => detail!.said),
      ['a', 'b'],
    );
    assert.deepEqual([logged[0]?.[0], refused()], ['outcome.refused', 1]);
  });
});

describe('the settler', () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('notes what peers have answered at once, before it is settled and while nothing can be', async () => {
    const calls: string[] = [];
    const name = (list: readonly Settlement[]) => list.map(({ leased }) => leased.item.recipient).join(' ');
    const settler = new Settler({
      queue: {
        note: (list: readonly Settlement[]) => void calls.push(`note ${name(list)}`),
        settle: async (list: Settlement[]) => {
          calls.push(`settle ${name(list)}`);
          // The storage does not answer.
          await new Promise<void>(() => {});
        },
      } as Partial<Queue> as Queue,
      records: {} as Records,
      clock: new TestClock(),
      log: { error: () => undefined },
      inFlight: { remove: () => undefined },
      lanes: { roomMade: () => undefined },
      refused: () => undefined,
    });
    const push = (...names: string[]) => {
      for (const one of names) settler.push({} as Delivery, ending(one, 'no such user'));
    };
    const { leased } = ending('put-back', '');
    settler.push({} as Delivery, { kind: 'release', leased, until: 0, reason: { code: 'x', text: '' } });
    const expired = ending('expired', '');
    if (expired.kind === 'end') expired.attempt.replies = [];
    settler.push({} as Delivery, expired);
    push('a', 'b');
    assert.deepEqual(calls, []);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    assert.deepEqual(calls.splice(0), ['note a b'], 'before anything else of the turn');
    await turn();
    assert.deepEqual(calls.splice(0), ['settle put-back expired a b']);
    for (const one of ['c', 'd', 'e']) {
      push(one);
      await turn();
      assert.deepEqual(calls.splice(0), [`note ${one}`, `settle ${one}`]);
    }
    push('f', 'g');
    await turn();
    assert.deepEqual(calls.splice(0), ['note f g'], 'no batch can begin');
  });

  it('begins a batch while others are written, and outcomes after all of them', async () => {
    const calls: string[][] = [];
    const ends: (() => void)[] = [];
    let appended = 0;
    const settler = new Settler({
      queue: {
        note: () => undefined,
        settle: async (list: Settlement[]) => {
          calls.push(list.map(({ leased }) => leased.item.recipient));
          await new Promise<void>((resolve) => ends.push(resolve));
        },
      } as Partial<Queue> as Queue,
      records: { append: async () => void (appended += 1) } as Partial<Records> as Records,
      clock: new TestClock(),
      log: { error: () => undefined },
      inFlight: { remove: () => undefined },
      lanes: { roomMade: () => undefined },
      refused: () => undefined,
    });
    for (let n = 1; n <= 6; n += 1) {
      settler.push({} as Delivery, ending(`${n}@x.test`, 'no such user'));
      await turn();
    }
    settler.report([{} as Outcome]);
    await turn();
    assert.deepEqual(calls, [['1@x.test'], ['2@x.test'], ['3@x.test'], ['4@x.test']]);
    ends[1]!();
    await turn();
    assert.deepEqual(calls[4], ['5@x.test', '6@x.test']);
    for (const n of [0, 2, 3]) ends[n]!();
    await turn();
    assert.equal(appended, 0);
    let drained = false;
    void settler.drained().then(() => (drained = true));
    ends[4]!();
    await turn();
    assert.deepEqual([appended, drained], [1, true]);
  });
});
