/** Identities: which there are, the DNS records that each needs, and whether they are published. */
import * as z from 'zod/mini';
import { requireUnassociated } from '../control/tenant-resources.ts';
import type { Identity } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { type ApiCall, iso, label, mayRead, operation, query, requireAdmin } from './operation.ts';
import { sizeOf, tenantOf } from './query.ts';
import { about, flag, name, named, text, time } from './schema.ts';

const PAGE = 100;
const MAX_PAGE = 1000;

const dkimStatus = z.enum(['PENDING', 'SUCCESS', 'FAILED', 'TEMPORARY_FAILURE', 'NOT_STARTED']);

const IdentityDns = named(
  'IdentityDns',
  z.strictObject({
    name: text(),
    type: z.enum(['DOMAIN', 'EMAIL_ADDRESS']),
    tenant: text(),
    verified: flag('It may send.'),
    dkimStatus,
    mailFrom: z.optional(
      z.strictObject({
        domain: text('Domain of return paths.'),
        status: z.enum(['PENDING', 'SUCCESS', 'FAILED', 'TEMPORARY_FAILURE']),
      }),
    ),
    records: z
      .array(z.strictObject({ name: text(), type: z.enum(['TXT', 'CNAME', 'MX']), value: text() }))
      .check(
        about('To be published. A zone file needs values longer than 255 characters in several strings.'),
      ),
  }),
);

const IdentityRequest = named(
  'IdentityRequest',
  z.strictObject({
    name: text('Domain or address.', z.minLength(1), z.maxLength(320)),
    tenant: z.optional(name("Tenant that it belongs to; else the caller's.")),
    configurationSet: z.optional(name('Configuration set of mail that names none; a set of that tenant.')),
  }),
);

const Identities = named(
  'Identities',
  z.strictObject({
    identities: z
      .array(
        z.strictObject({
          name: text(),
          type: z.enum(['DOMAIN', 'EMAIL_ADDRESS']),
          tenant: text(),
          verified: flag('It may send.'),
          dkimStatus,
          createdAt: time('When it was made.'),
        }),
      )
      .check(about('In the order of names.')),
    next: z.optional(text('`after` of the next page; absent on the last one.')),
  }),
);

const identityName = label('name', 'Domain or address.');
const example = {
  name: 'example.com',
  type: 'DOMAIN',
  tenant: 'default',
  verified: false,
  dkimStatus: 'PENDING',
  records: [{ name: 'token._domainkey.example.com', type: 'TXT', value: 'v=DKIM1; k=rsa; p=MIIB…' }],
};

const listIdentities = operation({
  method: 'get',
  path: '/identities',
  operationId: 'listIdentities',
  summary: 'Domains and addresses that mail may be sent as',
  parameters: [
    query('tenant', "Of this tenant; absent: the key's own, and for an administrator's key all."),
    query('max', `Maximum identities returned: 1 to ${MAX_PAGE}, else ${PAGE}.`),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'A page of identities.',
    schema: Identities,
    example: {
      identities: [
        {
          name: 'example.com',
          type: 'DOMAIN',
          tenant: 'default',
          verified: true,
          dkimStatus: 'SUCCESS',
          createdAt: '2026-01-01T00:00:00.000Z',
        },
      ],
    },
  },
  async handle(call) {
    const max = sizeOf(call.query.max, PAGE, MAX_PAGE);
    const { identities } = call.deps.control;
    const page = { after: call.query.after, max: max + 1 };
    const found = await identities.list(tenantOf(call, 'identities'), page);
    const listed = found.slice(0, max);
    return {
      body: {
        identities: listed.map(({ name, type, tenant, verified, dkim, createdAt }) => ({
          name,
          type,
          tenant,
          verified,
          dkimStatus: dkim.status,
          createdAt: iso(createdAt),
        })),
        next: found.length > max ? listed.at(-1)!.name : undefined,
      },
    };
  },
});

