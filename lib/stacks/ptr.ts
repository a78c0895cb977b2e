/**
 * The PTR record of an Elastic IP, which CloudFormation cannot set: a custom resource that calls EC2. EC2 sets
 * it only while an A record of that name leads to the address. When the resource goes it is reset: an address
 * cannot be released while it has one (EC2 user guide, "reverse DNS").
 */
import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as cr from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';

export interface PtrRecordsProps {
  records: readonly { hostname: string; allocationId: string }[];
  log: logs.LogGroupProps;
}

export class PtrRecords extends Construct {
  readonly role: iam.Role;

  constructor(scope: Construct, id: string, props: PtrRecordsProps) {
    super(scope, id);
    const { region, account, partition } = Stack.of(this);
    const logGroup = new logs.LogGroup(this, 'Log', props.log);
    this.role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: 'Postern: sets and resets PTR records',
    });
    const allow = (actions: string[], resources: string[]): void => {
      this.role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
    };
    allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [logGroup.logGroupArn]);
    const addresses = props.records.map(
      ({ allocationId }) => `arn:${partition}:ec2:${region}:${account}:elastic-ip/${allocationId}`,
    );
    allow(['ec2:ModifyAddressAttribute', 'ec2:ResetAddressAttribute'], addresses);
    for (const { hostname, allocationId } of props.records) {
      const record = new cr.AwsCustomResource(this, hostname, {
        resourceType: 'Custom::PtrRecord',
        onUpdate: {
          service: 'ec2',
          action: 'ModifyAddressAttribute',
          parameters: { AllocationId: allocationId, DomainName: hostname },
          // The same for another name: with a new id CloudFormation would delete the "old" one, and reset this.
          physicalResourceId: cr.PhysicalResourceId.of(allocationId),
        },
        onDelete: {
          service: 'ec2',
          action: 'ResetAddressAttribute',
          parameters: { AllocationId: allocationId, Attribute: 'domain-name' },
        },
        role: this.role,
        logGroup,
        installLatestAwsSdk: false,
        timeout: Duration.minutes(1),
      });
      record.node.addDependency(this.role);
    }
  }
}
