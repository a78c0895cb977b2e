/** `SendEmail`: one message, simple, raw or from a template, to its recipients. */
import type { Content, Submission } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import * as content from './content.ts';
import { messageTags } from './message-tags.ts';
import { type Call, operation } from './operation.ts';
import type { InputOf } from './types.ts';

type EmailRequest = InputOf<'SendEmail'>;

export const sendEmail = operation('SendEmail', 'use', async (request, call) => {
  const [result] = await call.deps.accept.submit([await submission(request, call)], {
    door: call.door,
    caller: call.caller,
    idempotency: call.idempotency,
  });
  if (!result || 'error' in result)
    throw result?.error ?? new PosternError('internal', 'The message was neither accepted nor refused.');
  return { MessageId: result.messageId };
});

async function submission(request: EmailRequest, call: Call): Promise<Submission> {
  content.refuseUnsupported(request);
  const list = request.ListManagementOptions;
  const tenant = await content.tenantOf(request, call);
  if (!request.Content.Raw) content.requireSource(request);
  return {
    from: request.FromEmailAddress,
    ...content.recipients(request.Destination),
    replyTo: request.ReplyToAddresses ?? [],
    content: await contentOf(request.Content, tenant, call),
    configurationSet: request.ConfigurationSetName,
    tracking: content.tracking(request),
    tags: request.EmailTags && messageTags(request.EmailTags),
    ...(list && { unsubscribe: { contactList: list.ContactListName, topic: list.TopicName } }),
    ...content.arns(request),
    // Raw content may name its tenant in a header, which a tenant of the call goes before.
    tenant: request.Content.Raw ? request.TenantName : tenant,
    ...(request.FeedbackForwardingEmailAddress && { feedbackTo: request.FeedbackForwardingEmailAddress }),
  };
}

async function contentOf(
  { Simple, Raw, Template }: EmailRequest['Content'],
  tenant: string,
  call: Call,
): Promise<Content> {
  if ([Simple, Raw, Template].filter((one) => one !== undefined).length !== 1)
    throw new PosternError('bad_request', 'Content needs exactly one of Simple, Raw and Template.');
  if (Raw) return { kind: 'raw', bytes: Raw.Data };
  if (Template) return content.template(Template, tenant, call);
  const { Subject, Body, Headers, Attachments } = Simple!;
  if (!Body.Text && !Body.Html)
    throw new PosternError(
      'bad_request',
      'The body of the message needs a Text part, an Html part, or both.',
    );
  return {
    kind: 'simple',
    subject: Subject.Data,
    text: Body.Text?.Data,
    html: Body.Html?.Data,
    headers: content.headers(Headers),
    attachments: content.attachments(Attachments),
  };
}
