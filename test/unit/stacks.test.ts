import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Validations } from 'aws-cdk-lib';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { buildStacks } from '../../lib/stacks/build.ts';
import { STOPPING_ALARMS } from '../../lib/stacks/egress.ts';
import type { CellConfig, Stage } from '../../lib/stacks/stage.ts';
import { quotasOf } from '../../lib/stacks/stage-check.ts';
import { STAGES, stageOf } from '../../lib/stacks/stages.ts';
import {
  openApp,
  openStacks,
  POLICY,
  type Resource,
  resourcesOf,
  STAGE,
  stacksByPart,
} from '../support/stacks.ts';

const { stacks, template } = openStacks(STAGE, POLICY);
const data = template(stacks.data);
const api = template(stacks.api);
const egress = template(stacks.egress);
const submission = template(stacks.submission!);
const monitoring = template(stacks.monitoring);

test('the dashboard has the four groups of the one for Prometheus', () => {
  const [[, { Properties }]] = resourcesOf(monitoring, 'AWS::CloudWatch::Dashboard') as [[string, Resource]];
  const body = JSON.stringify(Properties.DashboardBody);
  const groups = [...body.matchAll(/## ([A-Za-z ]+)/g)].map(([, title]) => title);
  assert.deepEqual(groups, ['Delivery', 'Queue health', 'Infrastructure', 'By provider']);
  for (const title of ['Shares of attempts', 'Waiting in lanes', 'Heartbeats', 'Bounced by lane'])
    assert.ok(body.includes(title), title);
});

describe('data', () => {
  const kept = ['AWS::DynamoDB::GlobalTable', 'AWS::SQS::Queue', 'AWS::S3::Bucket', 'AWS::KMS::Key'] as const;
  for (const type of kept) {
    test(`every ${type} outlives its stack, and its replacement`, () => {
      const found = resourcesOf(data, type);
      assert.ok(found.length > 0);
      for (const [id, one] of found) {
        assert.equal(one.DeletionPolicy, 'Retain', id);
        assert.equal(one.UpdateReplacePolicy, 'Retain', id);
      }
    });
  }

  test('everything is encrypted with our own key, which rotates', () => {
    for (const [, { Properties }] of resourcesOf(data, 'AWS::SQS::Queue'))
      assert.ok(Properties.KmsMasterKeyId);
    for (const [, { Properties }] of resourcesOf(data, 'AWS::DynamoDB::GlobalTable'))
      assert.deepEqual(Properties.SSESpecification, { SSEEnabled: true, SSEType: 'KMS' });
    data.allResourcesProperties('AWS::KMS::Key', { EnableKeyRotation: true });
    data.allResourcesProperties('AWS::S3::Bucket', {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            BucketKeyEnabled: true,
            ServerSideEncryptionByDefault: Match.objectLike({ SSEAlgorithm: 'aws:kms' }),
          },
        ],
      },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
  });

  test('queues and buckets accept requests over TLS only', () => {
    for (const type of ['AWS::SQS::QueuePolicy', 'AWS::S3::BucketPolicy']) {
      data.allResourcesProperties(type, {
        PolicyDocument: {
          Statement: Match.arrayWith([
            Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
          ]),
        },
      });
    }
    assert.equal(
      resourcesOf(data, 'AWS::SQS::QueuePolicy').length,
      resourcesOf(data, 'AWS::SQS::Queue').length,
    );
  });

  test('tables are on demand with a cap, expire old items, and have point-in-time recovery', () => {
    data.resourceCountIs('AWS::DynamoDB::GlobalTable', 8);
    data.allResourcesProperties('AWS::DynamoDB::GlobalTable', {
      BillingMode: 'PAY_PER_REQUEST',
      WriteOnDemandThroughputSettings: { MaxWriteRequestUnits: 2_000 },
      TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
      Replicas: [
        Match.objectLike({
          DeletionProtectionEnabled: true,
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          ReadOnDemandThroughputSettings: { MaxReadRequestUnits: 1_000 },
        }),
      ],
    });
  });

  test('bodies and incomplete uploads expire', () => {
    data.hasResourceProperties('AWS::S3::Bucket', {
      LifecycleConfiguration: {
        Rules: [
          {
            ExpirationInDays: 35,
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
            Status: 'Enabled',
          },
        ],
      },
    });
    data.hasResourceProperties('AWS::S3::Bucket', { VersioningConfiguration: { Status: 'Enabled' } });
  });

  test('each pool, class and provider group has a lane with a dead-letter queue', () => {
    const lanes = resourcesOf(data, 'AWS::SQS::Queue').filter(([, { Properties }]) =>
      (Properties.QueueName as string).startsWith('postern-test-lane-'),
    );
    // Of default, vip, and hoster, which exists outside AWS only.
    assert.equal(lanes.length, 3 * 2 * 5);
    for (const [, { Properties }] of lanes) {
      assert.match(Properties.QueueName as string, /^[\w-]{1,80}$/);
      assert.equal(Properties.MessageRetentionPeriod, 1_209_600);
      assert.equal(Properties.MaximumMessageSize, 1_048_576);
      const redrive = Properties.RedrivePolicy as { maxReceiveCount: number };
      assert.equal(redrive.maxReceiveCount, 1_000);
    }
    data.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'postern-test-outcomes',
      VisibilityTimeout: 180,
      RedrivePolicy: Match.objectLike({ maxReceiveCount: 10 }),
    });
  });
});

