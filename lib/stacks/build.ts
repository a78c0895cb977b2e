/** The stacks of a stage, in the order in which they stand on each other. */
import type { App } from 'aws-cdk-lib';
import { ApiStack } from './api.ts';
import { DataStack } from './data.ts';
import { EgressStack } from './egress.ts';
import { MonitoringStack } from './monitoring.ts';
import type { PolicyBundle } from './policy.ts';
import type { Stage } from './stage.ts';
import { SubmissionStack } from './submission.ts';

export interface Stacks {
  data: DataStack;
  api: ApiStack;
  egress: EgressStack;
  /** Where the stage has one. */
  submission?: SubmissionStack;
  monitoring: MonitoringStack;
}

/** @param policy the policy in TypeScript; absent: there is none. */
export function buildStacks(app: App, stage: Stage, policy?: PolicyBundle): Stacks {
  const { account, region } = stage;
  const id = (part: string): string => `postern-${stage.name}-${part}`;
  const props = { stage, env: { account, region }, terminationProtection: stage.protect };
  const data = new DataStack(app, id('data'), {
    ...props,
    description: 'Postern: tables, queues, bodies, secrets',
  });
  const api = new ApiStack(app, id('api'), {
    ...props,
    data,
    policy,
    description: 'Postern: HTTP API and functions',
  });
  const egress = new EgressStack(app, id('egress'), {
    ...props,
    data,
    policy,
    description: 'Postern: egress nodes',
  });
  const submission =
    stage.submission &&
    new SubmissionStack(app, id('submission'), {
      ...props,
      submission: stage.submission,
      data,
      egress,
      policy,
      description: 'Postern: SMTP submission',
    });
  const monitoring = new MonitoringStack(app, id('monitoring'), {
    ...props,
    data,
    api,
    egress,
    submission,
    policy,
    description: 'Postern: dashboard and alarms',
  });
  return { data, api, egress, ...(submission && { submission }), monitoring };
}
