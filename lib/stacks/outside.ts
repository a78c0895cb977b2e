/**
 * Rights of nodes outside AWS, by certificate (IAM Roles Anywhere): a node proves with a certificate of your own
 * authority which node it is, and gets the rights of an egress node for an hour at a time. No access key leaves
 * AWS, and a node is shut out by revoking its certificate.
 */
import { CfnOutput } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as logs from 'aws-cdk-lib/aws-logs';
import * as rolesanywhere from 'aws-cdk-lib/aws-rolesanywhere';
import { Construct } from 'constructs';
import type { DataStack } from './data.ts';
import { acknowledgeBodies, acknowledgeLanes, egressPermissions, shipLog } from './permissions.ts';
import type { OutsideNodes } from './stage.ts';

export interface OutsideAccessProps {
  nodes: OutsideNodes;
  data: DataStack;
  logGroup: logs.ILogGroup;
}

export class OutsideAccess extends Construct {
  readonly role: iam.Role;

  constructor(scope: Construct, id: string, props: OutsideAccessProps) {
    super(scope, id);
    const { nodes, data, logGroup } = props;
    const anchor = new rolesanywhere.CfnTrustAnchor(this, 'Authority', {
      name: 'postern-nodes',
      enabled: true,
      source: {
        sourceType: 'CERTIFICATE_BUNDLE',
        sourceData: { x509CertificateData: nodes.authority },
      },
    });
    this.role = new iam.Role(this, 'Role', {
      description: 'Postern: egress nodes outside AWS',
      assumedBy: new iam.SessionTagsPrincipal(
        new iam.ServicePrincipal('rolesanywhere.amazonaws.com', {
          conditions: {
            ArnEquals: { 'aws:SourceArn': anchor.attrTrustAnchorArn },
            // Any certificate of the authority would do without this: only these names are nodes.
            StringEquals: { 'aws:PrincipalTag/x509Subject/CN': nodes.nodes.map(({ name }) => name) },
          },
        }),
      ),
    });
    this.role.assumeRolePolicy?.addStatements(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('rolesanywhere.amazonaws.com')],
        actions: ['sts:SetSourceIdentity'],
        conditions: { ArnEquals: { 'aws:SourceArn': anchor.attrTrustAnchorArn } },
      }),
    );
    for (const statement of [...egressPermissions(data), shipLog(logGroup)]) this.role.addToPolicy(statement);
    acknowledgeBodies(this.role, data);
    acknowledgeLanes(this.role, data);
    const profile = new rolesanywhere.CfnProfile(this, 'Profile', {
      name: 'postern-nodes',
      enabled: true,
      roleArns: [this.role.roleArn],
      durationSeconds: 3600,
    });
    for (const [name, value] of Object.entries({
      TrustAnchorArn: anchor.attrTrustAnchorArn,
      ProfileArn: profile.attrProfileArn,
      RoleArn: this.role.roleArn,
    })) {
      new CfnOutput(this, name, { value, description: 'For aws_signing_helper on nodes outside AWS' });
    }
  }
}
