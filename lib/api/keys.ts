/** Access keys: made, listed, revoked, by administrators. A secret is shown once, when its key is made. */
import { smtpPassword } from '../control/smtp-password.ts';
import type { AccessKey } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { type Handler, iso, requireAdmin } from './operation.ts';

/** `KeyRequest` of the document. */
interface KeyRequest {
  tenant?: string;
  admin?: boolean;
  name?: string;
}

export const createKey: Handler = async (call) => {
  requireAdmin(call, 'create keys');
  const { tenant = call.caller.tenant, admin = false, name } = call.body as KeyRequest;
  const key = await call.deps.control.keys.create({ tenant, admin, name });
  const password = smtpPassword(key.secret, call.deps.region);
  return {
    status: 201,
    body: { ...shown(key), secret: key.secret, bearer: `${key.id}.${key.secret}`, smtpPassword: password },
  };
};

export const listKeys: Handler = (call) => {
  requireAdmin(call, 'list keys');
  return { status: 200, body: { keys: call.deps.control.keys.list(call.query.tenant).map(shown) } };
};

export const revokeKey: Handler = async (call) => {
  requireAdmin(call, 'revoke keys');
  const id = call.params.id!;
  if (await call.deps.control.keys.revoke(id)) return { status: 204 };
  throw new PosternError('not_found', `There is no access key ${JSON.stringify(id.slice(0, 128))}.`);
};

function shown({ id, tenant, admin, name, createdAt }: AccessKey) {
  return { id, tenant, admin, name, createdAt: iso(createdAt) };
}
