/** Body of `POST /v1/messages`, and the submissions to the accept pipeline that it stands for. */
import * as z from 'zod/mini';
import type { Content, Submission } from '../accept/types.ts';
import { asPosternError, PosternError } from '../errors.ts';
import { formatAddress, parseEnvelopeAddress } from '../mail/address.ts';
import type { Attachment as MailAttachment } from '../mail/types.ts';
import type { TemplateParts } from '../template/types.ts';
import type { ApiCall } from './operation.ts';
import { about, anyObject, flag, map, name, named, type SchemaValue, text, time } from './schema.ts';

const MAX_RECIPIENTS = 1_000;
/** SES: recipients of one message. */
const MAX_ADDRESSED = 50;
const MAX_HEADERS = 15;
/** SES: MIME parts of one message. */
const MAX_ATTACHMENTS = 500;
const MAX_TAGS = 50;
/** Bounds one address of a list: it is parsed as a whole. */
const MAX_ADDRESS_TEXT = 1_000;
const MAX_SUBJECT = 4_000;

const mailbox = (description = '') => text(description, z.minLength(1), z.maxLength(MAX_ADDRESS_TEXT));
const addresses = (description: string) =>
  z
    .array(mailbox())
    .check(
      z.maxLength(MAX_ADDRESSED),
      about(`${description}, each \`ann@example.com\` or \`Ann <ann@example.com>\`.`),
    );
const subject = text('', z.maxLength(MAX_SUBJECT));

const Recipient = named(
  'Recipient',
  z.strictObject({
    address: mailbox('Without a name.'),
    name: z.optional(text('Shown in the To field.', z.maxLength(256))),
    substitutions: z.optional(anyObject('Values of the template for this recipient.')),
  }),
);

const Attachment = named(
  'Attachment',
  z.strictObject({
    fileName: text('', z.minLength(1), z.maxLength(255)),
    contentType: z.optional(text('Guessed from the name when absent.', z.maxLength(78))),
    contentId: z.optional(text('For `cid:` links in the HTML.', z.maxLength(78))),
    description: z.optional(text('', z.maxLength(1_000))),
    inline: z.optional(flag('Shown in the message instead of beside it.')),
    content: z.string().check(z.meta({ contentEncoding: 'base64' })),
  }),
);

const template = z
  .strictObject({ subject: z.optional(subject), text: z.optional(text()), html: z.optional(text()) })
  .check(
    about(
      'Handlebars as in Amazon SES: no escaping, no helpers of your own; a missing variable is a rendering failure.',
    ),
  );

export const SendRequest = named(
  'SendRequest',
  z.strictObject({
    from: mailbox('Sender: an address of a verified identity, with or without a name.'),
    to: z.optional(addresses('Mailboxes of one message')),
    cc: z.optional(addresses('Copies of it')),
    bcc: z.optional(addresses('Hidden copies of it')),
    recipients: z.optional(
      z
        .array(Recipient)
        .check(
          z.minLength(1),
          z.maxLength(MAX_RECIPIENTS),
          about('Instead of to, cc and bcc: each gets a message of its own.'),
        ),
    ),
    replyTo: z.optional(addresses('Where replies go')),
    subject: z.optional(subject),
    text: z.optional(text('Plain text, sent as it is.')),
    html: z.optional(text('HTML, sent as it is.')),
    template: z.optional(
      z
        .union([name('A stored template.'), template])
        .check(about('Instead of subject, text and html: rendered with the substitutions.')),
    ),
    substitutions: z.optional(anyObject("For every recipient; a recipient's own members replace these.")),
    headers: z.optional(
      z
        .array(z.strictObject({ name: text(), value: text() }))
        .check(z.maxLength(MAX_HEADERS), about('Header fields in printable ASCII.')),
    ),
    attachments: z.optional(z.array(Attachment).check(z.maxLength(MAX_ATTACHMENTS))),
    class: z.optional(
      z.enum(['transactional', 'bulk']).check(about('Class of its lane; transactional when absent.')),
    ),
    pool: z.optional(name('Pool of IPs that sends it; else the one of the configuration set.')),
    tags: z.optional(
      map(
        MAX_TAGS,
        text('', z.regex(/^([A-Za-z0-9_-]{1,256}|ses:feedback-id-[ab])$/u)),
        text('', z.regex(/^[A-Za-z0-9_-]{1,256}$/u)),
        'Repeated in events.',
      ),
    ),
    campaign: z.optional(name('Campaign that it is part of; operators can pause a campaign.')),
    configurationSet: z.optional(name('Configuration set; else the one of the identity.')),
    tenant: z.optional(name("Tenant it is sent for. An administrator's key may name another than its own.")),
    unsubscribe: z.optional(
      flag(
        'Adds List-Unsubscribe (RFC 8058), and fills {{amazonSESUnsubscribeUrl}}. The list is yours: whoever leaves it is shown by an event of type Subscription. For messages of one recipient.',
      ),
    ),
    sendAt: z.optional(
      time('Not before this time; a past one is now. How far ahead is a setting of the service.'),
    ),
  }),
);
export type SendRequest = SchemaValue<typeof SendRequest>;

