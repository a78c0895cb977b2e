/** Errors in the words of SES v1: codes without "Exception", almost always with status 400. */
import type { ErrorCode, PosternError } from '../../errors.ts';
import type { ServiceModel } from '../model/form.ts';
import type { XmlError } from './xml.ts';

/** Codes that do not depend on the action, with their status. What is not here is `InvalidParameterValue`. */
const CODES: Partial<Record<ErrorCode, readonly [code: string, status: number]>> = {
  unknown_operation: ['InvalidAction', 400],
  unsupported_operation: ['UnsupportedOperation', 400],
  malformed_request: ['MalformedInput', 400],
  missing_authentication: ['MissingAuthenticationToken', 403],
  incomplete_signature: ['IncompleteSignature', 403],
  unknown_key: ['InvalidClientTokenId', 403],
  invalid_signature: ['SignatureDoesNotMatch', 403],
  clock_skew: ['SignatureDoesNotMatch', 403],
  access_denied: ['AccessDenied', 403],
  throttled: ['Throttling', 400],
  quota_exceeded: ['Throttling', 400],
  limit_exceeded: ['LimitExceeded', 400],
  too_large: ['RequestEntityTooLarge', 413],
  request_timeout: ['RequestTimeout', 408],
  config_conflict: ['ConcurrentModification', 409],
  message_rejected: ['MessageRejected', 400],
  refused_by_policy: ['MessageRejected', 400],
  identity_not_verified: ['MessageRejected', 400],
  configuration_set_missing: ['ConfigurationSetDoesNotExist', 400],
  template_missing: ['TemplateDoesNotExist', 400],
  rendering_failed: ['MissingRenderingAttribute', 400],
  invalid_policy: ['InvalidPolicy', 400],
  invalid_template: ['InvalidTemplate', 400],
  template_too_complex: ['InvalidTemplate', 400],
};

/** How the modelled errors of an action are called for what several actions have in common. */
const MODELLED: Partial<Record<ErrorCode, RegExp>> = {
  already_exists: /AlreadyExists/,
  not_found: /^(?!ConfigurationSetDoesNotExist).*DoesNotExist/,
  sender_not_verified: /^FromEmailAddressNotVerified/,
  identity_not_verified: /^FromEmailAddressNotVerified/,
  invalid_template: /InvalidContent/,
};

export interface V1Error extends XmlError {
  status: number;
}

/** @param paused whether all sending of the account is paused. */
export function v1Error(
  error: PosternError,
  model: ServiceModel,
  action: string | undefined,
  paused: boolean,
): V1Error {
  const [code, status] = codeOf(error, model, action, paused);
  return { type: status < 500 ? 'Sender' : 'Receiver', code, status, message: error.message };
}

function codeOf(
  error: PosternError,
  model: ServiceModel,
  action: string | undefined,
  paused: boolean,
): readonly [code: string, status: number] {
  const { code, entry } = error;
  if (entry.http >= 500) return [entry.http === 503 ? 'ServiceUnavailable' : 'InternalFailure', entry.http];
  if (code === 'tenant_paused') return ['AccountSendingPausedException', 400];
  if (code === 'sending_paused')
    return [paused ? 'AccountSendingPausedException' : 'ConfigurationSetSendingPausedException', 400];
  const wanted = MODELLED[code];
  const known = wanted && model.operations[action ?? '']?.errors.find((name) => wanted.test(name));
  if (known) return [model.errors[known]!.code ?? known, model.errors[known]!.status];
  return CODES[code] ?? [validation(error) ? 'ValidationError' : 'InvalidParameterValue', 400];
}

/** Whether the model refused the input. */
function validation({ code, message }: PosternError): boolean {
  return code === 'bad_request' && /^\d+ validation errors? detected: /.test(message);
}
