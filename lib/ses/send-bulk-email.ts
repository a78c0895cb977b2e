/** `SendBulkEmail`: one template to up to 50 destinations, with a result for each. */
import type { Submission, Submitted } from '../accept/types.ts';
import { asPosternError, type ErrorCode, type PosternError } from '../errors.ts';
import { mergeData } from '../template/template.ts';
import * as content from './content.ts';
import { type GivenTag, messageTags } from './message-tags.ts';
import { operation } from './operation.ts';
import type { InputOf, OutputOf } from './types.ts';
import { violation } from './violation.ts';

type BulkRequest = InputOf<'SendBulkEmail'>;
type BulkEntry = BulkRequest['BulkEmailEntries'][number];
type TemplateContent = Awaited<ReturnType<typeof content.template>>;
type EntryResult = NonNullable<OutputOf<'SendBulkEmail'>['BulkEmailEntryResults']>[number];
type EntryStatus = NonNullable<EntryResult['Status']>;

const MAX_ENTRIES = 50;

export const sendBulkEmail = operation('SendBulkEmail', 'use', async (request, call) => {
  content.refuseUnsupported(request);
  const tenant = await content.tenantOf(request, call);
  content.requireSource(request);
  const { Template } = request.DefaultContent;
  if (!Template) throw violation('defaultContent.template', 'not be null');
  const { length } = request.BulkEmailEntries;
  if (length === 0) throw violation('bulkEmailEntries', 'have length greater than or equal to 1');
  if (length > MAX_ENTRIES)
    throw violation('bulkEmailEntries', `have length less than or equal to ${MAX_ENTRIES}`);
  const defaults = await content.template(Template, tenant, call);
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
      door: call.door,
      bulk: true,
      caller: call.caller,
      idempotency: call.idempotency,
    });
    for (const [i, result] of submitted.entries()) results[places[i]!] = result;
  }
  refuseWhole(results);
  const isPaused = results.some((one) => 'error' in one && one.error.code === 'sending_paused');
  const isAccountPaused = isPaused && !(await call.deps.control.account.sendingEnabled());
  return { BulkEmailEntryResults: results.map((result) => show(result, isAccountPaused)) };
});

/**
 * As SES, fails the call when its sender may not send: it is the same for every entry, so none was taken in.
 * @throws PosternError `identity_not_verified`.
 */
function refuseWhole(results: Submitted[]): void {
  for (const result of results)
    if ('error' in result && result.error.code === 'identity_not_verified') throw result.error;
}

function submission(
  one: BulkEntry,
  request: BulkRequest,
  defaults: TemplateContent,
  tenant: string,
): Submission {
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
    tags: messageTags(mergeTags(request.DefaultEmailTags, one.ReplacementTags)),
    tenant,
    ...content.arns(request),
    ...(request.FeedbackForwardingEmailAddress && { feedbackTo: request.FeedbackForwardingEmailAddress }),
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
function mergeTags(defaults: GivenTag[] = [], own: GivenTag[] = []): GivenTag[] {
  const tags = new Map([...defaults, ...own].map(({ Name, Value }) => [Name, Value]));
  return Array.from(tags, ([Name, Value]) => ({ Name, Value }));
}

/** `Status` of an entry by the code of its error; what is not named here is below. */
const STATUS: Partial<Record<ErrorCode, EntryStatus>> = {
  message_rejected: 'MESSAGE_REJECTED',
  configuration_set_missing: 'CONFIGURATION_SET_NOT_FOUND',
  template_missing: 'TEMPLATE_NOT_FOUND',
  pool_missing: 'INVALID_SENDING_POOL_NAME',
  throttled: 'ACCOUNT_THROTTLED',
  quota_exceeded: 'ACCOUNT_DAILY_QUOTA_EXCEEDED',
  // SES has no status for a tenant.
  tenant_paused: 'ACCOUNT_SENDING_PAUSED',
};

/** @param isAccountPaused whether it is the account, rather than a set, that sends nothing. */
function show(result: Submitted, isAccountPaused: boolean): EntryResult {
  if (!('error' in result)) return { Status: 'SUCCESS', MessageId: result.messageId };
  const { error } = result;
  return { Status: STATUS[error.code] ?? otherStatus(error, isAccountPaused), Error: error.message };
}

function otherStatus(
  { code, entry: { temporary, fault } }: PosternError,
  isAccountPaused: boolean,
): EntryStatus {
  if (code === 'sending_paused')
    return isAccountPaused ? 'ACCOUNT_SENDING_PAUSED' : 'CONFIGURATION_SET_SENDING_PAUSED';
  if (fault === 'caller') return 'INVALID_PARAMETER';
  return temporary ? 'TRANSIENT_FAILURE' : 'FAILED';
}
