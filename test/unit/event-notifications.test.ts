/** Notifications of an identity: which events they are, and in which form (SES developer guide). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventDestination } from '../../lib/control/event-destination.ts';
import type { EventMessage } from '../../lib/engine/destinations.ts';
import { takenBy } from '../../lib/events/destination.ts';
import { messagesOf } from '../../lib/events/messages.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';

const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'postern.example' };
const bounce = { state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' } as const;

function events(source: string, tenant = 'default'): EventMessage[] {
  const record = messageRecord({ tenant, source });
  return messagesOf(record, outcome('attempt', { attempt: attempt(bounce) }), CONTEXT);
}

function topic(change: Partial<EventDestination> = {}): EventDestination {
  return {
    id: 'ed-1',
    name: 'topic',
    tenant: 'default',
    enabled: true,
    types: ['BOUNCE'],
    target: { kind: 'sns', topicArn: 'arn:aws:sns:us-east-1:123456789012:topic' },
    notifications: { identity: 'example.com', headers: [] },
    createdAt: 0,
    ...change,
  };
}

const taken = (destination: EventDestination, source: string, tenant?: string): boolean =>
  events(source, tenant).some((event) => takenBy(destination, event) !== undefined);

describe('the notifications of an identity', () => {
  test('are of its address, or of its domain and those below it', () => {
    const address = topic({ notifications: { identity: 'ann@example.com', headers: [] } });
    for (const [source, byDomain, byAddress] of [
      ['ann@example.com', true, true],
      ['Ann <ann@example.com>', true, true],
      ['bob@example.com', true, false],
      ['ann@news.example.com', true, false],
      ['ann@notexample.com', false, false],
      ['example.com@example.net', false, false],
    ] as const) {
      assert.equal(taken(topic(), source), byDomain, source);
      assert.equal(taken(address, source), byAddress, source);
    }
  });

  test('are of its tenant, its types, and only while it is enabled', () => {
    assert.equal(taken(topic(), 'ann@example.com', 'tenant-2'), false);
    assert.equal(taken(topic({ types: ['COMPLAINT', 'DELIVERY'] }), 'ann@example.com'), false);
    assert.equal(taken(topic({ enabled: false }), 'ann@example.com'), false);
  });

  test('have the form of notifications, with header fields where they are asked for', () => {
    const [event] = events('ann@example.com');
    const shown = (destination: EventDestination) =>
      JSON.parse(takenBy(destination, event!)!.json) as Record<string, Record<string, unknown>>;
    const bare = shown(topic());
    assert.deepEqual(Object.keys(bare), ['notificationType', 'mail', 'bounce']);
    assert.equal(bare.notificationType, 'Bounce');
    assert.equal(bare.mail!.source, 'ann@example.com');
    assert.equal(bare.mail!.messageId, event!.messageId);
    for (const absent of ['tags', 'headers', 'commonHeaders', 'headersTruncated'])
      assert.equal(absent in bare.mail!, false, absent);
    const full = shown(topic({ notifications: { identity: 'example.com', headers: ['BOUNCE'] } }));
    const { mail } = JSON.parse(event!.json) as { mail: Record<string, unknown> };
    assert.deepEqual(full.mail!.headers, mail.headers);
    assert.deepEqual(full.mail!.commonHeaders, mail.commonHeaders);
    assert.equal('tags' in full.mail!, false);
  });

  test('leave an event of another destination as it is', () => {
    const [event] = events('ann@example.com');
    assert.equal(takenBy(topic({ notifications: undefined }), event!), event);
  });
});
