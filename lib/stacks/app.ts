/**
 * The CDK application: `npx cdk deploy --all -c stage=prod`. Data is apart from what uses it, so that functions and
 * nodes are replaced without touching what must survive. `-c cell=<name>` leaves the other cells out.
 */
import { join } from 'node:path';
import { Annotations, App, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { buildStacks } from './build.ts';
import { bundlePolicy, POLICY_FILE } from './policy.ts';
import { quotasOf } from './stage-check.ts';
import { stageOf } from './stages.ts';

const app = new App();
const context = (name: string): string | undefined => app.node.tryGetContext(name) as string | undefined;
const stage = stageOf(context('stage') ?? 'dev');
const policy = await bundlePolicy(POLICY_FILE, join(app.outdir, 'policy'));
const { data } = buildStacks(app, stage, policy, context('cell'));
Annotations.of(data).addInfoV2(
  'postern:quotas',
  `The account must allow (lib/stacks/README.md): ${quotasOf(stage).join('; ')}`,
);
Tags.of(app).add('postern:stage', stage.name);
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
