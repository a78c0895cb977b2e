/**
 * Why a right is wider than one resource: each wildcard of a policy is a finding of cdk-nag, and is acknowledged with its
 * reason here.
 */
import { Stack, Validations } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type { DataStack } from './data.ts';
import { bodies, objectsOf, ownLanes, results } from './grants.ts';
import type { NodeScope } from './permissions.ts';
import type { Stage } from './stage.ts';

/**
 * Records why a role's policy names a resource by a pattern. cdk-nag identifies the finding by the resource's text, with
 * references as `<name>` and imports by the name of the export.
 */
export function acknowledgeWildcard(role: iam.Role, resource: string, reason: string): void {
  const text = (value: unknown): string => {
    if (typeof value === 'string') return value;
    const [[name, of]] = Object.entries(value as object) as [[string, unknown]];
    if (name === 'Fn::Join') return (of as [string, unknown[]])[1].map(text).join('');
    return name === 'Ref' ? `<${of as string}>` : (of as string);
  };
  const id = `AwsSolutions-IAM5[Resource::${text(Stack.of(role).resolve(resource))}]`;
  Validations.of(role).acknowledge({ id, reason });
}

/** Says of a role that sends events why its rights on destinations are wide. */
export function acknowledgeTargets(role: iam.Role, stage: Stage): void {
  acknowledgeWildcard(
    role,
    '*',
    'CloudWatch knows metrics by their namespace, to which a condition holds it.',
  );
  for (const arn of stage.eventTargets ?? [])
    if (arn.includes('*')) acknowledgeWildcard(role, arn, 'The stage lists it in its eventTargets.');
}

/** Says of a role with rights on results, or on the operator's bucket, why they are on all of them. */
export function acknowledgeFiles(role: iam.Role, data: DataStack, stage?: Pick<Stage, 'files'>): void {
  acknowledgeWildcard(role, results(data), 'A result is an object of its own, named by its job.');
  if (stage?.files)
    acknowledgeWildcard(
      role,
      objectsOf(stage.files.bucket),
      'Calls name files of the bucket that the stage names.',
    );
}

/** Says of a role with rights on bodies why they are on all of them. */
export function acknowledgeBodies(role: iam.Role, data: DataStack): void {
  const reason = 'A body is an object of its own, named by its message; the bucket holds nothing else.';
  acknowledgeWildcard(role, bodies(data), reason);
}

/** Says of a role with rights on lanes why they are on all of them, and of a node on those of its pools. */
export function acknowledgeLanes(role: iam.Role, data: DataStack, node?: NodeScope): void {
  const reason = 'Lanes come and go with their pools, and no other queue has a name that begins so.';
  acknowledgeWildcard(role, data.lanesArn, reason);
  if (!node) return;
  for (const arn of ownLanes(data, node.stage, node.pools))
    acknowledgeWildcard(role, arn, 'The lanes of a class of a pool, which no other queue has a name like.');
}
