/**
 * Suppression lists: without `TenantName` the one that applies to mail of the caller's tenant, which for keys of the
 * account is the account's. Every key of a tenant keeps the tenant's own list: it stops the tenant's own mail and no
 * other.
 */
import { findListed, listOf, pageOfList, putListed, removeListed } from '../contacts/suppression-list.ts';
import type { Suppression } from '../engine/suppression.ts';
import { operation, seconds } from './operation.ts';
import { pageToken, suppressionReason } from './shapes.ts';
import { integer, queryList, queryTime, required, structure, text } from './validation.ts';

/** As SES gives without a `PageSize`, and at most. */
const PAGE = 1000;

const members = {
  EmailAddress: required(text({ min: 1, max: 320 })),
  TenantName: text({ min: 1, max: 64, pattern: /^[A-Za-z0-9_-]+$/ }),
};

export const put = operation({
  access: 'use',
  input: structure({ ...members, Reason: required(suppressionReason) }),
  async handle({ EmailAddress, Reason, TenantName }, call) {
    await putListed(call.deps, {
      tenant: listOf(call.deps, call.caller, TenantName),
      address: EmailAddress,
      reason: Reason,
      why: `Put there with the key ${call.caller.keyId}.`,
    });
    return {};
  },
});

export const get = operation({
  access: 'use',
  input: structure(members),
  async handle({ EmailAddress, TenantName }, call) {
    const entry = await findListed(call.deps, listOf(call.deps, call.caller, TenantName), EmailAddress);
    const { messageId, feedbackId } = entry;
    const Attributes = messageId === undefined ? undefined : { MessageId: messageId, FeedbackId: feedbackId };
    return { SuppressedDestination: { ...summary(entry), Attributes, TenantName } };
  },
});

export const remove = operation({
  access: 'use',
  input: structure(members),
  async handle({ EmailAddress, TenantName }, call) {
    await removeListed(call.deps, listOf(call.deps, call.caller, TenantName), EmailAddress);
    return {};
  },
});

export const list = operation({
  access: 'use',
  input: structure({
    TenantName: members.TenantName,
    Reason: queryList(suppressionReason),
    StartDate: queryTime,
    EndDate: queryTime,
    NextToken: pageToken,
    PageSize: integer(0, PAGE),
  }),
  async handle({ TenantName, Reason, StartDate, EndDate, NextToken, PageSize }, call) {
    const { entries, token } = await pageOfList(call.deps, {
      tenant: listOf(call.deps, call.caller, TenantName),
      reasons: Reason,
      from: StartDate,
      before: EndDate,
      max: PageSize || PAGE,
      token: NextToken,
    });
    return { SuppressedDestinationSummaries: entries.map(summary), NextToken: token };
  },
});

function summary({ address, reason, at }: Suppression) {
  return { EmailAddress: address, Reason: reason, LastUpdateTime: seconds(at) };
}