describe('functions', () => {
  test('run on Node 24 and arm64, with a role and an encrypted log of their own that expires', () => {
    api.resourceCountIs('AWS::Lambda::Function', 10);
    api.allResourcesProperties('AWS::Lambda::Function', {
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Role: Match.anyValue(),
      // Lambda's own lines cost more than the call: of a call that succeeds there is none.
      LoggingConfig: {
        LogGroup: Match.anyValue(),
        LogFormat: 'JSON',
        SystemLogLevel: 'WARN',
        ApplicationLogLevel: 'INFO',
      },
    });
    for (const one of [api, egress, submission]) {
      for (const [id, { Properties }] of resourcesOf(one, 'AWS::Logs::LogGroup')) {
        assert.equal(Properties.RetentionInDays, 30, id);
        assert.match(JSON.stringify(Properties.KmsKeyId), /DataKey/, id);
      }
    }
    data.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: {
        Statement: Match.arrayWith([
          Match.objectLike({ Principal: { Service: 'logs.eu-central-1.amazonaws.com' } }),
        ]),
      },
    });
  });

  test('the API and tracking have public URLs with bounded concurrency; our code checks signatures', () => {
    api.resourcePropertiesCountIs('AWS::Lambda::Url', { AuthType: 'NONE' }, 3);
    api.resourcePropertiesCountIs('AWS::Lambda::Function', { ReservedConcurrentExecutions: 20 }, 2);
    const permissions = resourcesOf(api, 'AWS::Lambda::Permission').map(([, { Properties }]) => Properties);
    const anybody = permissions.filter(({ Principal }) => Principal === '*');
    assert.deepEqual(
      anybody.map(({ Action, FunctionUrlAuthType, InvokedViaFunctionUrl }) => [
        Action,
        FunctionUrlAuthType ?? InvokedViaFunctionUrl,
      ]),
      [
        ['lambda:InvokeFunctionUrl', 'NONE'],
        ['lambda:InvokeFunction', true],
        ['lambda:InvokeFunctionUrl', 'NONE'],
        ['lambda:InvokeFunction', true],
        ['lambda:InvokeFunctionUrl', 'NONE'],
        ['lambda:InvokeFunction', true],
      ],
    );
  });

  test('a custom domain passes requests on unchanged and caches nothing', () => {
    api.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        Aliases: ['api.example.com'],
        ViewerCertificate: Match.objectLike({ MinimumProtocolVersion: 'TLSv1.2_2021' }),
        DefaultCacheBehavior: Match.objectLike({
          AllowedMethods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'POST', 'DELETE'],
          // Managed-CachingDisabled and Managed-AllViewerExceptHostHeader.
          CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
          OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac',
          Compress: false,
          ViewerProtocolPolicy: 'https-only',
          FunctionAssociations: [Match.objectLike({ EventType: 'viewer-request' })],
        }),
        CustomErrorResponses: Match.arrayWith([{ ErrorCode: 404, ErrorCachingMinTTL: 0 }]),
      },
    });
    for (const Type of ['A', 'AAAA'])
      api.hasResourceProperties('AWS::Route53::RecordSet', { Name: 'api.example.com.', Type });
    api.hasOutput('Endpoint', { Value: 'https://api.example.com/' });
  });

  test('tracking has its own domain, which every signer of links has as a setting', () => {
    api.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: { Aliases: ['track.example.com'] },
    });
    api.hasResourceProperties('AWS::Lambda::Function', {
      Description: 'Postern: SES v2 and Postern API',
      Environment: {
        Variables: Match.objectLike({ POSTERN_TRACKING_URL: 'https://track.example.com' }),
      },
    });
    assert.match(
      JSON.stringify(template(stacks.submission!).findResources('AWS::EC2::LaunchTemplate')),
      /POSTERN_TRACKING_URL=https:\/\/track\.example\.com/,
    );
    const [, { Properties }] = resourcesOf(api, 'AWS::Lambda::Function').find(
      ([, one]) => one.Properties.Description === 'Postern: tells of opens and clicks',
    )!;
    const { Variables } = Properties.Environment as { Variables: Record<string, unknown> };
    assert.deepEqual(Object.keys(Variables).sort(), [
      'NODE_OPTIONS',
      'POSTERN_FRONT_SECRET',
      'POSTERN_QUEUE_URL_PREFIX',
      'POSTERN_SECRETS_BUCKET',
      'POSTERN_STAGE',
      // Links that are switched off.
      'POSTERN_TABLE_CONFIG',
    ]);
  });

  test('the secret of the distributions is in no template, and only functions behind them have it', () => {
    const [[, distribution]] = resourcesOf(api, 'AWS::CloudFront::Distribution') as [[string, Resource]];
    const { Origins } = distribution.Properties.DistributionConfig as {
      Origins: { OriginCustomHeaders: { HeaderName: string; HeaderValue: unknown }[] }[];
    };
    const [header] = Origins[0]!.OriginCustomHeaders;
    assert.equal(header!.HeaderName, 'x-postern-front');
    assert.match(JSON.stringify(header!.HeaderValue), /resolve:secretsmanager:/);
    const holders = resourcesOf(api, 'AWS::Lambda::Function').filter(([, { Properties }]) =>
      JSON.stringify(Properties.Environment).includes('POSTERN_FRONT_SECRET'),
    );
    assert.deepEqual(
      holders.map(([, { Properties }]) => Properties.Description),
      ['Postern: SES v2 and Postern API', 'Postern: tells of opens and clicks'],
    );
    assert.match(JSON.stringify(holders), /resolve:secretsmanager:/);
  });

  test('a new version gets a tenth of the calls first, and is rolled back when it fails', () => {
    const groups = resourcesOf(api, 'AWS::CodeDeploy::DeploymentGroup').map(
      ([, { Properties }]) => Properties,
    );
    assert.equal(groups.length, 3);
    for (const group of groups) {
      assert.equal(group.DeploymentConfigName, 'CodeDeployDefault.LambdaCanary10Percent5Minutes');
      assert.deepEqual(group.AutoRollbackConfiguration, {
        Enabled: true,
        Events: ['DEPLOYMENT_FAILURE', 'DEPLOYMENT_STOP_ON_ALARM'],
      });
      assert.equal((group.AlarmConfiguration as { Alarms: unknown[] }).Alarms.length, 1);
    }
    const aliases = resourcesOf(api, 'AWS::Lambda::Alias').map(([id]) => id);
    assert.equal(aliases.length, 3);
    // Callers reach the alias: behind each distribution, and at the end of the queue.
    const text = JSON.stringify([
      api.findResources('AWS::Lambda::EventSourceMapping'),
      api.findResources('AWS::Lambda::Url'),
    ]);
    for (const id of aliases) assert.ok(text.includes(id), id);
    for (const [, { Properties }] of resourcesOf(api, 'AWS::CloudFront::Distribution'))
      assert.match(JSON.stringify(Properties), /Aliaslive/);
  });

  test('outcomes come in batches that may fail partially', () => {
    api.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      BatchSize: 100,
      ScalingConfig: { MaximumConcurrency: 20 },
    });
    api.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)' });
  });
});

