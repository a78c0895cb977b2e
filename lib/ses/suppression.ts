/**
 * Suppression lists: without `TenantName` the one that applies to mail of the caller's tenant, which for keys of the
 * account is the account's. Every key of a tenant keeps the tenant's own list: it stops the tenant's own mail and no
 * other.
 */
import { findListed, listOf, pageOfList, putListed, removeListed } from '../contacts/suppression-list.ts';
import type { Suppression } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { operation } from './operation.ts';
import { sizeOf } from './pages.ts';

/** As SES gives without a `PageSize`, and at most. */
const PAGE = 1000;

export const putSuppressedDestination = operation(
  'PutSuppressedDestination',
  'use',
  async ({ EmailAddress, Reason, TenantName }, call) => {
    await putListed(call.deps, {
      tenant: await listOf(call.deps, call.caller, TenantName),
      address: EmailAddress,
      reason: Reason,
      why: `Put there with the key ${call.caller.keyId}.`,
    });
    return {};
  },
);

export const getSuppressedDestination = operation(
  'GetSuppressedDestination',
  'use',
  async ({ EmailAddress, TenantName }, call) => {
    const entry = await findListed(call.deps, await listOf(call.deps, call.caller, TenantName), EmailAddress);
    const { messageId, feedbackId } = entry;
    const Attributes = messageId === undefined ? undefined : { MessageId: messageId, FeedbackId: feedbackId };
    return { SuppressedDestination: { ...summary(entry), Attributes, TenantName } };
  },
);

export const deleteSuppressedDestination = operation(
  'DeleteSuppressedDestination',
  'use',
  async ({ EmailAddress, TenantName }, call) => {
    await removeListed(call.deps, await listOf(call.deps, call.caller, TenantName), EmailAddress);
    return {};
  },
);

export const listSuppressedDestinations = operation(
  'ListSuppressedDestinations',
  'use',
  async ({ TenantName, Reasons, StartDate, EndDate, NextToken, PageSize }, call) => {
    const { entries, token } = await pageOfList(call.deps, {
      tenant: await listOf(call.deps, call.caller, TenantName),
      reasons: Reasons,
      from: StartDate?.getTime(),
      before: EndDate?.getTime(),
      max: sizeOf(PageSize, PAGE),
      // An empty token counts as absent, as in SES.
      token: NextToken || undefined,
    });
    return { SuppressedDestinationSummaries: entries.map(summary), NextToken: token };
  },
);

/**
 * Which list applies to a tenant's mail, and for which reasons. A tenant is a name here, so that one without mail yet has
 * attributes, too. As in SES both members come together; with neither, the tenant has no attributes of its own.
 */
export const putTenantSuppressionAttributes = operation(
  'PutTenantSuppressionAttributes',
  'manage',
  async ({ TenantName, SuppressionScope: scope, SuppressedReasons: reasons }, { deps }) => {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(TenantName)) throw bad('TenantName is not the name of a tenant.');
    if (reasons && new Set(reasons).size < reasons.length)
      throw bad('Each suppressed reason can only be specified at most once');
    if (reasons && !scope) {
      throw bad(
        reasons.length > 0
          ? 'SuppressedReasons cannot be specified without SuppressionScope.'
          : 'SuppressionScope is required when SuppressedReasons are provided. Valid values are: TENANT, ACCOUNT',
      );
    }
    if (scope && !reasons) throw bad('SuppressionScope cannot be specified without SuppressedReasons.');
    await deps.control.account.setSuppressionAttributes(TenantName, { scope, reasons });
    return {};
  },
);

function bad(message: string): PosternError {
  return new PosternError('bad_request', message);
}

function summary({ address, reason, at }: Suppression) {
  return { EmailAddress: address, Reason: reason, LastUpdateTime: new Date(at) };
}
