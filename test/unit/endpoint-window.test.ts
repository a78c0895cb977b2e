import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EndpointWindow, type PendingEvent } from '../../lib/events/endpoint-window.ts';
import { DAY, HOUR } from '../../lib/time.ts';

const options = {
  size: 4,
  concurrency: 2,
  maxAge: DAY,
  pause: (tries: number) => Math.min(HOUR, 1_000 * 2 ** tries),
};

function event(seq: number, messageId: string, at = 0): PendingEvent {
  const content = { eventType: 'Send', mail: { tags: {}, headers: [] } };
  return {
    seq,
    tries: 0,
    due: 0,
    message: { id: `e${seq}`, tenant: 't', messageId, at, event: content, json: '{}' },
  };
}

function windowWith(...events: PendingEvent[]): EndpointWindow {
  const window = new EndpointWindow(options);
  for (const one of events) window.add(one);
  return window;
}

describe('a window of events', () => {
  test('starts no more sends at a time than its concurrency', () => {
    const window = windowWith(event(1, 'a'), event(2, 'b'), event(3, 'c'));
    assert.equal(window.next(0)?.seq, 1);
    assert.equal(window.next(0)?.seq, 2);
    assert.equal(window.next(0), undefined);
  });

  test('sends the events of one message one after the other', () => {
    const window = windowWith(event(1, 'a'), event(2, 'a'), event(3, 'b'));
    const first = window.next(0)!;
    assert.equal(window.next(0)?.seq, 3);
    window.done(first);
    assert.equal(window.next(0)?.seq, 2);
  });

  test('sends no later event of a message before one that is retried', () => {
    const window = windowWith(event(1, 'a'), event(2, 'a'));
    window.retry(window.next(0)!, 0);
    assert.equal(window.next(1_999), undefined);
    assert.equal(window.next(2_000)?.seq, 1);
  });

  test('has room for its size, and again for each event that is done', () => {
    const window = windowWith(event(1, 'a'), event(2, 'b'), event(3, 'c'), event(4, 'd'));
    assert.equal(window.room, 0);
    window.done(window.next(0)!);
    assert.equal(window.room, 1);
  });

  test('probes a failing endpoint with one event at a time, with growing pauses, until it accepts one', () => {
    const window = windowWith(event(1, 'a'), event(2, 'b'), event(3, 'c'));
    window.retry(window.next(0)!, 0);
    assert.equal(window.next(1_999), undefined);
    const second = window.next(2_000)!;
    assert.equal(window.next(2_000), undefined);
    window.retry(second, 2_000);
    assert.equal(window.failures, 2);
    assert.equal(window.next(5_999), undefined);
    window.done(window.next(6_000)!);
    assert.equal(window.failures, 0);
    assert.ok(window.next(6_000));
    assert.ok(window.next(6_000));
  });

  test('pauses an endpoint for the time of its Retry-After', () => {
    const window = windowWith(event(1, 'a'), event(2, 'b'));
    window.retry(window.next(0)!, 0, 60_000);
    assert.equal(window.next(59_999), undefined);
    assert.equal(window.nextTime(), 60_000);
    assert.ok(window.next(60_000));
  });

  test('drops an event a day after it happened, not before, and counts the drop', () => {
    const window = windowWith(event(1, 'a'));
    assert.equal(window.retry(window.next(0)!, 0), true);
    const again = window.next(22 * HOUR)!;
    assert.equal(window.retry(again, 22 * HOUR), true);
    assert.equal(window.retry(window.next(23.5 * HOUR)!, DAY), false);
    assert.equal(window.dropped, 1);
    assert.equal(window.held, 0);
  });

  test('tries an event at least twice, however old it is when it is read', () => {
    const window = windowWith(event(1, 'a', -48 * HOUR));
    assert.equal(window.retry(window.next(0)!, 0), true);
    assert.equal(window.retry(window.next(HOUR)!, HOUR), false);
  });

  test('keeps unfinished events with their tries, in the order of the feed', () => {
    const window = windowWith(event(3, 'b'), event(1, 'a'), event(2, 'a'));
    window.cursor = 9;
    window.retry(window.next(0)!, 0);
    assert.deepEqual(window.state(), {
      cursor: 9,
      dropped: 0,
      pending: [
        { seq: 1, tries: 0, due: 0 },
        { seq: 2, tries: 0, due: 0 },
        { seq: 3, tries: 1, due: 2_000 },
      ],
    });
  });
});
