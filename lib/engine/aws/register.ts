/**
 * The register of addresses of cells: a row for each in a table, and the PTR record at EC2. Only deployments use it. The
 * client of EC2 is the one that the Lambda runtime brings: it is 20 MB, for two calls.
 */
import { DeleteItemCommand, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { PosternError } from '../../errors.ts';
import { requireVariable } from './environment.ts';
import { PARTITION_KEY, SORT_KEY } from './schema.ts';

/** CloudFormation hands every value over as text. */
export interface AddressRow {
  hostname: string;
  ip: string;
  allocationId: string;
  node: string;
  /** Separated by blanks. */
  pools: string;
  ptr: 'yes' | 'no';
}

export interface Register {
  put(cell: string, row: AddressRow): Promise<void>;
  remove(cell: string, row: AddressRow): Promise<void>;
  /** @throws PosternError `bad_request` when EC2 refuses it, as while the A record does not lead to the address. */
  setPtr(row: AddressRow): Promise<void>;
  resetPtr(row: AddressRow): Promise<void>;
}

/** The two calls of EC2's client. */
interface Ec2 {
  modifyAddressAttribute(input: { AllocationId: string; DomainName: string }): Promise<unknown>;
  resetAddressAttribute(input: { AllocationId: string; Attribute: 'domain-name' }): Promise<unknown>;
}

/** @param openEc2 opens the client of EC2. @param dynamo client of the table. */
export function openRegister(
  environment: NodeJS.ProcessEnv,
  openEc2: () => Promise<Ec2> = runtimeEc2,
  dynamo = new DynamoDBClient({}),
): Register {
  const TableName = requireVariable(environment, 'POSTERN_TABLE_ADDRESSES');
  const keyOf = (cell: string, { hostname }: AddressRow) => ({
    [PARTITION_KEY]: { S: cell },
    [SORT_KEY]: { S: hostname },
  });
  let ec2: Promise<Ec2> | undefined;
  return {
    async put(cell, row) {
      const { hostname: _, ...rest } = row;
      const values = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, { S: value }]));
      await dynamo.send(new PutItemCommand({ TableName, Item: { ...keyOf(cell, row), ...values } }));
    },
    async remove(cell, row) {
      await dynamo.send(new DeleteItemCommand({ TableName, Key: keyOf(cell, row) }));
    },
    async setPtr({ allocationId, hostname, ip }) {
      ec2 ??= openEc2();
      try {
        await (await ec2).modifyAddressAttribute({ AllocationId: allocationId, DomainName: hostname });
      } catch (cause) {
        throw new PosternError(
          'bad_request',
          `The PTR record of ${ip} cannot be ${hostname}: ${(cause as Error).message} Publish "${hostname}. A ${ip}", wait until it resolves, and deploy again; or set ptr: false.`,
          { cause },
        );
      }
    },
    async resetPtr({ allocationId }) {
      ec2 ??= openEc2();
      await (await ec2).resetAddressAttribute({ AllocationId: allocationId, Attribute: 'domain-name' });
    },
  };
}

async function runtimeEc2(): Promise<Ec2> {
  const name = '@aws-sdk/client-ec2';
  const { EC2 } = (await import(name)) as { EC2: new (options: object) => Ec2 };
  return new EC2({});
}
