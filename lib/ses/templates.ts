/** Stored templates: kept, listed, and rendered for a look. */
import type { StoredTemplate } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { compose } from '../mail/compose.ts';
import { serialise } from '../mail/message.ts';
import { newMessageId, qualifiedId } from '../mail/message-id.ts';
import { compileTemplate, renderTemplate } from '../template/template.ts';
import { parseData, templateParts } from './content.ts';
import { type Call, operation } from './operation.ts';
import { pageOf, sizeOf } from './pages.ts';
import { checkedTags } from './tags.ts';
import { refuseAssociated } from './tenant-resources.ts';

/** SES gives as many templates without a `PageSize`, and at most as many with one. */
const [PAGE, MAX_PAGE] = [10, 100];

export async function findTemplate(name: string, call: Call): Promise<StoredTemplate> {
  const stored = await call.deps.control.templates.find(name, call.caller.tenant);
  if (!stored) throw new PosternError('template_missing', `Template ${name} does not exist.`);
  return stored;
}

export const createEmailTemplate = operation(
  'CreateEmailTemplate',
  'manage',
  async ({ TemplateName, TemplateContent, Tags }, { deps, caller }) => {
    const parts = templateParts(TemplateContent);
    compileTemplate(parts);
    await deps.control.templates.create({
      name: TemplateName,
      tenant: caller.tenant,
      ...parts,
      tags: checkedTags(Tags),
      createdAt: deps.clock.now(),
    });
    return {};
  },
);

export const getEmailTemplate = operation('GetEmailTemplate', 'use', async ({ TemplateName }, call) => {
  const { subject, text, html, tags } = await findTemplate(TemplateName, call);
  return { TemplateName, TemplateContent: { Subject: subject, Text: text, Html: html }, Tags: tags ?? [] };
});

export const listEmailTemplates = operation(
  'ListEmailTemplates',
  'use',
  async ({ NextToken, PageSize = PAGE }, { deps, caller }) => {
    const asked = { PageSize: sizeOf(PageSize, MAX_PAGE, 1), NextToken };
    const { items, ...rest } = await pageOf(
      (from) => deps.control.templates.list(caller.tenant, from),
      asked,
    );
    const metadata = items.map(({ name, createdAt }) => ({
      TemplateName: name,
      CreatedTimestamp: new Date(createdAt),
    }));
    return { TemplatesMetadata: metadata, ...rest };
  },
);

export const updateEmailTemplate = operation(
  'UpdateEmailTemplate',
  'manage',
  async ({ TemplateName, TemplateContent }, call) => {
    const { name, tenant, tags, createdAt } = await findTemplate(TemplateName, call);
    const parts = templateParts(TemplateContent);
    compileTemplate(parts);
    await call.deps.control.templates.update({ name, tenant, tags, createdAt, ...parts });
    return {};
  },
);

export const deleteEmailTemplate = operation(
  'DeleteEmailTemplate',
  'manage',
  async ({ TemplateName }, call) => {
    const { deps, caller } = call;
    await refuseAssociated({ kind: 'template', name: TemplateName, owner: caller.tenant }, call);
    if (await deps.control.templates.delete(TemplateName, caller.tenant)) return {};
    throw new PosternError('template_missing', `Template ${TemplateName} does not exist.`);
  },
);

export const testRenderEmailTemplate = operation(
  'TestRenderEmailTemplate',
  'use',
  async ({ TemplateName, TemplateData }, call) => {
    const { subject, text, html } = await findTemplate(TemplateName, call);
    const parts = renderTemplate(compileTemplate({ subject, text, html }), parseData(TemplateData));
    const { clock, hostname } = call.deps;
    const date = clock.now();
    const messageId = qualifiedId(newMessageId(date), hostname);
    const message = compose(
      { from: `postmaster@${hostname}`, ...parts, subject: parts.subject ?? '' },
      { messageId, date },
    );
    // Nobody sends what is only looked at: SES shows it without From, too.
    const fields = message.fields.filter(({ name }) => name !== 'from');
    return { RenderedTemplate: serialise(fields, message.body).toString('utf8') };
  },
);
