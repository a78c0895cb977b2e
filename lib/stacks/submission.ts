/**
 * SMTP submission: instances of `egress-node/submission-node.ts` behind a network load balancer, with a role that
 * takes mail in and reads none. Instances and not containers, so that a deployment needs no container builder and
 * installs them as it installs nodes; a load balancer that passes connections on with the caller's address, so that no
 * PROXY protocol is needed.
 *
 * TLS ends in the process on both ports: STARTTLS needs the key there in any case, one certificate is enough, and
 * no password crosses the network in clear.
 */
import { join } from 'node:path';
import { type App, CfnOutput, Duration, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { apiEnvironment } from '../../functions/environment.ts';
import { HEALTH, STARTTLS, TLS } from '../submission/ports.ts';
import { acknowledgeBodies, acknowledgeLanes } from './acknowledge.ts';
import { serviceAsset } from './bundling.ts';
import type { DataStack } from './data.ts';
import type { EgressStack } from './egress.ts';
import { instanceGroup, launchTemplate } from './instances.ts';
import { shipLog, submissionPermissions } from './permissions.ts';
import { type PolicyBundle, policyFor } from './policy.ts';
import { poolSetting } from './pools.ts';
import { eventDaysOf, type Stage, type SubmissionService, trackingUrlOf } from './stage.ts';
import { installService } from './user-data.ts';

export interface SubmissionStackProps extends StackProps {
  stage: Stage;
  submission: SubmissionService;
  data: DataStack;
  /** Its network is used. */
  egress: EgressStack;
  policy?: PolicyBundle;
}

export class SubmissionStack extends Stack {
  readonly logGroup: logs.LogGroup;
  readonly role: iam.Role;
  readonly instances: number;
  /** One for each port. */
  readonly targets: readonly elb.NetworkTargetGroup[];

  constructor(scope: Construct, id: string, props: SubmissionStackProps) {
    super(scope, id, props);
    const { stage, submission, data, egress, policy } = props;
    const { vpc } = egress;
    this.logGroup = new logs.LogGroup(this, 'Log', {
      retention: stage.logRetention,
      encryptionKey: data.key,
    });
    this.role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      description: 'Postern: submission',
    });
    const pools = poolSetting(stage, join((scope as App).outdir, 'pools'));
    const bundle = new Asset(
      this,
      'Bundle',
      serviceAsset('submission-node.ts', 'submission', [...policyFor('accept', policy), ...pools.files]),
    );
    for (const statement of [
      ...submissionPermissions(data),
      ...shipLog(this.logGroup),
      new iam.PolicyStatement({
        actions: ['s3:GetObject'],
        resources: [bundle.bucket.arnForObjects(bundle.s3ObjectKey)],
      }),
    ]) {
      this.role.addToPolicy(statement);
    }
    acknowledgeBodies(this.role, data);
    acknowledgeLanes(this.role, data);
    const { balancerSecurity, instanceSecurity } = this.#securityGroups(vpc);
    const template = launchTemplate(this, 'Template', {
      instanceType: submission.instanceType,
      role: this.role,
      securityGroup: instanceSecurity,
      userData: installService(this, {
        service: 'submission',
        bundle,
        stage: stage.name,
        environment: apiEnvironment({
          resources: data.resources(stage),
          accountId: this.account,
          hostname: submission.hostname,
          pools: pools.pools,
          returnPathDomain: stage.returnPathDomain,
          cosignDomain: stage.cosignDomain,
          secrets: data.secrets.bucketName,
          trackingUrl: trackingUrlOf(stage),
          eventDays: eventDaysOf(stage),
        }),
        logGroup: this.logGroup.logGroupName,
        logStream: '{instance_id}',
      }),
      tags: { Name: `postern-${stage.name}-submission` },
    });
    this.instances = submission.instances;
    const group = instanceGroup(this, 'Instances', {
      vpc,
      template,
      instances: this.instances,
      patience: Duration.minutes(10),
      // An instance that does not answer /healthz is replaced, and not only left out by the load balancer.
      healthChecks: autoscaling.HealthChecks.withAdditionalChecks({
        additionalTypes: [autoscaling.AdditionalHealthCheckType.ELB],
        gracePeriod: Duration.minutes(5),
      }),
    });
    Validations.of(group).acknowledge({
      id: 'AwsSolutions-AS3',
      reason:
        'The alarm of unhealthy instances tells when one does not come back; a replacement is no event.',
    });
    this.targets = this.#balance(stage, vpc, balancerSecurity, group, submission.hostname);
  }

  #securityGroups(vpc: ec2.IVpc): Record<'balancerSecurity' | 'instanceSecurity', ec2.SecurityGroup> {
    const balancerSecurity = new ec2.SecurityGroup(this, 'BalancerSecurity', {
      vpc,
      description: 'Postern submission: SMTP from anywhere',
      allowAllOutbound: false,
    });
    const instanceSecurity = new ec2.SecurityGroup(this, 'InstanceSecurity', {
      vpc,
      description: 'Postern submission: from its load balancer only; AWS by HTTPS',
      allowAllOutbound: false,
    });
    for (const port of [STARTTLS, TLS]) {
      balancerSecurity.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(port), 'Clients, who log in');
    }
    for (const port of [STARTTLS, TLS, HEALTH]) {
      instanceSecurity.addIngressRule(balancerSecurity, ec2.Port.tcp(port), 'From the load balancer');
      balancerSecurity.addEgressRule(instanceSecurity, ec2.Port.tcp(port), 'To the instances');
    }
    instanceSecurity.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), 'AWS, packages');
    Validations.of(balancerSecurity).acknowledge({
      id: 'AwsSolutions-EC23',
      reason: 'Applications may be anywhere; without a key they get no further than AUTH.',
    });
    return { balancerSecurity, instanceSecurity };
  }

  #balance(
    stage: Stage,
    vpc: ec2.IVpc,
    securityGroup: ec2.SecurityGroup,
    group: autoscaling.AutoScalingGroup,
    hostname: string,
  ): elb.NetworkTargetGroup[] {
    const balancer = new elb.NetworkLoadBalancer(this, 'Balancer', {
      vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PUBLIC },
      internetFacing: true,
      crossZoneEnabled: true,
      securityGroups: [securityGroup],
      deletionProtection: stage.protect,
    });
    Validations.of(balancer).acknowledge({
      id: 'AwsSolutions-ELB2',
      reason: 'A network load balancer logs connections of TLS listeners only, and TLS ends behind it.',
    });
    new CfnOutput(this, 'Record', {
      value: `${hostname}. CNAME ${balancer.loadBalancerDnsName}.`,
      description: 'Publish this record to reach the submission service by its name',
    });
    return [STARTTLS, TLS].map((port) =>
      balancer.addListener(`Port${port}`, { port, protocol: elb.Protocol.TCP }).addTargets('Instances', {
        port,
        protocol: elb.Protocol.TCP,
        targets: [group],
        preserveClientIp: true,
        // What is being sent ends within it; then the instance ends the rest.
        deregistrationDelay: Duration.minutes(1),
        healthCheck: {
          protocol: elb.Protocol.HTTP,
          port: String(HEALTH),
          path: '/healthz',
          interval: Duration.seconds(10),
          healthyThresholdCount: 2,
          unhealthyThresholdCount: 2,
        },
      }),
    );
  }
}
