import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  AlreadyExistsException,
  BadRequestException,
  CreateConfigurationSetCommand,
  type CreateConfigurationSetCommandInput,
  CreateEmailIdentityCommand,
  CreateEmailTemplateCommand,
  DeleteConfigurationSetCommand,
  DeleteEmailTemplateCommand,
  GetAccountCommand,
  GetConfigurationSetCommand,
  GetEmailTemplateCommand,
  ListConfigurationSetsCommand,
  ListEmailTemplatesCommand,
  NotFoundException,
  PutAccountSendingAttributesCommand,
  PutConfigurationSetDeliveryOptionsCommand,
  PutConfigurationSetReputationOptionsCommand,
  PutConfigurationSetSendingOptionsCommand,
  PutConfigurationSetTrackingOptionsCommand,
  type PutConfigurationSetTrackingOptionsCommandInput,
  PutConfigurationSetVdmOptionsCommand,
  type SESv2Client,
  TestRenderEmailTemplateCommand,
  UpdateConfigurationSetCommand,
  UpdateEmailTemplateCommand,
} from '@aws-sdk/client-sesv2';
import { PosternError } from '../../../lib/errors.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

let server: SesServer;
let client: SESv2Client;
let user: SESv2Client;
before(async () => {
  server = await startSesServer({
    limits: { sendRate: 77 },
    installed: { ips: [], pools: { 'pool-1': ['192.0.2.1'], 'pool-2': ['192.0.2.2'] } },
  });
  client = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
});
after(() => server.close());

describe('a template', () => {
  const TemplateName = 'welcome';
  const TemplateContent = { Subject: 'Hi {{name}}', Text: 'Dear {{name}}', Html: '<p>Dear {{name}}</p>' };

  test('is created, shown, replaced and deleted', async () => {
    const start = Date.now();
    await client.send(new CreateEmailTemplateCommand({ TemplateName, TemplateContent }));
    const made = await client.send(new GetEmailTemplateCommand({ TemplateName }));
    assert.deepEqual(made.TemplateContent, TemplateContent);
    const { TemplatesMetadata: list } = await client.send(new ListEmailTemplatesCommand({}));
    assert.equal(list!.length, 1);
    assert.ok(Math.abs(list![0]!.CreatedTimestamp!.getTime() - start) < 10_000);

    await client.send(
      new UpdateEmailTemplateCommand({ TemplateName, TemplateContent: { Subject: 's', Text: 't' } }),
    );
    const updated = await client.send(new GetEmailTemplateCommand({ TemplateName }));
    assert.deepEqual(updated.TemplateContent, { Subject: 's', Text: 't' });

    await client.send(new DeleteEmailTemplateCommand({ TemplateName }));
    await assert.rejects(client.send(new DeleteEmailTemplateCommand({ TemplateName })), NotFoundException);
    await assert.rejects(client.send(new GetEmailTemplateCommand({ TemplateName })), NotFoundException);
    await assert.rejects(
      client.send(new UpdateEmailTemplateCommand({ TemplateName, TemplateContent })),
      NotFoundException,
    );
  });

  test('is rendered by TestRenderEmailTemplate', async () => {
    await client.send(new CreateEmailTemplateCommand({ TemplateName: 'look', TemplateContent }));
    const render = (TemplateData: string) =>
      client.send(new TestRenderEmailTemplateCommand({ TemplateName: 'look', TemplateData }));
    const { RenderedTemplate: mime } = await render('{"name":"Ann"}');
    assert.match(mime!, /^Subject: Hi Ann\r$/m);
    assert.match(mime!, /Content-Type: multipart\/alternative/i);
    assert.match(mime!, /Dear Ann/);
    assert.doesNotMatch(mime!, /^From:/im);
    await assert.rejects(render('{}'), (error) => {
      assert.ok(error instanceof BadRequestException);
      assert.match(error.message, /Attribute 'name' is not present in the rendering data\./);
      return true;
    });
    await assert.rejects(render('{'), /not valid JSON/);
    await assert.rejects(
      client.send(new TestRenderEmailTemplateCommand({ TemplateName: 'nothing', TemplateData: '{}' })),
      NotFoundException,
    );
  });

  test('that exists already, cannot be compiled, or has an invalid name is refused', async () => {
    await client.send(new CreateEmailTemplateCommand({ TemplateName: 'twice', TemplateContent }));
    await assert.rejects(
      client.send(new CreateEmailTemplateCommand({ TemplateName: 'twice', TemplateContent })),
      AlreadyExistsException,
    );
    for (const [name, content] of [
      ['broken', { Subject: '{{#if}}' }],
      ['a b', TemplateContent],
      ['x'.repeat(65), TemplateContent],
    ] as const)
      await assert.rejects(
        client.send(new CreateEmailTemplateCommand({ TemplateName: name, TemplateContent: content })),
        BadRequestException,
      );
  });

  test('comes in pages of 1 to 100', async () => {
    for (let i = 0; i < 12; i++)
      await server.control.templates.create({ name: `page-${i}`, tenant: 'tenant-2', createdAt: i });
    const first = await user.send(new ListEmailTemplatesCommand({}));
    assert.equal(first.TemplatesMetadata!.length, 10);
    const rest = await user.send(
      new ListEmailTemplatesCommand({ NextToken: first.NextToken, PageSize: 100 }),
    );
    const names = [...first.TemplatesMetadata!, ...rest.TemplatesMetadata!].map((one) => one.TemplateName!);
    assert.equal(rest.NextToken, undefined);
    assert.deepEqual(names, Array.from({ length: 12 }, (_, i) => `page-${i}`).sort());
    for (const PageSize of [0, 101])
      await assert.rejects(user.send(new ListEmailTemplatesCommand({ PageSize })), BadRequestException);
  });

  test('of one tenant is not found by another, and only an administrator changes it', async () => {
    await client.send(new CreateEmailTemplateCommand({ TemplateName: 'ours', TemplateContent }));
    await assert.rejects(user.send(new GetEmailTemplateCommand({ TemplateName: 'ours' })), NotFoundException);
    for (const call of [
      () => user.send(new CreateEmailTemplateCommand({ TemplateName: 'theirs', TemplateContent })),
      () => user.send(new UpdateEmailTemplateCommand({ TemplateName: 'page-1', TemplateContent })),
      () => user.send(new DeleteEmailTemplateCommand({ TemplateName: 'page-1' })),
    ])
      await assert.rejects(call, { name: 'AccessDeniedException' });
  });
});

