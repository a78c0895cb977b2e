/**
 * A node outside AWS from its kit to its first delivered message: the installation runs in a root of its own (an overlay
 * over this host's, which must be Debian 12), with the emulators as AWS. The test replaces what a root cannot have:
 * packages, systemd and the helper that changes a certificate for credentials.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { SMTPServer } from 'smtp-server';
import { nodeEnvironment } from '../../egress-node/service/node-environment.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { ROOT } from '../../lib/stacks/bundling.ts';
import { kitFiles, type StackDescription, writeKit } from '../../lib/stacks/node-kit.ts';
import type { Stage } from '../../lib/stacks/stage.ts';
import { systemClock } from '../../lib/time.ts';
import { admit, mail } from '../contract/harness.ts';
import { startTestAws, type TestAws } from '../support/aws.ts';
import { makeCertificates } from '../support/node-certificates.ts';
import { STAGE } from '../support/stacks.ts';

const SECRETS = 'postern-test-secrets';
const NODE_NAME = 'c';
const stage: Stage = {
  ...STAGE,
  region: 'us-east-1',
  outside: {
    authority: STAGE.outside!.authority,
    nodes: [
      { name: NODE_NAME, addresses: [{ ip: '127.0.0.1', hostname: 'c1.example.com', pools: ['default'] }] },
    ],
  },
};

function described(environment: Record<string, string>): StackDescription {
  const outputs = {
    OutsideTrustAnchorArn: 'arn:anchor',
    OutsideProfileArn: 'arn:profile',
    OutsideRoleArnc: 'arn:role',
    OutsideLogGroup: 'postern-test-egress-Log',
    OutsideEnvironment: JSON.stringify(environment),
  };
  return {
    Stacks: [
      { Outputs: Object.entries(outputs).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue })) },
    ],
  };
}

describe('the kit of a node outside AWS', () => {
  const files = kitFiles(stage, 'c', described({ POSTERN_BUCKET: 'bodies' }));

  test('holds the node’s name, its addresses and the endpoints of the stage', () => {
    const settings = files['egress.env']!.split('\n');
    for (const line of [
      'POSTERN_NODE=c',
      'POSTERN_STAGE=test',
      'POSTERN_BUCKET=bodies',
      'POSTERN_SOURCES=127.0.0.1=c1.example.com:default',
      'POSTERN_DNS=127.0.0.1:53',
      'AWS_CONFIG_FILE=/etc/postern/aws.config',
    ])
      assert.ok(settings.includes(line), line);
    assert.match(
      files['aws.config']!,
      /--trust-anchor-arn arn:anchor --profile-arn arn:profile --role-arn arn:role\n/,
    );
    assert.match(files['agent.json']!, /"log_group_name":"postern-test-egress-Log","log_stream_name":"c"/);
    assert.match(files['dns.txt']!, /c1\.example\.com\. A 127\.0\.0\.1\n/);
    assert.match(files['dns.txt']!, /bounces\.example\.com\. MX 20 c1\.example\.com\.\n/);
  });

  test('is refused for a node or a stack without one, with the remedy', () => {
    assert.throws(() => kitFiles(stage, 'x', described({})), /no node "x" outside AWS\. It has: c\./);
    assert.throws(
      () => kitFiles(stage, 'c', { Stacks: [{ Outputs: [] }] }),
      /no output OutsideTrustAnchorArn\. Deploy postern-test-egress/,
    );
  });
});

/** The reason why no root can be made here, or false. */
function noRoot(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make a root of its own';
  const version = existsSync('/etc/debian_version') ? readFileSync('/etc/debian_version', 'utf8') : '';
  if (!version.startsWith('12')) return 'this host is not Debian 12';
  const directory = mkdtempSync(join(tmpdir(), 'postern-overlay-'));
  const probe = spawnSync('unshare', ['-m', 'bash', '-c', overlay(directory, 'true')]);
  rmSync(directory, { recursive: true, force: true });
  return probe.status === 0 ? false : 'no overlay can be mounted here';
}

/** Commands that make the root and run others in it. */
function overlay(directory: string, commands: string): string {
  return `set -e; cd ${directory}; mkdir -p upper work root
    mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
    mount --rbind /proc root/proc; mount --rbind /dev root/dev
    [ ! -d kit ] || cp -r kit stubs root/root/
    chroot root bash -ec '${commands}'`;
}

/** In place of systemd: starts the service by its unit, with the settings of its file. */
const SYSTEMCTL = `#!/bin/bash
echo "$*" >> /root/systemctl.log
[ "$1" != is-active ] || exit 3
[ "$*" = 'restart postern@egress' ] || exit 0
cd /
set -a; . /etc/postern/egress.env; . /root/stubs/test.env; set +a
setsid setpriv --reuid postern --regid postern --clear-groups -- \\
  /usr/local/bin/node /opt/postern/egress.mjs >> /var/log/postern/egress.log 2>&1 < /dev/null &
echo $! > /root/stubs/pid
`;
const HELPER = `#!/bin/bash
[ "$1" = credential-process ] && [ -r /etc/postern/node.key ] || exit 1
echo '{"Version":1,"AccessKeyId":"test","SecretAccessKey":"test","Expiration":"2099-01-01T00:00:00Z"}'
`;

