/** Access keys: created, listed and revoked by administrators. A secret is shown once, when its key is created. */
import * as z from 'zod/mini';
import { smtpPassword } from '../control/smtp-password.ts';
import type { AccessKey } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { iso, label, operation, query, requireAdmin } from './operation.ts';
import { sizeOf } from './query.ts';
import { flag, name, named, text, time } from './schema.ts';

const MAX_PAGE = 1000;

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
const OwnKey = named('OwnKey', z.strictObject(key));
const Keys = named(
  'Keys',
  z.strictObject({
    keys: z.array(z.strictObject(key)),
    next: z.optional(text('`after` of the next page, where `max` was given; absent on the last one.')),
  }),
);

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
  parameters: [
    query('tenant', 'Only of this tenant.'),
    query('max', `Maximum keys returned: 1 to ${MAX_PAGE}; absent: all.`),
    query('after', '`next` of the page before.'),
  ],
  answer: { status: 200, description: 'Keys without secrets.', schema: Keys, example: { keys: [example] } },
  async handle(call) {
    requireAdmin(call, 'list keys');
    const { tenant, max: given, after } = call.query;
    const max = given === undefined ? undefined : sizeOf(given, MAX_PAGE, MAX_PAGE);
    const page = { after, max: max && max + 1 };
    const found = await call.deps.control.keys.list(tenant, page);
    const listed = found.slice(0, max);
    return {
      body: { keys: listed.map(shown), next: found.length > listed.length ? listed.at(-1)!.id : undefined },
    };
  },
});

const getOwnKey = operation({
  method: 'get',
  path: '/keys/self',
  operationId: 'getOwnKey',
  summary: 'The access key of the caller: its tenant and its rights',
  answer: { status: 200, description: 'Without its secret.', schema: OwnKey, example },
  async handle({ caller, deps }) {
    const found = await deps.control.keys.find(caller.keyId);
    if (found) return { body: shown(found) };
    throw new PosternError('unknown_key', `The key ${caller.keyId} was revoked.`);
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

export const KEYS = [listKeys, getOwnKey, createKey, revokeKey];

function shown({ id, tenant, admin, name, createdAt }: AccessKey) {
  return { id, tenant, admin, name, createdAt: iso(createdAt) };
}
