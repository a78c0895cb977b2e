import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Template } from 'aws-cdk-lib/assertions';
import { openStacks, resourcesOf } from '../support/stacks.ts';

/** Resources by name, each with the actions that may be taken on it. */
type Granted = Record<string, string>;

const LANES = 'arn:aws:sqs:eu-central-1:AWS::AccountId:postern-test-lane-*';
const EC2 = 'arn:aws:ec2:eu-central-1:AWS::AccountId:';
/** Which documents there are, without what is in them. */
const KEYS_OF_CONFIG = {
  'ConfigTable if ForAllValues:StringEquals dynamodb:Attributes pk,sk; StringEquals dynamodb:Select SPECIFIC_ATTRIBUTES':
    'dynamodb:Scan',
};
const WRITE_LOG = 'logs:CreateLogStream logs:PutLogEvents';
const SHIP_LOG = 'logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents';

/** Of every egress node, wherever it runs. */
const EGRESS: Granted = {
  [LANES]:
    'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage sqs:SendMessage',
  Queueoutcomes: 'sqs:SendMessage',
  RecordsTable: 'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:UpdateItem',
  LedgerTable: 'dynamodb:BatchWriteItem',
  LeasesTable: 'dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:UpdateItem',
  'ConfigTable if ForAllValues:StringNotEquals dynamodb:LeadingKeys key,identity':
    'dynamodb:GetItem dynamodb:Query',
  'ConfigTable if ForAllValues:StringEquals dynamodb:LeadingKeys directive,!':
    'dynamodb:DeleteItem dynamodb:PutItem',
  ...KEYS_OF_CONFIG,
  'Bodies/*': 's3:GetObject s3:PutObject',
  Bodies: 's3:ListBucket',
  'Secrets/return-path.key': 's3:GetObject',
  Secrets: 's3:ListBucket',
  DataKey: 'kms:Decrypt kms:GenerateDataKey',
  SecretsKey: 'kms:Decrypt',
  Log: SHIP_LOG,
};

function nodeOnEc2(node: string, addresses: readonly string[]): Granted {
  return {
    ...EGRESS,
    'the bundle': 's3:GetObject',
    ...Object.fromEntries(addresses.map((one) => [`${EC2}elastic-ip/${one}`, 'ec2:AssociateAddress'])),
    [`${EC2}instance/* if StringEquals aws:ResourceTag/postern:node ${node}`]: 'ec2:AssociateAddress',
    [`${EC2}network-interface/* if StringEquals aws:ResourceTag/postern:node ${node}`]:
      'ec2:AssociateAddress',
    // Tells CloudFormation that it runs.
    'AWS::StackId': 'cloudformation:SignalResource',
  };
}

