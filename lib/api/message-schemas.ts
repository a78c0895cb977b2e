/** What is told of a message, its deliveries and their attempts, and what became of a cancellation. */
import type { Schema, StringSchema } from './schema.ts';
import { flag, integer, list, object, ref, text, time } from './schema-words.ts';

const state: StringSchema = {
  type: 'string',
  enum: [
    'accepted',
    'queued',
    'attempting',
    'deferred',
    'delivered',
    'bounced',
    'expired',
    'suppressed',
    'cancelled',
  ],
};

export const MESSAGE_SCHEMAS: Record<string, Schema> = {
  Message: object(
    {
      id: text(),
      tenant: text(),
      keyId: text('Key that sent it.'),
      door: { type: 'string', enum: ['ses-v2', 'ses-v1', 'smtp', 'postern'] },
      sourceIp: text(),
      acceptedAt: time('When it was accepted.'),
      expiresAt: time('When Postern gives up.'),
      from: text(),
      subject: text(),
      class: text(),
      pool: text(),
      campaign: text(),
      configurationSet: text(),
      tags: { type: 'object', additionalProperties: list(text()) },
      size: integer('Bytes as it travels.'),
      deliveries: list(ref('Delivery'), 'One for each recipient.'),
    },
    [
      'id',
      'tenant',
      'keyId',
      'door',
      'acceptedAt',
      'expiresAt',
      'from',
      'class',
      'pool',
      'tags',
      'size',
      'deliveries',
    ],
  ),
  Delivery: object(
    {
      recipient: text(),
      state,
      reason: text('A code of the table of errors, or `delivered`.'),
      text: text('The reason for a person.'),
      action: text('What can be done about it.'),
      nextAttemptAt: time('When it is looked at again, while it waits.'),
      attempts: list(ref('Attempt'), 'Oldest first.'),
    },
    ['recipient', 'state', 'reason', 'text', 'attempts'],
  ),
  Attempt: object(
    {
      at: time('When it began.'),
      durationMs: integer('Milliseconds.'),
      sourceIp: text('Address it was sent from.'),
      mx: object({ host: text(), address: text(), port: integer('TCP port.') }, ['host', 'address', 'port']),
      tls: object({ protocol: text(), cipher: text(), verified: flag('The certificate was good.') }, [
        'protocol',
        'cipher',
        'verified',
      ]),
      replies: list(
        object({ phase: text(), code: integer('SMTP reply code.'), text: text() }, ['phase', 'code', 'text']),
      ),
      state,
      reason: text(),
      text: text(),
      uncertain: flag('All was sent and no reply was read: it may have arrived (RFC 1047).'),
      nextAttemptAt: time('When it is tried again.'),
    },
    ['at', 'durationMs', 'replies', 'state', 'reason', 'text', 'uncertain'],
  ),
  CancelAnswer: object(
    {
      id: text(),
      cancelled: list(object({ recipient: text() }, ['recipient']), 'Will not be sent.'),
      tooLate: list(
        object({ recipient: text(), state, reason: text(), text: text() }, [
          'recipient',
          'state',
          'reason',
          'text',
        ]),
        'Being sent, or over.',
      ),
    },
    ['id', 'cancelled', 'tooLate'],
  ),
  Events: object(
    {
      events: list(
        { type: 'object', additionalProperties: true },
        'As Amazon SES publishes them, oldest first.',
      ),
    },
    ['events'],
  ),
};
