/**
 * Lambda entry, called by CloudFormation when the topics of alarms change: triggers an alarm of each severity and
 * checks in its history whether CloudWatch could publish. A deployment whose alarms reach no person fails.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { type AlarmCalls, openAlarms } from '../lib/engine/aws/alarms.ts';
import { answerDeployment } from './custom-resource.ts';

/** Number of checks: CloudWatch acts within seconds; its history follows. */
const LOOKS = 40;
const BETWEEN = 3_000;

/**
 * @param names of alarms without data, each with one topic. @param wait between two checks of the history.
 * @throws Error with the alarm and CloudWatch's reason.
 */
export async function checkAlarms(
  alarms: AlarmCalls,
  names: readonly string[],
  now: () => number = Date.now,
  wait: () => Promise<unknown> = () => sleep(BETWEEN),
): Promise<void> {
  for (const name of names) {
    const since = now();
    // Setting an alarm that is already in this state does nothing.
    await alarms.set(name, 'OK');
    await alarms.set(name, 'ALARM');
    const result = await resultOf(alarms, name, since, wait);
    if (result?.startsWith('Successfully')) continue;
    throw new Error(
      `The alarm "${name}" reaches nobody: ${result ?? 'CloudWatch did not act on it within two minutes.'} See that the policies of its topic and of the topic's key let cloudwatch.amazonaws.com in.`,
    );
  }
}

async function resultOf(
  alarms: AlarmCalls,
  name: string,
  since: number,
  wait: () => Promise<unknown>,
): Promise<string | undefined> {
  for (let look = 0; look < LOOKS; look += 1) {
    await wait();
    const [latest] = await alarms.actions(name, since);
    if (latest !== undefined) return latest;
  }
  return undefined;
}

export async function handler(event: CloudFormationCustomResourceEvent): Promise<void> {
  const { Alarms } = event.ResourceProperties as unknown as { Alarms: string[] };
  await answerDeployment(event, 'alarm-check', async () => {
    if (event.RequestType !== 'Delete') await checkAlarms(await openAlarms(), Alarms);
  });
}
