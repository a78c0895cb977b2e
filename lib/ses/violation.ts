/** A value that breaks a constraint which Amazon's service model does not have, in the words for those that it has. */
import { PosternError } from '../errors.ts';

/** @param at dotted path of the value. @param constraint what the value must do, as `have length less than …`. */
export function violation(at: string, constraint: string): PosternError {
  return new PosternError(
    'bad_request',
    `1 validation error detected: Value at '${at}' failed to satisfy constraint: Member must ${constraint}`,
  );
}

/** @throws PosternError `bad_request` for a number out of bounds. */
export function requireBetween(at: string, value: number, least: number, most: number): void {
  if (value < least) throw violation(at, `have value greater than or equal to ${least}`);
  if (value > most) throw violation(at, `have value less than or equal to ${most}`);
}