describe('a configuration set', () => {
  const create = (input: Partial<CreateConfigurationSetCommandInput>) =>
    client.send(new CreateConfigurationSetCommand({ ConfigurationSetName: 'refused', ...input }));
  const get = (ConfigurationSetName: string) =>
    client.send(new GetConfigurationSetCommand({ ConfigurationSetName }));

  test('keeps all its options', async () => {
    await client.send(new CreateEmailIdentityCommand({ EmailIdentity: 'links.example.com' }));
    const options = {
      ConfigurationSetName: 'full',
      DeliveryOptions: { TlsPolicy: 'REQUIRE', SendingPoolName: 'pool-1', MaxDeliverySeconds: 300 },
      ReputationOptions: { ReputationMetricsEnabled: true },
      SendingOptions: { SendingEnabled: false },
      TrackingOptions: { CustomRedirectDomain: 'links.example.com', HttpsPolicy: 'REQUIRE' },
      SuppressionOptions: { SuppressedReasons: ['BOUNCE'] },
      Tags: [{ Key: 'a', Value: 'b' }],
    } satisfies CreateConfigurationSetCommandInput;
    await create(options);
    const { $metadata, ...shown } = await get('full');
    assert.deepEqual(shown, options);
    assert.equal($metadata.httpStatusCode, 200);
  });

  test('has the defaults of SES', async () => {
    await create({ ConfigurationSetName: 'plain' });
    const { $metadata: _, ...shown } = await get('plain');
    assert.deepEqual(shown, {
      ConfigurationSetName: 'plain',
      DeliveryOptions: { TlsPolicy: 'OPTIONAL' },
      ReputationOptions: { ReputationMetricsEnabled: true },
      SendingOptions: { SendingEnabled: true },
      Tags: [],
    });
  });

  test('changes its delivery, sending and reputation options', async () => {
    const ConfigurationSetName = 'plain';
    await client.send(
      new PutConfigurationSetDeliveryOptionsCommand({
        ConfigurationSetName,
        TlsPolicy: 'REQUIRE',
        SendingPoolName: 'pool-2',
        MaxDeliverySeconds: 50_400,
      }),
    );
    await client.send(
      new PutConfigurationSetSendingOptionsCommand({ ConfigurationSetName, SendingEnabled: false }),
    );
    await client.send(
      new PutConfigurationSetReputationOptionsCommand({
        ConfigurationSetName,
        ReputationMetricsEnabled: true,
      }),
    );
    const shown = await get('plain');
    assert.deepEqual(shown.DeliveryOptions, {
      TlsPolicy: 'REQUIRE',
      SendingPoolName: 'pool-2',
      MaxDeliverySeconds: 50_400,
    });
    assert.equal(shown.SendingOptions!.SendingEnabled, false);
    assert.equal(shown.ReputationOptions!.ReputationMetricsEnabled, true);
  });

  test('tracks only by a verified domain or a subdomain of one', async () => {
    const ConfigurationSetName = 'plain';
    const put = (input: Partial<PutConfigurationSetTrackingOptionsCommandInput>) =>
      client.send(new PutConfigurationSetTrackingOptionsCommand({ ConfigurationSetName, ...input }));
    for (const [input, message] of [
      [
        { CustomRedirectDomain: 'example.net' },
        /^Domain <example\.net> is not verified under this account\.$/,
      ],
      [
        { CustomRedirectDomain: 'https://links.example.com' },
        /is not a domain\. Write one as click\.example\.com/,
      ],
      [{ CustomRedirectDomain: 'links.example.com:8443' }, /is not a domain/],
      [{ CustomRedirectDomain: '192.0.2.1' }, /is not a domain/],
      [{ CustomRedirectDomain: 'localhost' }, /is not a domain/],
      [{ CustomRedirectDomain: 'x"><script>' }, /is not a domain/],
      [{ HttpsPolicy: 'REQUIRE' }, /^CustomRedirectDomain must be specified\.$/],
      [{ CustomRedirectDomain: ' ' }, /^CustomRedirectDomain must be specified\.$/],
      [{ HttpsPolicy: 'ALWAYS' as 'REQUIRE' }, /enum value set: \[OPTIONAL, REQUIRE, REQUIRE_OPEN_ONLY\]/],
    ] as const) {
      await assert.rejects(put(input), (error) => {
        assert.ok(error instanceof BadRequestException);
        assert.match(error.message, message);
        return true;
      });
    }
    assert.equal((await get('plain')).TrackingOptions, undefined);
    await put({ CustomRedirectDomain: 'A.Links.example.com', HttpsPolicy: 'REQUIRE_OPEN_ONLY' });
    assert.deepEqual((await get('plain')).TrackingOptions, {
      CustomRedirectDomain: 'a.links.example.com',
      HttpsPolicy: 'REQUIRE_OPEN_ONLY',
    });
    await put({});
    assert.equal((await get('plain')).TrackingOptions, undefined);
    await assert.rejects(put({ ConfigurationSetName: 'none' }), NotFoundException);
    await assert.rejects(user.send(new PutConfigurationSetTrackingOptionsCommand({ ConfigurationSetName })), {
      name: 'AccessDeniedException',
    });
  });

  test('has a maximum delivery time of 5 minutes to 14 hours', async () => {
    for (const [MaxDeliverySeconds, bound] of [
      [299, 'greater than or equal to 300'],
      [50_401, 'less than or equal to 50400'],
    ] as const) {
      const put = new PutConfigurationSetDeliveryOptionsCommand({
        ConfigurationSetName: 'plain',
        MaxDeliverySeconds,
      });
      await assert.rejects(client.send(put), (error) => {
        assert.ok(error instanceof BadRequestException);
        assert.equal(
          error.message,
          `1 validation error detected: Value at 'maxDeliverySeconds' failed to satisfy constraint: Member must have value ${bound}`,
        );
        return true;
      });
    }
  });

  test('that exists already, has an invalid name, or uses an unsupported option is refused', async () => {
    await assert.rejects(create({ ConfigurationSetName: 'plain' }), AlreadyExistsException);
    for (const ConfigurationSetName of ['a b', 'x'.repeat(65)])
      await assert.rejects(create({ ConfigurationSetName }), BadRequestException);
    const offered: [Partial<CreateConfigurationSetCommandInput>, RegExp][] = [
      [
        { VdmOptions: { GuardianOptions: { OptimizedSharedDelivery: 'ENABLED' } } },
        /: OptimizedSharedDelivery ENABLED is not supported/,
      ],
      [
        {
          ArchivingOptions: {
            ArchiveArn: `arn:aws:ses:us-east-1:123456789012:mailmanager-archive/a-${'x'.repeat(24)}`,
          },
        },
        /: ArchivingOptions is not supported/,
      ],
      [
        { MessageSecurityOptions: { SigningScheme: { SmimeScheme: { SignatureFormat: 'DETACHED' } } } },
        /: SmimeScheme is not supported/,
      ],
      [
        {
          SuppressionOptions: {
            ValidationOptions: { ConditionThreshold: { ConditionThresholdEnabled: 'ENABLED' } },
          },
        },
        /ValidationOptions is not supported/,
      ],
    ];
    for (const [input, message] of offered) await assert.rejects(create(input), message);
  });

  test('keeps what is switched off as it was given, and the mode of shared addresses', async () => {
    const name = { ConfigurationSetName: 'dashboard' };
    await create({
      ...name,
      DeliveryOptions: { SharedPoolDeliveryMode: 'REGIONAL' },
      VdmOptions: {
        DashboardOptions: { EngagementMetrics: 'DISABLED' },
        GuardianOptions: { OptimizedSharedDelivery: 'DISABLED' },
      },
      ArchivingOptions: {},
      MessageSecurityOptions: { SigningScheme: { DefaultScheme: {} } },
    });
    const made = await get('dashboard');
    assert.deepEqual(made.VdmOptions, {
      DashboardOptions: { EngagementMetrics: 'DISABLED' },
      GuardianOptions: { OptimizedSharedDelivery: 'DISABLED' },
    });
    assert.equal(made.DeliveryOptions!.SharedPoolDeliveryMode, 'REGIONAL');
    const VdmOptions = { DashboardOptions: { EngagementMetrics: 'DISABLED' as const } };
    await client.send(new PutConfigurationSetVdmOptionsCommand({ ...name, VdmOptions }));
    assert.deepEqual((await get('dashboard')).VdmOptions, VdmOptions);
    // Opens and clicks are counted for every set.
    const enabled = { DashboardOptions: { EngagementMetrics: 'ENABLED' as const } };
    await client.send(new PutConfigurationSetVdmOptionsCommand({ ...name, VdmOptions: enabled }));
    assert.deepEqual((await get('dashboard')).VdmOptions, enabled);
    await client.send(new UpdateConfigurationSetCommand({ ...name }));
    await assert.rejects(
      client.send(new UpdateConfigurationSetCommand({ ConfigurationSetName: 'none' })),
      NotFoundException,
    );
    await client.send(new DeleteConfigurationSetCommand(name));
  });

  test('is listed in pages and by a part of its name', async () => {
    for (const name of ['p-3', 'p-1', 'p-2']) await create({ ConfigurationSetName: name });
    const Filter = { CONFIGURATION_SET_NAME_CONTAINS: 'p-' };
    const first = await client.send(new ListConfigurationSetsCommand({ Filter, PageSize: 2 }));
    assert.deepEqual(first.ConfigurationSets, ['p-1', 'p-2']);
    const rest = await client.send(
      new ListConfigurationSetsCommand({ Filter, PageSize: 2, NextToken: first.NextToken }),
    );
    assert.deepEqual(rest.ConfigurationSets, ['p-3']);
    assert.equal(rest.NextToken, undefined);
  });

  test('is deleted once, and is not found by another tenant', async () => {
    await assert.rejects(
      user.send(new GetConfigurationSetCommand({ ConfigurationSetName: 'plain' })),
      NotFoundException,
    );
    await assert.rejects(user.send(new DeleteConfigurationSetCommand({ ConfigurationSetName: 'plain' })), {
      name: 'AccessDeniedException',
    });
    await client.send(new DeleteConfigurationSetCommand({ ConfigurationSetName: 'plain' }));
    const again = client.send(new DeleteConfigurationSetCommand({ ConfigurationSetName: 'plain' }));
    await assert.rejects(again, (error) => {
      assert.ok(error instanceof NotFoundException);
      assert.equal(error.message, 'Configuration set <plain> does not exist.');
      return true;
    });
  });
});