const createIdentity = operation({
  method: 'post',
  path: '/identities',
  operationId: 'createIdentity',
  summary: "Create an identity of a tenant (administrator's key)",
  description: 'Its DNS records are in the answer; it may send once they are found.',
  request: {
    schema: IdentityRequest,
    required: true,
    examples: { domain: { name: 'example.com', tenant: 'shop' } },
  },
  answer: {
    status: 201,
    description: 'The identity and the records to publish.',
    schema: IdentityDns,
    example: { ...example, tenant: 'shop' },
  },
  async handle(call) {
    requireAdmin(call, 'create identities');
    const { name, tenant = call.caller.tenant, configurationSet } = call.body;
    const { identities, configurationSets } = call.deps.control;
    if (configurationSet !== undefined && !(await configurationSets.find(configurationSet, tenant))) {
      throw new PosternError(
        'configuration_set_missing',
        `/configurationSet: tenant ${tenant} has no configuration set ${configurationSet}.`,
      );
    }
    return { body: shown(await identities.create({ name, tenant, configurationSet }), call) };
  },
});

const identityDns = operation({
  method: 'get',
  path: '/identities/{name}/dns',
  operationId: 'identityDns',
  summary: 'The DNS records that an identity needs',
  parameters: [identityName],
  answer: {
    status: 200,
    description: 'The records, and whether they were found when last looked for.',
    schema: IdentityDns,
    example,
  },
  handle: async (call) => ({ body: shown(await identityOf(call), call) }),
});

const checkIdentity = operation({
  method: 'post',
  path: '/identities/{name}/check',
  operationId: 'checkIdentity',
  summary: "Look the DNS records of an identity up now (administrator's key)",
  parameters: [identityName],
  answer: {
    status: 200,
    description: 'What was found.',
    schema: IdentityDns,
    example: { ...example, verified: true, dkimStatus: 'SUCCESS' },
  },
  async handle(call) {
    requireAdmin(call, 'have identities checked');
    const { name } = await identityOf(call);
    return { body: shown(await call.deps.control.identities.check(name), call) };
  },
});

const newSigningKey = operation({
  method: 'post',
  path: '/identities/{name}/signing-key',
  operationId: 'newSigningKey',
  summary: "Replace the signing key of a domain before its time (administrator's key)",
  description:
    'The present key signs until the new one is found in DNS. With a zone for DKIM keys the records stay as they are, and the ' +
    'new key signs when DNS has shown it for a week; without one the answer has another record to publish. A key that was ' +
    'brought is replaced by one that is made here.',
  parameters: [identityName],
  answer: {
    status: 200,
    description: 'The identity, and the records to publish.',
    schema: IdentityDns,
    example,
  },
  async handle(call) {
    requireAdmin(call, 'replace signing keys');
    const { name } = await identityOf(call);
    return { body: shown(await call.deps.control.identities.setSigning(name, { anew: true }), call) };
  },
});

const deleteIdentity = operation({
  method: 'delete',
  path: '/identities/{name}',
  operationId: 'deleteIdentity',
  summary: "Delete an identity, with its signing keys (administrator's key)",
  description:
    'Nothing more is accepted as it. What was accepted before is signed, and travels. Refused while tenants are associated with it.',
  parameters: [identityName],
  answer: { status: 204, description: 'It is gone.' },
  async handle(call) {
    requireAdmin(call, 'delete identities');
    const { name, tenant } = await identityOf(call);
    const { identities, eventDestinations, tenants } = call.deps.control;
    await requireUnassociated(tenants.resources, { kind: 'identity', name, owner: tenant }, name);
    await identities.delete(name);
    // Another identity of that name, of whichever tenant, begins without topics.
    for (const { id, notifications } of await eventDestinations.of(tenant, undefined))
      if (notifications?.identity === name) await eventDestinations.delete(id);
    return {};
  },
});

export const IDENTITIES = [
  listIdentities,
  createIdentity,
  identityDns,
  checkIdentity,
  newSigningKey,
  deleteIdentity,
];

/** @throws `not_found`, also for another tenant's identity: its existence is not the caller's to learn. */
export async function identityOf(call: ApiCall): Promise<Identity> {
  const name = call.params.name!;
  const identity = await call.deps.control.identities.find(name);
  if (identity && mayRead(call, identity.tenant)) return identity;
  throw new PosternError('not_found', `There is no identity ${JSON.stringify(name.slice(0, 320))}.`);
}

function shown(identity: Identity, { deps }: ApiCall): z.infer<typeof IdentityDns> {
  const { name, type, tenant, verified, dkim, mailFromDomain, mailFrom } = identity;
  return {
    name,
    type,
    tenant,
    verified,
    dkimStatus: dkim.status,
    ...(mailFromDomain && { mailFrom: { domain: mailFromDomain, status: mailFrom?.status ?? 'PENDING' } }),
    records: deps.control.identities.records(identity),
  };
}
