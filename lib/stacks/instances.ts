/**
 * Instances of long-lived processes: how each is made, and the group that keeps their number. No shell leads to them:
 * their logs show what they do, and a broken one is replaced.
 */
import { type Duration, Tags } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';

export interface InstanceProps {
  instanceType: string;
  role: iam.Role;
  securityGroup: ec2.SecurityGroup;
  userData: ec2.UserData;
  /** Of instances, their interfaces and disks. */
  tags: Record<string, string>;
}

/** Amazon Linux on arm64, with IMDSv2 only, an encrypted disk and a public address: there is no NAT gateway. */
export function launchTemplate(scope: Construct, id: string, props: InstanceProps): ec2.LaunchTemplate {
  const { instanceType, role, securityGroup, userData, tags } = props;
  const template = new ec2.LaunchTemplate(scope, id, {
    instanceType: new ec2.InstanceType(instanceType),
    machineImage: ec2.MachineImage.latestAmazonLinux2023({ cpuType: ec2.AmazonLinuxCpuType.ARM_64 }),
    role,
    securityGroup,
    associatePublicIpAddress: true,
    requireImdsv2: true,
    httpPutResponseHopLimit: 1,
    blockDevices: [
      {
        deviceName: '/dev/xvda',
        volume: autoscaling.BlockDeviceVolume.ebs(8, {
          encrypted: true,
          volumeType: autoscaling.EbsDeviceVolumeType.GP3,
        }),
      },
    ],
    userData,
  });
  for (const [name, value] of Object.entries(tags)) Tags.of(template).add(name, value);
  (template.node.defaultChild as ec2.CfnLaunchTemplate).addPropertyOverride(
    'LaunchTemplateData.TagSpecifications',
    ['instance', 'network-interface', 'volume'].map((ResourceType) => ({
      ResourceType,
      Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
    })),
  );
  return template;
}

export interface GroupProps {
  vpc: ec2.IVpc;
  template: ec2.LaunchTemplate;
  /** How many run at any time; at a deployment one less. */
  instances: number;
  /** Maximum time until a new instance reports that it works. */
  patience: Duration;
  healthChecks?: autoscaling.HealthChecks;
}

/** A group in the public subnets, whose deployments wait until each new instance reports that it works. */
export function instanceGroup(
  scope: Construct,
  id: string,
  { vpc, template, instances, patience, healthChecks }: GroupProps,
): autoscaling.AutoScalingGroup {
  const group = new autoscaling.AutoScalingGroup(scope, id, {
    vpc,
    vpcSubnets: { subnetType: ec2.SubnetType.PUBLIC },
    launchTemplate: template,
    minCapacity: instances,
    maxCapacity: instances,
    signals: autoscaling.Signals.waitForAll({ timeout: patience }),
    healthChecks,
    // The old one ends before the new one starts: a node's name and addresses are one instance's at a time.
    updatePolicy: autoscaling.UpdatePolicy.rollingUpdate({
      minInstancesInService: instances - 1,
      maxBatchSize: 1,
    }),
  });
  const { stack } = group;
  const resource = stack.getLogicalId(group.node.defaultChild as autoscaling.CfnAutoScalingGroup);
  template.userData!.addOnExitCommands(
    `/opt/aws/bin/cfn-signal -e $exitCode --stack ${stack.stackName} --resource ${resource} --region ${stack.region}`,
  );
  return group;
}