describe('a host outside AWS', { skip: noRoot() }, () => {
  let aws: TestAws;
  let directory: string;
  let sink: SMTPServer;
  const delivered = Promise.withResolvers<string>();

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'postern-outside-'));
    aws = await startTestAws(['default:bulk:other']);
    sink = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      onRcptTo: ({ address }, _session, callback) => {
        delivered.resolve(address);
        callback();
      },
      onData: (stream, _session, callback) => void stream.resume().on('end', callback),
    });
    sink.listen(0, '127.0.0.1');
    await once(sink.server, 'listening');
    const { endpoints = {} } = aws.client;
    const s3 = new S3Client({
      region: 'us-east-1',
      endpoint: endpoints.s3,
      forcePathStyle: true,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    await s3.send(new CreateBucketCommand({ Bucket: SECRETS }));
    s3.destroy();
    const resources = { ...aws.resources };
    resources.queueUrlPrefix = `${endpoints.sqs}${new URL(resources.queueUrlPrefix).pathname}`;
    const { POSTERN_NODE: _, ...environment } = nodeEnvironment({ resources, node: '', secrets: SECRETS });
    const kit = join(directory, 'kit');
    await writeKit(stage, NODE_NAME, described(environment), kit);
    makeCertificates(kit, NODE_NAME);
    stub('test.env', [
      `POSTERN_ROUTES='*=127.0.0.1:${(sink.server.address() as AddressInfo).port}'`,
      'POSTERN_INBOUND=127.0.0.1:0',
      `POSTERN_API=127.0.0.1:${await freePort()}`,
      `AWS_ENDPOINT_URL_SQS=${endpoints.sqs}`,
      `AWS_ENDPOINT_URL_S3=${endpoints.s3}`,
      `AWS_ENDPOINT_URL_DYNAMODB=${endpoints.dynamodb}`,
    ]);
    stub('apt-get', ['#!/bin/bash', 'mkdir -p /etc/unbound/unbound.conf.d /etc/logrotate.d']);
    stub('systemctl', [SYSTEMCTL]);
    stub('aws_signing_helper', [HELPER]);
    stub('amazon-cloudwatch-agent-ctl', ['#!/bin/bash', 'echo "$*" >> /root/agent.log']);
    const home = join(directory, 'node', 'node-v24', 'bin');
    mkdirSync(home, { recursive: true });
    execFileSync('cp', [join(ROOT, 'node_modules/node/bin/node'), home]);
    execFileSync('tar', [
      '-cf',
      join(directory, 'stubs', 'node.tar'),
      '-C',
      join(directory, 'node'),
      'node-v24',
    ]);
  });
  after(async () => {
    sink.close();
    await aws.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  function stub(name: string, text: readonly string[]): void {
    const stubs = join(directory, 'stubs');
    mkdirSync(stubs, { recursive: true });
    writeFileSync(join(stubs, name), `${text.join('\n')}\n`, { mode: 0o755 });
  }

  /** Runs the installation in the root, then waits for the end of its input before the node is stopped. */
  const install = (before: string) =>
    overlay(
      directory,
      `mkdir -p /opt/aws/amazon-cloudwatch-agent/bin /opt/aws/amazon-cloudwatch-agent/etc
      install /root/stubs/amazon-cloudwatch-agent-ctl /opt/aws/amazon-cloudwatch-agent/bin/
      install /root/stubs/apt-get /root/stubs/systemctl /usr/local/sbin/
      rm -f /usr/local/bin/node
      export NODE_ARCHIVE=/root/stubs/node.tar SIGNING_HELPER=/root/stubs/aws_signing_helper
      export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
      . /root/stubs/test.env; export HEALTH=http://$POSTERN_API/healthz
      cd /root/kit; ${before}
      bash install-outside.sh
      cat /root/systemctl.log /root/agent.log /etc/logrotate.d/postern; read -r _ || true
      pid=$(cat /root/stubs/pid); kill "$pid"; while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done`,
    );

  test('delivers its first message after the installation, as the node of its certificate', async () => {
    const child = spawn('unshare', ['-m', 'bash', '-c', install('true')], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const closed = once(child, 'close');
    const engine = await openAws({ resources: aws.resources, client: aws.client, clock: systemClock });
    try {
      await admit(
        engine,
        mail(Date.now(), { lane: 'default:bulk:other', recipients: ['first@example.net'] }),
      );
      const ended = closed.then(([code]) => `the installation ended with ${String(code)}: ${output}`);
      assert.equal(await Promise.race([delivered.promise, ended]), 'first@example.net');
    } finally {
      child.stdin.end();
      await closed;
      await engine.close();
    }
    assert.match(output, /The node c may send/);
    assert.match(output, /enable --now unbound/);
    assert.match(output, /-a fetch-config -m onPremise -s -c file:\/opt\/postern\/agent\.json/);
    assert.match(output, /\/var\/log\/postern\/\*\.log \{/);
  });

  test('is not installed with the certificate of another node', () => {
    const before = `sed -i s/^POSTERN_NODE=.*/POSTERN_NODE=d/ egress.env`;
    const { status, stderr } = spawnSync('unshare', ['-m', 'bash', '-c', install(before)], {
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /node\.pem is the certificate of "c", and this is the kit of "d"/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
