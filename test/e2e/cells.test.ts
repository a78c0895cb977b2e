/**
 * A cell is added, drained and removed while mail comes in, over the SES API on AWS emulators: all that was promised
 * arrives once. The nodes are the egress of nodes, each with an engine of its own.
 */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import {
  CreateConfigurationSetCommand,
  PutConfigurationSetDeliveryOptionsCommand,
  SESv2Client,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { serve } from '@hono/node-server';
import { SMTPServer } from 'smtp-server';
import { openService } from '../../functions/api-service.ts';
import { openControl } from '../../lib/control/control.ts';
import { openDirectives } from '../../lib/control/directives.ts';
import { createResolver } from '../../lib/dns/resolver.ts';
import { startEgress } from '../../lib/egress/egress.ts';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import { laneQueue } from '../../lib/engine/aws/schema.ts';
import { silentLog } from '../../lib/log.ts';
import { createEmf } from '../../lib/observe/emf.ts';
import { LANE_GROUPS } from '../../lib/shaping/providers.ts';
import { systemClock } from '../../lib/time.ts';
import { startTestAws, type TestAws } from '../support/aws.ts';
import { MASTER_KEY } from '../support/control.ts';
import { TRACKING_KEY } from '../support/tracking.ts';

const clock = systemClock;
const OWN = { node: 'a', ip: '127.0.0.21', pool: 'default' };
const CELL = { node: 'c1a', ip: '127.0.0.22', pool: 'c1' };
const closing: (() => unknown)[] = [];

let aws: TestAws;
let peer: number;
/** The addresses from which mail for each recipient came. */
const received = new Map<string, string[]>();
/** Recipients that are put off at their first try. */
const putOff = new Set<string>();

before(async () => {
  aws = await startTestAws([]);
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    onRcptTo({ address }, _session, callback) {
      if (putOff.delete(address)) callback(Object.assign(new Error('4.7.1 Later'), { responseCode: 451 }));
      else callback();
    },
    onData(stream, session, callback) {
      stream.resume();
      stream.on('end', () => {
        for (const { address } of session.envelope.rcptTo) {
          received.set(address, [...(received.get(address) ?? []), session.remoteAddress]);
        }
        callback();
      });
    },
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  peer = (server.server.address() as AddressInfo).port;
  closing.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
});

after(async () => {
  for (const close of closing.reverse()) await close();
  await aws.stop();
});

async function open(): Promise<AwsEngine> {
  const engine = await openAws({ resources: aws.resources, client: aws.client, clock });
  closing.push(() => engine.close());
  return engine;
}

const lanes = (pool: string): string[] =>
  ['transactional', 'bulk'].flatMap((one) => LANE_GROUPS.map((group) => `${pool}:${one}:${group}`));

/** As the deployment of a data stack or a cell: the lanes of its pools. */
async function createLanes(pool: string): Promise<void> {
  await Promise.all(lanes(pool).map((lane) => aws.createQueue(laneQueue(lane))));
}

/** As the deployment of the API: it knows the pools of the stage. */
async function startApi(pools: string[], key: { id: string; secret: string }): Promise<SESv2Client> {
  const fetch = await openService({
    engine: await open(),
    settings: {
      resources: aws.resources,
      accountId: '123456789012',
      hostname: 'mail.example.com',
      region: 'us-east-1',
      pools,
      eventDays: 7,
      returnPathDomain: 'bounces.example.com',
      secrets: 'secrets',
    },
    masterKey: MASTER_KEY,
    returnPathKey: Buffer.alloc(32, 3),
    trackingKey: TRACKING_KEY,
    clock,
    random: Math.random,
    output: { log: silentLog, emf: createEmf({ now: () => clock.now(), write: () => {} }) },
  });
  const server = serve({ fetch: fetch as never, hostname: '127.0.0.1', port: 0 });
  await new Promise<void>((resolve) => void server.once('listening', resolve));
  const client = new SESv2Client({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
    maxAttempts: 1,
  });
  closing.push(() => {
    client.destroy();
    server.close();
  });
  return client;
}

/** A node as egress-node/node.ts starts it. */
async function startNode({ node, ip, pool }: typeof OWN): Promise<{ stop(): Promise<void> }> {
  const engine = await open();
  const directives = await openDirectives({ config: engine.config, clock });
  const egress = startEgress({
    engine,
    resolver: createResolver({ servers: [{ address: '127.0.0.1', port: 9 }], clock }),
    clock,
    random: Math.random,
    node,
    ehloName: `${node}.mail.example.com`,
    ips: [ip],
    pools: { [pool]: [ip] },
    serves: [pool],
    othersServe: true,
    routes: [{ domain: '*', host: '127.0.0.1', port: peer }],
    directives,
    // What is put off waits in the ledger.
    retry: () => ({ delays: [20 * 60_000], jitter: 0 }),
  });
  return {
    async stop() {
      await egress.stop();
      await directives.close();
    },
  };
}

async function until(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await is()); ) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A proven identity and a key. */
async function install(engine: AwsEngine): Promise<{ id: string; secret: string }> {
  let records: { name: string; value: string }[] = [];
  const control = await openControl({
    config: engine.config,
    masterKey: MASTER_KEY,
    clock,
    verifyIdentities: true,
    resolveTxt: async (name) => records.filter((one) => one.name === name).map(({ value }) => [value]),
  });
  await control.identities.create({ name: 'example.com', tenant: 'default' });
  records = (await control.identities.find('example.com'))!.dkim.records;
  await control.identities.check('example.com');
  const key = await control.keys.create({ tenant: 'default', admin: true, name: 'test' });
  await control.close();
  return key;
}

