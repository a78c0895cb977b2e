/** An egress node of the cluster: `npm run egress` as a child, with cables to its storage that can be cut. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { nodeEnvironment } from '../../egress-node/service/node-environment.ts';
import type { AwsResources } from '../../lib/engine/aws/schema.ts';
import { SECRETS } from './emulators.ts';
import { type Cable, hearReceipts, layCable } from './wire.ts';

export interface Emulators {
  resources: AwsResources;
  endpoints: { sqs: string; dynamodb: string; s3: string };
}

/** A message that SQS leased to a node. */
export interface Receipt {
  messageId: string;
  node: string;
  at: number;
}

const ENTRY = join(import.meta.dirname, '..', '..', 'egress-node', 'node.ts');

/** As `RestartSec` of the unit, ms. */
const RESTART = 2_000;

/** Environment under which the SDK finds emulators. */
export function awsEnvironment({ endpoints }: Emulators): Record<string, string> {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SQS: endpoints.sqs,
    AWS_ENDPOINT_URL_DYNAMODB: endpoints.dynamodb,
    AWS_ENDPOINT_URL_S3: endpoints.s3,
  };
}

export class ClusterNode {
  readonly name: string;
  readonly sqs: Cable;
  readonly dynamodb: Cable;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #log: string;
  /** The messages that SQS leased to the node. */
  readonly receipts: Receipt[];
  #child: ChildProcess | undefined;
  #wanted = false;

  private constructor(
    name: string,
    sqs: Cable,
    dynamodb: Cable,
    environment: NodeJS.ProcessEnv,
    log: string,
    receipts: Receipt[],
  ) {
    this.receipts = receipts;
    this.name = name;
    this.sqs = sqs;
    this.dynamodb = dynamodb;
    this.#environment = environment;
    this.#log = log;
  }

  /** @param ips addresses that it may own, if their leases are free. */
  static async prepare(
    name: string,
    ips: readonly string[],
    emulators: Emulators,
    sinkPort: number,
    log: string,
  ): Promise<ClusterNode> {
    const { endpoints, resources } = emulators;
    const receipts: Receipt[] = [];
    const sqs = await layCable(Number(new URL(endpoints.sqs).port), () =>
      hearReceipts((messageId) => receipts.push({ messageId, node: name, at: Date.now() })),
    );
    const dynamodb = await layCable(Number(new URL(endpoints.dynamodb).port));
    const via = (url: string, cable: Cable): string => url.replace(new URL(url).port, String(cable.port));
    const own: Emulators = {
      resources: { ...resources, queueUrlPrefix: via(resources.queueUrlPrefix, sqs) },
      endpoints: {
        sqs: via(endpoints.sqs, sqs),
        s3: via(endpoints.s3, sqs),
        dynamodb: via(endpoints.dynamodb, dynamodb),
      },
    };
    const environment = {
      PATH: process.env.PATH,
      ...awsEnvironment(own),
      ...nodeEnvironment({ resources: own.resources, node: name, secrets: SECRETS }),
      POSTERN_SOURCES: ips.map((ip) => `${ip}=${ip.replaceAll('.', '-')}.example:default`).join(','),
      POSTERN_ROUTES: `*=127.0.0.1:${sinkPort}`,
      POSTERN_DNS: '127.0.0.1:9',
      POSTERN_INBOUND: '127.0.0.1:0',
      POSTERN_API: '127.0.0.1:0',
      // As the unit of systemd makes it.
      STATE_DIRECTORY: `${log}.state`,
    };
    return new ClusterNode(name, sqs, dynamodb, environment, log, receipts);
  }

  /** Restarts a process that ended by itself after 2 s, as a systemd service does. */
  start(): void {
    this.#wanted = true;
    const child = spawn(process.execPath, [ENTRY], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const file = createWriteStream(this.#log, { flags: 'a' });
    child.stdout!.pipe(file, { end: false });
    child.stderr!.pipe(file, { end: false });
    child.once('exit', () => {
      if (this.#wanted) setTimeout(() => this.#wanted && this.#child === child && this.start(), RESTART);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child!.kill(signal);
  }

  /** @returns the time taken, ms. */
  async end(signal: NodeJS.Signals): Promise<number> {
    this.#wanted = false;
    const child = this.#child!;
    const since = Date.now();
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    return Date.now() - since;
  }

  close(): void {
    this.sqs.close();
    this.dynamodb.close();
  }
}
