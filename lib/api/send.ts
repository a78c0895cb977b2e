/**
 * `POST /v1/messages`: one message to the mailboxes of to, cc and bcc; or, with `recipients`, one message to
 * each of them, with its own substitutions.
 */
import { createHash } from 'node:crypto';
import type { Content, Submission, Submitted } from '../accept/types.ts';
import type { MessageClass } from '../engine/items.ts';
import { asPosternError, PosternError } from '../errors.ts';
import { headerOf } from '../http/raw-request.ts';
import { formatAddress, parseEnvelopeAddress } from '../mail/address.ts';
import type { Attachment } from '../mail/types.ts';
import type { TemplateParts } from '../template/types.ts';
import { shownError } from './errors.ts';
import type { Call, Handler } from './operation.ts';

/** `SendRequest` of the document. */
interface SendRequest {
  from: string;
  to?: string[];
  cc?: string[];
  bcc?: string[];
  recipients?: Recipient[];
  replyTo?: string[];
  subject?: string;
  text?: string;
  html?: string;
  template?: string | TemplateParts;
  substitutions?: Record<string, unknown>;
  headers?: { name: string; value: string }[];
  attachments?: (Omit<Attachment, 'content'> & { content: string })[];
  class?: MessageClass;
  pool?: string;
  tags?: Record<string, string>;
  campaign?: string;
  configurationSet?: string;
  tenant?: string;
  sendAt?: string;
}

interface Recipient {
  address: string;
  name?: string;
  substitutions?: Record<string, unknown>;
}

/** A submission, or why there is none, and whom it is for in the words of the request. */
interface Draft {
  recipients: string[];
  made: Submission | PosternError;
}

/** Milliseconds that an idempotency key is remembered. */
const IDEMPOTENCY_TTL = 24 * 3600 * 1000;
const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,256}$/;
export const sendMessages: Handler = async (call) => {
  const request = call.body as SendRequest;
  const drafts = draftsOf(request, call);
  const submissions = drafts
    .map((draft) => draft.made)
    .filter((made): made is Submission => !(made instanceof PosternError));
  const results = await call.deps.accept.submit(submissions, {
    door: 'postern',
    caller: call.caller,
    idempotency: idempotencyOf(call),
  });
  return answer(drafts, results);
};

function draftsOf(request: SendRequest, call: Call): Draft[] {
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
    sendAt: sendAt === undefined ? undefined : Date.parse(sendAt),
  };
  const content = contentMaker(request, tenant, call);
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
 * Settles what a message is made of. Text and HTML given as they are stay as they are; only a template,
 * stored or given, is rendered, so that a literal `{{` in a message can never fail or leak.
 * @returns what makes the content for one set of substitutions; those of the whole call lie under them.
 */
function contentMaker(
  request: SendRequest,
  tenant: string,
  call: Call,
): (own?: Record<string, unknown>) => Content {
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
  const parts = typeof template === 'string' ? storedParts(template, tenant, call) : template;
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
function storedParts(name: string, tenant: string, call: Call): TemplateParts {
  const stored = call.deps.control.templates.find(name, tenant);
  if (stored) return { subject: stored.subject, text: stored.text, html: stored.html };
  throw new PosternError('template_missing', `/template: template ${name} does not exist.`);
}

/** @throws `bad_request` with the place of what is not base64. */
function attachmentsOf(given: SendRequest['attachments']): Attachment[] | undefined {
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

/** @throws `bad_request` */
function idempotencyOf(call: Call) {
  const key = headerOf(call.head, 'idempotency-key');
  if (key === undefined) return undefined;
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new PosternError('bad_request', 'Idempotency-Key must have 1 to 256 printable ASCII characters.');
  }
  // The other doors of the same key draw their own idempotency keys: none must meet one of these.
  const digest = createHash('sha256').update(call.bytes).digest('hex');
  return { key: `v1/${key}`, digest, ttl: IDEMPOTENCY_TTL };
}

/** 202 when anything was accepted; else the failure of the first as that of the call. */
function answer(drafts: Draft[], results: Submitted[]) {
  const messages: { id: string; recipient: string }[] = [];
  const rejected: { recipient: string; error: ReturnType<typeof shownError> }[] = [];
  let first: PosternError | undefined;
  let next = 0;
  for (const { recipients, made } of drafts) {
    const result = made instanceof PosternError ? { error: made } : results[next++]!;
    for (const recipient of recipients) {
      if ('error' in result) rejected.push({ recipient, error: shownError(result.error) });
      else messages.push({ id: result.messageId, recipient });
    }
    if ('error' in result) first ??= result.error;
  }
  if (messages.length === 0 && first) throw first;
  return { status: 202, body: { messages, rejected } };
}