describe('the account', () => {
  test('is shown with its quota, paused and resumed', async () => {
    const shown = await user.send(new GetAccountCommand({}));
    assert.equal(shown.SendingEnabled, true);
    assert.deepEqual(shown.SendQuota, { Max24HourSend: -1, MaxSendRate: 77, SentLast24Hours: 0 });
    await client.send(new PutAccountSendingAttributesCommand({}));
    assert.equal((await client.send(new GetAccountCommand({}))).SendingEnabled, false);
    await client.send(new PutAccountSendingAttributesCommand({ SendingEnabled: true }));
    assert.equal((await client.send(new GetAccountCommand({}))).SendingEnabled, true);
    await assert.rejects(user.send(new PutAccountSendingAttributesCommand({})), {
      name: 'AccessDeniedException',
    });
  });
});

test('an unavailable store is answered 503, and a lost race as a concurrent modification', async () => {
  server.config.failing = true;
  const call = client.send(new DeleteConfigurationSetCommand({ ConfigurationSetName: 'full' }));
  await assert.rejects(call, { name: 'InternalServiceErrorException' });
  server.config.failing = false;
  const { update } = server.control.configurationSets;
  server.control.configurationSets.update = () => {
    throw new PosternError('config_conflict', 'Changed meanwhile.');
  };
  const put = client.send(new PutConfigurationSetSendingOptionsCommand({ ConfigurationSetName: 'full' }));
  await assert.rejects(put, { name: 'ConcurrentModificationException' });
  server.control.configurationSets.update = update;
});