describe('egress', () => {
  test('each node is a group of one, with its own addresses', () => {
    egress.resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 2);
    egress.allResourcesProperties('AWS::AutoScaling::AutoScalingGroup', { MinSize: '1', MaxSize: '1' });
    const addresses = resourcesOf(egress, 'AWS::EC2::EIP');
    assert.equal(addresses.length, 3);
    // An address with a reputation must not be released by mistake.
    for (const [, one] of addresses) assert.equal(one.DeletionPolicy, 'Retain');
    egress.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: { NetworkInterfaces: [Match.objectLike({ SecondaryPrivateIpAddressCount: 1 })] },
    });
  });

  test('instances use IMDSv2 only and have encrypted disks', () => {
    egress.allResourcesProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: {
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
        BlockDeviceMappings: [Match.objectLike({ Ebs: Match.objectLike({ Encrypted: true }) })],
      },
    });
  });

  test('nothing but SMTP comes in; SMTP and HTTPS go out', () => {
    egress.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: [Match.objectLike({ FromPort: 25, ToPort: 25, CidrIp: '0.0.0.0/0' })],
      SecurityGroupEgress: [
        Match.objectLike({ FromPort: 25, ToPort: 25 }),
        Match.objectLike({ FromPort: 443, ToPort: 443 }),
      ],
    });
  });

  test('there is no NAT gateway; S3 and DynamoDB are reached without the internet', () => {
    egress.resourceCountIs('AWS::EC2::NatGateway', 0);
    egress.resourceCountIs('AWS::EC2::VPCEndpoint', 2);
  });

  test('a PTR record is set and, before the address may go, reset', () => {
    const records = resourcesOf(egress, 'Custom::PtrRecord').map(([, { Properties }]) => Properties);
    assert.equal(records.length, 2);
    const text = JSON.stringify(records);
    assert.match(text, /ModifyAddressAttribute.*a1\.example\.com/);
    assert.match(text, /ResetAddressAttribute.*domain-name/);
  });

  test('user data names the node, installs the bundle and signals', () => {
    const [, a] = resourcesOf(egress, 'AWS::EC2::LaunchTemplate').find(([id]) => id.startsWith('Templatea'))!;
    const script = JSON.stringify(a.Properties);
    for (const part of [
      "PUBLIC='",
      "SUFFIXES='=a1.example.com:default =a2.example.com:vip+default'",
      'POSTERN_NODE=a',
      'POSTERN_TABLE_RECORDS=',
      'POSTERN_CLAIM_BEFORE_SEND=on',
      'bash install-node.sh',
      'cfn-signal',
    ]) {
      assert.ok(script.includes(part), part);
    }
  });

  test('user data fits into the 16 KB of EC2 with the maximum number of addresses', () => {
    const addresses = Array.from({ length: 15 }, (_, at) => ({
      hostname: `a${at}.a-long-name-of-sixty-three-letters-as-long-as-a-label-of-dns-may-be.example.com`,
      pools: ['default', 'a-pool-with-a-long-name'],
      ptr: false,
    }));
    const big = openStacks({ ...STAGE, nodes: [{ name: 'a', instanceType: 'c7g.xlarge', addresses }] });
    const templates = [big.template(big.stacks.egress), big.template(big.stacks.submission!)];
    const all = templates.flatMap((one) => resourcesOf(one, 'AWS::EC2::LaunchTemplate'));
    assert.equal(all.length, 2);
    for (const [id, { Properties }] of all) {
      const { UserData } = Properties.LaunchTemplateData as { UserData: unknown };
      // References are longer in the template than their values.
      assert.ok(JSON.stringify(UserData).length < 16_384, id);
    }
  });

  test('a deployment replaces one node after another, and watches the first one longest', () => {
    const groups = resourcesOf(egress, 'AWS::AutoScaling::AutoScalingGroup');
    const ids = groups.map(([id]) => id);
    assert.deepEqual(
      groups.map(([, { DependsOn = [] }]) => DependsOn.filter((one) => ids.includes(one))),
      [[], [ids[0]]],
    );
    const timeouts = groups.map(([, one]) => {
      const { CreationPolicy } = one as Resource & {
        CreationPolicy: { ResourceSignal: { Timeout: string } };
      };
      return CreationPolicy.ResourceSignal.Timeout;
    });
    assert.deepEqual(timeouts, ['PT20M', 'PT11M']);
    const scripts = resourcesOf(egress, 'AWS::EC2::LaunchTemplate').map(([, one]) => JSON.stringify(one));
    assert.deepEqual(
      scripts.map((one) => /WATCH=(\d+) STACK=(\S+) /.exec(one)?.slice(1)),
      [
        ['600', 'postern-test-egress'],
        ['60', 'postern-test-egress'],
      ],
    );
    const names = resourcesOf(monitoring, 'AWS::CloudWatch::Alarm').map(
      ([, { Properties }]) => Properties.AlarmName as string,
    );
    for (const entry of STOPPING_ALARMS) {
      assert.ok(names.includes(`postern-test: ${entry}`), entry);
      assert.ok(scripts[0]!.includes(`postern-test: ${entry}`), entry);
    }
  });

  test('a node with one address has no secondary private addresses', () => {
    const interfaces = resourcesOf(egress, 'AWS::EC2::LaunchTemplate').map(([, { Properties }]) => {
      const { NetworkInterfaces } = Properties.LaunchTemplateData as { NetworkInterfaces: [object] };
      return 'SecondaryPrivateIpAddressCount' in NetworkInterfaces[0];
    });
    assert.deepEqual(interfaces, [true, false]);
  });

  test('nodes outside AWS get rights by certificate, for their names only', () => {
    egress.hasResourceProperties('AWS::RolesAnywhere::TrustAnchor', {
      Source: { SourceType: 'CERTIFICATE_BUNDLE' },
    });
    const [, role] = resourcesOf(egress, 'AWS::IAM::Role').find(([id]) => id.startsWith('Outside'))!;
    const { Statement } = role.Properties.AssumeRolePolicyDocument as {
      Statement: { Action: string; Condition: Record<string, unknown> }[];
    };
    assert.deepEqual(
      Statement.flatMap(({ Action }) => Action),
      ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
    );
    for (const { Condition } of Statement) assert.ok(Condition.ArnEquals);
    assert.deepEqual(Statement[0]!.Condition.StringEquals, { 'aws:PrincipalTag/x509Subject/CN': 'c' });
  });

  test('has an output about port 25', () => {
    egress.hasOutput('Port25', {});
  });
});

