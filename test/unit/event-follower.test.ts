import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EventDestination, FileTarget } from '../../lib/control/event-destination.ts';
import type { DestinationSender, EventMessage, SendResult } from '../../lib/engine/destinations.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { EVENT_RETRY, type Follower, startFollower } from '../../lib/events/follower.ts';
import { silentLog } from '../../lib/log.ts';
import { TestClock } from '../support/clock.ts';
import { settled } from '../support/engine.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';

let directory: string;
let engine: Engine;
let clock: TestClock;
let follower: Follower | undefined;
let destinations: EventDestination[];
/** Events sent to each path, in order. */
let sent: Map<string, EventMessage[]>;
/** Answers in place of `taken`, by path. */
let answers: Map<string, (message: EventMessage) => SendResult>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-follower-'));
  clock = new TestClock();
  engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  destinations = [];
  sent = new Map();
  answers = new Map();
  read = 0;
});
afterEach(async () => {
  await follower?.stop();
  follower = undefined;
  await engine.close();
  await rm(directory, { recursive: true });
});

const file: DestinationSender<FileTarget> = {
  batch: 10,
  send: async ({ path }, events) =>
    events.map((message) => {
      const result = answers.get(path)?.(message) ?? { kind: 'taken' };
      if (result.kind === 'taken') sent.set(path, [...(sent.get(path) ?? []), message]);
      return result;
    }),
};

function destination(id: string, change: Partial<EventDestination> = {}): EventDestination {
  const target = { kind: 'file', path: id } as const;
  return { id, name: id, enabled: true, types: ['BOUNCE', 'DELIVERY'], target, createdAt: 0, ...change };
}

/** Whether saves are lost. */
let dead = false;
/** Pages of the feed that the follower asked for. */
let read = 0;

async function start(): Promise<void> {
  const { leases } = engine;
  follower = await startFollower({
    records: {
      message: (id) => engine.records.message(id),
      feed: (after, max) => {
        read += 1;
        return engine.records.feed(after, max);
      },
    },
    leases: {
      checkpoint: (name) => leases.checkpoint(name),
      saveCheckpoint: async (name, value) => {
        if (!dead) await leases.saveCheckpoint(name, value);
      },
    },
    destinations: () => destinations,
    senders: { file },
    context: { region: 'us-east-1', accountId: '111122223333', hostname: 'mta.test' },
    clock,
    log: silentLog,
    window: { ...EVENT_RETRY, size: 500 },
  });
}

/** Messages whose delivery bounced. */
async function bounce(
  count: number,
  change: { tenant?: string; configurationSet?: string } = {},
): Promise<void> {
  const base = nextId;
  nextId += count;
  const refused = attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' });
  await engine.queue.admit(
    Array.from({ length: count }, (_, i) => {
      const record = messageRecord({ id: `message-${base + i}`, recipients: ['a@example.net'], ...change });
      const { id: messageId, tenant } = record;
      const over = outcome('attempt', { messageId, tenant, at: clock.now(), attempt: refused });
      return { record, body: Buffer.alloc(0), deliveries: [], settled: [over] };
    }),
  );
}
let nextId = 0;

/** Lets time pass in steps until `holds` is true. */
async function until(holds: () => boolean, step = 250): Promise<void> {
  const end = performance.now() + 30_000;
  while (!holds()) {
    assert.ok(performance.now() < end, 'it never came to hold');
    clock.advance(step);
    // The store answers in turn: earlier calls are done when this one is.
    await engine.records.feed(0, 1);
    await settled();
  }
}

const count = (path: string): number => sent.get(path)?.length ?? 0;

