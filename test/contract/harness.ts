/** What the engine contract needs of an engine under test, and the mail of its tests. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Attempt, MessageRecord, QueueItem } from '../../lib/engine/items.ts';
import type { Admission, Engine, LeasedItem, Settlement } from '../../lib/engine/ports.ts';
import type { DeliveryState } from '../../lib/engine/states.ts';
import { callUuids, newMessageId } from '../../lib/mail/message-id.ts';
import { DAY } from '../../lib/time.ts';

export interface EngineUnderTest {
  engine: Engine;
  clock: { now(): number; advance(ms: number): void | Promise<void> };
  /** Closes the engine and removes its storage. */
  close(): Promise<void>;
  /** Ends the engine and opens another one on the same storage. */
  reopen?(): Promise<Engine>;
}

export interface ContractOptions {
  /** The engine promises strict turns between tenants (the AWS engine has SQS's fair queues, which do not). */
  strictTurns?: boolean;
  /** Only what waits for a time can be cancelled, not what is in its lane (the AWS engine without claims). */
  cancelsOnlyWaiting?: boolean;
  /** Records go by themselves some time after their deliveries' expiry (TTL), and not by `prune`. */
  recordsExpire?: boolean;
}

/** How long an item stays leased while a test works on it, ms. */
export const LONG = 600_000;

/** A lane of this test alone. */
export function newLane(): string {
  return `pool-${randomUUID().slice(0, 8)}:bulk:other`;
}

/** A tenant of this test alone. */
export function newTenant(): string {
  return `tenant-${randomUUID().slice(0, 8)}`;
}

export interface MailOptions {
  lane?: string;
  tenant?: string;
  recipients?: string[];
  body?: string;
  due?: number;
  /** Idempotency key of the call that it is of, and its place among the messages of the call. */
  key?: string;
  place?: number;
}

/** A message with one delivery for each recipient. */
export function mail(now: number, options: MailOptions = {}): Admission {
  const {
    lane = 'default:bulk:other',
    tenant = 'tenant',
    recipients = ['user@example.net'],
    due = 0,
    key,
    place = 0,
  } = options;
  const id = newMessageId(now, callUuids(key)(place));
  const body = Buffer.from(options.body ?? `From: a@example.com\r\n\r\n${id}\r\n`);
  const record: MessageRecord = {
    v: 1,
    id,
    tenant,
    keyId: 'AKIAEXAMPLE',
    door: 'smtp',
    sourceIp: '127.0.0.1',
    acceptedAt: now,
    expiresAt: now + DAY,
    source: 'a@example.com',
    fromDomain: 'example.com',
    tags: {},
    class: 'bulk',
    pool: 'default',
    size: body.byteLength,
    recipients,
    commonHeaders: { from: ['a@example.com'], messageId: `<${id}>` },
  };
  const deliveries = recipients.map(
    (recipient, n): QueueItem => ({
      v: 1,
      messageId: id,
      n,
      tenant,
      lane,
      mailFrom: `bounce+${n}@example.com`,
      recipient,
      domain: recipient.split('@')[1]!,
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      acceptedAt: now,
      expiresAt: now + DAY,
      attempts: 0,
      due,
    }),
  );
  return { record, body, deliveries };
}

export function attempt(at: number, state: DeliveryState, more: Partial<Attempt> = {}): Attempt {
  const reason =
    state === 'deferred' ? 'peer_temporary' : state === 'delivered' ? 'delivered' : 'peer_permanent';
  return { at, duration: 12, replies: [], state, reason, text: `It is ${state}.`, ...more };
}

export function end(leased: LeasedItem, at: number, state: DeliveryState = 'delivered'): Settlement {
  return { kind: 'end', leased, state, attempt: attempt(at, state) };
}

export function defer(leased: LeasedItem, at: number, until: number): Settlement {
  return { kind: 'defer', leased, until, attempt: attempt(at, 'deferred', { until }) };
}

export async function admit(engine: Engine, ...messages: Admission[]): Promise<void> {
  assert.deepEqual(await engine.queue.admit(messages), { kind: 'admitted' });
}

/** Leases until there are `count` items. */
export async function collect(
  engine: Engine,
  lane: string,
  count: number,
  visibility = LONG,
): Promise<LeasedItem[]> {
  const items: LeasedItem[] = [];
  for (let empty = 0; items.length < count && empty < 500; ) {
    const got = await engine.queue.lease({
      lane,
      max: Math.min(10, count - items.length),
      visibility,
      wait: 0,
    });
    items.push(...got);
    empty = got.length > 0 ? 0 : empty + 1;
  }
  assert.equal(items.length, count, `deliveries in lane ${lane}`);
  return items;
}

/** Asserts that a lane leases nothing. */
export async function assertEmpty(engine: Engine, lane: string): Promise<void> {
  assert.deepEqual(await engine.queue.lease({ lane, max: 10, visibility: LONG, wait: 0 }), []);
}

/** Identity of deliveries, in an order that does not depend on how they were leased. */
export function names(items: { item: QueueItem }[]): string[] {
  return items.map(({ item }) => `${item.messageId} ${item.n}`).sort();
}
