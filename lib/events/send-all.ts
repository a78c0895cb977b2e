/**
 * Sends a list of events to one destination and ends: for a process that lives for one call.
 *
 * After a failure one event is sent at a time, until one is taken again; two failures in a row end it, because a
 * destination that fails is not to be asked by each of its events. So one event that a destination cannot take stops
 * no other, but those of its own message.
 */
import type { EventTarget } from '../control/event-destination.ts';
import type { DestinationSender, EventMessage, SendResult } from '../engine/destinations.ts';
import type { Clock } from '../time.ts';
import { EndpointWindow, type PendingEvent } from './endpoint-window.ts';

/** Calls under way at one time. */
const CALLS = 8;
/** Failures in a row from which on a destination counts as failing. */
const FAILING = 2;

export interface SentAll {
  /** A result for each event; undefined: it was not sent. */
  results: (SendResult | undefined)[];
  /** Whether the destination fails, and not an event. */
  failing: boolean;
}

/**
 * @param events of one message in their order. @param until no call is begun from this time on, ms since the epoch.
 */
export async function sendAll(
  sender: DestinationSender<EventTarget>,
  target: EventTarget,
  events: readonly EventMessage[],
  { clock, until }: { clock: Clock; until: number },
): Promise<SentAll> {
  const results = new Map<PendingEvent, SendResult>();
  const window = new EndpointWindow({
    size: events.length,
    concurrency: CALLS * sender.batch,
    maxAge: Number.POSITIVE_INFINITY,
    pause: () => Number.POSITIVE_INFINITY,
    rest: () => 0,
  });
  const pending = events.map((message, seq): PendingEvent => ({ message, seq, tries: 0, due: 0 }));
  for (const one of pending) window.add(one);

  let taken = false;
  let ended = false;
  async function send(batch: readonly PendingEvent[]): Promise<void> {
    const answers = await sender.send(
      target,
      batch.map(({ message }) => message),
    );
    for (const [i, one] of batch.entries()) {
      const answer = answers[i]!;
      results.set(one, answer);
      if (answer.kind === 'taken') {
        taken = true;
        window.done(one);
      } else if (answer.kind === 'refused') window.drop(one);
      else window.retry(one, 0);
      ended ||= answer.kind === 'gone';
    }
  }

  const underWay = new Set<Promise<void>>();
  for (;;) {
    while (!ended && window.failures < FAILING && underWay.size < CALLS && clock.now() < until) {
      const batch: PendingEvent[] = [];
      for (let one = window.next(0); one && batch.push(one) < sender.batch; one = window.next(0));
      if (batch.length === 0) break;
      const sent = send(batch).finally(() => underWay.delete(sent));
      underWay.add(sent);
    }
    if (underWay.size === 0) break;
    await Promise.race(underWay);
  }
  const failing = ended || window.failures >= FAILING || (window.failures > 0 && !taken);
  return { results: pending.map((one) => results.get(one)), failing };
}