test('a cell is added, drained and removed, and no mail is lost or sent twice', async () => {
  const operator = await open();
  await createLanes(OWN.pool);
  const key = await install(operator);
  const own = await startNode(OWN);
  let api = await startApi([OWN.pool], key);
  const ConfigurationSetName = 'news';
  const route = (SendingPoolName: string) =>
    api.send(new PutConfigurationSetDeliveryOptionsCommand({ ConfigurationSetName, SendingPoolName }));
  await api.send(new CreateConfigurationSetCommand({ ConfigurationSetName }));

  const promised: string[] = [];
  const send = async (count: number, later = false): Promise<string[]> => {
    const sent = await Promise.all(
      Array.from({ length: count }, async () => {
        const recipient = `r${promised.length}@recipient.example`;
        promised.push(recipient);
        if (later) putOff.add(recipient);
        await api.send(
          new SendEmailCommand({
            ConfigurationSetName,
            FromEmailAddress: 'news@example.com',
            Destination: { ToAddresses: [recipient] },
            Content: { Simple: { Subject: { Data: 'News' }, Body: { Text: { Data: 'It goes on.' } } } },
          }),
        );
        return recipient;
      }),
    );
    return sent;
  };
  const arrived = (list: readonly string[]) => list.every((one) => received.has(one));
  const from = (list: readonly string[]) => new Set(list.flatMap((one) => received.get(one)!));

  const first = await send(10);
  await until('mail of the own cell arrives', () => arrived(first));
  assert.deepEqual(from(first), new Set([OWN.ip]));

  // Added: its lanes and nodes, then the API that knows its pools, then the route.
  await createLanes(CELL.pool);
  let cell = await startNode(CELL);
  api = await startApi([OWN.pool, CELL.pool], key);
  await route(CELL.pool);
  await until('the route is live', async () => {
    const [one] = await send(1);
    await until('it arrives', () => arrived([one!]));
    return from([one!]).has(CELL.ip);
  });
  const second = await send(10);
  await until('mail of the new cell arrives', () => arrived(second));
  assert.deepEqual(from(second), new Set([CELL.ip]));

  // Drained, with mail in its lanes, in hand and in the ledger.
  const waiting = await send(5, true);
  await until('some waits in the ledger', async () => {
    return (await operator.ledger.count({ pool: CELL.pool })).deferred === waiting.length;
  });
  await cell.stop();
  const queued = await send(20);
  await route(OWN.pool);
  const directives = await openDirectives({ config: operator.config, clock });
  const drain = await directives.order(
    { match: { pool: CELL.pool }, action: { kind: 'reroute', pool: OWN.pool }, reason: 'drain c1' },
    { operator: 'test' },
  );
  cell = await startNode(CELL);
  const meanwhile = await send(10);
  await until('what was in its lanes arrives', () => arrived(queued) && arrived(meanwhile));
  assert.deepEqual(from(queued), new Set([OWN.ip]));
  assert.equal(await operator.ledger.hasten({ pool: CELL.pool }), waiting.length);
  await until('what waited in the ledger arrives', () => arrived(waiting));
  assert.deepEqual(from(waiting), new Set([OWN.ip]));

  // Removed, when nothing is left for it.
  await cell.stop();
  const depths = await Promise.all(
    lanes(CELL.pool).map((lane) => operator.queue.lease({ lane, max: 1, visibility: 1000, wait: 0 })),
  );
  assert.equal(depths.flat().length, 0);
  assert.equal((await operator.ledger.waiting()).count, 0);
  await directives.remove(drain.id);
  await directives.close();
  api = await startApi([OWN.pool], key);
  const last = await send(5);
  await until('mail goes on', () => arrived(last));
  await assert.rejects(route(CELL.pool), /c1/);
  await own.stop();

  assert.deepEqual([...received.keys()].sort(), [...promised].sort());
  const twice = [...received].filter(([, addresses]) => addresses.length > 1);
  assert.deepEqual(twice, []);
});
