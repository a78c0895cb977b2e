/** `SendEmail`: one message, simple, raw or from a template, to its recipients. */
import type { Content, Submission } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import * as content from './content.ts';
import { type Call, operation } from './operation.ts';
import { destination, emailContent, messageTags, sendMembers } from './shapes.ts';
import { required, structure, text, type Value } from './validation.ts';

const input = structure({
  ...sendMembers,
  Destination: destination,
  Content: required(emailContent),
  EmailTags: messageTags,
  ListManagementOptions: structure({ ContactListName: required(text()), TopicName: text() }),
});

export const sendEmail = operation({
  access: 'use',
  input,
  async handle(request, call) {
    const [result] = await call.deps.accept.submit([submission(request, call)], {
      door: 'ses-v2',
      caller: call.caller,
      idempotency: call.idempotency,
    });
    if (!result || 'error' in result)
      throw result?.error ?? new PosternError('internal', 'The message was neither accepted nor refused.');
    return { MessageId: result.messageId };
  },
});

function submission(request: Value<typeof input>, call: Call): Submission {
  content.refuseUnsupported(request);
  if (request.ListManagementOptions) throw content.unsupported('ListManagementOptions (contact lists)');
  const tenant = content.tenantOf(request, call);
  return {
    from: request.FromEmailAddress,
    ...content.recipients(request.Destination),
    replyTo: request.ReplyToAddresses ?? [],
    content: contentOf(request.Content, tenant, call),
    configurationSet: request.ConfigurationSetName,
    tracking: content.tracking(request),
    tags: request.EmailTags?.map(({ Name: name, Value: value }) => ({ name, value })),
    tenant,
  };
}

function contentOf(
  { Simple, Raw, Template }: Value<typeof emailContent>,
  tenant: string,
  call: Call,
): Content {
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