describe('submission', () => {
  test('accepts connections on 587 and 465, never 25, and passes on the address of the caller', () => {
    const listeners = resourcesOf(submission, 'AWS::ElasticLoadBalancingV2::Listener');
    assert.deepEqual(
      listeners.map(([, { Properties }]) => [Properties.Port, Properties.Protocol]),
      [
        [587, 'TCP'],
        [465, 'TCP'],
      ],
    );
    submission.allResourcesProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      HealthCheckProtocol: 'HTTP',
      HealthCheckPath: '/healthz',
      TargetGroupAttributes: Match.arrayWith([{ Key: 'preserve_client_ip.enabled', Value: 'true' }]),
    });
    submission.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
      Type: 'network',
      Scheme: 'internet-facing',
    });
  });

  test('instances are reached by the load balancer only, and reach AWS only', () => {
    submission.hasResourceProperties('AWS::EC2::SecurityGroup', {
      GroupDescription: Match.stringLikeRegexp('from its load balancer only'),
      SecurityGroupIngress: Match.absent(),
      SecurityGroupEgress: [Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 443, ToPort: 443 })],
    });
    for (const [, { Properties }] of resourcesOf(submission, 'AWS::EC2::SecurityGroupIngress'))
      assert.ok(Properties.SourceSecurityGroupId);
    assert.equal(resourcesOf(submission, 'AWS::EC2::SecurityGroupIngress').length, 3);
  });

  test('one instance is replaced while the other accepts mail', () => {
    submission.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { MinSize: '2', MaxSize: '2' });
    submission.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { HealthCheckType: 'ELB' });
    submission.hasResource('AWS::AutoScaling::AutoScalingGroup', {
      UpdatePolicy: {
        AutoScalingRollingUpdate: Match.objectLike({ MinInstancesInService: 1, MaxBatchSize: 1 }),
      },
    });
    submission.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: { MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 } },
    });
    const script = JSON.stringify(resourcesOf(submission, 'AWS::EC2::LaunchTemplate'));
    for (const part of [
      'POSTERN_HOSTNAME=smtp.example.com',
      'POSTERN_POOLS=default,vip,hoster',
      'bash install-service.sh submission',
      'cfn-signal',
    ])
      assert.ok(script.includes(part), part);
  });

  test('exists only in a stage that has it', () => {
    const { submission: _, ...without } = STAGE;
    const { stacks: fewer, template: of } = openStacks(without);
    assert.equal(fewer.submission, undefined);
    const names = resourcesOf(of(fewer.monitoring), 'AWS::CloudWatch::Alarm').map(
      ([, { Properties }]) => Properties.AlarmName as string,
    );
    assert.ok(!names.some((name) => name.includes('Submission')));
  });
});

