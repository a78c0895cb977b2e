/** Templates, under the names that v1 has for their parts. */
import { PosternError } from '../../errors.ts';
import {
  createEmailTemplate,
  deleteEmailTemplate,
  getEmailTemplate,
  listEmailTemplates,
  testRenderEmailTemplate,
  updateEmailTemplate,
} from '../templates.ts';
import type { ActionInput } from '../types.ts';
import { action } from './action.ts';

function v2Template({
  TemplateName,
  SubjectPart,
  TextPart,
  HtmlPart,
}: ActionInput<'CreateTemplate'>['Template']) {
  if (!SubjectPart) throw new PosternError('invalid_template', 'The subject must be specified.');
  return { TemplateName, TemplateContent: { Subject: SubjectPart, Text: TextPart, Html: HtmlPart } };
}

export const createTemplate = action('CreateTemplate', 'manage', async ({ Template }, call) => {
  await createEmailTemplate.handle(v2Template(Template), call);
  return {};
});

export const updateTemplate = action('UpdateTemplate', 'manage', async ({ Template }, call) => {
  await updateEmailTemplate.handle(v2Template(Template), call);
  return {};
});

export const getTemplate = action('GetTemplate', 'use', async ({ TemplateName }, call) => {
  const { TemplateContent: content } = await getEmailTemplate.handle({ TemplateName }, call);
  return {
    Template: {
      TemplateName,
      SubjectPart: content?.Subject,
      TextPart: content?.Text,
      HtmlPart: content?.Html,
    },
  };
});

export const listTemplates = action('ListTemplates', 'use', async ({ NextToken, MaxItems }, call) => {
  const found = await listEmailTemplates.handle({ NextToken, PageSize: MaxItems }, call);
  return {
    TemplatesMetadata: found.TemplatesMetadata?.map(({ TemplateName: Name, CreatedTimestamp }) => ({
      Name,
      CreatedTimestamp,
    })),
    NextToken: found.NextToken,
  };
});

/** As in SES v1, a template that is not there is deleted, too. */
export const deleteTemplate = action('DeleteTemplate', 'manage', async ({ TemplateName }, call) => {
  try {
    await deleteEmailTemplate.handle({ TemplateName }, call);
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'template_missing') throw error;
  }
  return {};
});

export const testRenderTemplate = action('TestRenderTemplate', 'use', async (input, call) => {
  const { RenderedTemplate } = await testRenderEmailTemplate.handle(input, call);
  return { RenderedTemplate };
});
