/** The calls of CloudWatch that check alarms at a deployment, by the client that the Lambda runtime brings. */

export interface AlarmCalls {
  set(name: string, state: 'OK' | 'ALARM'): Promise<void>;
  /** CloudWatch's log of an alarm's actions since a time (ms), the latest first. */
  actions(name: string, since: number): Promise<string[]>;
}

interface CloudWatch {
  setAlarmState(input: { AlarmName: string; StateValue: string; StateReason: string }): Promise<unknown>;
  describeAlarmHistory(input: {
    AlarmName: string;
    HistoryItemType: 'Action';
    StartDate: Date;
    ScanBy: 'TimestampDescending';
  }): Promise<{ AlarmHistoryItems?: { HistorySummary?: string }[] }>;
}

export async function openAlarms(open: () => Promise<CloudWatch> = runtimeCloudWatch): Promise<AlarmCalls> {
  const cloudWatch = await open();
  return {
    async set(AlarmName, StateValue) {
      const StateReason = 'A test by the deployment: alarms of this severity reach you.';
      await cloudWatch.setAlarmState({ AlarmName, StateValue, StateReason });
    },
    async actions(AlarmName, since) {
      const { AlarmHistoryItems = [] } = await cloudWatch.describeAlarmHistory({
        AlarmName,
        HistoryItemType: 'Action',
        StartDate: new Date(since),
        ScanBy: 'TimestampDescending',
      });
      return AlarmHistoryItems.flatMap(({ HistorySummary }) => HistorySummary ?? []);
    },
  };
}

async function runtimeCloudWatch(): Promise<CloudWatch> {
  const name = '@aws-sdk/client-cloudwatch';
  const { CloudWatch: Client } = (await import(name)) as { CloudWatch: new (options: object) => CloudWatch };
  return new Client({});
}
