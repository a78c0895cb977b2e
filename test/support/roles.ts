/**
 * IAM's check of a role's requests, done in the middleware of the SDK, since emulators have none: each must be
 * allowed by the table of permissions (`permissions.ts`, which the stacks must equal), its conditions included.
 */
import assert from 'node:assert/strict';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { ClientOptions } from '../../lib/engine/aws/clients.ts';
import { type AwsResources, RESULTS_PREFIX, type TableName } from '../../lib/engine/aws/schema.ts';
import { LANES, PERMISSIONS } from './permissions.ts';

type Input = Record<string, unknown>;

/** One action on one resource, with the context of its conditions. */
interface Demand {
  action: string;
  resource: string;
  keys: Record<string, readonly string[] | undefined>;
}

/** The client, under a role: a request that the role may not make is answered with `AccessDeniedException`. */
export function inRole(role: string, resources: AwsResources, client: ClientOptions): ClientOptions {
  const granted = PERMISSIONS[role];
  assert.ok(granted, `there is no role ${role}`);
  // The lanes of a test stand for the lanes that the role may read.
  const own = Object.keys(granted).find((name) => name.startsWith(LANES.slice(0, -1)) && name !== LANES);
  return {
    ...client,
    instrument(one) {
      client.instrument?.(one);
      (one as SQSClient).middlewareStack.add(
        (next, context) => async (args) => {
          const command = (context.commandName ?? '').replace(/Command$/, '');
          for (const demand of demandsOf(command, args.input as unknown as Input, resources)) {
            const resources = demand.resource === LANES && own ? [LANES, own] : [demand.resource];
            const may = resources.some((one) =>
              Object.entries(granted).some(([on, actions]) =>
                allows(on, actions, { ...demand, resource: one }),
              ),
            );
            if (may) continue;
            const { action, resource, keys } = demand;
            const message = `${role} may not ${action} on ${resource} with ${JSON.stringify(keys)}`;
            throw Object.assign(new Error(message), { name: 'AccessDeniedException' });
          }
          return next(args);
        },
        { step: 'initialize', name: 'role', priority: 'low' },
      );
    },
  };
}

/** @param on a resource, with its condition: `ConfigTable if ForAllValues:StringEquals dynamodb:LeadingKeys a,b; …`. */
function allows(on: string, actions: string, { action, resource, keys }: Demand): boolean {
  const [name, conditions] = on.split(' if ');
  if (name !== resource || !actions.split(' ').includes(action)) return false;
  return (conditions?.split('; ') ?? []).every((condition) => {
    const [operator, key, list] = condition.split(' ') as [string, string, string];
    const asked = keys[key];
    const known = list.split(',');
    // A condition for all values holds when there is none (IAM user guide, "Multivalued context keys").
    if (operator === 'ForAllValues:StringEquals') {
      // The addresses of a test stand for those of the node.
      const own = known.some((one) => one.startsWith('egress-ip:Address')) ? 'egress-ip:' : undefined;
      return (asked ?? []).every(
        (value) => known.includes(value) || (own !== undefined && value.startsWith(own)),
      );
    }
    if (operator === 'ForAllValues:StringNotEquals') {
      return (asked ?? []).every((value) => !known.includes(value));
    }
    const isLike = (value: string): boolean => known.some((one) => value.startsWith(one.replace(/\*$/, '')));
    if (operator === 'ForAllValues:StringNotLike') return (asked ?? []).every((value) => !isLike(value));
    if (operator === 'ForAllValues:StringLike') return (asked ?? []).every(isLike);
    assert.equal(operator, 'StringEquals', `${operator} is not known here`);
    return asked?.every((value) => known.includes(value)) === true;
  });
}

/** Rights of the requests of an upload in parts (S3 user guide, "Multipart upload API and permissions"). */
const S3_ACTIONS: Readonly<Record<string, string>> = {
  CreateMultipartUpload: 'PutObject',
  UploadPart: 'PutObject',
  CompleteMultipartUpload: 'PutObject',
};

function demandsOf(command: string, input: Input, resources: AwsResources): Demand[] {
  if (typeof input.QueueUrl === 'string') {
    const queue = input.QueueUrl.slice(resources.queueUrlPrefix.length);
    const resource = queue.startsWith('lane-') ? LANES : `Queue${queue.replaceAll(/\W/g, '')}`;
    // Batches need the right of their single action.
    return [{ action: `sqs:${command.replace(/Batch$/, '')}`, resource, keys: {} }];
  }
  if (typeof input.Bucket === 'string') {
    const action = `s3:${S3_ACTIONS[command] ?? command}`;
    if (input.Bucket === resources.filesBucket)
      // The bucket of a test stands for the one that the stage of the tests names.
      return [{ action, resource: 'arn:aws:s3:::operator-files/*', keys: {} }];
    assert.equal(input.Bucket, resources.bucket);
    const isResult = String(input.Key).startsWith(RESULTS_PREFIX);
    return [{ action, resource: isResult ? 'Bodies/results/*' : 'Bodies/*', keys: {} }];
  }
  const items = input.TransactItems as Record<string, Input>[] | undefined;
  if (items) {
    // A transaction needs the rights of its parts (DynamoDB developer guide, "IAM for transactions").
    return items.flatMap((item) =>
      Object.entries(item).map(([kind, of]) =>
        onTable(kind === 'ConditionCheck' ? 'ConditionCheckItem' : `${kind}Item`, of, resources),
      ),
    );
  }
  const batches = input.RequestItems as Record<string, Input> | undefined;
  if (batches) {
    return Object.entries(batches).map(([table, of]) =>
      onTable(command, { TableName: table, ...leadingOf(of) }, resources),
    );
  }
  return [onTable(command, input, resources)];
}

function leadingOf(batch: Input | Input[]): Input {
  const list = Array.isArray(batch) ? batch : (batch.Keys as Input[]);
  return { all: list.map((one) => one.PutRequest ?? one.DeleteRequest ?? { Key: one }) };
}

function onTable(command: string, input: Input, { tables }: AwsResources): Demand {
  const name = (Object.keys(tables) as TableName[]).find((one) => tables[one] === input.TableName);
  assert.ok(name, `${String(input.TableName)} is no table of the engine`);
  const parts = (input.all ?? [input]) as {
    Key?: Input;
    Item?: Input;
    ExpressionAttributeValues?: Input;
  }[];
  const leading = parts.flatMap(({ Key, Item, ExpressionAttributeValues: values }) => {
    const pk = (Key ?? Item ?? { pk: values?.[':pk'] }).pk as { S: string } | undefined;
    return pk ? [pk.S] : [];
  });
  const projection = input.ProjectionExpression as string | undefined;
  const index = input.IndexName === undefined ? '' : `/index/${input.IndexName as string}`;
  return {
    action: `dynamodb:${command}`,
    resource: `${name[0]!.toUpperCase()}${name.slice(1)}Table${index}`,
    keys: {
      // A scan has no keys to be known by.
      'dynamodb:LeadingKeys': command === 'Scan' ? undefined : leading,
      'dynamodb:Attributes': projection?.split(/\s*,\s*/),
      'dynamodb:Select': input.Select === undefined ? undefined : [input.Select as string],
    },
  };
}
