/** Events where no process follows their destinations: sent at once, or kept, looked at again, replayed. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EventDestination } from '../../lib/control/event-destination.ts';
import type {
  DestinationSender,
  EventMessage,
  EventParcel,
  SendResult,
} from '../../lib/engine/destinations.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { EventCarrier } from '../../lib/events/carrier.ts';
import { EventDelivery } from '../../lib/events/delivery.ts';
import { DestinationStates } from '../../lib/events/destination-state.ts';
import { EventIndex, LAG } from '../../lib/events/event-index.ts';
import { parcelsOf, readParcel } from '../../lib/events/parcel.ts';
import { openStoredEvents } from '../../lib/events/stored-events.ts';
import { DAY, HOUR, MINUTE } from '../../lib/time.ts';
import { seededRandom, TestClock } from '../support/clock.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';

const CONTEXT = { region: 'us-east-1', accountId: '111122223333', hostname: 'mta.test' };

let clock: TestClock;
let engine: Engine;
let states: DestinationStates;
let delivery: EventDelivery;
let carrier: EventCarrier;
let index: EventIndex;
/** Taken events, in order; a repeat is there twice. */
let taken: EventMessage[];
let calls: number;
/** Answers in place of `taken`. */
let answer: (message: EventMessage) => SendResult;
let queue: EventParcel[];
let hook: EventDestination;
let log: string[];

const sender: DestinationSender<never> = {
  batch: 1,
  send: async (_target, events) => {
    calls += 1;
    return events.map((message) => {
      const result = answer(message);
      if (result.kind === 'taken') taken.push(message);
      return result;
    });
  },
};

beforeEach(() => {
  clock = new TestClock();
  engine = openMemory({ clock });
  states = new DestinationStates(engine.rows, clock, seededRandom(1));
  [taken, queue, log, calls] = [[], [], [], 0];
  answer = () => ({ kind: 'taken' });
  hook = {
    id: 'ed-1',
    name: 'hook',
    tenant: 'tenant-1',
    enabled: true,
    types: ['DELIVERY'],
    target: { kind: 'webhook', url: 'https://x.example/', secret: 's' },
    createdAt: 0,
  };
  delivery = new EventDelivery({
    states,
    senders: { webhook: sender },
    clock,
    log: { error: (event) => void log.push(event) },
    onGone: async (_, text) => {
      hook = { ...hook, enabled: false, disabledBecause: text };
    },
  });
  index = new EventIndex({
    rows: engine.rows,
    records: engine.records,
    context: CONTEXT,
    clock,
    keep: 7 * DAY,
  });
  carrier = new EventCarrier({
    find: async (id) => (id === hook.id ? hook : undefined),
    states,
    delivery,
    senders: { webhook: sender },
    queue: { send: async (parcels) => void queue.push(...parcels) },
    index,
    context: CONTEXT,
    clock,
    log: { info: (event) => void log.push(event) },
  });
});
afterEach(() => engine.close());

function event(id: string, messageId = `m-${id}`, at = clock.now()): EventMessage {
  const published = { eventType: 'Delivery', mail: { tags: {}, headers: [] } };
  return { id, tenant: 'tenant-1', messageId, at, event: published, json: JSON.stringify(published) };
}

async function send(...events: EventMessage[]): Promise<void> {
  const parcels = parcelsOf(hook.id, events);
  for (const { value } of parcels) await carry(value);
}

const carry = (value: object): Promise<void> =>
  carrier.carry(readParcel(JSON.stringify(value)), clock.now() + MINUTE);

/** What the schedule does each minute, and the parcels that follow from it. */
async function minute(): Promise<void> {
  clock.advance(MINUTE);
  await carrier.look();
  for (let parcel = queue.shift(); parcel; parcel = queue.shift()) await carry(parcel.value);
}

const ids = (): string[] => taken.map(({ id }) => id);
const access = () =>
  openStoredEvents({ states, queue: { send: async (p) => void queue.push(...p) }, replays: true, clock });
const health = async () => (await access().health([hook.id])).get(hook.id)!;

