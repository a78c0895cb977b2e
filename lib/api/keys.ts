/** Access keys: created, listed and revoked by administrators. A secret is shown once, when its key is created. */
import * as z from 'zod/mini';
import { smtpPassword } from '../control/smtp-password.ts';
import type { AccessKey } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { iso, label, operation, query, requireAdmin } from './operation.ts';
import { flag, name, named, text, time } from './schema.ts';

const key = {
  id: text('Access key id: also the SMTP user name.'),
  tenant: text(),
  admin: flag('May manage keys, identities and tenants.'),
  name: z.optional(text()),
  createdAt: time('When it was made.'),
};

const KeyRequest = named(
  'KeyRequest',
  z.strictObject({
    tenant: z.optional(name("The tenant it belongs to; else the caller's.")),
    admin: z.optional(
      flag('Whether it may manage keys, identities and tenants; else it may send, and read its own.'),
    ),
    name: z.optional(text('For people.', z.maxLength(256))),
  }),
);
const NewKey = named(
  'NewKey',
  z.strictObject({
    ...key,
    secret: text('Secret access key. Shown this once.'),
    bearer: text('What follows `Authorization: Bearer`.'),
    smtpPassword: text('SMTP password, derived as Amazon SES derives it.'),
  }),
);
const Keys = named('Keys', z.strictObject({ keys: z.array(z.strictObject(key)) }));

const example = {
  id: 'AKIAEXAMPLEEXAMPLE22',
  tenant: 'default',
  admin: false,
  name: 'shop',
  createdAt: '2026-01-01T00:00:00.000Z',
};

const listKeys = operation({
  method: 'get',
  path: '/keys',
  operationId: 'listKeys',
  summary: "List access keys (administrator's key)",
  parameters: [query('tenant', 'Only of this tenant.')],
  answer: { status: 200, description: 'Keys without secrets.', schema: Keys, example: { keys: [example] } },
  async handle(call) {
    requireAdmin(call, 'list keys');
    const keys = await call.deps.control.keys.list(call.query.tenant);
    return { body: { keys: keys.map(shown) } };
  },
});

const createKey = operation({
  method: 'post',
  path: '/keys',
  operationId: 'createKey',
  summary: "Create an access key (administrator's key)",
  description: 'One key serves this API, the SES APIs and SMTP.',
  request: {
    schema: KeyRequest,
    required: false,
    examples: { shop: { tenant: 'default', name: 'shop' } },
  },
  answer: {
    status: 201,
    description: 'The key, its secret shown this once.',
    schema: NewKey,
    example: {
      ...example,
      secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      bearer: `${example.id}.wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`,
      smtpPassword: 'BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9',
    },
  },
  async handle(call) {
    requireAdmin(call, 'create keys');
    const { tenant = call.caller.tenant, admin = false, name: label } = call.body;
    const made = await call.deps.control.keys.create({ tenant, admin, name: label });
    const { id, secret } = made;
    return {
      body: {
        ...shown(made),
        secret,
        bearer: `${id}.${secret}`,
        smtpPassword: smtpPassword(secret, call.deps.region),
      },
    };
  },
});

const revokeKey = operation({
  method: 'delete',
  path: '/keys/{id}',
  operationId: 'revokeKey',
  summary: "Revoke an access key (administrator's key)",
  parameters: [label('id', 'Access key id.')],
  answer: { status: 204, description: 'Revoked, everywhere within about a second.' },
  async handle(call) {
    requireAdmin(call, 'revoke keys');
    const id = call.params.id!;
    const administrators = await call.deps.control.keys.administrators();
    if (administrators.length === 1 && administrators[0] === id) {
      throw new PosternError(
        'bad_request',
        `The key ${id} is the last administrator's key: create another one first.`,
      );
    }
    if (await call.deps.control.keys.revoke(id)) return {};
    throw new PosternError('not_found', `There is no access key ${JSON.stringify(id.slice(0, 128))}.`);
  },
});

export const KEYS = [listKeys, createKey, revokeKey];

function shown({ id, tenant, admin, name, createdAt }: AccessKey) {
  return { id, tenant, admin, name, createdAt: iso(createdAt) };
}
