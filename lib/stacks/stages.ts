/**
 * The stages of this installation, as typed code: all their differences are here. Change this file to your own names,
 * then `npx cdk deploy --all -c stage=<name>`. stage.ts describes each setting; stage-check.ts refuses settings that
 * AWS cannot provide.
 */
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Stage } from './stage.ts';
import { checkStage } from './stage-check.ts';

const dev: Stage = {
  name: 'dev',
  region: 'us-east-1',
  hostname: 'dev.mail.example.com',
  returnPathDomain: 'bounces.dev.mail.example.com',
  nodes: [
    {
      name: 'a',
      instanceType: 't4g.micro',
      addresses: [{ hostname: 'a1.dev.mail.example.com', pools: ['default'], ptr: false }],
    },
  ],
  api: { memoryMegabytes: 512 },
  tables: { pointInTimeRecovery: false, maxReadUnits: 500, maxWriteUnits: 500 },
  protect: false,
  logRetention: RetentionDays.ONE_WEEK,
  alarms: { minimumVolume: 1_000 },
};

const prod: Stage = {
  name: 'prod',
  region: 'us-east-1',
  hostname: 'mail.example.com',
  returnPathDomain: 'bounces.mail.example.com',
  nodes: ['a', 'b', 'c'].map((name) => ({
    name,
    instanceType: 't4g.small',
    addresses: [
      { hostname: `${name}1.mail.example.com`, pools: ['default'], ptr: true },
      { hostname: `${name}2.mail.example.com`, pools: ['bulk'], ptr: true },
    ],
  })),
  api: { memoryMegabytes: 1024, concurrency: 200 },
  tables: { pointInTimeRecovery: true, maxReadUnits: 10_000, maxWriteUnits: 20_000 },
  protect: true,
  logRetention: RetentionDays.ONE_MONTH,
  alarms: { email: 'postmaster@example.com', minimumVolume: 1_000 },
};

export const STAGES: Readonly<Record<string, Stage>> = { dev, prod };

/** The stage of a name, checked. @throws Error that names the fault, its place, and what to write in its place. */
export function stageOf(name: string, stages: Readonly<Record<string, Stage>> = STAGES): Stage {
  const stage = stages[name];
  if (!stage) {
    throw new Error(
      `There is no stage "${name}". Use -c stage= with one of: ${Object.keys(stages).join(', ')}.`,
    );
  }
  checkStage(name, stage);
  return stage;
}