/** Every action that every role may take. What is not here is forbidden. */
const EXPECTED: Record<string, Granted> = {
  'api ApiRole': {
    ApiLog: WRITE_LOG,
    RecordsTable:
      'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem',
    LedgerTable: 'dynamodb:BatchWriteItem',
    ConfigTable: 'dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    ...KEYS_OF_CONFIG,
    [LANES]: 'sqs:SendMessage',
    Queueoutcomes: 'sqs:SendMessage',
    'Bodies/*': 's3:PutObject',
    'Secrets/master.key': 's3:GetObject s3:PutObject',
    'Secrets/return-path.key': 's3:GetObject s3:PutObject',
    Secrets: 's3:ListBucket',
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
    SecretsKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api DueRole': {
    DueLog: WRITE_LOG,
    LedgerTable: 'dynamodb:BatchWriteItem dynamodb:DeleteItem dynamodb:Query dynamodb:UpdateItem',
    [LANES]: 'sqs:SendMessage',
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api OutcomesRole': {
    OutcomesLog: WRITE_LOG,
    RecordsTable: 'dynamodb:GetItem',
    // As Lambda asks for, to read a queue on the function's behalf.
    Queueoutcomes:
      'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ReceiveMessage',
    DataKey: 'kms:Decrypt',
  },
  'api FirstKeyRole': {
    FirstKeyLog: WRITE_LOG,
    ConfigTable: 'dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    ...KEYS_OF_CONFIG,
    'Secrets/master.key': 's3:GetObject s3:PutObject',
    Secrets: 's3:ListBucket',
    SecretsKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'egress FlowLogRole': { FlowLog: SHIP_LOG },
  'egress Rolea': nodeOnEc2('a', ['Addressa1', 'Addressa2']),
  'egress Roleb': nodeOnEc2('b', ['Addressb1']),
  'egress PtrRole': {
    PtrLog: WRITE_LOG,
    [`${EC2}elastic-ip/Addressa1`]: 'ec2:ModifyAddressAttribute ec2:ResetAddressAttribute',
    [`${EC2}elastic-ip/Addressb1`]: 'ec2:ModifyAddressAttribute ec2:ResetAddressAttribute',
  },
  'egress OutsideRole': EGRESS,
};

/** Resources named by a pattern, each with its reason. */
const PATTERNS: Record<string, string> = {
  [LANES]: 'lanes come and go with their pools',
  'Bodies/*': 'a body is an object of its own',
  [`${EC2}instance/*`]: 'its own, by its tag: it has no id yet',
  [`${EC2}network-interface/*`]: 'its own, by its tag: it has no id yet',
};

const { stacks, template } = openStacks();
const templates = Object.entries(stacks).map(([name, stack]) => [name, template(stack)] as const);
const granted = permissionsOf(templates);

describe('permissions', () => {
  test('no role but these exists', () => {
    assert.deepEqual(Object.keys(granted).sort(), Object.keys(EXPECTED).sort());
  });

  for (const [role, expected] of Object.entries(EXPECTED)) {
    test(`${role} may do this and nothing else`, () => assert.deepEqual(granted[role], expected));
  }

  test('no action is a pattern, and no resource without its reason', () => {
    for (const resources of Object.values(granted)) {
      for (const [resource, actions] of Object.entries(resources)) {
        assert.doesNotMatch(actions, /\*|managed/);
        const [name] = resource.split(' if ');
        if (name!.includes('*')) assert.ok(PATTERNS[name!], `${name} has no reason`);
      }
    }
  });
});

interface Statement {
  Effect: string;
  Action: string | string[];
  Resource?: unknown;
  Condition?: Record<string, Record<string, string | string[]>>;
}

/** Every action that every role of the templates may take. */
function permissionsOf(all: readonly (readonly [string, Template])[]): Record<string, Granted> {
  const nameOf = namer(all.map(([, one]) => one));
  const roles = new Map<string, Map<string, Set<string>>>();
  for (const [stack, one] of all) {
    for (const [id, { Properties }] of resourcesOf(one, 'AWS::IAM::Role')) {
      assert.equal(Properties.Policies, undefined);
      assert.equal(Properties.ManagedPolicyArns, undefined);
      roles.set(`${stack} ${unhashed(id)}`, new Map());
    }
    for (const [, { Properties }] of resourcesOf(one, 'AWS::IAM::Policy')) {
      const { Statement: statements } = Properties.PolicyDocument as { Statement: Statement[] };
      for (const role of Properties.Roles as unknown[]) {
        const resources = roles.get(`${stack} ${nameOf(role)}`)!;
        for (const { Effect, Action, Resource, Condition } of statements) {
          assert.equal(Effect, 'Allow');
          for (const resource of [Resource].flat()) {
            const name = nameOf(resource) + conditionText(Condition);
            const actions = resources.get(name) ?? new Set();
            resources.set(name, actions);
            for (const action of [Action].flat()) actions.add(action);
          }
        }
      }
    }
  }
  return Object.fromEntries(
    Array.from(roles, ([role, resources]) => [
      role,
      Object.fromEntries(Array.from(resources, ([name, actions]) => [name, [...actions].sort().join(' ')])),
    ]),
  );
}

function conditionText(condition: Statement['Condition']): string {
  if (!condition) return '';
  const parts = Object.entries(condition).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, values]) => `${operator} ${key} ${[values].flat().join(',')}`),
  );
  return ` if ${parts.join('; ')}`;
}

/** Logical ids without the hash that CDK puts behind them. */
function unhashed(id: string): string {
  return id.replace(/[0-9A-F]{8}$/, '');
}

/** Names resources of the templates as a person does, across stacks. */
function namer(all: readonly Template[]): (value: unknown) => string {
  const exported = new Map<string, string>();
  const nameOf = (value: unknown): string => {
    if (typeof value === 'string') return value;
    const [[name, of]] = Object.entries(value as object) as [[string, unknown]];
    if (name === 'Fn::Join') {
      const joined = (of as [string, unknown[]])[1].map(nameOf).join('');
      return joined
        .replace(/^arn:AWS::Partition:/, 'arn:aws:')
        .replace(/^.*\/[0-9a-f]{64}\.zip$/, 'the bundle');
    }
    if (name === 'Fn::ImportValue') return exported.get(of as string)!;
    if (name === 'Fn::GetAtt') return unhashed((of as [string, string])[0]);
    if (name === 'Ref') return unhashed(of as string);
    assert.equal(name, 'Fn::Sub');
    return of as string;
  };
  for (const one of all) {
    for (const { Value, Export } of Object.values(one.findOutputs('*')) as {
      Value: unknown;
      Export?: { Name: string };
    }[]) {
      if (Export) exported.set(Export.Name, nameOf(Value));
    }
  }
  return nameOf;
}
