/**
 * The fields and the link by which the reader of a message unsubscribes (RFC 2369, RFC 8058). All recipients of a
 * message get the same bytes, so a message with a link has one recipient.
 */
import { PosternError } from '../errors.ts';
import { type HeaderField, UNSUBSCRIBE_URL } from '../mail/types.ts';
import type { UnsubscribeAddresses } from '../mail/unsubscribe-address.ts';
import type { UnsubscribeLinks, Unsubscription } from '../tracking/unsubscribe-links.ts';

/** What a reader leaves: a list of this service, a topic of it, or, with neither, a list that the sender keeps. */
export interface UnsubscribeOptions {
  contactList?: string;
  topic?: string;
}

export interface UnsubscribeDeps {
  links: UnsubscribeLinks;
  addresses: UnsubscribeAddresses;
}

/** Fields that take the place of a sender's own. */
export const UNSUBSCRIBE_FIELDS: ReadonlySet<string> = new Set(['list-unsubscribe', 'list-unsubscribe-post']);

/**
 * Where the links of a message lead: the domain of its configuration set, else this service's own. A message of a
 * contact list with several recipients has none, as with SES: who left the list gets nothing all the same.
 * @throws `bad_request` when there is neither, or a message without a list has several recipients.
 */
export function unsubscribeBase(
  options: UnsubscribeOptions | undefined,
  domain: string | undefined,
  url: string | undefined,
  recipients: number,
): string | undefined {
  if (options === undefined || (options.contactList !== undefined && recipients > 1)) return undefined;
  if (recipients !== 1) {
    throw new PosternError(
      'bad_request',
      `A message by which its reader can unsubscribe has one recipient, not ${recipients}: its link is for one reader. Send one message to each.`,
    );
  }
  if (domain !== undefined) return `https://${domain}`;
  if (url !== undefined) return url;
  throw new PosternError(
    'bad_request',
    'There is no address for unsubscribe links: this service has no tracking URL. Set one (POSTERN_TRACKING_URL, or `tracking` of the stage), or give the configuration set a CustomRedirectDomain.',
  );
}

/** The link of a message, for its header and its text. @param base of `unsubscribeBase`. */
export function unsubscribeUrl(
  links: UnsubscribeLinks,
  base: string,
  unsubscription: Unsubscription,
): string {
  return base + links.make(new URL(base).hostname, unsubscription);
}

/** Puts the link where the text has SES's placeholder. @returns undefined when it has none. */
export function fillUnsubscribeUrl(text: string, url: string): string | undefined {
  return text.includes(UNSUBSCRIBE_URL) ? text.replaceAll(UNSUBSCRIBE_URL, url) : undefined;
}

/** The fields; a DKIM signature covers both, as RFC 8058 §4 requires. @param mailbox where mail unsubscribes. */
export function unsubscribeFields(url: string, mailbox: string): HeaderField[] {
  return [
    {
      name: 'list-unsubscribe',
      raw: `List-Unsubscribe: <${url}>,\r\n <mailto:${mailbox}?subject=unsubscribe>`,
    },
    { name: 'list-unsubscribe-post', raw: 'List-Unsubscribe-Post: List-Unsubscribe=One-Click' },
  ];
}
