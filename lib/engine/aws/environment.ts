/** The resources as environment variables: written by the stacks, read by functions and egress nodes. */
import { PosternError } from '../../errors.ts';
import { type AwsResources, TABLES, type TableName } from './schema.ts';

const BUCKET = 'POSTERN_BUCKET';
/** Start of every queue's URL. */
export const QUEUES = 'POSTERN_QUEUE_URL_PREFIX';
const FILES_BUCKET = 'POSTERN_FILES_BUCKET';
const CLAIM = 'POSTERN_CLAIM_BEFORE_SEND';
const SEARCH = 'POSTERN_SEARCH_INDEX';
const tableVariable = (table: TableName): string => `POSTERN_TABLE_${table.toUpperCase()}`;

/** The variables that locate the resources. */
export function resourcesToEnvironment(resources: AwsResources): Record<string, string> {
  return {
    ...Object.fromEntries(TABLES.map((table) => [tableVariable(table), resources.tables[table]])),
    [BUCKET]: resources.bucket,
    ...(resources.filesBucket !== undefined && { [FILES_BUCKET]: resources.filesBucket }),
    [QUEUES]: resources.queueUrlPrefix,
    [CLAIM]: resources.claimBeforeSend ? 'on' : 'off',
    [SEARCH]: resources.searchIndex ? 'on' : 'off',
  };
}

/** @throws PosternError `bad_request` that names the missing or wrong variable. */
export function resourcesFromEnvironment(environment: NodeJS.ProcessEnv): AwsResources {
  return {
    tables: Object.fromEntries(
      TABLES.map((table) => [table, requireVariable(environment, tableVariable(table))]),
    ) as Record<TableName, string>,
    bucket: requireVariable(environment, BUCKET),
    ...(environment[FILES_BUCKET] && { filesBucket: environment[FILES_BUCKET] }),
    queueUrlPrefix: requireVariable(environment, QUEUES),
    claimBeforeSend: isOn(environment, CLAIM),
    searchIndex: isOn(environment, SEARCH),
  };
}

/** The value of a variable. @throws PosternError `bad_request` when it is missing. */
export function requireVariable(environment: NodeJS.ProcessEnv, name: string): string {
  const value = environment[name];
  if (value) return value;
  throw new PosternError('bad_request', `The environment variable ${name} is not set; the stacks set it.`);
}

function isOn(environment: NodeJS.ProcessEnv, name: string): boolean {
  const value = requireVariable(environment, name);
  if (value === 'on' || value === 'off') return value === 'on';
  throw new PosternError('bad_request', `The environment variable ${name} is "${value}"; it is on or off.`);
}
