/**
 * The egress fleet: nodes in public subnets, each with Elastic IPs of its own and no way in but SMTP. There is no
 * NAT gateway (mail must leave from the node's own addresses) and no shell: a node is looked at by its log, and
 * replaced.
 */
import {
  Annotations,
  ArnFormat,
  CfnOutput,
  Duration,
  Fn,
  RemovalPolicy,
  Stack,
  type StackProps,
  Tags,
  Validations,
} from 'aws-cdk-lib';
import type * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { nodeEnvironment } from '../../egress-node/service/node-environment.ts';
import { acknowledgeBodies, acknowledgeLanes, acknowledgeWildcard } from './acknowledge.ts';
import { serviceAsset } from './bundling.ts';
import type { Cell } from './cells.ts';
import type { DataStack } from './data.ts';
import type { PosternFunction } from './function.ts';
import { instanceGroup, launchTemplate } from './instances.ts';
import { OutsideAccess } from './outside.ts';
import { egressPermissions, shipLog } from './permissions.ts';
import { type PolicyBundle, policyFor } from './policy.ts';
import { PtrRecords } from './ptr.ts';
import { openLanes } from './queues.ts';
import { register, STAGE_TAG } from './registrar.ts';
import type { NodeConfig, Stage, StageAddress } from './stage.ts';
import { accountAlarmName } from './topics.ts';
import { installNode } from './user-data.ts';

const SMTP = ec2.Port.tcp(25);
const HTTPS = ec2.Port.tcp(443);
/** Tag by which a node's role identifies its own instances and interfaces. */
const NODE_TAG = 'postern:node';

const PORT_25 =
  'EC2 blocks outgoing port 25 until AWS lifts it for the account and region: ask with the form ' +
  '"Request to remove email sending limitations" before the first deployment (lib/stacks/README.md).';

/** How long the first node of a deployment must prove that the version works, and each further one. */
const CANARY = Duration.minutes(10);
const FOLLOWER = Duration.minutes(1);
/** From the start of an instance until it may send. */
const INSTALLATION = Duration.minutes(10);
/** Alarms of which one that begins to ring while a new version sends stops its deployment. */
export const STOPPING_ALARMS = [
  'Uncertain replies',
  'Deferral ratio',
  'Lease lost',
  'Leases unanswered',
  'Oldest due delivery',
  'Dead deliveries',
  'Storage refused',
] as const;

export interface EgressStackProps extends StackProps {
  stage: Stage;
  cell: Cell;
  /** Keeps the rows and PTR records of addresses; of a named cell only. */
  registrar?: PosternFunction;
  data: DataStack;
  policy?: PolicyBundle;
}

export class EgressStack extends Stack {
  readonly vpc: ec2.Vpc;
  readonly logGroup: logs.LogGroup;
  /** Roles of the nodes, by name. */
  readonly roles: ReadonlyMap<string, iam.Role>;
  readonly ptr?: PtrRecords;
  /** The node that is deployed last so far. */
  #last?: autoscaling.AutoScalingGroup;

