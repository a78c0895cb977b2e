/** Custom verification mails: the templates and the mail of SES v2, under the names of v1. */
import { PosternError } from '../../errors.ts';
import {
  checkedMembers,
  createCustomVerificationEmailTemplate as create,
  getCustomVerificationEmailTemplate as get,
  listCustomVerificationEmailTemplates as list,
  deleteCustomVerificationEmailTemplate as remove,
  sendCustomVerificationEmail as send,
  templatesOf,
} from '../verification-mails.ts';
import { action } from './action.ts';

export const createCustomVerificationEmailTemplate = action(
  'CreateCustomVerificationEmailTemplate',
  'manage',
  async (input, call) => {
    await create.handle(input, call);
    return {};
  },
);

/** Unlike in v2, members that are left out stay. */
export const updateCustomVerificationEmailTemplate = action(
  'UpdateCustomVerificationEmailTemplate',
  'manage',
  async ({ TemplateName: name, ...given }, call) => {
    await templatesOf(call).update(call.caller.tenant, name, await checkedMembers(given, call));
    return {};
  },
);

export const getCustomVerificationEmailTemplate = action(
  'GetCustomVerificationEmailTemplate',
  'use',
  async (input, call) => {
    const { Tags: _, ...template } = await get.handle(input, call);
    return template;
  },
);

export const listCustomVerificationEmailTemplates = action(
  'ListCustomVerificationEmailTemplates',
  'use',
  ({ NextToken, MaxResults }, call) => list.handle({ NextToken, PageSize: MaxResults }, call),
);

/** As in SES v1, one that is not there is deleted, too. */
export const deleteCustomVerificationEmailTemplate = action(
  'DeleteCustomVerificationEmailTemplate',
  'manage',
  async (input, call) => {
    try {
      await remove.handle(input, call);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'not_found') throw error;
    }
    return {};
  },
);

export const sendCustomVerificationEmail = action('SendCustomVerificationEmail', 'manage', (input, call) =>
  send.handle(input, call),
);
