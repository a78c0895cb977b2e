/** The error of a write on behalf of a lease that another owner has taken. */
import { PosternError } from '../errors.ts';
import type { LeaseHolder } from './ports.ts';

export function leaseLost(checkpoint: string, { lease, owner }: LeaseHolder): PosternError {
  return new PosternError(
    'lease_lost',
    `${owner} has not got ${lease} any more; ${checkpoint} is as it was.`,
  );
}
