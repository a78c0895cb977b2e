/**
 * The addresses of cells: a row of a table for each, because a stack has 200 outputs at most, and the PTR records, all
 * by one custom resource of the cell (functions/addresses.ts).
 */
import { CustomResource, Duration, type Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledge.ts';
import type { DataStack } from './data.ts';
import { PosternFunction } from './function.ts';
import type { Stage, StageAddress } from './stage.ts';

/** Tells which addresses of the account are the stage's. */
export const STAGE_TAG = 'postern:stage';

/** The function that keeps the addresses of all cells of a stage. */
export function openRegistrar(stack: Stack, stage: Stage, data: DataStack): PosternFunction {
  const table = data.addresses!;
  const addresses = stack.formatArn({ service: 'ec2', resource: 'elastic-ip', resourceName: '*' });
  const registrar = new PosternFunction(stack, 'Registrar', {
    entry: 'addresses.ts',
    description: 'Postern: keeps the addresses and PTR records of cells',
    environment: { POSTERN_TABLE_ADDRESSES: table.tableName },
    permissions: [
      new iam.PolicyStatement({
        actions: ['dynamodb:PutItem', 'dynamodb:DeleteItem'],
        resources: [table.tableArn],
      }),
      new iam.PolicyStatement({
        actions: ['ec2:ModifyAddressAttribute', 'ec2:ResetAddressAttribute'],
        resources: [addresses],
        conditions: { StringEquals: { [`aws:ResourceTag/${STAGE_TAG}`]: stage.name } },
      }),
    ],
    stage,
    logKey: data.key,
    memoryMegabytes: 256,
    timeout: Duration.minutes(10),
  });
  acknowledgeWildcard(
    registrar.role,
    addresses,
    'The addresses of the stage, by their tag; they come and go with cells.',
  );
  return registrar;
}

/** Has the addresses of a cell kept. */
export function register(
  scope: Construct,
  registrar: PosternFunction,
  cell: string,
  addresses: ReadonlyMap<string, readonly StageAddress[]>,
): void {
  new CustomResource(scope, 'Addresses', {
    resourceType: 'Custom::Addresses',
    serviceToken: registrar.function.functionArn,
    serviceTimeout: Duration.minutes(15),
    properties: {
      Cell: cell,
      Addresses: [...addresses].flatMap(([node, own]) =>
        own.map(({ hostname, ip, allocationId, pools, ptr }) => ({
          hostname,
          ip,
          allocationId,
          node,
          pools: pools.join(' '),
          ptr: ptr ? 'yes' : 'no',
        })),
      ),
    },
  });
}
