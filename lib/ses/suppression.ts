/**
 * Suppression lists: without `TenantName` the one that applies to mail of the caller's tenant, which for keys of the
 * account is the account's. Every key of a tenant keeps the tenant's own list: it stops the tenant's own mail and no
 * other.
 */
import { findListed, listOf, pageOfList, putListed, removeListed } from '../contacts/suppression-list.ts';
import { ACCOUNT_TENANT, type Suppression } from '../engine/suppression.ts';
import { type Call, operation } from './operation.ts';
import { sizeOf } from './pages.ts';
import { findTenant, noTenant, suppressionAttributesOf } from './tenants.ts';

/** As SES gives without a `PageSize`, and at most. */
const PAGE = 1000;

export const putSuppressedDestination = operation(
  'PutSuppressedDestination',
  'use',
  async ({ EmailAddress, Reason, TenantName }, call) => {
    await putListed(call.deps, {
      tenant: await listNamed(TenantName, call),
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
    const entry = await findListed(call.deps, await listNamed(TenantName, call), EmailAddress);
    const { messageId, feedbackId } = entry;
    const Attributes = messageId === undefined ? undefined : { MessageId: messageId, FeedbackId: feedbackId };
    return { SuppressedDestination: { ...summary(entry), Attributes, TenantName } };
  },
);

export const deleteSuppressedDestination = operation(
  'DeleteSuppressedDestination',
  'use',
  async ({ EmailAddress, TenantName }, call) => {
    await removeListed(call.deps, await listNamed(TenantName, call), EmailAddress);
    return {};
  },
);

export const listSuppressedDestinations = operation(
  'ListSuppressedDestinations',
  'use',
  async ({ TenantName, Reasons, StartDate, EndDate, NextToken, PageSize }, call) => {
    const { entries, token } = await pageOfList(call.deps, {
      tenant: await listNamed(TenantName, call),
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

export const putTenantSuppressionAttributes = operation(
  'PutTenantSuppressionAttributes',
  'manage',
  async (input, call) => {
    const attributes = suppressionAttributesOf(input);
    const { name } = await findTenant(input.TenantName, call);
    await call.deps.control.account.setSuppressionAttributes(name, attributes);
    return {};
  },
);

/** The list that a call means. @throws PosternError `access_denied`, `not_found` for a tenant that does not exist. */
async function listNamed(tenant: string | undefined, { deps, caller }: Call): Promise<string> {
  const list = await listOf(deps, caller, tenant);
  if (tenant === undefined || tenant === ACCOUNT_TENANT || (await deps.control.tenants.find(tenant)))
    return list;
  throw noTenant(tenant);
}

function summary({ address, reason, at }: Suppression) {
  return { EmailAddress: address, Reason: reason, LastUpdateTime: new Date(at) };
}
