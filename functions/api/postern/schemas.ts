/** Every JSON value of the Postern API. Requests are checked against these, and the document serves them. */
import { OPERATE_SCHEMAS } from './operate-schemas.ts';
import type { ArraySchema, ObjectSchema, Schema, StringSchema } from './schema.ts';
import { flag, integer, list, name, object, ref, text, time } from './schema-words.ts';
import { SUPPRESSION_SCHEMAS } from './suppression-paths.ts';

const MAX_RECIPIENTS = 1_000;
/** SES: recipients of one message. */
const MAX_ADDRESSED = 50;
const MAX_HEADERS = 15;
const MAX_TAGS = 50;
/** A list of addresses is checked one by one; this keeps one of them from being a whole body. */
const MAX_ADDRESS_TEXT = 1_000;
const MAX_SUBJECT = 4_000;

const addresses = (description: string): ArraySchema => ({
  type: 'array',
  items: { type: 'string', minLength: 1, maxLength: MAX_ADDRESS_TEXT },
  maxItems: MAX_ADDRESSED,
  description: `${description}, each \`ann@example.com\` or \`Ann <ann@example.com>\`.`,
});

const substitutions = (description: string): ObjectSchema => ({
  type: 'object',
  additionalProperties: true,
  description,
});

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

const template = object(
  {
    subject: { type: 'string', maxLength: MAX_SUBJECT },
    text: text(),
    html: text(),
  },
  [],
  'Handlebars as in Amazon SES: no escaping, no helpers of your own; a missing variable is a rendering failure.',
);

const SEND: Record<string, Schema> = {
  SendRequest: object(
    {
      from: {
        type: 'string',
        minLength: 1,
        maxLength: MAX_ADDRESS_TEXT,
        description: 'Sender: an address of a verified identity, with or without a name.',
      },
      to: addresses('Mailboxes of one message'),
      cc: addresses('Copies of it'),
      bcc: addresses('Copies of it that nobody sees'),
      recipients: {
        type: 'array',
        items: ref('Recipient'),
        minItems: 1,
        maxItems: MAX_RECIPIENTS,
        description: 'Instead of to, cc and bcc: each gets a message of its own.',
      },
      replyTo: addresses('Where replies go'),
      subject: { type: 'string', maxLength: MAX_SUBJECT },
      text: text('Plain text, sent as it is.'),
      html: text('HTML, sent as it is.'),
      template: {
        anyOf: [name('A stored template.'), template],
        description: 'Instead of subject, text and html: rendered with the substitutions.',
      },
      substitutions: substitutions("For every recipient; a recipient's own members replace these."),
      headers: {
        type: 'array',
        items: object({ name: text(), value: text() }, ['name', 'value']),
        maxItems: MAX_HEADERS,
        description: 'Header fields in printable ASCII.',
      },
      attachments: list(ref('Attachment')),
      class: {
        type: 'string',
        enum: ['transactional', 'bulk'],
        description: 'Which lane it takes; transactional when absent.',
      },
      pool: name('Pool of IPs that sends it; else the one of the configuration set.'),
      tags: {
        type: 'object',
        additionalProperties: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,256}$' },
        propertyNames: {
          type: 'string',
          pattern: '^([A-Za-z0-9_-]{1,256}|ses:feedback-id-[ab])$',
        },
        maxProperties: MAX_TAGS,
        description: 'Told back in events.',
      },
      campaign: name('What it is part of; operators can pause a campaign.'),
      configurationSet: name('Configuration set; else the one of the identity.'),
      tenant: name("Tenant it is sent for. An administrator's key may name another than its own."),
      sendAt: time('Not before this time; a past one is now. How far ahead is a setting of the service.'),
    },
    ['from'],
  ),
  Recipient: object(
    {
      address: { type: 'string', minLength: 1, maxLength: MAX_ADDRESS_TEXT, description: 'Without a name.' },
      name: { type: 'string', maxLength: 256, description: 'Shown in the To field.' },
      substitutions: substitutions('What the template is rendered with for this recipient.'),
    },
    ['address'],
  ),
  Attachment: object(
    {
      fileName: { type: 'string', minLength: 1, maxLength: 255 },
      contentType: { type: 'string', maxLength: 78, description: 'Guessed from the name when absent.' },
      contentId: { type: 'string', maxLength: 78, description: 'For `cid:` links in the HTML.' },
      description: { type: 'string', maxLength: 1_000 },
      inline: flag('Shown in the message instead of beside it.'),
      content: { type: 'string', contentEncoding: 'base64' },
    },
    ['fileName', 'content'],
  ),
  SendAnswer: object(
    {
      messages: list(
        object({ id: text('Message id.'), recipient: text('As in the request.') }, ['id', 'recipient']),
        'Accepted: durable, and on their way. The mailboxes of to, cc and bcc share one message.',
      ),
      rejected: list(
        object({ recipient: text(), error: ref('Failure') }, ['recipient', 'error']),
        'Refused; the others are not affected.',
      ),
    },
    ['messages', 'rejected'],
  ),
};

const MESSAGE: Record<string, Schema> = {
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

const key = {
  id: text('Access key id: also the SMTP user name.'),
  tenant: text(),
  admin: flag('May manage keys, identities and tenants.'),
  name: text(),
  createdAt: time('When it was made.'),
};

const MANAGE: Record<string, Schema> = {
  KeyRequest: object(
    {
      tenant: name("The tenant it belongs to; else the caller's."),
      admin: flag('Whether it may manage keys, identities and tenants; else it may send, and read its own.'),
      name: { type: 'string', maxLength: 256, description: 'For people.' },
    },
    [],
  ),
  NewKey: object(
    {
      ...key,
      secret: text('Secret access key. Shown this once.'),
      bearer: text('What follows `Authorization: Bearer`.'),
      smtpPassword: text('SMTP password, derived as Amazon SES derives it.'),
    },
    ['id', 'tenant', 'admin', 'createdAt', 'secret', 'bearer', 'smtpPassword'],
  ),
  Keys: object({ keys: list(object(key, ['id', 'tenant', 'admin', 'createdAt'])) }, ['keys']),
  IdentityDns: object(
    {
      name: text(),
      type: { type: 'string', enum: ['DOMAIN', 'EMAIL_ADDRESS'] },
      tenant: text(),
      verified: flag('It may send.'),
      dkimStatus: { type: 'string', enum: ['PENDING', 'SUCCESS', 'FAILED', 'NOT_STARTED'] },
      records: list(
        object({ name: text(), type: { type: 'string', enum: ['TXT'] }, value: text() }, [
          'name',
          'type',
          'value',
        ]),
        'To be published. A zone file needs values longer than 255 characters in several strings.',
      ),
    },
    ['name', 'type', 'tenant', 'verified', 'dkimStatus', 'records'],
  ),
};

const failure = {
  code: text('Stable; one of the table of errors.'),
  message: text('What is wrong, and where.'),
  action: text('What to do about it.'),
};

/** Named schemas: `#/components/schemas/<name>`. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  ...SEND,
  ...MESSAGE,
  ...MANAGE,
  ...SUPPRESSION_SCHEMAS,
  ...OPERATE_SCHEMAS,
  Failure: object(failure, ['code', 'message', 'action']),
  ErrorAnswer: object(
    {
      error: object({ ...failure, requestId: text('Also in X-Request-Id.') }, [
        'code',
        'message',
        'action',
        'requestId',
      ]),
    },
    ['error'],
  ),
};
