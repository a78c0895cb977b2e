import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Template } from 'aws-cdk-lib/assertions';
import { ALARM, EC2, type Granted, LANES, PERMISSIONS } from '../support/permissions.ts';
import { openStacks, resourcesOf, stacksByPart } from '../support/stacks.ts';

/** Resources named by a pattern, each with its reason. */
const PATTERNS: Record<string, string> = {
  [LANES]: 'lanes come and go with their pools',
  'Bodies/*': 'a body is an object of its own',
  'Bodies/results/*': 'a result is an object of its own',
  'arn:aws:s3:::operator-files/*': 'calls name files of the bucket',
  'arn:aws:sns:eu-central-1:123456789012:mail-*': 'the stage lists it',
  '*': 'metrics are known by their namespace, to which a condition holds the right',
  [`${ALARM}*`]: 'a node reads the state of the alarms of its own stage',
  [`${EC2}instance/*`]: 'its own, by its tag: it has no id yet',
  [`${EC2}network-interface/*`]: 'its own, by its tag: it has no id yet',
};

/** Those of a class of a node's own pool. */
const OWN_LANES = /:postern-test-lane-\w+-(transactional|bulk)-\*$/;

const { stacks, template } = openStacks();
const templates = Object.entries(stacksByPart(stacks)).map(
  ([name, stack]) => [name, template(stack)] as const,
);
const granted = permissionsOf(templates);

describe('permissions', () => {
  test('there is no other role', () => {
    assert.deepEqual(Object.keys(granted).sort(), Object.keys(PERMISSIONS).sort());
  });

  for (const [role, expected] of Object.entries(PERMISSIONS)) {
    test(`${role} has exactly these permissions`, () => assert.deepEqual(granted[role], expected));
  }

  test('no action is a pattern, and each resource pattern has its reason', () => {
    for (const resources of Object.values(granted)) {
      for (const [resource, actions] of Object.entries(resources)) {
        assert.doesNotMatch(actions, /\*|managed/);
        const [name] = resource.split(' if ');
        if (name!.includes('*')) assert.ok(PATTERNS[name!] ?? OWN_LANES.test(name!), `${name} has no reason`);
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
            const name = nameOf(resource) + conditionText(Condition, nameOf);
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

function conditionText(condition: Statement['Condition'], nameOf: (value: unknown) => string): string {
  if (!condition) return '';
  const parts = Object.entries(condition).flatMap(([operator, keys]) =>
    Object.entries(keys).map(
      ([key, values]) => `${operator} ${key} ${[values].flat().map(nameOf).join(',')}`,
    ),
  );
  return ` if ${parts.join('; ')}`;
}

/** Logical ids without the hash that CDK puts behind them. */
function unhashed(id: string): string {
  return id.replace(/[0-9A-F]{8}$/, '');
}

/** Readable names of the resources of the templates, across stacks. */
function namer(all: readonly Template[]): (value: unknown) => string {
  const exported = new Map<string, string>();
  const nameOf = (value: unknown): string => {
    if (typeof value === 'string') return value;
    const [[name, of]] = Object.entries(value as object) as [[string, unknown]];
    if (name === 'Fn::Join') {
      const joined = (of as [string, unknown[]])[1].map(nameOf).join((of as [string, unknown[]])[0]);
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
