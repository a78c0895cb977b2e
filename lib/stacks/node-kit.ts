/**
 * `npm run node-kit -- --stage prod --node c --stack egress.json --out kit`: everything that a node outside AWS needs but
 * its key and certificate, in one directory. The stack is what
 * `aws cloudformation describe-stacks --stack-name postern-prod-egress` writes.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sourceSuffix } from '../../egress-node/service/node-environment.ts';
import { STAGE_VARIABLE } from '../observe/emf.ts';
import { bundleService } from './bundling.ts';
import { bundlePolicy, POLICY_FILE, policyFor } from './policy.ts';
import type { OutsideNode, Stage } from './stage.ts';
import { stageOf } from './stages.ts';

/** Where the host keeps what the kit brings (egress-node/service/install-outside.sh). */
const ETC = '/etc/postern';
const HELPER = '/usr/local/bin/aws_signing_helper';

export interface StackDescription {
  Stacks: { Outputs: { OutputKey: string; OutputValue: string }[] }[];
}

/** The files of a node's kit, by name. @throws Error that names the missing node or output. */
export function kitFiles(stage: Stage, name: string, stack: StackDescription): Record<string, string> {
  const nodes = stage.outside?.nodes ?? [];
  const node = nodes.find((one) => one.name === name);
  if (!node) {
    const known = nodes.map((one) => one.name).join(', ') || 'none';
    throw new Error(`The stage ${stage.name} has no node "${name}" outside AWS. It has: ${known}.`);
  }
  const output = (key: string): string => {
    const found = stack.Stacks[0]?.Outputs.find(({ OutputKey }) => OutputKey === key);
    if (found) return found.OutputValue;
    throw new Error(
      `The stack has no output ${key}. Deploy postern-${stage.name}-egress with this node, and describe it again.`,
    );
  };
  const arns = [
    ['trust-anchor', output('OutsideTrustAnchorArn')],
    ['profile', output('OutsideProfileArn')],
    ['role', output(`OutsideRoleArn${name}`)],
  ].map(([what, arn]) => `--${what}-arn ${arn}`);
  const certificate = `--certificate ${ETC}/node.pem --private-key ${ETC}/node.key`;
  const environment = JSON.parse(output('OutsideEnvironment')) as Record<string, string>;
  const settings = {
    ...environment,
    AWS_REGION: stage.region,
    AWS_CONFIG_FILE: `${ETC}/aws.config`,
    [STAGE_VARIABLE]: stage.name,
    POSTERN_NODE: name,
    POSTERN_SOURCES: sourcesOf(node),
    POSTERN_CERTIFICATE: `${ETC}/node.pem`,
    // The resolver that the installation sets up.
    POSTERN_DNS: '127.0.0.1:53',
  };
  const stream = {
    file_path: '/var/log/postern/egress.log',
    log_group_name: output('OutsideLogGroup'),
    log_stream_name: name,
  };
  return {
    'egress.env': lines(Object.entries(settings).map(([key, value]) => `${key}=${value}`)),
    'aws.config': lines([
      '[default]',
      `region = ${stage.region}`,
      `credential_process = ${HELPER} credential-process ${certificate} ${arns.join(' ')}`,
    ]),
    'agent.json': JSON.stringify({
      agent: { region: stage.region },
      logs: { logs_collected: { files: { collect_list: [stream] } } },
    }),
    'common-config.toml': lines([
      '[credentials]',
      'shared_credential_profile = "default"',
      `shared_credential_file = "${ETC}/aws.credentials"`,
    ]),
    'dns.txt': lines(
      node.addresses.flatMap(({ ip, hostname }) => [
        `${hostname}. A ${ip}`,
        `${hostname}. TXT "v=spf1 a -all"`,
        `${stage.returnPathDomain}. MX 20 ${hostname}.`,
        `PTR of ${ip}, at its provider: ${hostname}`,
        `SPF of ${stage.returnPathDomain}: add ip4:${ip}`,
      ]),
    ),
  };
}

function sourcesOf({ addresses }: OutsideNode): string {
  return addresses.map((one) => `${one.ip}${one.local ? `@${one.local}` : ''}${sourceSuffix(one)}`).join(',');
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}

/** Writes the kit: its files, the process, and the script that installs it. */
export async function writeKit(
  stage: Stage,
  node: string,
  stack: StackDescription,
  out: string,
): Promise<void> {
  const files = kitFiles(stage, node, stack);
  mkdirSync(out, { recursive: true });
  const policy = await bundlePolicy(POLICY_FILE, join(out, 'policy'));
  bundleService('node.ts', 'egress', policyFor('egress', policy), out);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(out, name), text);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      stage: { type: 'string' },
      node: { type: 'string' },
      stack: { type: 'string' },
      out: { type: 'string' },
    },
  });
  const { stage, node, stack, out } = values;
  try {
    if (!stage || !node || !stack || !out)
      throw new Error('Write: npm run node-kit -- --stage prod --node c --stack egress.json --out kit-c');
    await writeKit(stageOf(stage), node, JSON.parse(readFileSync(stack, 'utf8')) as StackDescription, out);
    process.stdout.write(
      `${out} is the kit of ${node}. Publish what ${join(out, 'dns.txt')} says, put node.key and node.pem into it, copy it to the host, and run install-outside.sh there.\n`,
    );
  } catch (error) {
    process.stderr.write(`node-kit: ${(error as Error).message}\n`);
    process.exit(1);
  }
}
