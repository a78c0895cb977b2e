/** Webhooks as destinations of events: one request for each event. */

import type { WebhookTarget } from '../control/event-destination.ts';
import type { DestinationSender, SendResult } from '../engine/destinations.ts';
import type { WebhookAnswer, WebhookSender } from './webhook.ts';

/** @param observe called with each answer: the recent attempts of an endpoint. */
export function webhookDestination(
  sender: WebhookSender,
  observe: (target: WebhookTarget, eventId: string, answer: WebhookAnswer) => void = () => {},
): DestinationSender<WebhookTarget> {
  return {
    batch: 1,
    send: (target, events) =>
      Promise.all(
        events.map(async ({ id, json }): Promise<SendResult> => {
          const answer = await sender.send(target, id, json);
          observe(target, id, answer);
          const { kind, status, text, after } = answer;
          if (kind === 'taken') return { kind };
          const said = status === undefined ? text : `${status} ${text}`.trim();
          return kind === 'gone' ? { kind, text: said } : { kind, text: said, after };
        }),
      ),
    close: () => sender.close(),
  };
}
