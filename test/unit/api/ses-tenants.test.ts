/** Tenants of SES v2 with Amazon's SDK: made, tagged, associated, judged and deleted. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as sdk from '@aws-sdk/client-sesv2';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import { systemClock } from '../../../lib/time.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

let server: SesServer;
let admin: sdk.SESv2Client;
let user: sdk.SESv2Client;
before(async () => {
  server = await startSesServer({ suppressions: openMemory({ clock: systemClock }).suppressions });
  admin = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
});
after(() => server.close());

const ARN = 'arn:aws:ses:us-east-1:123456789012';
const identityArn = `${ARN}:identity/example.com`;

async function failureOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'none',
    (error: Error) => `${error.name}: ${error.message}`,
  );
}

const create = (TenantName: string, more = {}) =>
  admin.send(new sdk.CreateTenantCommand({ TenantName, ...more }));
const get = async (TenantName: string, client = admin) =>
  (await client.send(new sdk.GetTenantCommand({ TenantName }))).Tenant!;
const associate = (TenantName: string, ResourceArn: string) =>
  admin.send(new sdk.CreateTenantResourceAssociationCommand({ TenantName, ResourceArn }));
const resourcesOf = async (TenantName: string, more: Partial<sdk.ListTenantResourcesCommandInput> = {}) =>
  admin.send(new sdk.ListTenantResourcesCommand({ TenantName, ...more }));

describe('a tenant', () => {
  test('is made with its tags and attributes, shown, and made once', async () => {
    const Tags = [{ Key: 'team', Value: 'a' }];
    const SuppressionAttributes = { SuppressionScope: 'TENANT', SuppressedReasons: ['BOUNCE'] } as const;
    const made = await create('acme', { Tags, SuppressionAttributes });
    assert.match(made.TenantId!, /^tn-[0-9a-f]{30}$/);
    assert.equal(made.TenantArn, `${ARN}:tenant/acme/${made.TenantId}`);
    assert.deepEqual([made.SendingStatus, made.Tags], ['ENABLED', Tags]);
    const shown = await get('acme');
    assert.deepEqual(
      [shown.TenantArn, shown.Tags, shown.SuppressionAttributes],
      [made.TenantArn, Tags, SuppressionAttributes],
    );
    assert.equal(
      await failureOf(create('acme')),
      'AlreadyExistsException: Tenant with name acme already exists in account 123456789012',
    );
  });

  test('has a name in the bounds of SES', async () => {
    for (const [name, message] of [
      [' ', 'TenantName cannot be empty'],
      ['x'.repeat(65), 'TenantName cannot exceed 64 characters.'],
      ['a b', "Invalid tenant name <a b>: only alphanumeric ASCII characters, '_', and '-' are allowed."],
    ] as const)
      assert.equal(await failureOf(create(name)), `BadRequestException: ${message}`);
    await create('x'.repeat(64));
    const half = { SuppressionAttributes: { SuppressionScope: 'TENANT' } };
    assert.match(await failureOf(create('half', half)), /SuppressionScope cannot be specified without/);
    assert.match(await failureOf(get('half')), /^NotFoundException/, 'nothing was made');
  });

  test('is listed by name and status, without the account itself; its key sees it alone', async () => {
    const list = async (input: sdk.ListTenantsCommandInput = {}, client = admin) =>
      (await client.send(new sdk.ListTenantsCommand(input))).Tenants!.map(({ TenantName }) => TenantName);
    const all = ['acme', 'tenant-2', 'x'.repeat(64)];
    assert.deepEqual(await list(), all);
    assert.deepEqual(await list({ Filter: { TENANT_NAME_CONTAINS: 'cm' } }), ['acme']);
    assert.deepEqual(await list({ Filter: { SENDING_STATUS: 'DISABLED' } }), []);
    assert.deepEqual(await list({}, user), ['tenant-2']);
    assert.equal((await get('tenant-2', user)).TenantName, 'tenant-2');
    for (const [name, client] of [
      ['acme', user],
      ['default', admin],
    ] as const)
      assert.equal(
        await failureOf(get(name, client)),
        `NotFoundException: The requested tenant <${name}> does not exist.`,
      );
    assert.match(await failureOf(create('default')), /^AlreadyExistsException/);
    const page = await admin.send(new sdk.ListTenantsCommand({ PageSize: 1 }));
    const next = await admin.send(new sdk.ListTenantsCommand({ PageSize: 2, NextToken: page.NextToken }));
    assert.deepEqual(
      next.Tenants!.map(({ TenantName }) => TenantName),
      all.slice(1),
    );
  });

  test('is tagged by its ARN', async () => {
    const { TenantArn: ResourceArn, TenantId } = await get('acme');
    await admin.send(new sdk.TagResourceCommand({ ResourceArn, Tags: [{ Key: 'size', Value: 'l' }] }));
    await admin.send(new sdk.UntagResourceCommand({ ResourceArn, TagKeys: ['team'] }));
    const { Tags } = await admin.send(new sdk.ListTagsForResourceCommand({ ResourceArn }));
    assert.deepEqual(Tags, [{ Key: 'size', Value: 'l' }]);
    const other = ResourceArn!.replace(TenantId!, 'tn-0');
    assert.equal(
      await failureOf(admin.send(new sdk.ListTagsForResourceCommand({ ResourceArn: other }))),
      'NotFoundException: No Tenant present with name: acme with tenantId: tn-0',
    );
  });
});

describe('resources', () => {
  before(async () => {
    await admin.send(new sdk.CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
    await admin.send(new sdk.CreateConfigurationSetCommand({ ConfigurationSetName: 'set' }));
    await admin.send(
      new sdk.CreateEmailTemplateCommand({
        TemplateName: 'hello',
        TemplateContent: { Subject: 'Hi', Text: 'Hi' },
      }),
    );
    await server.control.identities.create({ name: 'acme.example', tenant: 'acme' });
  });

  test('are associated once, by an ARN of this account and region', async () => {
    await associate('acme', identityArn);
    await associate('acme', `${ARN}:configuration-set/set`);
    await associate('acme', `${ARN}:template/hello`);
    assert.equal(
      await failureOf(associate('acme', identityArn)),
      `AlreadyExistsException: Resources ${identityArn} has already been associated with tenant acme`,
    );
    for (const [arn, message] of [
      ['identity/example.com', 'Provided resource identifier is not an SES resource'],
      ['arn:aws:sqs:us-east-1:123456789012:q', 'Provided ARN is not in SES resource ARN format'],
      [`${ARN}:contact-list/x`, 'Unsupported resource type: contact-list'],
      [`${ARN}:identity/`, 'Provided resource identifier is not an SES resource'],
      [
        'arn:aws:ses:eu-west-1:123456789012:identity/example.com',
        'Resource <arn:aws:ses:eu-west-1:123456789012:identity/example.com> must be in the same region',
      ],
      [
        'arn:aws:ses:us-east-1:999999999999:identity/example.com',
        'Resource <arn:aws:ses:us-east-1:999999999999:identity/example.com> must be in the same account',
      ],
    ] as const)
      assert.equal(await failureOf(associate('acme', arn)), `BadRequestException: ${message}`);
    for (const arn of [
      `${ARN}:identity/none.example`,
      `${ARN}:configuration-set/none`,
      `${ARN}:template/none`,
    ])
      assert.match(await failureOf(associate('acme', arn)), /^NotFoundException/);
    assert.match(await failureOf(associate('none', identityArn)), /The requested tenant <none>/);
  });

  test('are listed with those of the tenant itself, by kind and in pages', async () => {
    const all = [
      `CONFIGURATION_SET ${ARN}:configuration-set/set`,
      `EMAIL_IDENTITY ${ARN}:identity/acme.example`,
      `EMAIL_IDENTITY ${identityArn}`,
      `EMAIL_TEMPLATE ${ARN}:template/hello`,
    ];
    const told = ({ TenantResources = [] }: sdk.ListTenantResourcesCommandOutput) =>
      TenantResources.map(({ ResourceType, ResourceArn }) => `${ResourceType} ${ResourceArn}`);
    assert.deepEqual(told(await resourcesOf('acme')), all);
    const seen: string[] = [];
    for (let NextToken: string | undefined; ; ) {
      const page = await resourcesOf('acme', { PageSize: 1, NextToken });
      seen.push(...told(page));
      NextToken = page.NextToken;
      if (!NextToken) break;
    }
    assert.deepEqual(seen, all);
    const only = await resourcesOf('acme', { Filter: { RESOURCE_TYPE: 'EMAIL_IDENTITY' } });
    assert.deepEqual(told(only), all.slice(1, 3));
    const wire = await resourcesOf('acme', { Filter: { RESOURCE_TYPE: 'template' } });
    assert.deepEqual(told(wire), all.slice(3));
    assert.equal(
      await failureOf(resourcesOf('acme', { Filter: { RESOURCE_TYPE: 'IP' } })),
      'BadRequestException: Invalid resource type IP specified.',
    );
  });

  test('name the tenants that may use them', async () => {
    await associate('tenant-2', identityArn);
    const of = async (input: Partial<sdk.ListResourceTenantsCommandInput> = {}) =>
      admin.send(new sdk.ListResourceTenantsCommand({ ResourceArn: identityArn, ...input }));
    const { ResourceTenants } = await of();
    assert.deepEqual(
      ResourceTenants!.map(({ TenantName }) => TenantName),
      ['acme', 'tenant-2'],
    );
    assert.equal(ResourceTenants![0]!.TenantId, (await get('acme')).TenantId);
    const first = await of({ PageSize: 1 });
    const second = await of({ PageSize: 1, NextToken: first.NextToken });
    assert.deepEqual([second.ResourceTenants![0]!.TenantName, second.NextToken], ['tenant-2', undefined]);
  });

  test('are not deleted while tenants send with them', async () => {
    const why = (arn: string) =>
      `BadRequestException: Cannot delete <${arn}> because it has tenant associations. Remove all tenant associations and try again.`;
    const deletions = [
      [identityArn, new sdk.DeleteEmailIdentityCommand({ EmailIdentity: 'example.com' })],
      [
        `${ARN}:configuration-set/set`,
        new sdk.DeleteConfigurationSetCommand({ ConfigurationSetName: 'set' }),
      ],
      [`${ARN}:template/hello`, new sdk.DeleteEmailTemplateCommand({ TemplateName: 'hello' })],
    ] as const;
    for (const [arn, command] of deletions)
      assert.equal(await failureOf(admin.send(command as never)), why(arn));
    const template = { TenantName: 'acme', ResourceArn: `${ARN}:template/hello` };
    for (let twice = 0; twice < 2; twice += 1)
      await admin.send(new sdk.DeleteTenantResourceAssociationCommand(template));
    await admin.send(new sdk.DeleteEmailTemplateCommand({ TemplateName: 'hello' }));
    const own = { TenantName: 'acme', ResourceArn: `${ARN}:identity/acme.example` };
    assert.match(
      await failureOf(admin.send(new sdk.DeleteTenantResourceAssociationCommand(own))),
      /belongs to the tenant acme itself/,
    );
  });

  test('are used by a send that names the tenant, also a template', async () => {
    const template = (TenantName: string) =>
      admin.send(
        new sdk.SendEmailCommand({
          TenantName,
          FromEmailAddress: 'a@example.com',
          Destination: { ToAddresses: ['b@example.net'] },
          Content: { Template: { TemplateName: 'again', TemplateData: '{}' } },
        }),
      );
    const TemplateContent = { Subject: 'Hi', Text: 'Hi' };
    await admin.send(new sdk.CreateEmailTemplateCommand({ TemplateName: 'again', TemplateContent }));
    assert.equal(
      await failureOf(template('none')),
      'NotFoundException: Tenant none for AwsAccountId 123456789012 not found.',
    );
    assert.equal(
      await failureOf(template('acme')),
      `AccessDeniedException: Tenant not associated with resources [${ARN}:template/again].`,
    );
    await associate('acme', `${ARN}:template/again`);
    await template('acme');
    assert.equal(server.accept.submissions.at(-1)!.tenant, 'acme');
  });
});

describe('a reputation entity', () => {
  test('shows policy and status, which are changed by its ARN', async () => {
    const { TenantArn: ReputationEntityReference } = await get('acme');
    const entity = { ReputationEntityType: 'RESOURCE', ReputationEntityReference } as const;
    const shown = async () =>
      (await admin.send(new sdk.GetReputationEntityCommand(entity))).ReputationEntity!;
    const before = await shown();
    assert.equal(before.ReputationManagementPolicy, 'arn:aws:ses:us-east-1:aws:reputation-policy/standard');
    assert.deepEqual(
      [
        before.SendingStatusAggregate,
        before.CustomerManagedStatus!.Status,
        before.AwsSesManagedStatus!.Status,
      ],
      ['ENABLED', 'ENABLED', 'ENABLED'],
    );
    const policy = (name: string) =>
      admin.send(new sdk.UpdateReputationEntityPolicyCommand({ ...entity, ReputationEntityPolicy: name }));
    await policy('arn:aws:ses:us-east-1:aws:reputation-policy/none');
    assert.match((await shown()).ReputationManagementPolicy!, /\/none$/);
    assert.match(
      await failureOf(policy('arn:aws:ses:us-east-1:aws:reputation-policy/mild')),
      /^BadRequestException/,
    );
    await admin.send(
      new sdk.UpdateReputationEntityCustomerManagedStatusCommand({ ...entity, SendingStatus: 'DISABLED' }),
    );
    const disabled = await shown();
    assert.equal(disabled.SendingStatusAggregate, 'DISABLED');
    assert.match(disabled.CustomerManagedStatus!.Cause!, /Ordered with the key/);
    assert.equal((await get('acme')).SendingStatus, 'DISABLED');
    const list = async (Filter: Record<string, string>) =>
      (await admin.send(new sdk.ListReputationEntitiesCommand({ Filter }))).ReputationEntities!.map(
        (one) => one.ReputationEntityReference,
      );
    assert.deepEqual(await list({ SENDING_STATUS: 'DISABLED' }), [ReputationEntityReference]);
    assert.deepEqual(await list({ REPUTATION_IMPACT: 'HIGH' }), []);
    assert.deepEqual(await list({ ENTITY_REFERENCE_PREFIX: `${ARN}:tenant/ac` }), [
      ReputationEntityReference,
    ]);
    // The id of a tenant may be left out, as the guide of SES does.
    const short = { ...entity, ReputationEntityReference: `${ARN}:tenant/acme` };
    await admin.send(
      new sdk.UpdateReputationEntityCustomerManagedStatusCommand({ ...short, SendingStatus: 'ENABLED' }),
    );
    assert.equal((await shown()).SendingStatusAggregate, 'ENABLED');
  });

  test('of another tenant is nothing to a key, and no key but an administrator’s changes one', async () => {
    const reference = async (name: string) => ({
      ReputationEntityType: 'RESOURCE' as const,
      ReputationEntityReference: (await get(name)).TenantArn,
    });
    await user.send(new sdk.GetReputationEntityCommand(await reference('tenant-2')));
    const foreign = new sdk.GetReputationEntityCommand(await reference('acme'));
    assert.match(await failureOf(user.send(foreign)), /^NotFoundException/);
    const change = { ...(await reference('tenant-2')), SendingStatus: 'ENABLED' } as const;
    const command = new sdk.UpdateReputationEntityCustomerManagedStatusCommand(change);
    assert.match(await failureOf(user.send(command)), /^AccessDeniedException/);
  });
});

test('a deleted tenant leaves nothing behind', async () => {
  const remove = () => admin.send(new sdk.DeleteTenantCommand({ TenantName: 'acme' }));
  assert.match(await failureOf(remove()), /has identities of its own: delete them first/);
  await server.control.identities.delete('acme.example');
  const listed = { EmailAddress: 'gone@example.net', TenantName: 'acme' };
  await admin.send(new sdk.PutSuppressedDestinationCommand({ ...listed, Reason: 'BOUNCE' }));
  await remove();
  assert.match(await failureOf(get('acme')), /^NotFoundException/);
  assert.match(
    await failureOf(admin.send(new sdk.GetSuppressedDestinationCommand(listed))),
    /^NotFoundException/,
  );
  await create('acme');
  assert.deepEqual((await resourcesOf('acme')).TenantResources, []);
  const { SuppressedDestinationSummaries } = await admin.send(
    new sdk.ListSuppressedDestinationsCommand({ TenantName: 'acme' }),
  );
  assert.deepEqual(SuppressedDestinationSummaries, []);
  assert.equal((await get('acme')).SuppressionAttributes, undefined);
});