describe('alarms', () => {
  const runbook = readFileSync(join(import.meta.dirname, '..', '..', 'lib', 'stacks', 'RUNBOOK.md'), 'utf8');
  const anchors = [...runbook.matchAll(/^## (.+)$/gm)].map(([, title]) =>
    title!.toLowerCase().replaceAll(' ', '-'),
  );
  const alarms = resourcesOf(monitoring, 'AWS::CloudWatch::Alarm').map(([, { Properties }]) => Properties);
  const linked = alarms.map(
    ({ AlarmDescription }) => /lib\/stacks\/RUNBOOK\.md#([a-z-]+)$/.exec(AlarmDescription as string)?.[1],
  );

  test('link to the runbook, each of whose entries has an alarm', () => {
    assert.deepEqual(new Set(linked), new Set(anchors));
    assert.equal(new Set(anchors).size, anchors.length);
  });

  test('have runbook entries with the meaning, a command to look with, and the action', () => {
    for (const entry of runbook.split(/^## /m).slice(1)) {
      for (const part of ['**Means**', '**Look**', '**Do**'])
        assert.ok(entry.includes(part), entry.slice(0, 40));
      // A command to copy, between the meaning and the action.
      assert.match(entry, /\*\*Look\*\*.*```bash\n.+?\n```.*\*\*Do\*\*/s, entry.slice(0, 40));
    }
  });

  test('have runbook entries that name existing logs and queues', () => {
    const all = { api, egress, submission, data, monitoring };
    const logs = Object.entries(all).flatMap(([stack, one]) =>
      resourcesOf(one, 'AWS::Logs::LogGroup').map(([id]) => `${stack}-${id.slice(0, -8)}`),
    );
    const named = [...runbook.matchAll(/\b(?:api|egress|submission|monitoring)-\w*Log\b/g)].map(
      ([name]) => name,
    );
    assert.ok(named.length > 20);
    for (const name of named) assert.ok(logs.includes(name), `${name} is none of ${logs.join(', ')}`);
    const queues = resourcesOf(data, 'AWS::SQS::Queue').map(([, { Properties }]) => Properties.QueueName);
    const asked = [...runbook.matchAll(/(?:\$\(queue|^depth) ([a-z.-]+)/gm)].map(([, name]) => name!);
    assert.ok(asked.length > 5);
    for (const name of asked) assert.ok(name === 'lane-' || queues.includes(`postern-test-${name}`), name);
  });

  test('go to the topic of their severity, when they start and when they end', () => {
    const actions = alarms.map(({ AlarmName, AlarmActions, OKActions }) => {
      assert.deepEqual(AlarmActions, OKActions);
      const [{ Ref }, ...more] = AlarmActions as [{ Ref: string }];
      assert.deepEqual(more, []);
      return [(AlarmName as string).replace('postern-test: ', ''), Ref.slice(0, -8)];
    });
    const topicOf = new Map(actions as [string, string][]);
    for (const name of ['Node silent (a)', 'Bounce rate critical', 'Queue delay (vip transactional)'])
      assert.equal(topicOf.get(name), 'AlarmTopic', name);
    for (const name of ['Lease lost', 'Bounce rate warning', 'Queue delay (vip bulk)'])
      assert.equal(topicOf.get(name), 'WarningTopic', name);
    monitoring.resourcePropertiesCountIs('AWS::SNS::Subscription', { Endpoint: 'ops@example.com' }, 2);
  });

  test('have unique names, in the stage and in the account', () => {
    const names = alarms.map(({ AlarmName }) => AlarmName as string);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.ok(name.startsWith('postern-test: '), name);
  });

  test('may publish: each topic and its key allow CloudWatch of this account', () => {
    const topics = resourcesOf(monitoring, 'AWS::SNS::Topic').map(([id]) => id);
    assert.equal(topics.length, 2);
    const fromCloudWatch = {
      Effect: 'Allow',
      Principal: { Service: 'cloudwatch.amazonaws.com' },
      Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
    };
    for (const topic of topics) {
      monitoring.hasResourceProperties('AWS::SNS::TopicPolicy', {
        Topics: [{ Ref: topic }],
        PolicyDocument: {
          Statement: Match.arrayWith([
            Match.objectLike({ ...fromCloudWatch, Action: 'sns:Publish', Resource: { Ref: topic } }),
          ]),
        },
      });
    }
    monitoring.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: {
        Statement: Match.arrayWith([
          Match.objectLike({ ...fromCloudWatch, Action: ['kms:Decrypt', 'kms:GenerateDataKey'] }),
        ]),
      },
    });
  });

  test('watch the metrics of their stage, and those of no other in the account', () => {
    const text = JSON.stringify(monitoring.toJSON()).replaceAll('\\', '');
    const named = [...text.matchAll(/"Namespace":"([^"]+)"|SEARCH\('\{([^,]+),|\["(Postern[^"]*)"/g)];
    const namespaces = new Set(named.map(([, alarm, search, graph]) => alarm ?? search ?? graph));
    assert.deepEqual(
      [...namespaces].filter((one) => !one!.startsWith('AWS/')),
      ['Postern/test'],
    );
    for (const [, { Properties }] of resourcesOf(api, 'AWS::Lambda::Function')) {
      const { Variables } = Properties.Environment as { Variables: Record<string, unknown> };
      assert.equal(Variables.POSTERN_STAGE, 'test');
    }
    for (const one of [egress, submission])
      assert.match(JSON.stringify(resourcesOf(one, 'AWS::EC2::LaunchTemplate')), /POSTERN_STAGE=test\\n/);
  });

  test("of reputation have SES's thresholds, from a thousand deliveries on", () => {
    const thresholds = (name: string) =>
      alarms
        .filter(({ AlarmName }) => (AlarmName as string).includes(name))
        .map(({ Threshold, Metrics }) => {
          assert.match(JSON.stringify(Metrics), /IF\(volume >= 1000, rate, 0\)/);
          return Threshold;
        });
    assert.deepEqual(thresholds('Bounce rate'), [0.05, 0.1]);
    assert.deepEqual(thresholds('Complaint rate'), [0.001, 0.005]);
  });

  test('on periodic metrics go off when the metric is missing', () => {
    for (const name of ['Node silent (a)', 'Node silent (b)', 'Node silent (c)', 'Ledger not watched']) {
      const alarm = alarms.find(({ AlarmName }) => AlarmName === `postern-test: ${name}`);
      assert.equal(alarm?.TreatMissingData, 'breaching', name);
    }
  });

  test('on the policy exist only in a stage with a policy', () => {
    const names = (one: Template) =>
      resourcesOf(one, 'AWS::CloudWatch::Alarm').map(([, { Properties }]) => Properties.AlarmName);
    const without = openStacks();
    assert.ok(names(monitoring).includes('postern-test: Policy failing'));
    assert.deepEqual(
      names(monitoring).filter((name) => !names(without.template(without.stacks.monitoring)).includes(name)),
      ['postern-test: Policy failing'],
    );
  });

  test('refer to lanes by name, so that a pool can be removed while its lanes are watched', () => {
    const text = JSON.stringify(monitoring.toJSON());
    assert.ok(text.includes('postern-test-lane-vip-bulk-google'));
    assert.doesNotMatch(text, /ImportValue[^}]*Queuelane/);
  });

  test('watch the number of metrics given in the README', () => {
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'lib', 'stacks', 'README.md'), 'utf8');
    const watched = Object.values(STAGES).map((stage) => {
      const { stacks: own, template: of } = openStacks(stage);
      return resourcesOf(of(own.monitoring), 'AWS::CloudWatch::Alarm').reduce((sum, [, { Properties }]) => {
        const metrics = (Properties.Metrics ?? [{ MetricStat: {} }]) as { MetricStat?: unknown }[];
        return sum + metrics.filter(({ MetricStat }) => MetricStat).length;
      }, 0);
    });
    assert.ok(readme.includes(`for each metric they watch (${watched.join(', ')})`), watched.join(', '));
  });

  test('combine at most the ten metrics that CloudWatch allows', () => {
    for (const { AlarmName, Metrics = [] } of alarms) {
      const stats = (Metrics as { MetricStat?: unknown }[]).filter(({ MetricStat }) => MetricStat);
      assert.ok(stats.length <= 10, AlarmName as string);
    }
  });
});