describe('the follower of the feed', () => {
  test('sends each event once to each destination that accepts it', async () => {
    destinations = [
      destination('all'),
      destination('deliveries', { types: ['DELIVERY'] }),
      destination('off', { enabled: false }),
      destination('set', { configurationSet: 'news' }),
      destination('other', { tenant: 'tenant-2' }),
    ];
    await start();
    await bounce(3);
    await bounce(2, { configurationSet: 'news' });
    await bounce(1, { tenant: 'tenant-2' });
    await until(() => count('all') === 6 && count('set') === 2 && count('other') === 1);
    assert.equal(count('deliveries'), 0);
    assert.equal(count('off'), 0);
    const [first] = sent.get('all')!;
    assert.equal(JSON.parse(first!.json).eventType, 'Bounce');
  });

  test('a destination that is down delays no other, and gets all its events when it is back', async () => {
    destinations = [destination('up'), destination('down')];
    let down = true;
    answers.set('down', () => (down ? { kind: 'retry', text: '500' } : { kind: 'taken' }));
    await start();
    await bounce(1_700);
    await until(() => count('up') === 1_700);
    const health = follower!.health().find(({ id }) => id === 'down')!;
    assert.ok(health.held <= 500);
    assert.ok(health.failures > 0);
    assert.equal(health.lastError, '500');
    down = false;
    await until(() => count('down') === 1_700, 60_000);
    assert.equal(new Set(sent.get('down')!.map(({ id }) => id)).size, 1_700);
  });

  test('after a crash no event is missing, and repeated ones have the same id', async () => {
    destinations = [destination('a')];
    let taken = 0;
    answers.set('a', () => (++taken % 3 === 0 ? { kind: 'retry', text: '503' } : { kind: 'taken' }));
    await start();
    await bounce(60);
    await until(() => count('a') >= 20);
    // The process is dead: it saves nothing from now on.
    dead = true;
    await follower!.stop();
    dead = false;
    await start();
    await until(() => new Set(sent.get('a')!.map(({ id }) => id)).size === 60, 60_000);
    assert.equal(new Set(sent.get('a')!.map(({ messageId }) => messageId)).size, 60);
  });

  test('after a clean stop no event comes twice', async () => {
    destinations = [destination('a')];
    answers.set('a', ({ messageId }) =>
      messageId.endsWith('7') ? { kind: 'retry', text: 'not now' } : { kind: 'taken' },
    );
    await start();
    await bounce(40);
    await until(() => count('a') >= 10);
    await follower!.stop();
    answers.clear();
    await start();
    await until(() => count('a') === 40, 60_000);
    assert.equal(new Set(sent.get('a')!.map(({ id }) => id)).size, 40);
  });

  test('a new destination gets events from its creation on', async () => {
    await start();
    await bounce(5);
    for (let i = 0; i < 20; i++) {
      clock.advance(250);
      await settled();
    }
    assert.equal(read, 0, 'without destinations the feed is not read');
    destinations = [destination('late', { createdAt: clock.now() })];
    await until(() => follower!.health().length === 1);
    await bounce(2);
    await until(() => count('late') >= 2);
    assert.equal(count('late'), 2);
  });

  test('a replay sends the events of a period once more, with the same ids', async () => {
    destinations = [destination('a')];
    await start();
    await bounce(2);
    await until(() => count('a') === 2);
    const from = clock.now();
    await bounce(3);
    await until(() => count('a') === 5);
    const to = clock.now();
    await bounce(1);
    await until(() => count('a') === 6);
    assert.equal(follower!.replay('a', from, to), true);
    assert.equal(follower!.replay('nobody', from, to), false);
    await until(() => count('a') === 9 && !follower!.health()[0]!.replaying);
    const ids = sent.get('a')!.map(({ id }) => id);
    assert.deepEqual(ids.slice(6).sort(), ids.slice(2, 5).sort());
  });

  test('keeps the last 100 tries at a destination, also over a restart', async () => {
    destinations = [destination('a')];
    let tries = 0;
    answers.set('a', () => (++tries === 1 ? { kind: 'retry', text: '500 down' } : { kind: 'taken' }));
    await start();
    await bounce(130);
    await until(() => count('a') === 130);
    await follower!.stop();
    await start();
    await until(() => follower!.attempts('a') !== undefined);
    const attempts = follower!.attempts('a')!;
    assert.equal(attempts.length, 100);
    assert.equal(attempts.at(-1)!.result, 'taken');
    assert.equal(follower!.attempts('nobody'), undefined);
  });

  test('reports a destination that answers "gone"', async () => {
    const gone: string[] = [];
    destinations = [destination('a')];
    answers.set('a', () => ({ kind: 'gone', text: '410' }));
    follower = await startFollower({
      records: engine.records,
      leases: engine.leases,
      destinations: () => destinations,
      senders: { file },
      context: { region: 'us-east-1', accountId: '111122223333', hostname: 'mta.test' },
      clock,
      log: silentLog,
      onGone: ({ id }, text) => gone.push(`${id} ${text}`),
    });
    await bounce(1);
    await until(() => gone.length > 0);
    assert.equal(gone[0], 'a 410');
  });
});
