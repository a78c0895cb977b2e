/**
 * The table of request errors. Every failure that a caller of an API or an SMTP client sees has a stable code here:
 * its HTTP status, its SMTP reply, its name in the SES v2 API, whether a repeat can succeed, which side is at fault
 * and what to do. `lib/outcome/reasons.ts` has the reasons of deliveries. `npm run errors` writes both tables to
 * `errors.md`.
 */

export interface ErrorEntry {
  /** HTTP status of the API. */
  http: number;
  /** SMTP reply code and enhanced code (RFC 3463) of the submission listener. */
  smtp: number;
  enhanced: string;
  /** Name in the SES v2 API (`x-amzn-ErrorType`). */
  ses: string;
  /** Whether a repeat of the same request may succeed. */
  temporary: boolean;
  fault: 'caller' | 'operator' | 'postern';
  /** What the operator or caller does about it, one sentence. */
  action: string;
}

type Fault = ErrorEntry['fault'];

function entry(
  http: number,
  smtp: number,
  enhanced: string,
  ses: string,
  fault: Fault,
  action: string,
): ErrorEntry {
  return { http, smtp, enhanced, ses, temporary: smtp < 500, fault, action };
}

const BAD = 'BadRequestException';

export const ERRORS = {
  // Requests
  bad_request: entry(400, 554, '5.6.0', BAD, 'caller', 'Correct the request as the message says.'),
  malformed_request: entry(
    400,
    554,
    '5.6.0',
    'SerializationException',
    'caller',
    'Send a JSON object in UTF-8 whose members have the types of the API.',
  ),
  unsupported_operation: entry(
    400,
    502,
    '5.5.1',
    BAD,
    'caller',
    'Use another operation; this one is not offered.',
  ),
  unknown_operation: entry(
    404,
    502,
    '5.5.1',
    'UnknownOperationException',
    'caller',
    'Check the path and the method.',
  ),
  invalid_page_token: entry(
    400,
    554,
    '5.6.0',
    'InvalidNextTokenException',
    'caller',
    'Begin again, without a token.',
  ),
  not_found: entry(404, 550, '5.0.0', 'NotFoundException', 'caller', 'Check the name; list what exists.'),
  already_exists: entry(
    400,
    550,
    '5.0.0',
    'AlreadyExistsException',
    'caller',
    'Use another name, or update the one that exists.',
  ),
  config_conflict: entry(
    409,
    451,
    '4.3.0',
    'ConcurrentModificationException',
    'caller',
    'Read it again and repeat the change.',
  ),
  idempotency_conflict: entry(
    409,
    554,
    '5.5.0',
    BAD,
    'caller',
    'Use a new idempotency key for a different request.',
  ),
  key_replaced: entry(
    409,
    554,
    '5.7.0',
    'ConflictException',
    'caller',
    'Use its successor; where the secret of that is lost, revoke the successor and rotate again.',
  ),
  limit_exceeded: entry(
    400,
    452,
    '4.3.1',
    'LimitExceededException',
    'caller',
    'Delete what is unused, or ask for a higher limit.',
  ),
  too_large: entry(
    413,
    552,
    '5.3.4',
    'RequestEntityTooLargeException',
    'caller',
    'Make the message smaller, or send links instead of attachments.',
  ),
  request_timeout: entry(408, 421, '4.4.2', 'RequestTimeout', 'caller', 'Send the body faster.'),
  // Authentication
  missing_authentication: entry(
    403,
    530,
    '5.7.0',
    'MissingAuthenticationTokenException',
    'caller',
    'Sign the request, or log in, with a Postern key.',
  ),
  incomplete_signature: entry(
    403,
    535,
    '5.7.8',
    'IncompleteSignature',
    'caller',
    'Send a complete AWS Signature Version 4 Authorization header.',
  ),
  unknown_key: entry(
    403,
    535,
    '5.7.8',
    'UnrecognizedClientException',
    'caller',
    'Check the access key id; it may have been revoked.',
  ),
  invalid_signature: entry(
    403,
    535,
    '5.7.8',
    'InvalidSignatureException',
    'caller',
    'Check the secret key, and that no proxy rewrites the request.',
  ),
  clock_skew: entry(
    403,
    535,
    '5.7.8',
    'InvalidSignatureException',
    'caller',
    "Set the caller's clock; it differs by more than five minutes.",
  ),
  access_denied: entry(
    403,
    550,
    '5.7.1',
    'AccessDeniedException',
    'caller',
    'Use a key with the needed scope.',
  ),
  throttled: entry(429, 454, '4.7.0', 'TooManyRequestsException', 'caller', 'Slow down and try again.'),
  quota_exceeded: entry(
    400,
    454,
    '4.7.0',
    'LimitExceededException',
    'caller',
    'Wait until less was sent in the last 24 hours, or ask for a higher limit.',
  ),
  // What may be sent
  message_rejected: entry(
    400,
    554,
    '5.6.0',
    'MessageRejected',
    'caller',
    'Correct the message as the text says.',
  ),
  refused_by_policy: entry(
    400,
    550,
    '5.7.1',
    'MessageRejected',
    'operator',
    'The policy of this installation refuses it; change what its text names, or ask its operator.',
  ),
  bulk_refused: entry(
    400,
    550,
    '5.7.1',
    'MessageRejected',
    'caller',
    'Mend what its text names, or ask the operator to only warn (the document config/bulk).',
  ),
  identity_not_verified: entry(
    400,
    554,
    '5.7.1',
    'MessageRejected',
    'caller',
    'Verify the identity of the From address first.',
  ),
  sender_not_verified: entry(
    404,
    554,
    '5.7.1',
    'NotFoundException',
    'caller',
    'Verify the address that the template sends from first.',
  ),
  sending_paused: entry(
    400,
    454,
    '4.7.0',
    'SendingPausedException',
    'operator',
    'Resume sending for the account or the configuration set.',
  ),
  tenant_paused: entry(
    400,
    454,
    '4.7.0',
    'SendingPausedException',
    'operator',
    'Resume the tenant, once the cause is gone.',
  ),
  mail_from_not_verified: entry(
    400,
    554,
    '5.7.1',
    'MailFromDomainNotVerifiedException',
    'caller',
    'Publish the MX and SPF records of the MAIL FROM domain, or choose USE_DEFAULT_VALUE.',
  ),
  configuration_set_missing: entry(
    404,
    554,
    '5.5.4',
    'NotFoundException',
    'caller',
    'Create the configuration set, or leave it out.',
  ),
  pool_missing: entry(400, 554, '5.5.4', BAD, 'caller', 'Name a pool of this service, or none.'),
  template_missing: entry(404, 554, '5.5.4', 'NotFoundException', 'caller', 'Create the template first.'),
  invalid_policy: entry(400, 554, '5.6.0', BAD, 'caller', 'Correct the policy where the message says.'),
  invalid_template: entry(400, 554, '5.6.0', BAD, 'caller', 'Correct the template as the message says.'),
  rendering_failed: entry(400, 554, '5.6.0', BAD, 'caller', 'Give every variable of the template a value.'),
  template_too_complex: entry(400, 554, '5.6.0', BAD, 'caller', 'Make the template or its data smaller.'),
  invalid_address: entry(400, 501, '5.1.3', BAD, 'caller', 'Correct the address.'),
  invalid_header: entry(
    400,
    554,
    '5.6.0',
    BAD,
    'caller',
    'Remove line breaks and control characters from header names and values.',
  ),
  too_many_recipients: entry(400, 452, '4.5.3', BAD, 'caller', 'Split the recipients over several messages.'),
  line_break_refused: entry(
    400,
    554,
    '5.6.0',
    BAD,
    'caller',
    'End every line with CRLF and send no bare CR, LF or NUL.',
  ),
  dns_failure: entry(
    500,
    451,
    '4.4.3',
    'InternalServiceErrorException',
    'operator',
    'Look at the resolver; callers may simply try again.',
  ),
  // Storage
  storage_unavailable: entry(
    503,
    451,
    '4.3.0',
    'InternalServiceErrorException',
    'operator',
    'Look at the storage; callers may simply try again.',
  ),
  lease_lost: entry(
    503,
    451,
    '4.3.0',
    'InternalServiceErrorException',
    'postern',
    'Nothing: the node that holds the lease now goes on with it.',
  ),
  storage_full: entry(
    503,
    452,
    '4.3.1',
    'InternalServiceErrorException',
    'operator',
    'Free disk space; new mail is refused until then.',
  ),
  storage_locked: entry(
    503,
    451,
    '4.3.0',
    'InternalServiceErrorException',
    'operator',
    'Stop the other process that uses this data directory.',
  ),
  storage_damaged: entry(
    500,
    451,
    '4.3.0',
    'InternalServiceErrorException',
    'operator',
    'Stop, keep a copy of the data directory, and restore the damaged file.',
  ),
  storage_too_new: entry(
    500,
    451,
    '4.3.5',
    'InternalServiceErrorException',
    'operator',
    'Run the version of Postern that wrote this data directory, or a newer one.',
  ),
  storage_refused: entry(
    500,
    554,
    '5.3.0',
    'InternalServiceErrorException',
    'postern',
    'Report it with what the log has of it: the storage will never take this.',
  ),
  shutting_down: entry(503, 421, '4.3.2', 'InternalServiceErrorException', 'operator', 'Try again shortly.'),
  internal: entry(
    500,
    451,
    '4.3.0',
    'InternalServiceErrorException',
    'postern',
    'Report it with the request id.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** A failure with a code of the table. `message` states the fault, its place, and what to do next. */
export class PosternError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PosternError';
    this.code = code;
  }

  get entry(): ErrorEntry {
    return ERRORS[this.code];
  }
}

/** The error as a `PosternError`; anything unforeseen becomes `internal`, with its cause kept. */
export function asPosternError(error: unknown): PosternError {
  if (error instanceof PosternError) return error;
  return new PosternError('internal', 'Something went wrong on our side.', { cause: error });
}
