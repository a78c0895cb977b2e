/** What messages are searched by, the same in every engine. */
import { PosternError } from '../errors.ts';
import type { MessageRecord } from './items.ts';
import { keyHash } from './key-hash.ts';

/** Messages that agree in every given member, newest first. Addresses are compared without regard to case. */
export interface MessageSearch {
  tenant: string;
  recipient?: string;
  /** Address of the header From. */
  sender?: string;
  campaign?: string;
  /** Accepted at this time or later, ms. */
  from?: number;
  /** Accepted before this time, ms. */
  before?: number;
  /** `next` of an earlier page. */
  after?: string;
  max: number;
}

export interface MessageSearchPage {
  messages: MessageRecord[];
  /** Of each message, `after` of what follows it. */
  cursors: string[];
  /**
   * Where to go on; absent: there are no more. A page may hold few messages, or none, though there are more: a call looks
   * at a bounded number.
   */
  next?: string;
}

/** The members of a search that an index knows. */
type Indexed = Pick<MessageSearch, 'tenant' | 'recipient' | 'sender' | 'campaign'>;

/** Hashes that a message must have to be found. */
export function wantedHashes({ tenant, recipient, sender, campaign }: Indexed): number[] {
  const hashes: number[] = [];
  if (recipient !== undefined) hashes.push(recipientHash(tenant, recipient));
  if (sender !== undefined) hashes.push(keyHash(tenant, `s ${sender.toLowerCase()}`));
  if (campaign !== undefined) hashes.push(keyHash(tenant, `c ${campaign}`));
  return hashes;
}

/** Hashes by which a message is found. */
export function messageHashes({ tenant, recipients, source, campaign }: MessageRecord): number[] {
  const hashes = recipients.map((recipient) => recipientHash(tenant, recipient));
  hashes.push(keyHash(tenant, `s ${senderIn(source)}`));
  if (campaign !== undefined) hashes.push(keyHash(tenant, `c ${campaign}`));
  return hashes;
}

export function recipientHash(tenant: string, recipient: string): number {
  return keyHash(tenant, `r ${recipient.toLowerCase()}`);
}

/** Whether a message is one that is searched for. */
export function isSearched(record: MessageRecord, search: MessageSearch): boolean {
  const { tenant, recipient, sender, campaign, from = 0, before = Number.POSITIVE_INFINITY } = search;
  if (record.tenant !== tenant || record.acceptedAt < from || record.acceptedAt >= before) return false;
  if (campaign !== undefined && record.campaign !== campaign) return false;
  if (sender !== undefined && senderIn(record.source) !== sender.toLowerCase()) return false;
  if (recipient === undefined) return true;
  const wanted = recipient.toLowerCase();
  return record.recipients.some((one) => one.toLowerCase() === wanted);
}

/** The address in a header From, in lower case: of `Ann <ann@example.com>` the part in brackets. */
export function senderIn(source: string): string {
  const end = source.lastIndexOf('>');
  const start = source.lastIndexOf('<', end);
  return (start < 0 || end < 0 ? source : source.slice(start + 1, end)).trim().toLowerCase();
}

/** @throws PosternError `invalid_page_token` */
export function badSearchToken(): PosternError {
  return new PosternError(
    'invalid_page_token',
    'The cursor of the search is none that an answer had. Begin without one.',
  );
}
