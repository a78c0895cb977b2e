/** From the members of a send request to the content and the recipients that the accept pipeline takes. */
import { usable } from '../accept/sender.ts';
import type { TrackingOverride } from '../accept/tracking.ts';
import type { Content, Submission } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import { boundJsonText } from '../http/json-bounds.ts';
import type { Attachment } from '../mail/types.ts';
import type { TemplateParts } from '../template/types.ts';
import { type Call, requireTenant, unsupported } from './operation.ts';
import type { InputOf } from './types.ts';

/** Members that `SendEmail` and `SendBulkEmail` have in common. */
type SendMembers = Pick<
  InputOf<'SendEmail'>,
  | 'FromEmailAddress'
  | 'ReplyToAddresses'
  | 'TenantName'
  | 'EndpointId'
  | 'ConfigurationOverrides'
  | 'FromEmailAddressIdentityArn'
  | 'FeedbackForwardingEmailAddressIdentityArn'
>;
type GivenTemplate = NonNullable<InputOf<'SendEmail'>['Content']['Template']>;

/** SES: recipients of one message, To, Cc and Bcc together. */
const MAX_RECIPIENTS = 50;
/** SES: name and value of one header together, with the `: ` between them left out. */
const MAX_HEADER = 996;
/** An address with a display name; RFC 5321 §4.5.3.1 bounds the address alone to 254. */
const MAX_ADDRESS = 2048;
/** SES: parts of one message. */
const MAX_PARTS = 500;

/**
 * The tenant that a send is for.
 * @throws PosternError `access_denied` for another one than the key's own, `not_found` for one that does not exist.
 */
export async function tenantOf({ TenantName: named }: SendMembers, call: Call): Promise<string> {
  const { caller, deps } = call;
  if (named === undefined || named === caller.tenant) return caller.tenant;
  requireTenant(call, named, `tenant ${named}`);
  if (await deps.control.tenants.find(named)) return named;
  throw new PosternError('not_found', `Tenant ${named} for AwsAccountId ${deps.accountId} not found.`);
}

/**
 * Refuses members that would change how the message is sent and are not supported; ignoring them would send something
 * else than requested. @throws PosternError `unsupported_operation`.
 */
export function refuseUnsupported(input: SendMembers): void {
  if (input.EndpointId !== undefined) throw unsupported('EndpointId');
  requireShort(input.FromEmailAddress);
  input.ReplyToAddresses?.forEach(requireShort);
}

/** The tracking settings of a send, which override those of its configuration set. */
export function tracking({ ConfigurationOverrides }: SendMembers): TrackingOverride | undefined {
  const said = ConfigurationOverrides?.Tracking;
  return said && { opens: isEnabled(said.OpenTrackingEnabled), clicks: isEnabled(said.ClickTrackingEnabled) };
}

function isEnabled(status: 'ENABLED' | 'DISABLED' | undefined): boolean | undefined {
  return status === undefined ? undefined : status === 'ENABLED';
}

/** ARNs of the identities that the caller sends with: SES v1 has one more, of the header From. */
export function arns(input: SendMembers & { FromArn?: string }): Pick<Submission, 'arns'> {
  const { FromEmailAddressIdentityArn: source, FromArn: from = source } = input;
  const { FeedbackForwardingEmailAddressIdentityArn: returnPath } = input;
  if (source === undefined && from === undefined && returnPath === undefined) return {};
  return {
    arns: { ...(source && { source }), ...(from && { from }), ...(returnPath && { returnPath }) },
  };
}

/** @throws PosternError `bad_request` in SES's words for a message without a sender. */
export function requireSource({ FromEmailAddress }: SendMembers): void {
  if (!FromEmailAddress) throw new PosternError('bad_request', 'Source cannot be empty');
}

