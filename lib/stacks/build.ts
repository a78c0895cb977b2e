/** The stacks of a stage, in the order in which they stand on each other. */
import type { App } from 'aws-cdk-lib';
import { ApiStack } from './api.ts';
import { CellMonitoringStack } from './cell-monitoring.ts';
import { cellsOf } from './cells.ts';
import { DataStack } from './data.ts';
import { EgressStack } from './egress.ts';
import { MonitoringStack } from './monitoring.ts';
import type { PolicyBundle } from './policy.ts';
import { openRegistrar } from './registrar.ts';
import type { Stage } from './stage.ts';
import { SubmissionStack } from './submission.ts';

/** A cell beside the stage's own. */
export interface CellStacks {
  egress: EgressStack;
  monitoring: CellMonitoringStack;
}

export interface Stacks {
  data: DataStack;
  api: ApiStack;
  egress: EgressStack;
  /** Where the stage has one. */
  submission?: SubmissionStack;
  monitoring: MonitoringStack;
  /** By name. */
  cells: ReadonlyMap<string, CellStacks>;
}

/**
 * @param policy the policy in TypeScript; absent: there is none. @param only name of the one cell that is built beside
 * the stage's own: a stage with many takes long. Absent: all.
 */
export function buildStacks(app: App, stage: Stage, policy?: PolicyBundle, only?: string): Stacks {
  const { account, region } = stage;
  const id = (part: string): string => `postern-${stage.name}-${part}`;
  const props = { stage, env: { account, region }, terminationProtection: stage.protect };
  const [own, ...further] = cellsOf(stage);
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
    cell: own!,
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
  const registrar = further.length > 0 ? openRegistrar(egress, stage, data) : undefined;
  const cells = new Map<string, CellStacks>();
  for (const cell of further) {
    const name = cell.name!;
    if (only !== undefined && name !== only) continue;
    const nodes = new EgressStack(app, id(name), {
      ...props,
      cell,
      registrar,
      data,
      policy,
      description: `Postern: egress nodes of cell ${name}`,
    });
    // A version that does not work fails in the first cell, before it comes to the others.
    const [first = { egress }] = cells.values();
    nodes.addStackDependency(first.egress);
    const watch = new CellMonitoringStack(app, id(`${name}-monitoring`), {
      ...props,
      cell,
      egress: nodes,
      topics: monitoring.topics,
      description: `Postern: dashboard and alarms of cell ${name}`,
    });
    cells.set(name, { egress: nodes, monitoring: watch });
  }
  return { data, api, egress, ...(submission && { submission }), monitoring, cells };
}
