/**
 * Checks header fields that a caller adds to a composed message against SES's limits (MessageHeader of the SES v2
 * API) and SES's list of fields that may appear only once. An accepted field is printable ASCII, so it cannot inject
 * a header, and fits on one line as given (name, `: ` and value are at most 998 octets).
 */
import { PosternError } from '../errors.ts';
import { FEEDBACK_FIELDS } from './message-reference.ts';
import type { HeaderField } from './types.ts';

const MAX_HEADERS = 15;
const MAX_NAME = 126;
const MAX_VALUE = 995;
const MAX_FIELD = 996;
const NAME = /^[!-9;-@A-~]+$/;
const VALUE = /^[ -~]*$/;

/** Made by Postern from the request, or by the servers on the way; a caller cannot set them here. */
const RESERVED = new Set(
  (
    'from to cc bcc reply-to subject return-path mime-version content-type content-transfer-encoding ' +
    'content-disposition content-id content-length content-description dkim-signature domainkey-signature ' +
    'received delivered-to resent-from resent-sender resent-to resent-cc resent-bcc resent-date ' +
    'resent-message-id authentication-results arc-seal arc-message-signature arc-authentication-results'
  ).split(' '),
);

/** SES accepts these fields and overwrites them with its own values; so does Postern. */
const OVERWRITTEN = new Set(['date', 'message-id', ...FEEDBACK_FIELDS]);

/** Fields that a caller may set once (SES developer guide, "Amazon SES header fields"). */
const ONCE = new Set(
  (
    'accept-language acceptlanguage archived-at auto-submitted bounces-to comments content-alternative ' +
    'content-base content-class content-duration content-language content-location content-md5 ' +
    'disposition-notification-options disposition-notification-to errors-to importance in-reply-to keywords ' +
    'list-archive list-help list-id list-owner list-post list-subscribe list-unsubscribe ' +
    'list-unsubscribe-post message-context organization original-from original-message-id ' +
    'original-recipient original-subject precedence priority references return-receipt-to sender ' +
    'solicitation sensitivity thread-index thread-topic user-agent vbr-info'
  ).split(' '),
);

/**
 * Fields that a raw message may have once: those of RFC 5322 §3.6 and of SES's list. Comments and Keywords may repeat
 * (RFC 5322), as may trace and signature fields.
 */
export const SINGLE_FIELDS: ReadonlySet<string> = new Set(
  [
    ...ONCE,
    ...(
      'date from reply-to to cc bcc message-id subject return-path mime-version content-type ' +
      'content-transfer-encoding content-disposition content-id content-description'
    ).split(' '),
  ].filter((name) => name !== 'comments' && name !== 'keywords'),
);

/**
 * The caller's headers as fields, in order, without those that Postern overwrites (Date, Message-ID, Feedback-ID).
 * @throws PosternError `bad_request` (more than 15), `invalid_header` (name, value, reserved or repeated)
 */
export function callerFields(headers: readonly { name: string; value: string }[]): HeaderField[] {
  if (headers.length > MAX_HEADERS) {
    throw new PosternError(
      'bad_request',
      "1 validation error detected: Value at 'headers' failed to satisfy constraint: " +
        `Member must have length less than or equal to ${MAX_HEADERS}`,
    );
  }
  const fields: HeaderField[] = [];
  const seen = new Set<string>();
  for (const { name, value } of headers) {
    checkSyntax(name, value);
    const key = name.toLowerCase();
    if (RESERVED.has(key)) {
      throw refused(`Header '${name}' cannot be set by the caller; use the member of the request for it.`);
    }
    if (key.startsWith('x-ses-')) {
      throw refused(
        `Header '${name}' is only for raw messages and SMTP; use ConfigurationSetName, EmailTags, TenantName ` +
          'or ListManagementOptions of the request.',
      );
    }
    if (OVERWRITTEN.has(key)) continue;
    if (ONCE.has(key)) {
      if (seen.has(key)) throw refused(`Duplicate header '${name}'.`);
      seen.add(key);
    }
    fields.push({ name: key, raw: `${name}: ${value}` });
  }
  return fields;
}

function checkSyntax(name: string, value: string): void {
  if (name.length < 1 || name.length > MAX_NAME) {
    throw refused(`A header name has ${name.length} characters; it must have 1 to ${MAX_NAME}.`);
  }
  if (!NAME.test(name)) {
    throw refused(`Header name ${JSON.stringify(name)} must be printable ASCII without a colon or a space.`);
  }
  if (value.length < 1 || value.length > MAX_VALUE) {
    throw refused(
      `The value of header '${name}' has ${value.length} characters; it must have 1 to ${MAX_VALUE}.`,
    );
  }
  if (!VALUE.test(value)) {
    throw refused(
      `The value of header '${name}' must be printable ASCII without line breaks; encode other text by RFC 2047.`,
    );
  }
  if (name.length + value.length > MAX_FIELD) {
    throw refused(
      `Header '${name}' has ${name.length + value.length} characters in name and value; at most ${MAX_FIELD}.`,
    );
  }
}

function refused(message: string): PosternError {
  return new PosternError('invalid_header', message);
}
