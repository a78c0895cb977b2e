/** Sending authorisation policies of identities: who else may send with them, and who may not. */
import { noPolicy } from '../control/identity-policies.ts';
import { findIdentity } from './identities.ts';
import { type Call, operation } from './operation.ts';

export const createEmailIdentityPolicy = operation(
  'CreateEmailIdentityPolicy',
  'manage',
  ({ EmailIdentity, PolicyName, Policy }, call) =>
    putPolicy(EmailIdentity, { name: PolicyName, text: Policy, exists: false }, call),
);

export const updateEmailIdentityPolicy = operation(
  'UpdateEmailIdentityPolicy',
  'manage',
  ({ EmailIdentity, PolicyName, Policy }, call) =>
    putPolicy(EmailIdentity, { name: PolicyName, text: Policy, exists: true }, call),
);

/** @param policy `exists`: whether it must be there, or must not; absent: either. */
export async function putPolicy(
  identity: string,
  policy: { name: string; text: string; exists?: boolean },
  call: Call,
): Promise<Record<string, never>> {
  const { control, accountId } = call.deps;
  await control.identityPolicies.put(await findIdentity(identity, call), policy, accountId);
  return {};
}

export const deleteEmailIdentityPolicy = operation(
  'DeleteEmailIdentityPolicy',
  'manage',
  async ({ EmailIdentity, PolicyName }, call) => {
    const identity = await findIdentity(EmailIdentity, call);
    if (await call.deps.control.identityPolicies.remove(identity, PolicyName)) return {};
    throw noPolicy(PolicyName);
  },
);

export const getEmailIdentityPolicies = operation(
  'GetEmailIdentityPolicies',
  'use',
  async ({ EmailIdentity }, call) => ({
    Policies: await call.deps.control.identityPolicies.of(await findIdentity(EmailIdentity, call)),
  }),
);
