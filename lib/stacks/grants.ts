/**
 * Statements of which the permissions of roles are made: actions on one kind of resource, as narrow as IAM can say it. A
 * table is narrowed to some of its rows by their partition keys.
 */
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { RESULTS_PREFIX, type SecretName, type TableIndex, type TableName } from '../engine/aws/schema.ts';
import { lanePatternsOf } from './cells.ts';
import type { DataStack } from './data.ts';
import type { Stage } from './stage.ts';

/** Kinds of documents that hold sealed secrets; their names are control's. */
const SEALED_KINDS = ['key', 'identity'];

/** Some actions on some resources. */
export function allow(actions: string[], resources: string[]): iam.PolicyStatement {
  return new iam.PolicyStatement({ actions, resources });
}

/** The objects of the bucket of bodies, as a stack that uses it names them. */
export function bodies(data: DataStack): string {
  return `${data.bodiesArn}/*`;
}

/** The results of jobs in that bucket. */
export function results(data: DataStack): string {
  return `${data.bodiesArn}/${RESULTS_PREFIX}*`;
}

/** The objects of a bucket that the stage names. */
export function objectsOf(bucket: string): string {
  return `arn:aws:s3:::${bucket}/*`;
}

/** Calls of DynamoDB on a table. */
export function table(data: DataStack, name: TableName, ...actions: string[]): iam.PolicyStatement {
  return allow(
    actions.map((action) => `dynamodb:${action}`),
    [data.tables[name].tableArn],
  );
}

/** Calls of DynamoDB on some tables. */
export function tables(
  data: DataStack,
  names: readonly TableName[],
  ...actions: string[]
): iam.PolicyStatement {
  return allow(
    actions.map((action) => `dynamodb:${action}`),
    names.map((name) => data.tables[name].tableArn),
  );
}

/** An index of a table. */
export function indexArn(data: DataStack, { table, name }: TableIndex): string {
  return `${data.tables[table].tableArn}/index/${name}`;
}

/** Calls of SQS on all lanes. */
export function lanes(data: DataStack, ...actions: string[]): iam.PolicyStatement {
  return allow(
    actions.map((action) => `sqs:${action}`),
    [data.lanesArn],
  );
}

/** The lanes of some pools, by the patterns of their names. */
export function ownLanes(data: DataStack, stage: Stage, pools: readonly string[]): string[] {
  return pools
    .flatMap((pool) => lanePatternsOf(stage, pool))
    .map((queue) => data.formatArn({ service: 'sqs', resource: queue }));
}

/** A call of SQS on one queue. */
export function queue(of: sqs.IQueue, action: string): iam.PolicyStatement {
  return allow([`sqs:${action}`], [of.queueArn]);
}

/** The key over bodies and queues: a write requests a data key, a read decrypts one. */
export function key(data: DataStack, ...actions: ('Decrypt' | 'GenerateDataKey')[]): iam.PolicyStatement {
  return allow(
    actions.map((action) => `kms:${action}`),
    [data.key.keyArn],
  );
}

/**
 * Reads secrets, and creates missing ones: a write must not overwrite one. The right to list distinguishes "none"
 * from "not allowed".
 */
export function secrets(data: DataStack, ...names: SecretName[]): iam.PolicyStatement[] {
  const objects = names.map((name) => data.secrets.arnForObjects(name));
  const make = allow(['s3:PutObject'], objects);
  make.addCondition('Null', { 's3:if-none-match': 'false' });
  return [
    allow(['s3:GetObject'], objects),
    make,
    allow(['s3:ListBucket'], [data.secrets.bucketArn]),
    allow(['kms:Decrypt', 'kms:GenerateDataKey'], [data.secretsKey.keyArn]),
  ];
}

/** Leases and what is kept beside them, by name: the name is the partition key. */
export function leases(data: DataStack, operator: string, names: readonly string[]): iam.PolicyStatement {
  const statement = table(data, 'leases', 'GetItem', 'UpdateItem');
  statement.addCondition(operator, { 'dynamodb:LeadingKeys': names });
  return statement;
}

/** Rows of some kinds only: the kind begins the partition key. */
export function rowsOfKinds(
  data: DataStack,
  kinds: readonly string[],
  ...actions: string[]
): iam.PolicyStatement {
  const statement = table(data, 'rows', ...actions);
  statement.addCondition('ForAllValues:StringLike', {
    'dynamodb:LeadingKeys': kinds.map((kind) => `${kind}#*`),
  });
  return statement;
}

/** Documents of some kinds only: the kind is the partition key. */
export function ofKinds(
  data: DataStack,
  kinds: readonly string[],
  ...actions: string[]
): iam.PolicyStatement {
  const statement = table(data, 'config', ...actions);
  statement.addCondition('ForAllValues:StringLike', { 'dynamodb:LeadingKeys': kinds });
  return statement;
}

/** Reads all of the configuration but what holds secrets. */
export function openConfig(data: DataStack, ...actions: string[]): iam.PolicyStatement {
  const statement = table(data, 'config', ...actions);
  statement.addCondition('ForAllValues:StringNotEquals', { 'dynamodb:LeadingKeys': SEALED_KINDS });
  return statement;
}