describe('a deployment', () => {
  test('cannot be deleted by mistake in a protected stage', () => {
    for (const stack of Object.values(stacksByPart(stacks))) assert.equal(stack.terminationProtection, true);
  });

  const stages: Record<string, Stage> = { ...STAGES, 'with everything': STAGE };
  for (const [name, stage] of Object.entries(stages)) {
    test(`passes cdk-nag's AWS Solutions pack (${name})`, () => {
      const app = openApp();
      buildStacks(app, stage);
      Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
      // Throws, with a report on standard error, when a rule is broken without a stated reason.
      app.synth();
    });
  }

  test('fits into the limits of CloudFormation', () => {
    for (const one of [data, api, egress, submission, monitoring] as Template[]) {
      const json = one.toJSON() as { Resources: object; Outputs?: object };
      assert.ok(Object.keys(json.Resources).length < 500);
      assert.ok(Object.keys(json.Outputs ?? {}).length < 200);
      assert.ok(JSON.stringify(json).length < 1_000_000);
    }
  });
});

/** A cell of one node with one address. */
function cellOf(name: string, pool: string): CellConfig {
  const address = { hostname: `${name}.example.com`, pools: [pool], ptr: false };
  return { name, nodes: [{ name: `${name}n`, instanceType: 't4g.small', addresses: [address] }] };
}

