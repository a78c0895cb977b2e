/**
 * What an instance does when it starts: fetches the bundle, and has a script of it make a service of the instance. A
 * node's addresses are taken by the node and not given by the template, so that it may come back in another zone.
 */
import type { Duration, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { sourceSuffix } from '../../egress-node/service/node-environment.ts';
import { STAGE_VARIABLE } from '../observe/emf.ts';
import type { StageAddress } from './stage.ts';

export interface InstallProps {
  /** Name of the process in the bundle. */
  service: 'egress' | 'submission';
  bundle: Asset;
  /** Name of the stage. */
  stage: string;
  /** Settings of the process. */
  environment: Record<string, string>;
  logGroup: string;
  /** Name of the log stream; the CloudWatch agent replaces `{instance_id}`. */
  logStream: string;
}

/** Installs a process. */
export function installService(stack: Stack, props: InstallProps): ec2.UserData {
  return install(stack, props, [`bash install-service.sh ${props.service}`]);
}

/** Installs an egress node, which takes its Elastic IPs first. */
export function installNode(
  stack: Stack,
  props: Omit<InstallProps, 'service'> & {
    addresses: readonly StageAddress[];
    /** How long the node watches the alarms once it sends. */
    watch: Duration;
    /** Names of alarms that stop the deployment. */
    alarms: readonly string[];
  },
): ec2.UserData {
  const { addresses, watch, alarms } = props;
  return install(stack, { ...props, service: 'egress' }, [
    `export ALLOCATIONS='${addresses.map(({ allocationId }) => allocationId).join(' ')}'`,
    `export PUBLIC='${addresses.map(({ ip }) => ip).join(' ')}'`,
    `export SUFFIXES='${addresses.map(sourceSuffix).join(' ')}'`,
    `export WATCH=${watch.toSeconds()} STACK=${stack.stackName} HEALTH=http://127.0.0.1:8025/healthz`,
    `export ALARMS='${alarms.join('\n')}'`,
    'bash install-node.sh',
  ]);
}

function install(stack: Stack, props: InstallProps, commands: readonly string[]): ec2.UserData {
  const { service, bundle, logGroup, logStream } = props;
  const environment = { AWS_REGION: stack.region, [STAGE_VARIABLE]: props.stage, ...props.environment };
  const stream = {
    // Where the unit writes (postern@.service).
    file_path: `/var/log/postern/${service}.log`,
    log_group_name: logGroup,
    log_stream_name: logStream,
  };
  const agent = { logs: { logs_collected: { files: { collect_list: [stream] } } } };
  const userData = ec2.UserData.forLinux();
  userData.addCommands(
    'set -euxo pipefail',
    'dnf install -y nodejs24 amazon-cloudwatch-agent aws-cfn-bootstrap unzip',
    'mkdir -p /etc/postern /opt/postern',
    `cat > /etc/postern/${service}.env <<'ENVIRONMENT'`,
    ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    'ENVIRONMENT',
    `export AWS_REGION=${stack.region}`,
    `export AGENT='${stack.toJsonString(agent)}'`,
    `aws s3 cp ${bundle.s3ObjectUrl} /tmp/bundle.zip`,
    'unzip -o /tmp/bundle.zip -d /opt/postern',
    'cd /opt/postern',
    ...commands,
  );
  return userData;
}
