/** SES v1 by the real SDK: the same objects as SES v2 has, under the names of v1. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as v1 from '@aws-sdk/client-ses';
import {
  CreateConfigurationSetCommand,
  GetEmailTemplateCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { PosternError } from '../../../lib/errors.ts';
import { SES_V1 } from '../../../lib/ses/model/v1-model.ts';
import { ACTIONS } from '../../../lib/ses/v1/actions.ts';
import { REFUSED_ACTIONS } from '../../../lib/ses/v1/refusals.ts';
import { systemClock } from '../../../lib/time.ts';
import {
  KEY,
  type SesServer,
  type SesServerOptions,
  send,
  startSesServer,
  USER,
} from '../../support/ses-server.ts';

let server: SesServer;
let client: v1.SESClient;
let user: v1.SESClient;
let modern: SESv2Client;
before(async () => {
  server = await startSesServer({
    verifyIdentities: true,
    limits: { sendRate: 77 },
    installed: { ips: [], pools: { 'pool-1': ['192.0.2.1'] } },
    // Destinations are stored, and nothing is sent to them.
    events: {} as SesServerOptions['events'],
  });
  client = server.clientV1();
  user = server.clientV1({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
  modern = server.client();
});
after(() => server.close());

const form = (parameters: Record<string, string>, headers?: Record<string, string>) =>
  send(server, {
    method: 'POST',
    rawPath: '/',
    body: new URLSearchParams(parameters).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });

describe('an identity', () => {
  test('of a domain is made by its verification, proven by DNS, listed and deleted', async () => {
    const Domain = 'example.com';
    const { VerificationToken } = await client.send(new v1.VerifyDomainIdentityCommand({ Domain }));
    assert.match(VerificationToken!, /^[A-Za-z0-9+/]{43}=$/);
    const again = await client.send(new v1.VerifyDomainIdentityCommand({ Domain }));
    assert.equal(again.VerificationToken, VerificationToken, 'it stays');
    const { DkimTokens } = await client.send(new v1.VerifyDomainDkimCommand({ Domain }));
    assert.ok(DkimTokens!.length > 0);

    const Identities = [Domain, 'none.example'];
    const status = async () => {
      const found = await client.send(new v1.GetIdentityVerificationAttributesCommand({ Identities }));
      return found.VerificationAttributes!;
    };
    assert.deepEqual(await status(), { [Domain]: { VerificationStatus: 'Pending', VerificationToken } });
    server.txt.publish((await server.control.identities.find(Domain))!);
    assert.equal((await status())[Domain]!.VerificationStatus, 'Success');

    const { DkimAttributes } = await client.send(new v1.GetIdentityDkimAttributesCommand({ Identities }));
    assert.deepEqual(DkimAttributes, {
      [Domain]: { DkimEnabled: true, DkimVerificationStatus: 'Success', DkimTokens },
    });

    await client.send(new v1.VerifyEmailIdentityCommand({ EmailAddress: 'ann@example.com' }));
    await client.send(new v1.VerifyEmailAddressCommand({ EmailAddress: 'bob@example.com' }));
    const listed = await client.send(
      new v1.ListIdentitiesCommand({ IdentityType: 'EmailAddress', MaxItems: 1 }),
    );
    assert.deepEqual(listed.Identities, ['ann@example.com']);
    const rest = await client.send(
      new v1.ListIdentitiesCommand({ IdentityType: 'EmailAddress', NextToken: listed.NextToken }),
    );
    assert.deepEqual(rest.Identities, ['bob@example.com']);
    const verified = await client.send(new v1.ListVerifiedEmailAddressesCommand({}));
    assert.deepEqual(verified.VerifiedEmailAddresses!.toSorted(), ['ann@example.com', 'bob@example.com']);
    await client.send(new v1.DeleteVerifiedEmailAddressCommand({ EmailAddress: 'bob@example.com' }));
    await client.send(new v1.DeleteIdentityCommand({ Identity: 'ann@example.com' }));
    await client.send(new v1.DeleteIdentityCommand({ Identity: 'ann@example.com' }));
    assert.deepEqual((await client.send(new v1.ListIdentitiesCommand({}))).Identities, [Domain]);
  });

  test('has settings', async () => {
    const Identity = 'example.com';
    await client.send(new v1.SetIdentityDkimEnabledCommand({ Identity, DkimEnabled: false }));
    assert.equal((await server.control.identities.find(Identity))!.dkim.signingEnabled, false);
    await client.send(new v1.SetIdentityDkimEnabledCommand({ Identity, DkimEnabled: true }));
    await client.send(
      new v1.SetIdentityFeedbackForwardingEnabledCommand({ Identity, ForwardingEnabled: false }),
    );
    assert.equal((await server.control.identities.find(Identity))!.feedbackForwarding, false);
    const from = new v1.GetIdentityMailFromDomainAttributesCommand({ Identities: [Identity] });
    assert.deepEqual((await client.send(from)).MailFromDomainAttributes, {});
    await client.send(
      new v1.SetIdentityMailFromDomainCommand({
        Identity,
        MailFromDomain: 'bounce.example.com',
        BehaviorOnMXFailure: 'UseDefaultValue',
      }),
    );
    assert.deepEqual((await client.send(from)).MailFromDomainAttributes, {
      [Identity]: {
        MailFromDomain: 'bounce.example.com',
        MailFromDomainStatus: 'Pending',
        BehaviorOnMXFailure: 'UseDefaultValue',
      },
    });
    await client.send(new v1.SetIdentityMailFromDomainCommand({ Identity }));
    assert.deepEqual((await client.send(new v1.ListIdentityPoliciesCommand({ Identity }))).PolicyNames, []);
    const policies = new v1.GetIdentityPoliciesCommand({ Identity, PolicyNames: ['x'] });
    assert.deepEqual((await client.send(policies)).Policies, {});
  });

  test('of the wrong kind, or in a crowd of 101, is refused', async () => {
    for (const call of [
      client.send(new v1.VerifyDomainIdentityCommand({ Domain: 'a@example.com' })),
      client.send(new v1.VerifyEmailIdentityCommand({ EmailAddress: 'example.com' })),
      client.send(
        new v1.GetIdentityDkimAttributesCommand({
          Identities: Array.from({ length: 101 }, (_, i) => `d${i}.example`),
        }),
      ),
    ])
      await assert.rejects(call, { name: 'InvalidParameterValue' });
    await assert.rejects(user.send(new v1.VerifyDomainIdentityCommand({ Domain: 'other.example' })), {
      name: 'AccessDenied',
    });
  });
});

describe('a message', () => {
  const Destination = { ToAddresses: ['to@example.net'], CcAddresses: ['cc@example.net'] };
  const Source = 'Ann <ann@example.com>';
  const text = { Subject: { Data: 'Hi & bye' }, Body: { Text: { Data: 'a+b=c\r\nü' } } };

  test('is sent simple, with tags and a configuration set', async () => {
    const { MessageId } = await client.send(
      new v1.SendEmailCommand({
        Source,
        Destination,
        Message: text,
        ReplyToAddresses: ['reply@example.com'],
        Tags: [{ Name: 'campaign', Value: 'spring' }],
        ConfigurationSetName: 'set',
      }),
    );
    assert.equal(MessageId, '0100-1-000000');
    const { last } = server.accept;
    assert.deepEqual(last.to, ['to@example.net']);
    assert.deepEqual(last.cc, ['cc@example.net']);
    assert.deepEqual(last.replyTo, ['reply@example.com']);
    assert.equal(last.from, Source);
    assert.equal(last.configurationSet, 'set');
    assert.deepEqual(last.tags, [{ name: 'campaign', value: 'spring' }]);
    assert.ok(last.content.kind === 'simple');
    assert.equal(last.content.subject, 'Hi & bye');
    assert.equal(last.content.text, 'a+b=c\r\nü');
    assert.equal(server.accept.calls.at(-1)!.door, 'ses-v1');
  });

  test('is sent raw, to its destinations or to its fields', async () => {
    const Data = Buffer.from('From: ann@example.com\r\nTo: to@example.net\r\n\r\nHi +/=');
    await client.send(new v1.SendRawEmailCommand({ RawMessage: { Data } }));
    const { last } = server.accept;
    assert.deepEqual([last.from, last.to], [undefined, []]);
    assert.ok(last.content.kind === 'raw');
    assert.deepEqual(last.content.bytes, Data);
    await client.send(
      new v1.SendRawEmailCommand({ Source, Destinations: ['x@example.net'], RawMessage: { Data } }),
    );
    assert.deepEqual(server.accept.last.to, ['x@example.net']);
  });

  test('is sent from a template, alone and in bulk', async () => {
    await client.send(
      new v1.CreateTemplateCommand({
        Template: { TemplateName: 'hello', SubjectPart: 'Hi {{name}}', TextPart: 'Dear {{name}}' },
      }),
    );
    await client.send(
      new v1.SendTemplatedEmailCommand({
        Source,
        Destination,
        Template: 'hello',
        TemplateData: '{"name":"Ann"}',
      }),
    );
    const { content } = server.accept.last;
    assert.ok(content.kind === 'template');
    assert.deepEqual([content.name, content.data], ['hello', { name: 'Ann' }]);

    server.accept.refuse = ({ to }) => {
      if (to[0] === 'bad@example.net') throw new PosternError('invalid_address', 'Bad.');
    };
    const { Status } = await client.send(
      new v1.SendBulkTemplatedEmailCommand({
        Source,
        Template: 'hello',
        DefaultTemplateData: '{"name":"you"}',
        Destinations: [
          { Destination: { ToAddresses: ['a@example.net'] }, ReplacementTemplateData: '{"name":"A"}' },
          { Destination: { ToAddresses: ['bad@example.net'] } },
        ],
      }),
    );
    server.accept.refuse = () => {};
    assert.deepEqual(
      Status!.map((one) => [one.Status, one.Error]),
      [
        ['Success', undefined],
        ['InvalidParameterValue', 'Bad.'],
      ],
    );
    assert.match(Status![0]!.MessageId!, /^0100-/);
  });

  test('that is refused has a typed error', async () => {
    const refusals: [PosternError, string][] = [
      [new PosternError('identity_not_verified', 'Email address is not verified. <a&b>'), 'MessageRejected'],
      [new PosternError('configuration_set_missing', 'None.'), 'ConfigurationSetDoesNotExistException'],
      [new PosternError('sending_paused', 'Paused.'), 'ConfigurationSetSendingPausedException'],
      [new PosternError('throttled', 'Maximum sending rate exceeded.'), 'Throttling'],
      [new PosternError('storage_unavailable', 'Later.'), 'ServiceUnavailable'],
      [new PosternError('internal', 'Oh.'), 'InternalFailure'],
      [new PosternError('invalid_address', 'Bad.'), 'InvalidParameterValue'],
    ];
    for (const [error, name] of refusals) {
      server.accept.refuse = () => {
        throw error;
      };
      await assert.rejects(client.send(new v1.SendEmailCommand({ Source, Destination, Message: text })), {
        name,
        message: error.message,
      });
    }
    await server.control.account.setSendingEnabled(false);
    server.accept.refuse = () => {
      throw new PosternError('sending_paused', 'Paused.');
    };
    await assert.rejects(
      client.send(new v1.SendEmailCommand({ Source, Destination, Message: text })),
      v1.AccountSendingPausedException,
    );
    server.accept.refuse = () => {};
    await server.control.account.setSendingEnabled(true);
    await assert.rejects(
      client.send(
        new v1.SendTemplatedEmailCommand({ Source, Destination, Template: 'none', TemplateData: '{}' }),
      ),
      v1.TemplateDoesNotExistException,
    );
  });

  test('is the same message when the SDK repeats the call', async () => {
    let lost = 1;
    const flaky = await startSesServer({
      before(_incoming, outgoing) {
        if (lost-- > 0) outgoing.end = (() => outgoing.destroy()) as unknown as typeof outgoing.end;
        return false;
      },
    });
    try {
      const call = new v1.SendEmailCommand({ Source, Destination, Message: text });
      const { $metadata } = await flaky.clientV1({ maxAttempts: 3 }).send(call);
      assert.equal($metadata.attempts, 2);
      assert.equal(flaky.accept.submissions.length, 1);
    } finally {
      await flaky.close();
    }
  });
});

describe('a template', () => {
  test('is listed, shown, rendered, replaced and deleted, and is the one of v2', async () => {
    const { TemplatesMetadata } = await client.send(new v1.ListTemplatesCommand({}));
    assert.deepEqual(
      TemplatesMetadata!.map(({ Name }) => Name),
      ['hello'],
    );
    assert.ok(Date.now() - TemplatesMetadata![0]!.CreatedTimestamp!.getTime() < 60_000);
    const render = (TemplateData: string) =>
      client.send(new v1.TestRenderTemplateCommand({ TemplateName: 'hello', TemplateData }));
    assert.match((await render('{"name":"A&B"}')).RenderedTemplate!, /^Subject: Hi A&B\r$/m);
    await assert.rejects(render('{}'), v1.MissingRenderingAttributeException);
    const Template = { TemplateName: 'hello', SubjectPart: 's', HtmlPart: '<p>' };
    await client.send(new v1.UpdateTemplateCommand({ Template }));
    const shown = await client.send(new v1.GetTemplateCommand({ TemplateName: 'hello' }));
    assert.deepEqual(shown.Template, Template);
    const v2 = await modern.send(new GetEmailTemplateCommand({ TemplateName: 'hello' }));
    assert.deepEqual(v2.TemplateContent, { Subject: 's', Html: '<p>' });
    for (const [template, type] of [
      [{ ...Template, SubjectPart: undefined }, v1.InvalidTemplateException],
      [{ ...Template, SubjectPart: '{{#if}}' }, v1.InvalidTemplateException],
      [Template, v1.AlreadyExistsException],
    ] as const)
      await assert.rejects(client.send(new v1.CreateTemplateCommand({ Template: template })), type);
    await client.send(new v1.DeleteTemplateCommand({ TemplateName: 'hello' }));
    await client.send(new v1.DeleteTemplateCommand({ TemplateName: 'hello' }));
    await assert.rejects(
      client.send(new v1.GetTemplateCommand({ TemplateName: 'hello' })),
      v1.TemplateDoesNotExistException,
    );
  });
});

describe('a configuration set', () => {
  const ConfigurationSetName = 'old';
  const attributes = [
    'eventDestinations',
    'trackingOptions',
    'deliveryOptions',
    'reputationOptions',
  ] as const;
  const describeSet = () =>
    client.send(
      new v1.DescribeConfigurationSetCommand({
        ConfigurationSetName,
        ConfigurationSetAttributeNames: [...attributes],
      }),
    );

  test('is made, changed, described, listed and deleted', async () => {
    const make = new v1.CreateConfigurationSetCommand({ ConfigurationSet: { Name: ConfigurationSetName } });
    await client.send(make);
    await assert.rejects(client.send(make), v1.ConfigurationSetAlreadyExistsException);
    await client.send(
      new v1.PutConfigurationSetDeliveryOptionsCommand({
        ConfigurationSetName,
        DeliveryOptions: { TlsPolicy: 'Require' },
      }),
    );
    await client.send(
      new v1.UpdateConfigurationSetReputationMetricsEnabledCommand({ ConfigurationSetName, Enabled: false }),
    );
    await client.send(
      new v1.UpdateConfigurationSetSendingEnabledCommand({ ConfigurationSetName, Enabled: false }),
    );
    const tracking = { ConfigurationSetName, TrackingOptions: { CustomRedirectDomain: 'go.example.com' } };
    await assert.rejects(
      client.send(new v1.UpdateConfigurationSetTrackingOptionsCommand(tracking)),
      v1.TrackingOptionsDoesNotExistException,
    );
    await client.send(new v1.CreateConfigurationSetTrackingOptionsCommand(tracking));
    await assert.rejects(
      client.send(new v1.CreateConfigurationSetTrackingOptionsCommand(tracking)),
      v1.TrackingOptionsAlreadyExistsException,
    );
    const { $metadata: _, ...shown } = await describeSet();
    assert.deepEqual(shown, {
      ConfigurationSet: { Name: ConfigurationSetName },
      EventDestinations: [],
      TrackingOptions: { CustomRedirectDomain: 'go.example.com' },
      DeliveryOptions: { TlsPolicy: 'Require' },
      ReputationOptions: { SendingEnabled: false, ReputationMetricsEnabled: false },
    });
    const bare = await client.send(new v1.DescribeConfigurationSetCommand({ ConfigurationSetName }));
    assert.deepEqual(bare.ConfigurationSet, { Name: ConfigurationSetName });
    assert.equal(bare.DeliveryOptions, undefined);
    await client.send(new v1.DeleteConfigurationSetTrackingOptionsCommand({ ConfigurationSetName }));
    assert.equal((await describeSet()).TrackingOptions, undefined);

    await modern.send(new CreateConfigurationSetCommand({ ConfigurationSetName: 'new' }));
    const { ConfigurationSets } = await client.send(new v1.ListConfigurationSetsCommand({}));
    assert.deepEqual(ConfigurationSets, [{ Name: 'new' }, { Name: 'old' }]);
    await client.send(new v1.DeleteConfigurationSetCommand({ ConfigurationSetName }));
    await assert.rejects(
      client.send(new v1.DeleteConfigurationSetCommand({ ConfigurationSetName })),
      v1.ConfigurationSetDoesNotExistException,
    );
  });
});

describe('an event destination', () => {
  const ConfigurationSetName = 'new';
  const sns = (Name: string, more: Partial<v1.EventDestination> = {}): v1.EventDestination => ({
    Name,
    Enabled: true,
    MatchingEventTypes: ['bounce', 'renderingFailure'],
    SNSDestination: { TopicARN: 'arn:aws:sns:us-east-1:123456789012:topic' },
    ...more,
  });
  const create = (EventDestination: v1.EventDestination, set = ConfigurationSetName) =>
    client.send(
      new v1.CreateConfigurationSetEventDestinationCommand({ ConfigurationSetName: set, EventDestination }),
    );

  test('of each kind is made, shown, changed and deleted', async () => {
    const firehose = sns('firehose', {
      SNSDestination: undefined,
      KinesisFirehoseDestination: {
        IAMRoleARN: 'arn:aws:iam::123456789012:role/x',
        DeliveryStreamARN: 'arn:aws:firehose:us-east-1:123456789012:deliverystream/x',
      },
    });
    const cloudWatch = sns('metrics', {
      SNSDestination: undefined,
      Enabled: false,
      CloudWatchDestination: {
        DimensionConfigurations: [
          { DimensionName: 'd', DimensionValueSource: 'messageTag', DefaultDimensionValue: 'none' },
        ],
      },
    });
    for (const one of [sns('topic'), firehose, cloudWatch]) await create(one);
    const shown = async () =>
      (
        await client.send(
          new v1.DescribeConfigurationSetCommand({
            ConfigurationSetName,
            ConfigurationSetAttributeNames: ['eventDestinations'],
          }),
        )
      ).EventDestinations!.toSorted((a, b) => (a.Name! < b.Name! ? -1 : 1));
    const given = [firehose, cloudWatch, sns('topic')].map(
      (one) => JSON.parse(JSON.stringify(one)) as object,
    );
    assert.deepEqual(await shown(), given);

    const changed = sns('topic', { MatchingEventTypes: ['send'] });
    await client.send(
      new v1.UpdateConfigurationSetEventDestinationCommand({
        ConfigurationSetName,
        EventDestination: changed,
      }),
    );
    assert.deepEqual((await shown())[2], changed);
    const remove = (EventDestinationName: string) =>
      client.send(
        new v1.DeleteConfigurationSetEventDestinationCommand({ ConfigurationSetName, EventDestinationName }),
      );
    await remove('topic');
    await assert.rejects(remove('topic'), v1.EventDestinationDoesNotExistException);
    assert.equal((await shown()).length, 2);
    await assert.rejects(create(firehose), v1.EventDestinationAlreadyExistsException);
    await assert.rejects(create(sns('x'), 'none'), v1.ConfigurationSetDoesNotExistException);
    await assert.rejects(create({ ...firehose, ...sns('two') }), { name: 'InvalidParameterValue' });
  });
});

describe('the topics of an identity', () => {
  const Identity = 'example.com';
  const topic = (name: string): string => `arn:aws:sns:us-east-1:123456789012:${name}`;
  const set = (NotificationType: v1.NotificationType, SnsTopic?: string) =>
    client.send(new v1.SetIdentityNotificationTopicCommand({ Identity, NotificationType, SnsTopic }));
  const headers = (NotificationType: v1.NotificationType, Enabled: boolean) =>
    client.send(
      new v1.SetIdentityHeadersInNotificationsEnabledCommand({ Identity, NotificationType, Enabled }),
    );
  const shown = async () => {
    const { NotificationAttributes } = await client.send(
      new v1.GetIdentityNotificationAttributesCommand({ Identities: [Identity, 'none.example'] }),
    );
    assert.deepEqual(Object.keys(NotificationAttributes!), [Identity]);
    return NotificationAttributes![Identity]!;
  };

  test('are event destinations, one for each topic', async () => {
    assert.deepEqual(await shown(), {
      BounceTopic: '',
      ComplaintTopic: '',
      DeliveryTopic: '',
      ForwardingEnabled: false,
      HeadersInBounceNotificationsEnabled: false,
      HeadersInComplaintNotificationsEnabled: false,
      HeadersInDeliveryNotificationsEnabled: false,
    });
    await headers('Bounce', false);
    await assert.rejects(headers('Bounce', true), {
      name: 'InvalidParameterValue',
      message: /have no topic/,
    });
    await set('Bounce', topic('a'));
    await set('Complaint', topic('a'));
    await set('Complaint', topic('a'));
    await set('Delivery', topic('b'));
    await headers('Complaint', true);
    const all = await server.control.eventDestinations.of('default', undefined);
    assert.deepEqual(
      all.map(({ types, target, notifications }) => [types, target, notifications]),
      [
        [
          ['BOUNCE', 'COMPLAINT'],
          { kind: 'sns', topicArn: topic('a') },
          { identity: Identity, headers: ['COMPLAINT'] },
        ],
        [['DELIVERY'], { kind: 'sns', topicArn: topic('b') }, { identity: Identity, headers: ['COMPLAINT'] }],
      ],
    );
    await set('Bounce', topic('b'));
    await set('Delivery');
    await set('Delivery');
    const { BounceTopic, ComplaintTopic, DeliveryTopic, ...more } = await shown();
    assert.deepEqual([BounceTopic, ComplaintTopic, DeliveryTopic], [topic('b'), topic('a'), '']);
    assert.equal(more.HeadersInComplaintNotificationsEnabled, true);
    await assert.rejects(set('Bounce', 'no topic'), { name: 'InvalidParameterValue' });
    assert.equal((await shown()).BounceTopic, topic('b'), 'what was stays');
  });

  test('go with the identity', async () => {
    await client.send(new v1.VerifyDomainIdentityCommand({ Domain: 'gone.example' }));
    const gone = { Identity: 'gone.example', NotificationType: 'Bounce', SnsTopic: topic('c') } as const;
    await client.send(new v1.SetIdentityNotificationTopicCommand(gone));
    assert.equal((await server.control.eventDestinations.of('default', undefined)).length, 3);
    await client.send(new v1.DeleteIdentityCommand({ Identity: 'gone.example' }));
    assert.equal((await server.control.eventDestinations.of('default', undefined)).length, 2);
    await assert.rejects(client.send(new v1.SetIdentityNotificationTopicCommand(gone)), {
      name: 'InvalidParameterValue',
    });
  });
});

describe('the account', () => {
  test('has a quota, and is paused and resumed', async () => {
    const { Max24HourSend, MaxSendRate } = await user.send(new v1.GetSendQuotaCommand({}));
    assert.deepEqual([Max24HourSend, MaxSendRate], [-1, 77]);
    assert.equal((await client.send(new v1.GetAccountSendingEnabledCommand({}))).Enabled, true);
    await client.send(new v1.UpdateAccountSendingEnabledCommand({}));
    assert.equal((await client.send(new v1.GetAccountSendingEnabledCommand({}))).Enabled, false);
    await client.send(new v1.UpdateAccountSendingEnabledCommand({ Enabled: true }));
    await assert.rejects(user.send(new v1.UpdateAccountSendingEnabledCommand({})), { name: 'AccessDenied' });
  });
});

describe('the protocol', () => {
  test('answers each of the 71 actions: by its meaning, or by an error that says why', async () => {
    for (const action of Object.keys(SES_V1.operations)) {
      if (ACTIONS.has(action)) continue;
      const { status, text } = await form({ Action: action, Version: '2010-12-01' });
      assert.equal(status, 400, action);
      const end = REFUSED_ACTIONS.has(action) ? ': ' : '\\.';
      assert.match(
        text,
        new RegExp(
          `<Code>UnsupportedOperation</Code><Message>${action} is not supported by this service${end}`,
        ),
      );
    }
    assert.equal(Object.keys(SES_V1.operations).length, 71);
    assert.equal(REFUSED_ACTIONS.size, 17);
    for (const action of REFUSED_ACTIONS) assert.ok(action in SES_V1.operations && !ACTIONS.has(action));
  });

  test('answers an unknown action, another version, and no action in XML', async () => {
    for (const [parameters, words] of [
      [
        { Action: 'Nothing', Version: '2010-12-01' },
        'Could not find operation Nothing for version 2010-12-01',
      ],
      [
        { Action: 'SendEmail', Version: '2011-01-01' },
        'Could not find operation SendEmail for version 2011-01-01',
      ],
      [{ Action: 'constructor' }, 'Could not find operation constructor for version 2010-12-01'],
      [{}, 'Could not find operation  for version 2010-12-01'],
    ] as const) {
      const { status, headers, text } = await form(parameters);
      assert.equal(status, 400);
      assert.equal(headers['content-type'], 'text/xml');
      assert.ok(
        text.includes(`<Type>Sender</Type><Code>InvalidAction</Code><Message>${words}</Message>`),
        text,
      );
      assert.ok(
        text.endsWith(`<RequestId>${String(headers['x-amzn-requestid'])}</RequestId></ErrorResponse>`),
      );
    }
  });

  test('takes a GET with its parameters in the query', async () => {
    const reply = await send(server, {
      method: 'GET',
      rawPath: '/',
      rawQuery: 'Action=GetSendQuota&Version=2010-12-01',
      query: { Action: 'GetSendQuota', Version: '2010-12-01' },
    });
    assert.equal(reply.status, 200);
    assert.match(reply.text, /<GetSendQuotaResult><Max24HourSend>-1<\/Max24HourSend>/);
  });

  test('refuses what the model refuses', async () => {
    const { status, text } = await form({ Action: 'SendEmail', Source: 'a@example.com' });
    assert.equal(status, 400);
    assert.match(
      text,
      /<Code>ValidationError<\/Code><Message>2 validation errors detected: Value at 'destination' failed to satisfy constraint: Member must not be null; Value at 'message' /,
    );
    for (const body of ['Action=SendEmail&Action=SendEmail', 'Action=%zz', '\xff']) {
      const reply = await send(server, { method: 'POST', rawPath: '/', body: Buffer.from(body, 'latin1') });
      assert.equal(reply.status, 400);
      assert.match(reply.text, /<Code>MalformedInput<\/Code>/);
    }
  });

  test('refuses signatures with the codes of v1, and lets a client correct its clock', async () => {
    const as = (accessKeyId: string, secretAccessKey: string) =>
      server.clientV1({ credentials: { accessKeyId, secretAccessKey } }).send(new v1.GetSendQuotaCommand({}));
    await assert.rejects(as('AKIANOBODY0000000000', 'x'), { name: 'InvalidClientTokenId' });
    await assert.rejects(as(KEY.id, 'wrong'), { name: 'SignatureDoesNotMatch' });
    const late = await startSesServer({ clock: { ...systemClock, now: () => Date.now() + 20 * 60_000 } });
    try {
      const { $metadata } = await late.clientV1({ maxAttempts: 3 }).send(new v1.GetSendQuotaCommand({}));
      assert.equal($metadata.attempts, 2);
    } finally {
      await late.close();
    }
    const unsigned = await send(server, { method: 'POST', rawPath: '/', extra: { authorization: '' } });
    assert.equal(unsigned.status, 403);
    assert.match(unsigned.text, /<Code>(MissingAuthenticationToken|IncompleteSignature)<\/Code>/);
  });
});