  constructor(scope: Construct, id: string, props: EgressStackProps) {
    super(scope, id, props);
    const { stage, cell, data, policy, registrar } = props;
    const own = cell.name === undefined;
    const log: logs.LogGroupProps = { retention: stage.logRetention, encryptionKey: data.key };
    this.logGroup = new logs.LogGroup(this, 'Log', log);
    this.vpc = this.#network(log, own ? 24 : 20);
    const { vpc } = this;
    const securityGroup = this.#securityGroup(vpc);
    const bundle = new Asset(this, 'Bundle', serviceAsset('node.ts', 'egress', policyFor('egress', policy)));
    const addresses = new Map(cell.nodes.map((node) => [node.name, this.#addresses(node, stage, own)]));
    this.roles = new Map(
      cell.nodes.map((node, at) => {
        const its = addresses.get(node.name)!;
        const shared = { stage, data, vpc, securityGroup, bundle };
        return [node.name, this.#node(node, its, shared, at === 0 ? CANARY : FOLLOWER)];
      }),
    );
    if (!own) {
      const dead = sqs.Queue.fromQueueArn(this, 'DeadLanes', data.deadLanesArn);
      openLanes(this, { stage, key: data.key, pools: cell.pools, dead });
      register(this, registrar!, cell.name!, addresses);
      return;
    }
    const records = [...addresses.values()].flat().filter(({ ptr }) => ptr);
    if (records.length > 0) this.ptr = new PtrRecords(this, 'Ptr', { records, log });
    if (stage.outside) {
      new OutsideAccess(this, 'Outside', {
        stage,
        outside: stage.outside,
        data,
        logGroup: this.logGroup,
      });
    }
    Annotations.of(this).addInfoV2('postern:port-25', PORT_25);
    new CfnOutput(this, 'Port25', { value: 'see lib/stacks/README.md', description: PORT_25 });
  }

  /** Without a look-up, which would need credentials. Every region has two zones that an account may use. */
  override get availabilityZones(): string[] {
    return [0, 1].map((at) => Fn.select(at, Fn.getAzs()));
  }

  #network(log: logs.LogGroupProps, cidrMask: number): ec2.Vpc {
    const vpc = new ec2.Vpc(this, 'Vpc', {
      maxAzs: 2,
      natGateways: 0,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [{ name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask }],
      gatewayEndpoints: {
        S3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
        DynamoDB: { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB },
      },
    });
    // Refused packets only: what is let in and out is SMTP, which has a log of its own.
    const role = new iam.Role(this, 'FlowLogRole', {
      assumedBy: new iam.ServicePrincipal('vpc-flow-logs.amazonaws.com'),
    });
    const logGroup = new logs.LogGroup(this, 'FlowLog', log);
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents', 'logs:DescribeLogStreams'],
        resources: [logGroup.logGroupArn],
      }),
    );
    new ec2.CfnFlowLog(this, 'Refused', {
      resourceId: vpc.vpcId,
      resourceType: 'VPC',
      trafficType: 'REJECT',
      logGroupName: logGroup.logGroupName,
      deliverLogsPermissionArn: role.roleArn,
    });
    return vpc;
  }

