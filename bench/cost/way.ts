/** A message's way: accepted by calls, leased from its lane, settled, and its outcomes taken. */
import { randomBytes } from 'node:crypto';
import type { Engine, LeasedItem, Settlement } from '../../lib/engine/ports.ts';
import { callUuids } from '../../lib/mail/message-id.ts';
import { recordsOf } from '../../lib/outcome/apply-suppression.ts';
import { MINUTE } from '../../lib/time.ts';
import { attempt, LANE, message } from './mail.ts';

/** Deliveries that a node takes at once, and outcomes that the function has in a batch. */
export const LEASE = 100;
/** Calls under way. */
const CALLERS = 8;

/** Delivers what is in the lane: leases and settles, and takes the outcomes. */
export async function drain(
  engine: Engine,
  messages: number,
  settle: (leased: LeasedItem) => Settlement,
): Promise<void> {
  for (let left = messages; left > 0; ) {
    const leased = await engine.queue.lease({ lane: LANE, max: LEASE, visibility: 2 * MINUTE, wait: 0 });
    if (leased.length === 0) throw new Error(`${left} messages are missing.`);
    left -= leased.length;
    await engine.queue.settle(leased.map(settle));
  }
  for (let cursor = 0; ; ) {
    const page = await engine.records.feed(cursor, LEASE);
    if (page.outcomes.length === 0) return;
    // As functions/outcomes does, which looks at as many in a batch.
    await recordsOf(engine.records, page.outcomes);
    cursor = page.cursor;
  }
}

export const delivered = (leased: LeasedItem): Settlement => ({
  kind: 'end',
  leased,
  state: 'delivered',
  attempt: attempt(Date.now(), false),
});

export const deferred = (leased: LeasedItem): Settlement => {
  const until = Date.now() + 5 * MINUTE;
  return { kind: 'defer', leased, until, attempt: { ...attempt(Date.now(), true), until } };
};

/** The site for which mail is parked. */
export const DOWN = 'mx.down.example';

/** Put back for hours, until a site is reached. */
export const parked = (leased: LeasedItem): Settlement => ({
  kind: 'release',
  leased,
  until: Date.now() + 120 * MINUTE,
  reason: { code: 'connect_failed', text: `${DOWN} [203.0.113.25]: connection timed out` },
  site: DOWN,
});

/** Takes all messages of a scenario in, `perCall` by each call. */
export async function accept(
  engine: Engine,
  { messages, perCall, body }: { messages: number; perCall: number; body: () => Buffer },
): Promise<void> {
  let sent = 0;
  const callers = Array.from({ length: CALLERS }, async () => {
    for (; sent < messages; ) {
      sent += perCall;
      await call(engine, perCall, body);
    }
  });
  await Promise.all(callers);
}

async function call(engine: Engine, perCall: number, body: () => Buffer): Promise<void> {
  const now = Date.now();
  const key = randomBytes(16).toString('hex');
  // As the accept pipeline does with the first try of a call that the SDK may repeat.
  const uuidAt = callUuids(key);
  const messages = Array.from({ length: perCall }, (_, place) => message(now, body(), uuidAt(place)));
  await engine.suppressions.find(
    messages.flatMap(({ record: { tenant, recipients } }) =>
      recipients.map((address) => ({ tenant, address })),
    ),
  );
  const ids = JSON.stringify(messages.map(({ record }) => ({ messageId: record.id })));
  await engine.queue.admit(messages, {
    key,
    digest: randomBytes(32).toString('hex'),
    expiresAt: now + MINUTE,
    response: ids,
  });
}