describe('a stage', () => {
  const wrong: Record<string, [Partial<Stage>, RegExp]> = {
    'a name that is not its key': [{ name: 'other' }, /its name must be its key/],
    'an invalid host name': [{ hostname: 'Mail.example.com' }, /"Mail\.example\.com" is not a host name/],
    'two nodes of one name': [{ nodes: [STAGE.nodes[1]!, STAGE.nodes[1]!] }, /two have the node "b"/],
    'an address that two nodes claim': [
      { nodes: [STAGE.nodes[1]!, { ...STAGE.nodes[1]!, name: 'z' }] },
      /two have the hostname "b1\.example\.com"/,
    ],
    'a node outside with the name of one inside': [
      { outside: { ...STAGE.outside!, nodes: [{ ...STAGE.outside!.nodes[0]!, name: 'a' }] } },
      /two have the node "a"/,
    ],
    'a certificate that CloudFront cannot use': [
      {
        api: {
          ...STAGE.api,
          domain: {
            name: 'api.example.com',
            certificate: 'arn:aws:acm:eu-central-1:123456789012:certificate/12345678',
          },
        },
      },
      /is not the ARN of a certificate in us-east-1/,
    ],
    'a zone for DKIM keys that leaves no room for their names': [
      { dkimZone: `${'a.'.repeat(105)}example.com` },
      /dkimZone has 221 characters, and 220 at most/,
    ],
    'a zone for DKIM keys that is no name': [{ dkimZone: 'dkim' }, /"dkim"/],
    'a name that its zone cannot have': [
      {
        api: {
          ...STAGE.api,
          domain: { ...STAGE.api.domain!, hostedZone: { id: 'Z01', name: 'ample.com' } },
        },
      },
      /"api\.example\.com" is not a name of the zone "ample\.com"/,
    ],
    'a submission service that stands still when it is replaced': [
      { submission: { ...STAGE.submission!, instances: 1 } },
      /submission needs two instances or more, not 1/,
    ],
    'a node without an address': [
      { nodes: [{ name: 'a', instanceType: 't4g.small', addresses: [] }] },
      /"a" has no address/,
    ],
    'more addresses than an interface of its type has': [
      {
        nodes: [
          {
            name: 'a',
            instanceType: 'c7g.large',
            addresses: Array.from({ length: 11 }, (_, at) => ({
              hostname: `a${at}.example.com`,
              pools: ['default'],
              ptr: false,
            })),
          },
        ],
      },
      /node "a" has 11 addresses, but an interface of a c7g\.large has 10\. Take a larger type, or a further node/,
    ],
    'a type that is not on arm64': [
      { nodes: [{ ...STAGE.nodes[1]!, instanceType: 'c5.large' }] },
      /node "b": "c5\.large" is no type on arm64/,
    ],
    'addresses of two nodes that CloudFormation would give one name': [
      {
        nodes: ['n1', 'n11'].map((name) => ({
          name,
          instanceType: 'c7g.xlarge',
          addresses: Array.from({ length: 11 }, (_, at) => ({
            hostname: `${name}-${at}.example.com`,
            pools: ['default'],
            ptr: false,
          })),
        })),
      },
      /two addresses would have the name "n111" in CloudFormation\. Rename one of their nodes/,
    ],
    'a cell with the name of a stack': [
      { cells: [cellOf('data', 'x')] },
      /cell "data" has the name of another/,
    ],
    'two cells of one name': [{ cells: [cellOf('c1', 'x'), cellOf('c1', 'y')] }, /two have the cell "c1"/],
    'a pool in two cells': [
      { cells: [cellOf('c1', 'x'), cellOf('c2', 'x')] },
      /two have the pool "x"\. A pool belongs to one cell/,
    ],
    'a cell of too many nodes': [
      {
        cells: [
          {
            name: 'c1',
            nodes: Array.from({ length: 31 }, (_, at) => cellOf(`n${at}`, 'x').nodes[0]!),
          },
        ],
      },
      /cell "c1" has 31 nodes; a cell has 30 at most\. Put the others into a further cell/,
    ],
    'more pools than its stack holds lanes of': [
      {
        nodes: Array.from({ length: 22 }, (_, at) => cellOf(`n${at}`, `p${at}`).nodes[0]!),
        outside: undefined,
      },
      /the stage has 23 pools; its stack holds 22/,
    ],
    'a name that is too long': [{ name: 'a2345678901234567' }, /its name must be its key: .* 16 at most/],
    'warm throughput above the cap': [
      { tables: { ...STAGE.tables, maxReadUnits: 20_000, warm: { readUnits: 12_000, writeUnits: 5_000 } } },
      /tables\.warm\.writeUnits is 5000, above the cap of 2000/,
    ],
    'a monthly cost without an address for its alarm': [
      { alarms: { minimumVolume: 1_000, monthlyDollars: 100 } },
      /alarms\.monthlyDollars needs alarms\.email/,
    ],
    'an authority that is not a certificate': [
      { outside: { ...STAGE.outside!, authority: 'ca.pem' } },
      /outside\.authority is the text of the file ca\.pem/,
    ],
    'a pool that no queue can have': [
      {
        nodes: [
          {
            name: 'a',
            instanceType: 't4g.small',
            addresses: [{ hostname: 'a.example.com', pools: ['VIP!'], ptr: false }],
          },
        ],
      },
      /pool "VIP!"/,
    ],
  };
  for (const [name, [change, message]] of Object.entries(wrong)) {
    test(`is refused with ${name}`, () => {
      assert.throws(() => stageOf('test', { test: { ...STAGE, ...change } }), message);
    });
  }

  test('is refused when its name is unknown', () => {
    assert.throws(() => stageOf('nope'), /Use -c stage= with one of: dev, prod/);
  });

  test('lists the quotas that the account needs', () => {
    const quotas = quotasOf(STAGES.prod!);
    for (const part of [/port 25/, /Elastic IPs.*: 6$/, /vCPUs.*: 6$/, /Concurrent executions.*: 500$/])
      assert.ok(
        quotas.some((one) => part.test(one)),
        String(part),
      );
    assert.equal(quotasOf(STAGES.dev!).length, 1);
  });

  test('is accepted when it is valid', () => {
    for (const name of Object.keys(STAGES)) assert.equal(stageOf(name).name, name);
    assert.equal(stageOf('test', { test: STAGE }), STAGE);
  });
});