  #securityGroup(vpc: ec2.Vpc): ec2.SecurityGroup {
    const group = new ec2.SecurityGroup(this, 'NodeSecurity', {
      vpc,
      description: 'Postern egress nodes: SMTP in and out, AWS by HTTPS',
      allowAllOutbound: false,
    });
    group.addIngressRule(ec2.Peer.anyIpv4(), SMTP, 'Bounces and complaints from any mail server');
    group.addEgressRule(ec2.Peer.anyIpv4(), SMTP, 'Mail to any mail server');
    group.addEgressRule(ec2.Peer.anyIpv4(), HTTPS, 'AWS, packages, MTA-STS policies');
    Validations.of(group).acknowledge({
      id: 'AwsSolutions-EC23',
      reason: 'Any mail server may have a bounce to return, so port 25 (and only it) is open to all.',
    });
    return group;
  }

  /**
   * Elastic IPs, kept when the stack goes: an address that receivers have learnt to trust is the one thing here
   * that no deployment can bring back.
   */
  #addresses(node: NodeConfig, stage: Stage, own: boolean): StageAddress[] {
    return node.addresses.map((address, at) => {
      // In a cell the node's name cannot run into the number.
      const id = own ? `Address-${node.name}${at + 1}` : `${node.name}Address${at + 1}`;
      const eip = new ec2.CfnEIP(this, id, { domain: 'vpc' });
      Tags.of(eip).add('Name', address.hostname);
      eip.applyRemovalPolicy(RemovalPolicy.RETAIN);
      if (own) {
        new CfnOutput(this, `Record-${node.name}${at + 1}`, {
          value: `${address.hostname}. A ${eip.attrPublicIp}`,
          description: 'Publish this record before the address gets its PTR',
        });
      } else {
        Tags.of(eip).add(STAGE_TAG, stage.name);
      }
      return { ...address, ip: eip.attrPublicIp, allocationId: eip.attrAllocationId };
    });
  }

  /** @param watch how long it watches the alarms once it sends. @returns its role. */
  #node(
    node: NodeConfig,
    addresses: readonly StageAddress[],
    shared: {
      stage: Stage;
      data: DataStack;
      vpc: ec2.Vpc;
      securityGroup: ec2.SecurityGroup;
      bundle: Asset;
    },
    watch: Duration,
  ): iam.Role {
    const { stage, data, vpc, securityGroup, bundle } = shared;
    const role = new iam.Role(this, `Role-${node.name}`, {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      description: `Postern: egress node ${node.name}`,
    });
    const scope = {
      stage,
      pools: [...new Set(addresses.flatMap(({ pools }) => pools))],
      ips: addresses.map(({ ip }) => ip),
    };
    for (const statement of [
      ...egressPermissions(data, scope),
      ...shipLog(this.logGroup, node.name),
      ...this.#takeAddresses(role, node.name, addresses),
      ...this.#readDeployment(role, stage),
      new iam.PolicyStatement({
        actions: ['s3:GetObject'],
        resources: [bundle.bucket.arnForObjects(bundle.s3ObjectKey)],
      }),
    ]) {
      role.addToPolicy(statement);
    }
    acknowledgeBodies(role, data);
    acknowledgeLanes(role, data, scope);
    const userData = installNode(this, {
      bundle,
      stage: stage.name,
      environment: nodeEnvironment({
        resources: data.resources(stage),
        node: node.name,
        secrets: data.secrets.bucketName,
      }),
      addresses,
      logGroup: this.logGroup.logGroupName,
      logStream: node.name,
      watch,
      alarms: STOPPING_ALARMS.map((entry) => accountAlarmName(stage, { entry })),
    });
    const template = launchTemplate(this, `Template-${node.name}`, {
      instanceType: node.instanceType,
      role,
      securityGroup,
      userData,
      tags: { [NODE_TAG]: node.name, Name: `postern-${stage.name}-${node.name}` },
    });
    // The public address that the instance starts with is its way out until it has taken its own.
    if (addresses.length > 1) {
      (template.node.defaultChild as ec2.CfnLaunchTemplate).addPropertyOverride(
        'LaunchTemplateData.NetworkInterfaces.0.SecondaryPrivateIpAddressCount',
        addresses.length - 1,
      );
    }
    const group = instanceGroup(this, `Node-${node.name}`, {
      vpc,
      template,
      instances: 1,
      patience: INSTALLATION.plus(watch),
    });
    // CloudFormation updates at one time what does not depend on each other: the nodes go one by one.
    if (this.#last) group.node.addDependency(this.#last);
    this.#last = group;
    Validations.of(group).acknowledge({
      id: 'AwsSolutions-AS3',
      reason:
        'The alarm of missing heartbeats tells when a node does not come back; a replacement is no event.',
    });
    return role;
  }

  /** To see whether its deployment goes forward, and which alarms of the stage ring. */
  #readDeployment(role: iam.Role, stage: Stage): iam.PolicyStatement[] {
    // One pattern: by name they would push the policy of a node of five addresses over the limit of an inline policy.
    const alarms = this.formatArn({
      service: 'cloudwatch',
      resource: 'alarm',
      resourceName: `postern-${stage.name}:*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    acknowledgeWildcard(
      role,
      alarms,
      'The state of the alarms of its own stage, which tells it nothing of others.',
    );
    return [
      new iam.PolicyStatement({ actions: ['cloudwatch:DescribeAlarms'], resources: [alarms] }),
      new iam.PolicyStatement({ actions: ['cloudformation:DescribeStacks'], resources: [this.stackId] }),
    ];
  }

  /** To move its own Elastic IPs, and no others, to an interface of its own. */
  #takeAddresses(role: iam.Role, node: string, addresses: readonly StageAddress[]): iam.PolicyStatement[] {
    const arn = (resource: string): string =>
      `arn:${this.partition}:ec2:${this.region}:${this.account}:${resource}`;
    const own = [arn('instance/*'), arn('network-interface/*')];
    for (const resource of own) {
      acknowledgeWildcard(
        role,
        resource,
        'Its own instance and interface, known by their tag, have no id yet.',
      );
    }
    return [
      new iam.PolicyStatement({
        actions: ['ec2:AssociateAddress'],
        resources: addresses.map(({ allocationId }) => arn(`elastic-ip/${allocationId}`)),
      }),
      new iam.PolicyStatement({
        actions: ['ec2:AssociateAddress'],
        resources: own,
        conditions: { StringEquals: { [`aws:ResourceTag/${NODE_TAG}`]: node } },
      }),
    ];
  }
}