/** A submission, or the reason why there is none, with its recipients as the request names them. */
export interface MessageDraft {
  recipients: string[];
  made: Submission | PosternError;
}

export async function draftsOf(request: SendRequest, call: ApiCall): Promise<MessageDraft[]> {
  const { to = [], cc = [], bcc = [], recipients, sendAt } = request;
  const tenant = request.tenant ?? call.caller.tenant;
  if (tenant !== call.caller.tenant && !call.caller.admin) {
    throw new PosternError(
      'access_denied',
      `/tenant: the key ${call.caller.keyId} may send for its own tenant only.`,
    );
  }
  const common = {
    from: request.from,
    replyTo: request.replyTo ?? [],
    configurationSet: request.configurationSet,
    tags: request.tags && Object.entries(request.tags).map(([name, value]) => ({ name, value })),
    tenant,
    campaign: request.campaign,
    class: request.class,
    pool: request.pool,
    ...(request.unsubscribe && { unsubscribe: {} }),
    sendAt: sendAt === undefined ? undefined : Date.parse(sendAt),
  };
  const content = await contentMaker(request, tenant, call);
  const addressed = to.length + cc.length + bcc.length;
  if (addressed > 0 === (recipients !== undefined)) {
    throw new PosternError('bad_request', 'Name either /recipients, or one or more in /to, /cc and /bcc.');
  }
  if (!recipients) {
    return [{ recipients: [...to, ...cc, ...bcc], made: { ...common, to, cc, bcc, content: content() } }];
  }
  return recipients.map(({ address, name, substitutions }) => {
    try {
      const mailbox = parseEnvelopeAddress(address);
      const own = content(substitutions);
      const made = {
        ...common,
        to: [formatAddress({ ...mailbox, name: name ?? '' })],
        cc: [],
        bcc: [],
        content: own,
      };
      return { recipients: [address], made };
    } catch (error) {
      return { recipients: [address], made: asPosternError(error) };
    }
  });
}

/**
 * The content of the messages of a call. Literal text and HTML stay as they are; only a template, stored or
 * given, is rendered, so that a literal `{{` in a message can never fail or leak.
 * @returns a function from the substitutions of one recipient to its content; those of the call lie under them.
 */
async function contentMaker(
  request: SendRequest,
  tenant: string,
  call: ApiCall,
): Promise<(own?: Record<string, unknown>) => Content> {
  const { subject, text, html, template, headers, substitutions } = request;
  const attachments = attachmentsOf(request.attachments);
  const literal = subject !== undefined || text !== undefined || html !== undefined;
  if (literal === (template !== undefined)) {
    throw new PosternError(
      'bad_request',
      'Give either /template, or /subject with /text or /html (or both).',
    );
  }
  if (template === undefined) {
    if (text === undefined && html === undefined)
      throw new PosternError('bad_request', 'Give /text, /html, or both.');
    if (substitutions || request.recipients?.some((one) => one.substitutions)) {
      throw new PosternError(
        'bad_request',
        'Substitutions need a /template: /subject, /text and /html are sent as they are.',
      );
    }
    const content: Content = { kind: 'simple', subject: subject ?? '', text, html, headers, attachments };
    return () => content;
  }
  const name = typeof template === 'string' ? template : undefined;
  const parts = typeof template === 'string' ? await storedParts(template, tenant, call) : template;
  return (own) => ({
    kind: 'template',
    name,
    parts,
    data: { ...substitutions, ...own },
    headers,
    attachments,
  });
}

/** @throws `template_missing` */
async function storedParts(name: string, tenant: string, call: ApiCall): Promise<TemplateParts> {
  const stored = await call.deps.control.templates.find(name, tenant);
  if (stored) return { subject: stored.subject, text: stored.text, html: stored.html };
  throw new PosternError('template_missing', `/template: template ${name} does not exist.`);
}

/** @throws `bad_request` with the place of content that is not base64. */
function attachmentsOf(given: SendRequest['attachments']): MailAttachment[] | undefined {
  return given?.map((one, place) => {
    const content = Buffer.from(one.content, 'base64');
    // Node skips what is not base64; then the bytes do not give the text again.
    const padding = one.content.endsWith('==') ? 2 : one.content.endsWith('=') ? 1 : 0;
    if (one.content.length % 4 !== 0 || content.length !== (one.content.length / 4) * 3 - padding) {
      throw new PosternError(
        'bad_request',
        `/attachments/${place}/content must be base64 (RFC 4648 §4), padded.`,
      );
    }
    return { ...one, content };
  });
}
