/** Access keys: created, listed and revoked by administrators. A secret is shown once, when its key is created. */
import * as z from 'zod/mini';
import { isUnrestricted, KEY_SCOPES, type KeyRestrictions } from '../control/key-scope.ts';
import { smtpPassword } from '../control/smtp-password.ts';
import type { AccessKey } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { HOUR } from '../time.ts';
import { type ApiCall, iso, label, operation, query, requireAdmin } from './operation.ts';
import { sizeOf } from './query.ts';
import { about, flag, integer, name, named, text, time } from './schema.ts';
import { SendingLimitsSchema } from './sending-limits.ts';

const MAX_PAGE = 1000;

const restrictions = {
  scopes: z.optional(
    z
      .array(z.enum(KEY_SCOPES))
      .check(
        z.maxLength(3),
        about('What it may do: send mail, read what is stored, manage (change) it; absent: all.'),
      ),
  ),
  identities: z.optional(
    z
      .array(text('', z.maxLength(320)))
      .check(z.maxLength(50), about('Domains and addresses that it may send as; absent: all of its tenant.')),
  ),
  networks: z.optional(
    z
      .array(text('', z.maxLength(64)))
      .check(z.maxLength(50), about('Where it may be used from, as 192.0.2.0/24; absent: everywhere.')),
  ),
  expiresAt: z.optional(time('It is no key from here on; absent: it stays.')),
};
const limits = z.optional(SendingLimitsSchema);

const key = {
  id: text('Access key id: also the SMTP user name.'),
  tenant: text(),
  admin: flag('May manage keys, identities and tenants.'),
  name: z.optional(text()),
  createdAt: time('When it was made.'),
  lastUsedAt: z.optional(
    time('When it was last used, to the hour; absent: not in the last 400 days, as far as is known.'),
  ),
  ...restrictions,
  limits,
  successor: z.optional(text('The key that replaced it; absent: it was not rotated.')),
};

