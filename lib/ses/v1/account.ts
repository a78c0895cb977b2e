/** The account: quota, statistics of two weeks, and whether it may send. */
import { getAccount, putAccountSendingAttributes } from '../account.ts';
import { action } from './action.ts';

export const getSendQuota = action('GetSendQuota', 'use', async (_input, call) => {
  const { SendQuota } = await getAccount.handle({}, call);
  return { ...SendQuota };
});

export const getAccountSendingEnabled = action('GetAccountSendingEnabled', 'use', async (_input, call) => {
  const { SendingEnabled } = await getAccount.handle({}, call);
  return { Enabled: SendingEnabled };
});

export const updateAccountSendingEnabled = action(
  'UpdateAccountSendingEnabled',
  'manage',
  async ({ Enabled }, call) => {
    await putAccountSendingAttributes.handle({ SendingEnabled: Enabled }, call);
    return {};
  },
);
