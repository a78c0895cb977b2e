/** The account: quota, statistics of two weeks, and whether it may send. */
import { StatisticsReader } from '../../statistics/reader.ts';
import { DAY, HOUR } from '../../time.ts';
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

/** SES shows two weeks. */
const SHOWN = 14 * DAY;

/** Quarter hours with any mail, of the caller's tenant. */
export const getSendStatistics = action('GetSendStatistics', 'use', async (_input, { deps, caller }) => {
  const now = deps.clock.now();
  const series = await new StatisticsReader(deps.engine.rows).series({
    tenant: caller.tenant,
    from: now - SHOWN,
    before: now + HOUR,
    granularity: 'quarter',
  });
  const points = series.map(({ at, counts }) => ({
    Timestamp: new Date(at),
    DeliveryAttempts: counts.sent ?? 0,
    Bounces: counts.permanentBounces ?? 0,
    Complaints: counts.complaints ?? 0,
    Rejects: counts.rejects ?? 0,
  }));
  const any = (point: (typeof points)[number]): boolean =>
    point.DeliveryAttempts + point.Bounces + point.Complaints + point.Rejects > 0;
  return { SendDataPoints: points.filter(any) };
});
