/**
 * Rights of nodes outside AWS, by certificate (IAM Roles Anywhere): a node proves with a certificate of the operator's
 * authority which node it is, and gets the rights of that node for an hour at a time. No access key leaves AWS, and a
 * node is shut out by revoking its certificate.
 */
import { CfnOutput, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as logs from 'aws-cdk-lib/aws-logs';
import * as rolesanywhere from 'aws-cdk-lib/aws-rolesanywhere';
import { Construct } from 'constructs';
import { nodeEnvironment } from '../../egress-node/service/node-environment.ts';
import { acknowledgeBodies, acknowledgeLanes } from './acknowledge.ts';
import type { DataStack } from './data.ts';
import { egressPermissions, shipLog } from './permissions.ts';
import type { OutsideNodes, Stage } from './stage.ts';

export interface OutsideAccessProps {
  stage: Stage;
  outside: OutsideNodes;
  data: DataStack;
  logGroup: logs.ILogGroup;
}

export class OutsideAccess extends Construct {
  constructor(scope: Construct, id: string, props: OutsideAccessProps) {
    super(scope, id);
    const { outside } = props;
    const anchor = new rolesanywhere.CfnTrustAnchor(this, 'Authority', {
      name: 'postern-nodes',
      enabled: true,
      source: {
        sourceType: 'CERTIFICATE_BUNDLE',
        sourceData: { x509CertificateData: outside.authority },
      },
    });
    const roles = outside.nodes.map((node) => this.#role(node, anchor.attrTrustAnchorArn, props));
    const profile = new rolesanywhere.CfnProfile(this, 'Profile', {
      name: 'postern-nodes',
      enabled: true,
      roleArns: roles.map(({ roleArn }) => roleArn),
      durationSeconds: 3600,
    });
    const { stage, data, logGroup } = props;
    const { POSTERN_NODE: _, ...environment } = nodeEnvironment({
      resources: data.resources(stage),
      node: '',
      secrets: data.secrets.bucketName,
    });
    for (const [name, value] of [
      ['TrustAnchorArn', anchor.attrTrustAnchorArn],
      ['ProfileArn', profile.attrProfileArn],
      ['LogGroup', logGroup.logGroupName],
      ['Environment', Stack.of(this).toJsonString(environment)],
      ...outside.nodes.map((node, at) => [`RoleArn${node.name}`, roles[at]!.roleArn] as const),
    ] as const) {
      const output = new CfnOutput(this, name, { value, description: 'Read by npm run node-kit' });
      output.overrideLogicalId(`Outside${name}`);
    }
  }

  /** A role for each node, so that the certificate of one opens nothing of another's. */
  #role(
    { name, addresses }: OutsideNodes['nodes'][number],
    anchor: string,
    { stage, data, logGroup }: OutsideAccessProps,
  ): iam.Role {
    const principal = new iam.ServicePrincipal('rolesanywhere.amazonaws.com', {
      conditions: {
        ArnEquals: { 'aws:SourceArn': anchor },
        // Without it any certificate of the authority would do.
        StringEquals: { 'aws:PrincipalTag/x509Subject/CN': name },
      },
    });
    const role = new iam.Role(this, `Role-${name}`, {
      description: `Postern: egress node ${name}, outside AWS`,
      assumedBy: new iam.SessionTagsPrincipal(principal),
    });
    role.assumeRolePolicy?.addStatements(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('rolesanywhere.amazonaws.com')],
        actions: ['sts:SetSourceIdentity'],
        conditions: { ArnEquals: { 'aws:SourceArn': anchor } },
      }),
    );
    const scope = {
      stage,
      pools: [...new Set(addresses.flatMap(({ pools }) => pools))],
      ips: addresses.map(({ ip }) => ip),
    };
    for (const statement of [...egressPermissions(data, scope), ...shipLog(logGroup, name)])
      role.addToPolicy(statement);
    acknowledgeBodies(role, data);
    acknowledgeLanes(role, data, scope);
    return role;
  }
}
