/**
 * The cluster test (`npm run cluster [minutes] [--seed N]`): three egress nodes and three
 * addresses, each of which two nodes may own, two API processes, emulators. Mail goes in by SES's SendEmail while nodes are killed, stopped for 20 s
 * and cut from SQS or DynamoDB at random. The sink, which nothing happens to, writes down what comes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SESv2Client, SendEmailCommand } from '@aws-sdk/client-sesv2';
import { apiEnvironment } from '../../functions/environment.ts';
import { openControl } from '../../lib/control/control.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import type { Attempt } from '../../lib/engine/items.ts';
import { systemClock } from '../../lib/time.ts';
import { seededRandom } from '../support/clock.ts';
import { MASTER_KEY } from '../support/control.ts';
import { LANES, SECRETS } from './emulators.ts';
import { contentOf, findMissing, reportMissing } from './missing.ts';
import { awsEnvironment, ClusterNode, type Emulators } from './node-process.ts';
import { startSink } from './sink.ts';
import { type ClusterFault, judge } from './verdict.ts';

const IPS = ['127.0.0.11', '127.0.0.12', '127.0.0.13'];
const NODES = ['a', 'b', 'c'];
const LIMITS = { perSecond: 20, connections: 4 };
/** Messages a second, over both API processes. */
const LOAD = 20;
const PAUSE = 20_000;
/** The visibility time of egress, plus the time of a take-over. */
const TAKEOVER = 120_000 + 15_000;
/** How long mail is waited for after the load has ended: SQS's longest delay, and a take-over behind it, ms. */
const LATEST = 900_000 + 2 * TAKEOVER;
/** Time between two faults of one node, enough for it to recover, ms. */
const RECOVERY = 10_000;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' } },
});
const minutes = Number(positionals[0] ?? 10);
const random = seededRandom(Number(values.seed));
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const directory = await mkdtemp(join(tmpdir(), 'postern-cluster-'));

const emulatorsProcess = fork(join(import.meta.dirname, 'emulators.ts'));
const [emulators] = (await once(emulatorsProcess, 'message')) as [Emulators];
const { resources, endpoints } = emulators;
const sink = await startSink(NODES, values.seed);

// — the installation: an identity that is proven, a key, the limits —

const client = {
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  endpoints,
};
const engine = await openAws({ resources, clock: systemClock, client });
let records: { name: string; value: string }[] = [];
const control = await openControl({
  config: engine.config,
  masterKey: MASTER_KEY,
  clock: systemClock,
  verifyIdentities: true,
  resolveTxt: async (name) => records.filter((one) => one.name === name).map(({ value }) => [value]),
});
await control.identities.create({ name: 'cluster.example', tenant: 'default' });
records = (await control.identities.find('cluster.example'))!.dkim.records;
await control.identities.check('cluster.example');
const key = await control.keys.create({ tenant: 'default', admin: false, name: 'load' });
const limits = { route: { messageRate: `${LIMITS.perSecond}/s`, connections: LIMITS.connections } };
await control.documents.put('limits', 'default', limits, { by: 'cluster' });

// — processes —

