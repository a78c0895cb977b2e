/** Stored templates: kept, listed, and rendered for a look. */
import type { StoredTemplate } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { compose } from '../mail/compose.ts';
import { serialise } from '../mail/message.ts';
import { newMessageId, qualifiedId } from '../mail/message-id.ts';
import { compileTemplate, renderTemplate } from '../template/template.ts';
import { parseData, templateParts } from './content.ts';
import { type Call, operation, seconds } from './operation.ts';
import { page } from './pages.ts';
import { pageToken, tags, templateContent, templateData, templateName } from './shapes.ts';
import { integer, required, structure } from './validation.ts';

const named = { TemplateName: required(templateName) };

function find(name: string, call: Call): StoredTemplate {
  const stored = call.deps.control.templates.find(name, call.caller.tenant);
  if (!stored) throw new PosternError('template_missing', `Template ${name} does not exist.`);
  return stored;
}

export const create = operation({
  access: 'manage',
  input: structure({ ...named, TemplateContent: required(templateContent), Tags: tags }),
  async handle({ TemplateName, TemplateContent }, { deps, caller }) {
    const parts = templateParts(TemplateContent);
    compileTemplate(parts);
    await deps.control.templates.create({
      name: TemplateName,
      tenant: caller.tenant,
      ...parts,
      createdAt: deps.clock.now(),
    });
    return {};
  },
});

export const get = operation({
  access: 'use',
  input: structure(named),
  handle({ TemplateName }, call) {
    const { subject, text, html } = find(TemplateName, call);
    return { TemplateName, TemplateContent: { Subject: subject, Text: text, Html: html } };
  },
});

export const list = operation({
  access: 'use',
  input: structure({ NextToken: pageToken, PageSize: integer(1, 100) }),
  handle({ NextToken, PageSize = 10 }, { deps, caller }) {
    const all = deps.control.templates.list(caller.tenant);
    const { items, ...rest } = page(all, (template) => template.name, PageSize, NextToken);
    const metadata = items.map(({ name, createdAt }) => ({
      TemplateName: name,
      CreatedTimestamp: seconds(createdAt),
    }));
    return { TemplatesMetadata: metadata, ...rest };
  },
});

export const update = operation({
  access: 'manage',
  input: structure({ ...named, TemplateContent: required(templateContent) }),
  async handle({ TemplateName, TemplateContent }, call) {
    const { name, tenant, createdAt } = find(TemplateName, call);
    const parts = templateParts(TemplateContent);
    compileTemplate(parts);
    await call.deps.control.templates.update({ name, tenant, createdAt, ...parts });
    return {};
  },
});

/** SES answers success for a template that is not there; so does this. */
export const remove = operation({
  access: 'manage',
  input: structure(named),
  async handle({ TemplateName }, { deps, caller }) {
    await deps.control.templates.delete(TemplateName, caller.tenant);
    return {};
  },
});

export const testRender = operation({
  access: 'use',
  input: structure({ ...named, TemplateData: required(templateData) }),
  handle({ TemplateName, TemplateData }, call) {
    const { subject, text, html } = find(TemplateName, call);
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
});
