/**
 * The CDK application: `npx cdk deploy --all -c stage=prod`. Data apart from what uses it, so that functions
 * and nodes are replaced without touching what must survive.
 */
import { join } from 'node:path';
import { App, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { buildStacks } from './build.ts';
import { bundlePolicy, POLICY_FILE } from './policy.ts';
import { stageOf } from './stages.ts';

const app = new App();
const stage = stageOf((app.node.tryGetContext('stage') as string | undefined) ?? 'dev');
buildStacks(app, stage, await bundlePolicy(POLICY_FILE, join(app.outdir, 'policy')));
Tags.of(app).add('postern:stage', stage.name);
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
