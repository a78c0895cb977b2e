/**
 * `POST /v1/messages`: one message to the mailboxes of to, cc and bcc; or, with `recipients`, one message to
 * each of them, with its own substitutions.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import type { Submission, Submitted } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import { headerOf } from '../http/raw-request.ts';
import { DAY } from '../time.ts';
import { Failure, shownError } from './errors.ts';
import { type ApiCall, operation } from './operation.ts';
import { about, named, type SchemaValue, text } from './schema.ts';
import { draftsOf, type MessageDraft, SendRequest } from './send-request.ts';

/** How long an idempotency key is remembered, ms. */
const IDEMPOTENCY_TTL = DAY;
const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,256}$/;

const SendAnswer = named(
  'SendAnswer',
  z.strictObject({
    messages: z
      .array(z.strictObject({ id: text('Message id.'), recipient: text('As in the request.') }))
      .check(
        about('Accepted: durable, and on their way. The mailboxes of to, cc and bcc share one message.'),
      ),
    rejected: z
      .array(z.strictObject({ recipient: text(), error: Failure }))
      .check(about('Refused; the others are not affected.')),
  }),
);

export const sendMessages = operation({
  method: 'post',
  path: '/messages',
  operationId: 'sendMessages',
  summary: 'Send one message, or one to each of up to 1,000 recipients',
  description:
    'Answered when every accepted message is durable. When nothing was accepted, the answer is the failure of ' +
    'the first message. Members that are not in this document are refused.',
  parameters: [
    {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'Makes the call safe to repeat: for 24 hours the same key with the same body gets the first answer ' +
        'again, and with another body 409. Bytes are compared: repeat the body as it was.',
      schema: { type: 'string', minLength: 1, maxLength: 256 },
    },
  ],
  request: {
    schema: SendRequest,
    required: true,
    examples: {
      one: {
        from: 'Shop <orders@example.com>',
        to: ['ann@example.net'],
        subject: 'Your order',
        text: 'It is on its way.',
      },
      many: {
        from: 'news@example.com',
        recipients: [
          { address: 'ann@example.net', name: 'Ann', substitutions: { first: 'Ann' } },
          { address: 'bob@example.net', substitutions: { first: 'Bob' } },
        ],
        template: { subject: 'Hello {{first}}', text: 'News for you, {{first}}.' },
        class: 'bulk',
        tags: { campaign: 'spring' },
        sendAt: '2026-03-01T09:00:00+01:00',
      },
    },
  },
  answer: {
    status: 202,
    description: 'Accepted, all or some.',
    schema: SendAnswer,
    example: {
      messages: [
        {
          id: '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000',
          recipient: 'ann@example.net',
        },
      ],
      rejected: [],
    },
  },
  async handle(call) {
    const drafts = await draftsOf(call.body, call);
    const submissions = drafts
      .map((draft) => draft.made)
      .filter((made): made is Submission => !(made instanceof PosternError));
    const results = await call.deps.accept.submit(submissions, {
      door: 'postern',
      caller: call.caller,
      idempotency: idempotencyOf(call),
    });
    return { body: resultOf(drafts, results) };
  },
});

/** @throws `bad_request` */
function idempotencyOf(call: ApiCall) {
  const key = headerOf(call.head, 'idempotency-key');
  if (key === undefined) return undefined;
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new PosternError('bad_request', 'Idempotency-Key must have 1 to 256 printable ASCII characters.');
  }
  // The SES API makes idempotency keys of its own for the same access key: none must equal one of these.
  const digest = createHash('sha256').update(call.bytes).digest('hex');
  return { key: `v1/${key}`, digest, ttl: IDEMPOTENCY_TTL };
}

/** The accepted and the refused. @throws the failure of the first message when nothing was accepted. */
function resultOf(drafts: MessageDraft[], results: Submitted[]): SchemaValue<typeof SendAnswer> {
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
  return { messages, rejected };
}
