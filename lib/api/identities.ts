/** What an identity needs in DNS, and whether it is there. Identities are made over the SES API. */
import type { Identity } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { type Call, type Handler, mayRead, requireAdmin } from './operation.ts';

export const identityDns: Handler = (call) => ({ status: 200, body: shown(identityOf(call)) });

export const checkIdentity: Handler = async (call) => {
  requireAdmin(call, 'have identities checked');
  const { name } = identityOf(call);
  return { status: 200, body: shown(await call.deps.control.identities.check(name)) };
};

/** @throws `not_found`, also for what is another tenant's: whether it exists is not the caller's business. */
function identityOf(call: Call): Identity {
  const name = call.params.name!;
  const identity = call.deps.control.identities.find(name);
  if (identity && mayRead(call, identity.tenant)) return identity;
  throw new PosternError('not_found', `There is no identity ${JSON.stringify(name.slice(0, 320))}.`);
}

function shown({ name, type, tenant, verified, dkim }: Identity) {
  return { name, type, tenant, verified, dkimStatus: dkim.status, records: dkim.records };
}
