/** A stage of cells: what a stack of one holds, and that what grows with their number stays within AWS's limits. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Validations } from 'aws-cdk-lib';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { apiEnvironment, readApiSettings } from '../../functions/environment.ts';
import { TABLES, type TableName } from '../../lib/engine/aws/schema.ts';
import { buildStacks } from '../../lib/stacks/build.ts';
import { poolsOf } from '../../lib/stacks/cells.ts';
import { poolSetting, type StagePoolSetting } from '../../lib/stacks/pools.ts';
import type { CellConfig, Stage } from '../../lib/stacks/stage.ts';
import { checkStage } from '../../lib/stacks/stage-check.ts';
import { openApp, openStacks, type Resource, resourcesOf, STAGE, stacksByPart } from '../support/stacks.ts';

/** A cell of the maximum size. */
function fullCell(number: number, nodes = 30, pools = 15): CellConfig {
  return {
    name: `c${number}`,
    nodes: Array.from({ length: nodes }, (_, node) => ({
      name: `c${number}n${node}`,
      instanceType: 'c7g.large',
      addresses: Array.from({ length: 5 }, (_, at) => ({
        hostname: `c${number}n${node}a${at}.mail.example.com`,
        pools: [`c${number}-pool-${(node * 5 + at) % pools}`],
        ptr: true,
      })),
    })),
  };
}

/** 1,000 nodes, 5,000 addresses, 500 pools. */
const LARGE: Stage = {
  ...STAGE,
  nodes: [],
  cells: [...Array.from({ length: 33 }, (_, at) => fullCell(at)), fullCell(33, 10, 5)],
};

const TABLE_NAMES = Object.fromEntries(TABLES.map((name) => [name, name])) as Record<TableName, string>;

const { stacks, template } = openStacks(LARGE, undefined, 'c7');
const { egress, monitoring } = stacks.cells.get('c7')!;
const cell = template(egress);

function withinLimits(name: string, one: Template): void {
  const json = one.toJSON() as { Resources: object; Outputs?: object; Parameters?: object };
  const resources = Object.keys(json.Resources).length;
  const bytes = JSON.stringify(json).length;
  assert.ok(resources <= 500, `${name} has ${resources} resources`);
  assert.ok(Object.keys(json.Outputs ?? {}).length <= 200, `${name}: outputs`);
  assert.ok(Object.keys(json.Parameters ?? {}).length <= 200, `${name}: parameters`);
  assert.ok(bytes <= 1_000_000, `${name} has ${bytes} bytes`);
}

describe('a stage of 1,000 nodes, 5,000 addresses and 500 pools', () => {
  test('is valid', () => {
    const cells = LARGE.cells!;
    const nodes = cells.flatMap((one) => one.nodes);
    const addresses = nodes.flatMap((node) => node.addresses);
    const pools = new Set(addresses.flatMap((address) => address.pools));
    assert.deepEqual([nodes.length, addresses.length, pools.size], [1_000, 5_000, 500]);
    checkStage('test', LARGE);
  });

  test('has stacks within the limits of CloudFormation', () => {
    for (const [name, stack] of Object.entries(stacksByPart(stacks))) withinLimits(name, template(stack));
  });

  test('has function settings within the 4 KB of Lambda', () => {
    for (const [id, { Properties }] of resourcesOf(template(stacks.api), 'AWS::Lambda::Function')) {
      const { Variables } = Properties.Environment as { Variables: Record<string, unknown> };
      assert.ok(JSON.stringify(Variables).length < 4_096, id);
      if ('POSTERN_POOLS' in Variables) assert.equal(Variables.POSTERN_POOLS, '@pools.txt');
    }
  });

  test('has user data within the 16 KB of EC2, and roles within the limits of IAM', () => {
    for (const [id, { Properties }] of resourcesOf(cell, 'AWS::EC2::LaunchTemplate')) {
      const { UserData } = Properties.LaunchTemplateData as { UserData: unknown };
      assert.ok(JSON.stringify(UserData).length < 16_384, id);
    }
    for (const [id, { Properties }] of resourcesOf(cell, 'AWS::IAM::Policy'))
      assert.ok(JSON.stringify(Properties.PolicyDocument).length < 10_240, id);
    cell.resourceCountIs('AWS::IAM::ManagedPolicy', 0);
  });
});