describe('a destination that no process follows', () => {
  test('is sent what comes for it', async () => {
    await send(event('a'), event('b'));
    assert.deepEqual(ids().sort(), ['a', 'b']);
    const { taken: count, held, failures } = await health();
    assert.deepEqual([count, held, failures], [2, 0, 0]);
    assert.equal((await access().attempts(hook.id)).length, 2);
    assert.deepEqual(await states.due(), []);
  });

  test('that fails is closed, keeps what comes, and gets all of it in order when it is back', async () => {
    answer = () => ({ kind: 'retry', text: '503 away' });
    await send(event('a', 'm'), event('b', 'm'));
    assert.equal(calls, 1);
    clock.advance(1);
    await send(event('c', 'm'), event('d'));
    assert.equal(calls, 1, 'a closed destination is not asked');
    let now = await health();
    assert.deepEqual([now.held, now.failures, now.lastError], [4, 1, '503 away']);
    await minute();
    assert.equal(calls, 3, 'a look is two calls');
    answer = () => ({ kind: 'taken' });
    await minute();
    assert.deepEqual(
      ids().filter((id) => id !== 'd'),
      ['a', 'b', 'c'],
    );
    now = await health();
    assert.deepEqual([now.held, now.failures, now.taken, now.lastError], [0, 0, 4, undefined]);
    assert.deepEqual(await states.due(), []);
    await send(event('e', 'm'));
    assert.equal(ids().at(-1), 'e');
  });

  test('is asked less and less, up to each hour, and its events are given up after a day', async () => {
    answer = () => ({ kind: 'retry', text: 'no' });
    await send(event('a'));
    const begin = clock.now();
    const asked: number[] = [];
    for (let before = calls; clock.now() < begin + 25 * HOUR + 5 * MINUTE; before = calls) {
      await minute();
      if (calls > before) asked.push(Math.round((clock.now() - begin) / MINUTE));
    }
    const gaps = asked.slice(1).map((at, i) => at - asked[i]!);
    assert.ok(asked.length < 40, `${asked.length} looks`);
    assert.ok(Math.max(...gaps) <= 61, gaps.join());
    const { held, dropped } = await health();
    assert.deepEqual([held, dropped], [0, 1]);
    assert.ok(log.some((line) => /given up/.test(line)));
  });

  test('that cannot take one event takes the others; those of its message wait behind it', async () => {
    answer = ({ id }) => (id === 'bad' ? { kind: 'retry', text: '500' } : { kind: 'taken' });
    await send(event('bad', 'm', clock.now() - 1), event('behind', 'm'), event('x'), event('y'), event('z'));
    await minute();
    assert.deepEqual(ids().sort(), ['x', 'y', 'z']);
    for (let n = 0; n < 5; n += 1) {
      await send(event(`later-${n}`));
      await minute();
    }
    assert.deepEqual(ids().length, 8);
    assert.equal((await health()).held, 2);
    answer = () => ({ kind: 'taken' });
    for (let n = 0; n < 5; n += 1) await minute();
    assert.deepEqual(ids().slice(-2), ['bad', 'behind']);
    assert.equal((await health()).held, 0);
  });

  test('that answers 410 is disabled, and keeps what waits until it is enabled again', async () => {
    answer = () => ({ kind: 'gone', text: '410 moved' });
    await send(event('a'), event('b'));
    assert.equal(hook.disabledBecause, '410 moved');
    const before = calls;
    for (let n = 0; n < 70; n += 1) await minute();
    assert.equal(calls, before);
    answer = () => ({ kind: 'taken' });
    hook = { ...hook, enabled: true };
    for (let n = 0; n < 70; n += 1) await minute();
    assert.deepEqual(ids().sort(), ['a', 'b']);
  });

  test('that was deleted leaves no order behind', async () => {
    answer = () => ({ kind: 'retry', text: 'no' });
    await send(event('a'));
    hook = { ...hook, id: 'another' };
    await minute();
    assert.deepEqual(await states.due(), []);
  });

  test('loses nothing when an event comes while its backlog is found empty', async () => {
    answer = () => ({ kind: 'retry', text: 'no' });
    await send(event('a'));
    answer = () => ({ kind: 'taken' });
    clock.advance(MINUTE);
    // Another call has read that events wait, and keeps one between the last look and the end of the looks.
    const { rest } = states;
    states.rest = async (id) => {
      states.rest = rest;
      await delivery.deliver(hook, [event('late')], { ...(await states.get(id)), waiting: 1 }, clock.now());
      return rest.call(states, id);
    };
    await carry({ v: 1, kind: 'drain', destination: hook.id });
    for (let n = 0; n < 2; n += 1) await minute();
    assert.deepEqual(ids(), ['a', 'late']);
  });

  test('is tried by a made-up event, beside what waits', async () => {
    const asked = access().test(hook);
    await new Promise((done) => setImmediate(done));
    const [parcel] = queue.splice(0);
    await carry(parcel!.value);
    for (let over = false; !over; ) {
      clock.advance(250);
      over = await Promise.race([
        asked.then(() => true),
        new Promise<false>((done) => setImmediate(() => done(false))),
      ]);
    }
    assert.deepEqual(await asked, { kind: 'taken' });
    assert.match(ids()[0]!, /^test-/);
  });
});

