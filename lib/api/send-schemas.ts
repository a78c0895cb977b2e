/** What sending takes and answers. */
import type { ArraySchema, ObjectSchema, Schema } from './schema.ts';
import { flag, list, name, object, ref, text, time } from './schema-words.ts';

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

const template = object(
  {
    subject: { type: 'string', maxLength: MAX_SUBJECT },
    text: text(),
    html: text(),
  },
  [],
  'Handlebars as in Amazon SES: no escaping, no helpers of your own; a missing variable is a rendering failure.',
);

export const SEND_SCHEMAS: Record<string, Schema> = {
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