describe('the pools of a stage', () => {
  test('are a setting while they are few, and a file in the bundle when they are many', () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-pools-'));
    after(() => rmSync(directory, { recursive: true }));
    const environment = (setting: StagePoolSetting) => ({
      ...apiEnvironment({
        resources: {
          tables: TABLE_NAMES,
          bucket: 'b',
          queueUrlPrefix: 'https://q/',
          claimBeforeSend: false,
          searchIndex: true,
        },
        accountId: '1',
        hostname: 'h',
        eventDays: 7,
        pools: setting.pools,
        returnPathDomain: 'r',
        secrets: 's',
      }),
      AWS_REGION: 'eu-central-1',
    });
    const few = poolSetting(STAGE, directory);
    assert.deepEqual(few, { pools: ['default', 'vip', 'hoster'], files: [] });
    const many = poolSetting(LARGE, directory);
    const bundle = pathToFileURL(join(directory, 'index.mjs')).href;
    assert.deepEqual(readApiSettings(environment(many), bundle).pools, poolsOf(LARGE));
    assert.deepEqual(readApiSettings(environment(few), bundle).pools, few.pools);
  });
});

describe('a cell', () => {
  test('has a network of its own with room for its addresses', () => {
    const blocks = resourcesOf(cell, 'AWS::EC2::Subnet').map(([, { Properties }]) => Properties.CidrBlock);
    assert.deepEqual(blocks, ['10.0.0.0/20', '10.0.16.0/20']);
  });

  test('has the lanes of its pools, which outlive it and are reached over TLS only', () => {
    const lanes = resourcesOf(cell, 'AWS::SQS::Queue');
    assert.equal(lanes.length, 15 * 10);
    for (const [id, { Properties, DeletionPolicy }] of lanes) {
      assert.match(Properties.QueueName as string, /^postern-test-lane-c7-pool-\d+-/);
      assert.equal(DeletionPolicy, 'Retain', id);
    }
    const [[, policy]] = resourcesOf(cell, 'AWS::SQS::QueuePolicy') as [[string, Resource]];
    assert.deepEqual(
      policy.Properties.Queues,
      lanes.map(([id]) => ({ Ref: id })),
    );
    cell.hasResourceProperties('AWS::SQS::QueuePolicy', {
      PolicyDocument: {
        Statement: [
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ],
      },
    });
    assert.equal(
      resourcesOf(template(stacks.data), 'AWS::SQS::Queue').filter(([, { Properties }]) =>
        (Properties.QueueName as string).includes('lane-c7'),
      ).length,
      0,
    );
  });

  test('keeps its addresses as rows of a table, and their PTR records by one resource', () => {
    const [[, { Properties }]] = resourcesOf(cell, 'Custom::Addresses') as [[string, Resource]];
    const rows = Properties.Addresses as Record<string, unknown>[];
    assert.equal(rows.length, 150);
    assert.deepEqual(
      [rows[0]!.hostname, rows[0]!.node, rows[0]!.pools, rows[0]!.ptr],
      ['c7n0a0.mail.example.com', 'c7n0', 'c7-pool-0', 'yes'],
    );
    for (const [, one] of resourcesOf(cell, 'AWS::EC2::EIP')) assert.equal(one.DeletionPolicy, 'Retain');
    cell.resourceCountIs('Custom::PtrRecord', 0);
    assert.equal(Object.keys(cell.findOutputs('Record*')).length, 0);
  });

  test('has alarms of its own, which go to the topics of the stage', () => {
    const alarms = resourcesOf(template(monitoring), 'AWS::CloudWatch::Alarm').map(
      ([, { Properties }]) => Properties,
    );
    assert.equal(alarms.length, 30 * 2 + 15 * 3 + 2);
    for (const { AlarmName, AlarmActions } of alarms)
      assert.match(JSON.stringify(AlarmActions), /ImportValue.*(Alarm|Warning)Topic/, AlarmName as string);
  });

  const small = (numbers: readonly number[]): Stage => ({
    ...STAGE,
    cells: numbers.map((one) => fullCell(one, 2, 2)),
  });

  test('is added and removed without a change in the shared stacks', () => {
    const [one, two] = [[1], [1, 2]].map((numbers) => openStacks(small(numbers)));
    const json = ({ stacks: all, template: of }: typeof two & {}, part: string): unknown =>
      (of(stacksByPart(all)[part]!).toJSON() as { Resources: object }).Resources;
    for (const part of ['data', 'egress', 'c1']) assert.deepEqual(json(two!, part), json(one!, part), part);
    // A broken version is stopped in the stage's own nodes, and in the first cell.
    const { cells } = two!.stacks;
    assert.ok(cells.get('c1')!.egress.dependencies.includes(two!.stacks.egress));
    assert.ok(cells.get('c2')!.egress.dependencies.includes(cells.get('c1')!.egress));
  });

  test("passes cdk-nag's AWS Solutions pack", () => {
    const app = openApp();
    buildStacks(app, small([1]));
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    app.synth();
  });
});
