/** The made-up event by which a receiver is tried. */
import { randomUUID } from 'node:crypto';
import type { EventDestination } from '../control/event-destination.ts';
import type { EventMessage } from '../engine/destinations.ts';
import type { EventContext } from '../outcome/mail-object.ts';

/** A Delivery to the mailbox simulator, as a destination would be sent it. */
export function sampleEvent(
  { tenant = 'default', configurationSet }: Pick<EventDestination, 'tenant' | 'configurationSet'>,
  at: number,
  { region, accountId, hostname }: EventContext,
): EventMessage {
  const timestamp = new Date(at).toISOString();
  const messageId = `test-${randomUUID()}`;
  const recipient = 'success@simulator.amazonses.com';
  const event = {
    eventType: 'Delivery',
    mail: {
      timestamp,
      source: `postmaster@${hostname}`,
      sourceArn: `arn:aws:ses:${region}:${accountId}:identity/${hostname}`,
      sendingAccountId: accountId,
      messageId,
      destination: [recipient],
      headersTruncated: false,
      headers: [{ name: 'Subject', value: 'A test of this event destination' }],
      commonHeaders: {
        from: [`postmaster@${hostname}`],
        messageId,
        subject: 'A test of this event destination',
      },
      tags: { 'postern:test': ['true'] },
    },
    delivery: {
      timestamp,
      processingTimeMillis: 0,
      recipients: [recipient],
      smtpResponse: '250 2.0.0 A test',
      reportingMTA: hostname,
    },
  };
  return { id: messageId, tenant, configurationSet, messageId, at, event, json: JSON.stringify(event) };
}
