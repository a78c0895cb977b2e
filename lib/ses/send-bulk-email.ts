/** `SendBulkEmail`: one template to up to 50 destinations, with a result for each. */
import type { Submission, Submitted } from '../accept/types.ts';
import { asPosternError, type ErrorCode, type PosternError } from '../errors.ts';
import { mergeData } from '../template/template.ts';
import * as content from './content.ts';
import { type Call, operation } from './operation.ts';
import {
  destination,
  type MessageTags,
  messageHeaders,
  messageTags,
  sendMembers,
  template,
  templateData,
} from './shapes.ts';
import { list, required, structure, type Value } from './validation.ts';

const entry = structure({
  Destination: required(destination),
  ReplacementTags: messageTags,
  ReplacementEmailContent: structure({
    ReplacementTemplate: structure({ ReplacementTemplateData: templateData }),
  }),
  ReplacementHeaders: messageHeaders,
});

const input = structure({
  ...sendMembers,
  DefaultEmailTags: messageTags,
  DefaultContent: required(structure({ Template: required(template) })),
  BulkEmailEntries: required(list(entry, { min: 1, max: 50 })),
});

type Request = Value<typeof input>;
type BulkEntry = Value<typeof entry>;
type TemplateContent = ReturnType<typeof content.template>;

export const sendBulkEmail = operation({
  access: 'use',
  input,
  async handle(request, call) {
    content.refuseUnsupported(request);
    const tenant = content.tenantOf(request, call);
    const defaults = content.template(request.DefaultContent.Template, tenant, call);
    const results: Submitted[] = [];
    const places: number[] = [];
    const submissions: Submission[] = [];
    for (const [i, one] of request.BulkEmailEntries.entries()) {
      try {
        submissions.push(submission(one, request, defaults, tenant));
        places.push(i);
      } catch (error) {
        results[i] = { error: asPosternError(error) };
      }
    }
    if (submissions.length > 0) {
      const submitted = await call.deps.accept.submit(submissions, {
        door: 'ses-v2',
        caller: call.caller,
        idempotency: call.idempotency,
      });
      for (const [i, result] of submitted.entries()) results[places[i]!] = result;
    }
    return { BulkEmailEntryResults: results.map((result) => show(result, call)) };
  },
});

function submission(one: BulkEntry, request: Request, defaults: TemplateContent, tenant: string): Submission {
  const replacement = one.ReplacementEmailContent?.ReplacementTemplate?.ReplacementTemplateData;
  return {
    from: request.FromEmailAddress,
    ...content.recipients(one.Destination),
    replyTo: request.ReplyToAddresses ?? [],
    content: {
      ...defaults,
      data: replacement ? mergeData(defaults.data, content.parseData(replacement)) : defaults.data,
      headers: mergeHeaders(defaults.headers, content.headers(one.ReplacementHeaders)),
    },
    configurationSet: request.ConfigurationSetName,
    tracking: content.tracking(request),
    tags: mergeTags(request.DefaultEmailTags, one.ReplacementTags),
    tenant,
  };
}

/** A header of the entry takes the place of the template's headers of that name. */
function mergeHeaders(
  defaults: TemplateContent['headers'],
  own: TemplateContent['headers'],
): TemplateContent['headers'] {
  if (!own || !defaults) return own ?? defaults;
  const names = new Set(own.map(({ name }) => name.toLowerCase()));
  return [...defaults.filter(({ name }) => !names.has(name.toLowerCase())), ...own];
}

/** A tag of the entry takes the place of the default tag of that name. */
function mergeTags(defaults: MessageTags = [], own: MessageTags = []): { name: string; value: string }[] {
  const tags = new Map([...defaults, ...own].map(({ Name, Value }) => [Name, Value]));
  return Array.from(tags, ([name, value]) => ({ name, value }));
}

/** `Status` of an entry by the code of its error; what is not named here is below. */
const STATUS: Partial<Record<ErrorCode, string>> = {
  message_rejected: 'MESSAGE_REJECTED',
  identity_not_verified: 'MESSAGE_REJECTED',
  configuration_set_missing: 'CONFIGURATION_SET_NOT_FOUND',
  template_missing: 'TEMPLATE_NOT_FOUND',
  throttled: 'ACCOUNT_THROTTLED',
};

function show(result: Submitted, call: Call): Record<string, string> {
  if (!('error' in result)) return { Status: 'SUCCESS', MessageId: result.messageId };
  const { error } = result;
  return { Status: STATUS[error.code] ?? otherStatus(error, call), Error: error.message };
}

function otherStatus({ code, entry: { temporary, fault } }: PosternError, call: Call): string {
  if (code === 'sending_paused')
    return call.deps.control.account.sendingEnabled()
      ? 'CONFIGURATION_SET_SENDING_PAUSED'
      : 'ACCOUNT_SENDING_PAUSED';
  if (fault === 'caller') return 'INVALID_PARAMETER';
  return temporary ? 'TRANSIENT_FAILURE' : 'FAILED';
}
