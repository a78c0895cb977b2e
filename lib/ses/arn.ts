/** Amazon Resource Names of what SES calls resources. */
import { PosternError } from '../errors.ts';
import type { Call } from './operation.ts';

/** `arn:PARTITION:ses:REGION:ACCOUNT:KIND/NAME`. Tools that were told to skip the account leave it empty. */
const ARN = /^arn:aws[a-z-]*:ses:[a-z0-9-]{0,32}:(\d{12})?:([a-z-]{1,48})\/(.{1,400})$/s;

export interface ResourceName {
  /** As `identity` or `configuration-set`. */
  kind: string;
  name: string;
}

/**
 * The resource that an ARN names. Its region is not looked at, because a caller may call this service in any.
 * @throws PosternError `bad_request` for what is no ARN of SES, `not_found` for one of another account.
 */
export function resourceOf(arn: string, { deps }: Call): ResourceName {
  const [, account, kind, name] = ARN.exec(arn) ?? [];
  if (kind === undefined || name === undefined)
    throw new PosternError(
      'bad_request',
      `${shown(arn)} is not the ARN of a resource: write arn:aws:ses:REGION:${deps.accountId}:KIND/NAME.`,
    );
  if (account !== undefined && account !== deps.accountId)
    throw new PosternError('not_found', `${shown(arn)} is of another account than ${deps.accountId}.`);
  return { kind, name };
}

function shown(arn: string): string {
  return JSON.stringify(arn.length > 200 ? `${arn.slice(0, 200)}…` : arn);
}