const KeyRequest = named(
  'KeyRequest',
  z.strictObject({
    tenant: z.optional(name("The tenant it belongs to; else the caller's.")),
    admin: z.optional(
      flag('Whether it may manage keys, identities and tenants; else it may send, and read its own.'),
    ),
    name: z.optional(text('For people.', z.maxLength(256))),
    ...restrictions,
    limits,
  }),
);
const KeyChange = named(
  'KeyChange',
  z.strictObject({
    name: z.optional(text('For people.', z.maxLength(256))),
    restrictions: z.optional(
      z.strictObject(restrictions).check(about('Replaced as a whole; `{}` removes them.')),
    ),
    limits,
  }),
);
const KeyRotation = named(
  'KeyRotation',
  z.strictObject({
    hours: z.optional(integer('How long the old key goes on working; absent: 24.').check(z.maximum(720))),
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
  lastUsedAt: '2026-03-01T14:30:00.000Z',
};

const { lastUsedAt: _, ...fresh } = example;
const newExample = {
  ...fresh,
  secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  bearer: `${example.id}.wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`,
  smtpPassword: 'BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9',
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
    const uses = (await call.deps.control.keyUse?.last(listed)) ?? [];
    return {
      body: {
        keys: listed.map((one, at) => shown(one, uses[at])),
        next: found.length > listed.length ? listed.at(-1)!.id : undefined,
      },
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
    if (found) return { body: await shownWithUse(found, deps) };
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
    example: newExample,
  },
  async handle(call) {
    requireAdmin(call, 'create keys');
    const { tenant = call.caller.tenant, admin = false, name: label, limits: given, ...rest } = call.body;
    const made = await call.deps.control.keys.create({
      tenant,
      admin,
      name: label,
      limits: given,
      restrictions: restrictionsOf(rest),
    });
    return { body: withSecret(made, call) };
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
    await requireAnother(call, id);
    if (await call.deps.control.keys.revoke(id)) return {};
    throw noKey(id);
  },
});

const changeKey = operation({
  method: 'put',
  path: '/keys/{id}',
  operationId: 'changeKey',
  summary: "Restrict, limit or rename an access key (administrator's key)",
  description: 'Members that are not given stay. In force everywhere within about a second.',
  parameters: [label('id', 'Access key id.')],
  request: {
    schema: KeyChange,
    required: true,
    examples: { restrict: { restrictions: { scopes: ['send'], networks: ['192.0.2.0/24'] } } },
  },
  answer: { status: 200, description: 'The key.', schema: OwnKey, example },
  async handle(call) {
    requireAdmin(call, 'change keys');
    const { name: title, limits: given, restrictions: wanted } = call.body;
    const id = call.params.id!;
    const changed = wanted && restrictionsOf(wanted);
    if (changed && !isUnrestricted(changed)) await requireAnother(call, id);
    const stored = await call.deps.control.keys.update(id, {
      name: title,
      limits: given,
      restrictions: changed,
    });
    return { body: await shownWithUse(stored, call.deps) };
  },
});

const rotateKey = operation({
  method: 'post',
  path: '/keys/{id}/rotate',
  operationId: 'rotateKey',
  summary: "Replace an access key by a new one with the same rights (administrator's key)",
  description:
    'Both work until the old one expires. While its successor exists it is not rotated again: 409.',
  parameters: [label('id', 'Access key id.')],
  request: { schema: KeyRotation, required: false, examples: { day: { hours: 24 } } },
  answer: {
    status: 201,
    description: 'The new key, its secret shown this once.',
    schema: NewKey,
    example: newExample,
  },
  async handle(call) {
    requireAdmin(call, 'replace keys');
    const { hours = 24 } = call.body;
    const made = await call.deps.control.keys.rotate(call.params.id!, hours * HOUR);
    return { body: withSecret(made, call) };
  },
});

export const KEYS = [listKeys, getOwnKey, createKey, changeKey, rotateKey, revokeKey];

/** @throws PosternError `bad_request` where no other administrator's key would be left that nothing restricts. */
async function requireAnother({ deps }: ApiCall, id: string): Promise<void> {
  const administrators = await deps.control.keys.administrators();
  if (administrators.length !== 1 || administrators[0] !== id) return;
  throw new PosternError(
    'bad_request',
    `The key ${id} is the last administrator's key without restrictions: create another one first.`,
  );
}

function noKey(id: string): PosternError {
  return new PosternError('not_found', `There is no access key ${JSON.stringify(id.slice(0, 128))}.`);
}

function restrictionsOf({
  expiresAt,
  ...given
}: Omit<KeyRestrictions, 'expiresAt'> & { expiresAt?: string }): KeyRestrictions {
  return { ...given, expiresAt: expiresAt === undefined ? undefined : Date.parse(expiresAt) };
}

function withSecret(made: AccessKey, { deps }: ApiCall): z.infer<typeof NewKey> {
  const { id, secret } = made;
  const bearer = `${id}.${secret}`;
  return { ...shown(made), secret, bearer, smtpPassword: smtpPassword(secret, deps.region) };
}

async function shownWithUse(found: AccessKey, { control }: ApiCall['deps']): Promise<z.infer<typeof OwnKey>> {
  const [lastUse] = (await control.keyUse?.last([found])) ?? [];
  return shown(found, lastUse);
}

function shown(found: AccessKey, lastUse?: number): z.infer<typeof OwnKey> {
  const {
    id,
    tenant,
    admin,
    name: title,
    createdAt,
    scopes,
    identities,
    networks,
    expiresAt,
    limits: given,
    replaced,
  } = found;
  return {
    id,
    tenant,
    admin,
    name: title,
    createdAt: iso(createdAt),
    lastUsedAt: iso(lastUse),
    scopes: scopes && [...scopes],
    identities: identities && [...identities],
    networks: networks && [...networks],
    expiresAt: iso(expiresAt),
    limits: given,
    successor: replaced?.by,
  };
}
