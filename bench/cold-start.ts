/**
 * `npm run bench:cold-start`: the import time of the API's bundle, made by CDK as it is deployed. It is the time that
 * a caller waits for, besides Lambda's own start, when a call needs a new environment.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { buildStacks } from '../lib/stacks/build.ts';
import { stageOf } from '../lib/stacks/stages.ts';

const RUNS = 15;
/** Maximum time of the import, ms. */
const LIMIT = 150;

const outdir = mkdtempSync(join(tmpdir(), 'postern-cold-start-'));
try {
  const stage = stageOf('dev');
  const app = new App({
    outdir,
    builtinCloudFormationValidation: false,
    context: {
      'aws:cdk:bundling-stacks': [`postern-${stage.name}-api`],
      'aws:cdk:enable-asset-metadata': true,
    },
  });
  const { api } = buildStacks(app, stage);
  const functions = Template.fromStack(api).findResources('AWS::Lambda::Function') as Record<
    string,
    { Metadata: { 'aws:asset:path': string } }
  >;
  const [, { Metadata }] = Object.entries(functions).find(([id]) => id.startsWith('ApiFunction'))!;
  const bundle = pathToFileURL(join(outdir, Metadata['aws:asset:path'], 'index.mjs')).href;
  const script = `
    const begin = performance.now();
    await import(${JSON.stringify(bundle)});
    const { user, system } = process.cpuUsage();
    process.stdout.write([performance.now() - begin, (user + system) / 1000].join());`;
  const runs = Array.from({ length: RUNS }, () => {
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script]);
    return output.toString().split(',').map(Number) as [wall: number, cpu: number];
  });
  const [median, cpu] = [0, 1].map((at) => runs.map((run) => run[at]!).sort((a, b) => a - b)[RUNS >> 1]!);
  process.stdout.write(
    `import of the api bundle, ${RUNS} fresh processes: median ${median!.toFixed(0)} ms (limit ${LIMIT} ms); ` +
      `CPU of the whole process ${cpu!.toFixed(0)} ms\n`,
  );
  if (median! > LIMIT) process.exitCode = 1;
} finally {
  rmSync(outdir, { recursive: true });
}
