/**
 * What an instance does when it starts: fetches the bundle, and has its script make a node of the instance. The
 * addresses are taken by the node and not given by the template, so that it may come back in another zone.
 */
import type { Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { type NodeSettings, nodeEnvironment, sourceSuffix } from '../../egress-node/node-environment.ts';
import type { SourceAddress } from './stages.ts';

export interface InstallProps {
  bundle: Asset;
  settings: Omit<NodeSettings, 'sources'>;
  /** Each with its Elastic IP and the allocation id of that. */
  addresses: readonly (SourceAddress & { ip: string; allocationId: string })[];
  logGroup: string;
}

/** Where the service writes (postern-egress.service). */
const LOG_FILE = '/var/log/postern/egress.log';

export function installNode(stack: Stack, props: InstallProps): ec2.UserData {
  const { bundle, settings, addresses, logGroup } = props;
  const environment = { AWS_REGION: stack.region, ...nodeEnvironment(settings) };
  const stream = { file_path: LOG_FILE, log_group_name: logGroup, log_stream_name: settings.node };
  const agent = { logs: { logs_collected: { files: { collect_list: [stream] } } } };
  const userData = ec2.UserData.forLinux();
  userData.addCommands(
    'set -euxo pipefail',
    'dnf install -y nodejs24 amazon-cloudwatch-agent aws-cfn-bootstrap unzip',
    'mkdir -p /etc/postern /opt/postern',
    "cat > /etc/postern/egress.env <<'ENVIRONMENT'",
    ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    'ENVIRONMENT',
    `export AWS_REGION=${stack.region}`,
    `export ALLOCATIONS='${addresses.map(({ allocationId }) => allocationId).join(' ')}'`,
    `export PUBLIC='${addresses.map(({ ip }) => ip).join(' ')}'`,
    `export SUFFIXES='${addresses.map(sourceSuffix).join(' ')}'`,
    `export AGENT='${stack.toJsonString(agent)}'`,
    `aws s3 cp ${bundle.s3ObjectUrl} /tmp/egress.zip`,
    'unzip -o /tmp/egress.zip -d /opt/postern',
    'cd /opt/postern',
    'bash install-node.sh',
  );
  return userData;
}