const apis: ChildProcess[] = [];
const clients: SESv2Client[] = [];
for (let n = 0; n < 2; n += 1) {
  const settings = { resources, accountId: '123456789012', hostname: 'cluster.example', secrets: SECRETS };
  const api = fork(join(import.meta.dirname, 'api.ts'), {
    env: {
      PATH: process.env.PATH,
      ...awsEnvironment(emulators),
      ...apiEnvironment({
        ...settings,
        pools: ['default'],
        eventDays: 7,
        returnPathDomain: 'b.cluster.example',
      }),
    },
  });
  const [{ port }] = (await once(api, 'message')) as [{ port: number }];
  apis.push(api);
  clients.push(
    new SESv2Client({
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${port}`,
      credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
      maxAttempts: 1,
    }),
  );
}
const nodes = await Promise.all(
  NODES.map((name, n) => {
    // Two each: another node takes the addresses that a node loses by a fault.
    const ips = [IPS[n]!, IPS[(n + 1) % IPS.length]!];
    return ClusterNode.prepare(name, ips, emulators, sink.ports[name]!, join(directory, `${name}.log`));
  }),
);
for (const node of nodes) node.start();
say(`logs of the nodes: ${directory}`);

// — load —

/** When each recipient was promised, and by which message. */
const promised = new Map<string, { at: number; messageId: string }>();
let running = true;
let serial = 0;
let refused = 0;
async function send(client: SESv2Client): Promise<void> {
  const recipient = `r${serial++}@recipient.example`;
  try {
    const { MessageId } = await client.send(
      new SendEmailCommand({
        FromEmailAddress: 'news@cluster.example',
        Destination: { ToAddresses: [recipient] },
        Content: { Simple: { Subject: { Data: 'Cluster' }, Body: { Text: { Data: 'It goes on.\n' } } } },
      }),
    );
    promised.set(recipient, { at: Date.now(), messageId: MessageId! });
  } catch (error) {
    refused += 1;
    if (refused <= 3) say(`refused: ${String(error)}`);
  }
}
const load = (async () => {
  const under = new Set<Promise<void>>();
  for (let n = 0; running; n += 1) {
    const one = send(clients[n % clients.length]!).finally(() => under.delete(one));
    under.add(one);
    await pause(1000 / LOAD);
  }
  await Promise.all(under);
})();

// — faults —

const faults: ClusterFault[] = [];
async function strike(node: ClusterNode): Promise<void> {
  const from = Date.now();
  const dice = random();
  const note = (kind: ClusterFault['kind'], what: string): void => {
    faults.push({ node: node.name, kind, from, to: Date.now() });
    say(`${node.name}: ${what}; ${promised.size} promised, ${sink.arrivals.length} arrived`);
  };
  if (dice < 0.34) {
    await node.end('SIGKILL');
    note('kill', 'killed');
    await pause(random() * 20_000);
    node.start();
  } else if (dice < 0.6) {
    node.signal('SIGSTOP');
    await pause(PAUSE);
    node.signal('SIGCONT');
    note('pause', 'stopped for 20 s');
  } else {
    const cable = dice < 0.8 ? node.sqs : node.dynamodb;
    const how = random() < 0.5 ? 'reset' : 'silent';
    cable.cut(how);
    await pause(5_000 + random() * 20_000);
    cable.mend();
    note('cut', `cut from ${cable === node.sqs ? 'SQS and S3' : 'DynamoDB'} (${how})`);
  }
}
await pause(5_000);
const end = Date.now() + minutes * 60_000;
await Promise.all(
  nodes.map(async (node) => {
    for (;;) {
      await pause(RECOVERY + random() * 15_000);
      if (Date.now() > end) return;
      await strike(node);
    }
  }),
);
running = false;
await load;

// — until all deliveries of dead nodes have come, and then as long again as a late copy could take —

const missing = (): { recipient: string; messageId: string }[] => {
  const here = new Set(sink.arrivals.map(({ recipient }) => recipient));
  return [...promised].flatMap(([recipient, { messageId }]) =>
    here.has(recipient) ? [] : { recipient, messageId },
  );
};
/**
 * Whether nothing is to come any more: nothing has a time that is still to come, and no copy is delayed in a lane. What
 * an interrupted put-back or call may have sent twice comes again after fifteen minutes.
 */
async function isStill(): Promise<boolean> {
  const waits = await findMissing(engine.records, missing());
  const { delayed } = await contentOf(LANES, { resources, client });
  say(`${waits.length} of ${promised.size} have not arrived, ${delayed} copies are delayed in the lanes`);
  return waits.length === 0 || (delayed === 0 && !waits.some(({ due }) => due > Date.now()));
}
const waitedFrom = Date.now();
let movedAt = waitedFrom;
let seen = 0;
for (;;) {
  await pause(1_000);
  const lastFault = Math.max(...faults.map(({ to }) => to));
  if (missing().length === 0 && Date.now() - lastFault > TAKEOVER) break;
  if (sink.arrivals.length > seen) movedAt = Date.now();
  seen = sink.arrivals.length;
  if (Date.now() - movedAt < TAKEOVER + 15_000) continue;
  if ((await isStill()) || Date.now() - waitedFrom > LATEST) break;
  movedAt = Date.now();
}
const late = missing();
const lost = reportMissing(
  await findMissing(engine.records, late),
  await contentOf(LANES, { resources, client }),
  Date.now(),
);
const drains = await Promise.all(nodes.map((node) => node.end('SIGTERM')));
await pause(1_000);

// — what the nodes recorded —

const attempts: Attempt[] = [];
const unread = [...promised.values()];
await Promise.all(
  Array.from({ length: 16 }, async () => {
    for (let next = unread.pop(); next !== undefined; next = unread.pop())
      for (const delivery of await engine.records.deliveries(next.messageId))
        attempts.push(...delivery.attempts);
  }),
);

const { problems, figures } = judge({
  promised,
  attempts,
  arrivals: sink.arrivals,
  tenures: sink.tenures,
  connections: sink.connections,
  receipts: nodes.flatMap(({ receipts }) => receipts),
  faults,
  limits: LIMITS,
  takeover: TAKEOVER,
});
say(`\n${minutes} minutes, seed ${values.seed}; ${refused} refused by the API`);
for (const figure of [...figures, ...lost.figures]) say(figure);
problems.unshift(...lost.problems);
const slowestDrain = Math.max(...drains) / 1000;
say(`slowest stop at SIGTERM: ${slowestDrain.toFixed(1)} s`);
if (slowestDrain > 30) problems.push(`a node took ${slowestDrain} s to stop`);
for (const problem of problems.slice(0, 20)) say(`PROBLEM ${problem}`);
say(problems.length === 0 ? 'PASSED' : `FAILED: ${problems.length} problems`);

for (const node of nodes) node.close();
for (const client of clients) client.destroy();
for (const api of apis) api.disconnect();
sink.close();
await control.close();
await engine.close();
emulatorsProcess.disconnect();
process.exit(problems.length === 0 ? 0 : 1);
