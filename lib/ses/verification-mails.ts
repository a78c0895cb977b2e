/**
 * Custom verification mails: their templates, and the mail by whose link the owner of an address makes it an identity.
 * The link leads to a page of this service (lib/api/verification.ts).
 */
import { VerificationTemplates } from '../control/verification-templates.ts';
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import { VERIFICATION_LIFE } from '../tracking/verification-links.ts';
import { createEmailIdentity } from './identities.ts';
import { type Call, operation } from './operation.ts';
import { pageOf } from './pages.ts';
import { checkedTags } from './tags.ts';
import type { InputOf } from './types.ts';
import { verificationContent } from './verification-content.ts';

/** SES: templates of a page, with and without a `PageSize`. */
const MAX_PAGE = 50;
const MAX_SUBJECT = 998;
const MAX_URL = 2048;

export function templatesOf({ deps }: Pick<Call, 'deps'>): VerificationTemplates {
  return new VerificationTemplates(deps.engine.rows, deps.clock);
}

type Members = Partial<
  Pick<
    InputOf<'CreateCustomVerificationEmailTemplate'>,
    | 'FromEmailAddress'
    | 'TemplateSubject'
    | 'TemplateContent'
    | 'SuccessRedirectionURL'
    | 'FailureRedirectionURL'
  >
>;

/** What is given of a template, checked. @throws PosternError `bad_request`, `invalid_template`, `sender_not_verified`. */
export async function checkedMembers(given: Members, call: Call) {
  const { FromEmailAddress: from, TemplateSubject: subject, TemplateContent: content } = given;
  const { SuccessRedirectionURL: successUrl, FailureRedirectionURL: failureUrl } = given;
  if (subject !== undefined && (subject.trim() === '' || subject.length > MAX_SUBJECT))
    throw new PosternError('bad_request', `TemplateSubject must have 1 to ${MAX_SUBJECT} characters.`);
  if (content !== undefined) verificationContent(content, 'https://example.com/');
  if (successUrl !== undefined) requireUrl('SuccessRedirectionURL', successUrl);
  if (failureUrl !== undefined) requireUrl('FailureRedirectionURL', failureUrl);
  if (from !== undefined) await requireSender(from, call);
  return {
    ...(from !== undefined && { from }),
    ...(subject !== undefined && { subject }),
    ...(content !== undefined && { content }),
    ...(successUrl !== undefined && { successUrl }),
    ...(failureUrl !== undefined && { failureUrl }),
  };
}

function requireUrl(member: string, text: string): void {
  const url = text.length <= MAX_URL && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return;
  throw new PosternError(
    'bad_request',
    `${member} must be an http or https URL of ${MAX_URL} characters at most.`,
  );
}

async function requireSender(from: string, { deps, caller }: Call): Promise<void> {
  const { address } = parseEnvelopeAddress(from);
  if (await deps.control.identities.forSender(address, caller.tenant)) return;
  throw new PosternError('sender_not_verified', `From email address is not verified: ${address}`);
}

export const createCustomVerificationEmailTemplate = operation(
  'CreateCustomVerificationEmailTemplate',
  'manage',
  async ({ TemplateName: name, Tags, ...given }, call) => {
    const members = (await checkedMembers(given, call)) as Required<
      Awaited<ReturnType<typeof checkedMembers>>
    >;
    await templatesOf(call).create({
      name,
      tenant: call.caller.tenant,
      ...members,
      tags: checkedTags(Tags),
    });
    return {};
  },
);

export const updateCustomVerificationEmailTemplate = operation(
  'UpdateCustomVerificationEmailTemplate',
  'manage',
  async ({ TemplateName: name, ...given }, call) => {
    await templatesOf(call).update(call.caller.tenant, name, await checkedMembers(given, call));
    return {};
  },
);

export const getCustomVerificationEmailTemplate = operation(
  'GetCustomVerificationEmailTemplate',
  'use',
  async ({ TemplateName }, call) => {
    const { from, subject, content, successUrl, failureUrl, tags } = await templatesOf(call).read(
      call.caller.tenant,
      TemplateName,
    );
    return {
      TemplateName,
      FromEmailAddress: from,
      TemplateSubject: subject,
      TemplateContent: content,
      SuccessRedirectionURL: successUrl,
      FailureRedirectionURL: failureUrl,
      Tags: tags ?? [],
    };
  },
);

export const listCustomVerificationEmailTemplates = operation(
  'ListCustomVerificationEmailTemplates',
  'use',
  async ({ NextToken, PageSize }, call) => {
    const { items, ...rest } = await pageOf(
      (from) => templatesOf(call).list(call.caller.tenant, from),
      { PageSize, NextToken },
      undefined,
      MAX_PAGE,
    );
    return {
      CustomVerificationEmailTemplates: items.map((one) => ({
        TemplateName: one.name,
        FromEmailAddress: one.from,
        TemplateSubject: one.subject,
        SuccessRedirectionURL: one.successUrl,
        FailureRedirectionURL: one.failureUrl,
      })),
      ...rest,
    };
  },
);

export const deleteCustomVerificationEmailTemplate = operation(
  'DeleteCustomVerificationEmailTemplate',
  'manage',
  async ({ TemplateName }, call) => {
    if (await templatesOf(call).delete(call.caller.tenant, TemplateName)) return {};
    throw new PosternError(
      'not_found',
      `Custom verification email template <${TemplateName.slice(0, 64)}> does not exist.`,
    );
  },
);

/** As in SES, the address becomes an identity, PENDING, and its owner gets the mail; a call again sends it again. */
export const sendCustomVerificationEmail = operation(
  'SendCustomVerificationEmail',
  'manage',
  async ({ EmailAddress, TemplateName, ConfigurationSetName }, call) => {
    const { deps, caller } = call;
    const template = await templatesOf(call).read(caller.tenant, TemplateName);
    const url = deps.verification?.url(call.host);
    if (!deps.verification || url === undefined)
      throw new PosternError(
        'unsupported_operation',
        'There is no address for verification links: this service has no URL of its own. Set POSTERN_TRACKING_URL to where this API is reached from outside.',
      );
    const { address } = parseEnvelopeAddress(EmailAddress);
    const identity = await madeIdentity(address, call);
    const path = deps.verification.links.make({
      tenant: caller.tenant,
      address: identity.name,
      createdAt: identity.createdAt,
      template: TemplateName,
      expiresAt: deps.clock.now() + VERIFICATION_LIFE,
    });
    const [result] = await deps.accept.submit(
      [
        {
          from: template.from,
          to: [address],
          cc: [],
          bcc: [],
          replyTo: [],
          content: {
            kind: 'simple',
            subject: template.subject,
            ...verificationContent(template.content, `${url}${path}`),
          },
          configurationSet: ConfigurationSetName,
          // A tracked link would be another one than the sealed one, and a reader's secret.
          tracking: { opens: false, clicks: false },
          class: 'transactional',
        },
      ],
      { door: call.door, caller, idempotency: call.idempotency },
    );
    if (!result || 'error' in result)
      throw result?.error ?? new PosternError('internal', 'The message was neither accepted nor refused.');
    return { MessageId: result.messageId };
  },
);

/** The identity of the address, which is made if it is not there. */
async function madeIdentity(address: string, call: Call): Promise<{ name: string; createdAt: number }> {
  const { control } = call.deps;
  const known = await control.identities.find(address);
  if (known?.tenant === call.caller.tenant) return known;
  // Another tenant's: its refusal is the one of creation.
  await createEmailIdentity.handle({ EmailIdentity: address }, call);
  return (await control.identities.find(address))!;
}