/** @throws PosternError `too_many_recipients`, `invalid_address` for one that is too long to be looked at. */
export function recipients(destination: NonNullable<InputOf<'SendEmail'>['Destination']> = {}): {
  to: string[];
  cc: string[];
  bcc: string[];
} {
  const { ToAddresses: to = [], CcAddresses: cc = [], BccAddresses: bcc = [] } = destination;
  if (to.length + cc.length + bcc.length > MAX_RECIPIENTS)
    throw new PosternError('too_many_recipients', `Recipient count exceeds ${MAX_RECIPIENTS}.`);
  for (const list of [to, cc, bcc]) list.forEach(requireShort);
  return { to, cc, bcc };
}

function requireShort(address: string | undefined): void {
  if (address === undefined || address.length <= MAX_ADDRESS) return;
  throw new PosternError(
    'invalid_address',
    `${JSON.stringify(`${address.slice(0, 80)}…`)} has ${address.length} characters; an address and its name have ${MAX_ADDRESS} at most.`,
  );
}

export function headers(input: GivenTemplate['Headers']): { name: string; value: string }[] | undefined {
  return input?.map(({ Name: name, Value: value }) => {
    if (name.length + value.length > MAX_HEADER)
      throw new PosternError(
        'bad_request',
        `The header '${name}' is longer than ${MAX_HEADER} characters, name and value together.`,
      );
    return { name, value };
  });
}

export function attachments(input: GivenTemplate['Attachments']): Attachment[] | undefined {
  if (input && input.length > MAX_PARTS)
    throw new PosternError('bad_request', `A message can have ${MAX_PARTS} attachments at most.`);
  return input?.map((one) => ({
    fileName: one.FileName,
    contentType: one.ContentType,
    contentId: one.ContentId,
    description: one.ContentDescription,
    inline: one.ContentDisposition === 'INLINE',
    content: one.RawContent,
  }));
}

/**
 * A template by name, by ARN or given whole, with its data.
 * @throws PosternError `bad_request`, `template_missing`.
 */
export async function template(
  input: GivenTemplate,
  tenant: string,
  call: Call,
): Promise<Extract<Content, { kind: 'template' }>> {
  return {
    kind: 'template',
    ...(await templateSource(input, tenant, call)),
    data: parseData(input.TemplateData),
    headers: headers(input.Headers),
    attachments: attachments(input.Attachments),
  };
}

async function templateSource(
  input: GivenTemplate,
  tenant: string,
  call: Call,
): Promise<{ name?: string; parts: TemplateParts }> {
  const { TemplateName, TemplateArn, TemplateContent } = input;
  if ([TemplateName, TemplateArn, TemplateContent].filter((one) => one !== undefined).length !== 1)
    throw new PosternError(
      'bad_request',
      'A template needs exactly one of TemplateName, TemplateArn and TemplateContent.',
    );
  if (TemplateContent) return { parts: templateParts(TemplateContent) };
  const name = TemplateName ?? nameOfArn(TemplateArn!);
  const { deps, caller } = call;
  const stored = await usable(deps, 'template', name, { tenant, caller }, deps.control.templates.find);
  if (!stored) throw new PosternError('template_missing', `Template ${name} does not exist.`);
  return { name, parts: { subject: stored.subject, text: stored.text, html: stored.html } };
}

/** @throws PosternError `bad_request` when the ARN is not that of a template. */
function nameOfArn(arn: string): string {
  const name = /^arn:[\w-]+:ses:[\w-]*:\d*:template\/([\w-]+)$/.exec(arn)?.[1];
  if (name === undefined) throw new PosternError('bad_request', 'TemplateArn is not the ARN of a template.');
  return name;
}

export function templateParts(content: NonNullable<GivenTemplate['TemplateContent']>): TemplateParts {
  return { subject: content.Subject, text: content.Text, html: content.Html };
}

/** Template data: a JSON object as text. @throws PosternError `bad_request`. */
export function parseData(text: string | undefined): Record<string, unknown> {
  if (text === undefined || text === '') return {};
  boundJsonText(text);
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new PosternError('bad_request', 'The template data is not valid JSON.');
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new PosternError('bad_request', 'The template data must be a JSON object.');
  return data as Record<string, unknown>;
}
