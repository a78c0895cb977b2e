/** The account: quota, statistics of two weeks, and whether it may send. */
import { StatisticsReader } from '../../statistics/reader.ts';
import { sendStatistics } from '../../statistics/ses-metrics.ts';
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

/** Quarter hours with any mail, of the caller's tenant. */
export const getSendStatistics = action('GetSendStatistics', 'use', async (_input, { deps, caller }) => {
  const reader = new StatisticsReader(deps.engine.rows);
  return { SendDataPoints: await sendStatistics(reader, caller.tenant, deps.clock.now()) };
});
