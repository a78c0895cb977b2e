/** Recipients of a submission: parsed once, each once, within the limit. */
import { PosternError } from '../errors.ts';
import { parseAddress } from '../mail/address.ts';
import type { Address } from '../mail/types.ts';
import type { Submission } from './types.ts';

/**
 * The envelope recipients of a submission, in the order To, Cc, Bcc, without repeats.
 * @param fallback recipients of the message's own To, Cc and Bcc fields, for raw content without a destination.
 * @throws invalid_address, message_rejected (none), too_many_recipients (SES: 50 a message).
 */
export function recipientsOf(submission: Submission, limit: number, fallback: Address[]): Address[] {
  const given = submission.to.length + submission.cc.length + submission.bcc.length;
  if (given === 1) return [parseAddress(submission.to[0] ?? submission.cc[0] ?? submission.bcc[0]!)];
  const unique = new Map<string, Address>();
  if (given === 0) {
    for (const address of fallback) unique.set(address.address, address);
  } else {
    for (const list of [submission.to, submission.cc, submission.bcc]) {
      for (const text of list) {
        const address = parseAddress(text);
        unique.set(address.address, address);
      }
    }
  }
  if (unique.size === 0) {
    throw new PosternError(
      'message_rejected',
      'Missing destination: name at least one recipient in To, Cc or Bcc.',
    );
  }
  if (unique.size > limit || given > limit) {
    throw new PosternError(
      'too_many_recipients',
      `Recipient count exceeds ${limit}: the message names ${Math.max(unique.size, given)}. Split it.`,
    );
  }
  return [...unique.values()];
}