describe('the index of events', () => {
  async function happen(count: number, tenant = 'tenant-1'): Promise<void> {
    const made = Array.from({ length: count }, (_, n) => {
      const id = `0100${String(clock.now()).padStart(12, '0')}-${String(n).padStart(8, '0')}-${tenant}`;
      const record = messageRecord({ id, tenant });
      const at = clock.now();
      return { record, over: outcome('attempt', { messageId: id, tenant, at, attempt: attempt({ at }) }) };
    });
    await engine.queue.admit(
      made.map(({ record, over }) => ({ record, body: Buffer.alloc(0), deliveries: [], settled: [over] })),
    );
    await index.put(
      made.map(({ over }) => over),
      new Map(made.map(({ record }) => [record.id, record])),
    );
  }

  async function all(filter: Parameters<EventIndex['page']>[0], max: number): Promise<string[]> {
    const seen: string[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await index.page(filter, after, max);
      seen.push(...page.events.map(({ message }) => message.messageId));
      if (!page.more) return seen;
      after = page.cursor;
    }
  }

  test('shows the events of a tenant once, in pages, over days, and later ones behind the cursor', async () => {
    await happen(250);
    clock.advance(DAY);
    await happen(10);
    await happen(3, 'tenant-2');
    const before = await index.page({ tenant: 'tenant-1', from: clock.now() }, undefined, 100);
    assert.deepEqual(
      before.events,
      [],
      'what was just written may be joined by what another function writes',
    );
    clock.advance(LAG + 1);
    for (const max of [7, 100, 500]) {
      const seen = await all({ tenant: 'tenant-1' }, max);
      assert.equal(seen.length, 260);
      assert.equal(new Set(seen).size, 260);
    }
    const { events } = await index.page({ tenant: 'tenant-1', from: clock.now() - HOUR }, undefined, 500);
    assert.equal(events.length, 10);
    const end = await index.end();
    await happen(2);
    clock.advance(LAG + 1);
    assert.equal((await index.page({ tenant: 'tenant-1' }, end, 100)).events.length, 2);
    assert.equal((await index.page({ tenant: 'tenant-1' }, events.at(-1)!.cursor, 100)).events.length, 2);
  });

  test('refuses what it cannot answer', async () => {
    await assert.rejects(index.page({}, undefined, 10), {
      code: 'unsupported_operation',
      message: /tenant=default/,
    });
    for (const cursor of ['17', Buffer.from('x 0 ').toString('base64url')]) {
      await assert.rejects(index.page({ tenant: 'a' }, cursor, 10), { code: 'invalid_page_token' });
    }
  });

  test('is replayed to a destination, with the ids that the events had', async () => {
    await happen(300);
    clock.advance(LAG + 1);
    const { events } = await index.page({ tenant: 'tenant-1' }, undefined, 500);
    await access().replay(hook, clock.now() - HOUR, clock.now());
    assert.equal((await health()).replaying, true);
    for (let n = 0; n < 3; n += 1) await minute();
    assert.deepEqual(ids().sort(), events.map(({ message }) => message.id).sort());
    assert.equal((await health()).replaying, false);
    assert.deepEqual(await states.due(), []);
    await assert.rejects(access().replay({ ...hook, tenant: undefined }, 0, 1), {
      code: 'unsupported_operation',
    });
  });

  test('is replayed on when a failing destination is back', async () => {
    await happen(300);
    clock.advance(LAG + 1);
    await access().replay(hook, clock.now() - HOUR, clock.now());
    answer = () => ({ kind: 'retry', text: 'no' });
    for (let n = 0; n < 3; n += 1) await minute();
    answer = () => ({ kind: 'taken' });
    for (let n = 0; n < 10; n += 1) await minute();
    assert.equal(new Set(ids()).size, 300);
    assert.deepEqual(await states.due(), []);
  });
});
