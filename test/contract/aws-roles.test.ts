/**
 * The AWS engine under the contract, each port under the role that uses it there: the roles allow every call of
 * functions and nodes to AWS. Emulators alone would let everything pass.
 */
import assert from 'node:assert/strict';
import { after, before, describe, mock, test } from 'node:test';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ContactLists } from '../../lib/contacts/contact-lists.ts';
import { Contacts } from '../../lib/contacts/contacts.ts';
import { contactChanger } from '../../lib/contacts/unsubscribe.ts';
import { openControl } from '../../lib/control/control.ts';
import { writeDkimZone } from '../../lib/control/dkim-zone-writer.ts';
import { turnDkimKeys } from '../../lib/control/easy-dkim.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import type { HostedZone } from '../../lib/engine/hosted-zone.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { Jobs } from '../../lib/jobs/jobs.ts';
import { JobWorker } from '../../lib/jobs/worker.ts';
import { silentLog } from '../../lib/log.ts';
import { type Clock, DAY } from '../../lib/time.ts';
import { Faults, startTestAws, type TestAws, withLanes } from '../support/aws.ts';
import { inRole } from '../support/roles.ts';
import { SKIP, until } from './aws-nodes.ts';
import { emulatedClock } from './emulated-clock.ts';
import { engineContract } from './engine-contract.ts';
import { mail, newLane, newTenant } from './harness.ts';

const API = 'api ApiRole';
const SUBMISSION = 'submission Role';
const DUE = 'api DueRole';
const OUTCOMES = 'api OutcomesRole';
const NODE = 'egress Rolea';
const JOBS = 'api JobsRole';

/** An engine with claims, so that each process sees the leases of the others. */
function open(aws: TestAws, clock: Clock, role?: string): Promise<Engine> {
  const resources = { ...aws.resources, claimBeforeSend: true };
  const client = role === undefined ? withLanes(aws) : inRole(role, resources, withLanes(aws));
  const steady = (): number => clock.now();
  return openAws({ resources, client, clock, steady, depthAge: 0 });
}

engineContract(
  'aws by roles',
  async () => {
    const aws = await startTestAws([]);
    const clock = emulatedClock(aws.emulated);
    const [api, submission, due, outcomes, node, jobs, anybody] = await Promise.all([
      open(aws, clock, API),
      open(aws, clock, SUBMISSION),
      open(aws, clock, DUE),
      open(aws, clock, OUTCOMES),
      open(aws, clock, NODE),
      open(aws, clock, JOBS),
      open(aws, clock),
    ]);
    const engine: Engine = {
      queue: {
        admit: (messages, claim) => api.queue.admit(messages, claim),
        lease: (request) => node.queue.lease(request),
        settle: (settlements) => node.queue.settle(settlements),
        note: (ends) => node.queue.note(ends),
        extend: (leased, visibility) => node.queue.extend(leased, visibility),
        lanes: () => node.queue.lanes(),
        depths: (lanes) => api.queue.depths(lanes),
      },
      ledger: {
        waiting: () => due.ledger.waiting(),
        promote: () => due.ledger.promote(),
        cancel: (id) => api.ledger.cancel(id),
        count: (match) => api.ledger.count(match),
        hasten: (match) => api.ledger.hasten(match),
        recall: (site, max) => node.ledger.recall(site, max),
      },
      records: {
        message: (id) => outcomes.records.message(id),
        call: (id) => api.records.call(id),
        deliveries: (id) => api.records.deliveries(id),
        state: (id, n) => node.records.state(id, n),
        claim: (key) => api.records.claim(key),
        append: (reports) => node.records.append(reports),
        reports: (id) => api.records.reports(id),
        // Lambda reads the feed on its function's behalf.
        feed: (cursor, max) => anybody.records.feed(cursor, max),
        feedEnd: () => anybody.records.feedEnd(),
        search: (search) => api.records.search(search),
        anonymise: (address, tenant, from) => api.records.anonymise(address, tenant, from),
        prune: (at, max) => anybody.records.prune(at, max),
      },
      // No role uses these: bodies are stored through the queue.
      bodies: anybody.bodies,
      suppressions: {
        find: (addresses) => submission.suppressions.find(addresses),
        put: (entry) => outcomes.suppressions.put(entry),
        remove: (tenant, address, at, reason) =>
          (reason === undefined ? api : outcomes).suppressions.remove(tenant, address, at, reason),
        list: (query) => api.suppressions.list(query),
      },
      rows: {
        get: (keys) => api.rows.get(keys),
        put: (rows) => api.rows.put(rows),
        change: (row, expect) => api.rows.change(row, expect),
        delete: (keys) => api.rows.delete(keys),
        query: (query) => api.rows.query(query),
        add: (batch, deltas) => outcomes.rows.add(batch, deltas),
      },
      config: api.config,
      leases: {
        acquire: (...call) => node.leases.acquire(...call),
        release: (...call) => node.leases.release(...call),
        holder: (name) => api.leases.holder(name),
        report: (...call) => node.leases.report(...call),
        reports: (...call) => node.leases.reports(...call),
        forget: (...call) => node.leases.forget(...call),
        checkpoint: (...call) => node.leases.checkpoint(...call),
        saveCheckpoint: (...call) => node.leases.saveCheckpoint(...call),
      },
      files: {
        results: {
          // A result is read by its link, which is signed as the API.
          read: (name) => api.files.results.read(name),
          write: (name, pieces) => jobs.files.results.write(name, pieces),
          remove: (name) => api.files.results.remove(name),
          link: (name, life) => api.files.results.link(name, life),
        },
        bucket: (name) => jobs.files.bucket(name),
        prune: (at, max) => anybody.files.prune(at, max),
      },
      health: () => node.health(),
      close: async () => {
        for (const one of [api, submission, due, outcomes, node, jobs, anybody]) await one.close();
      },
    };
    return {
      engine,
      clock,
      async close() {
        await engine.close();
        await aws.stop();
        mock.timers.reset();
      },
    };
  },
  { recordsExpire: true },
);

describe('aws: roles', { skip: SKIP }, () => {
  let aws: TestAws;
  const engines: Engine[] = [];
  const as = async (role: string): Promise<Engine> => {
    const engine = await open(aws, emulatedClock(true), role);
    engines.push(engine);
    return engine;
  };
  before(async () => {
    aws = await startTestAws([]);
  });
  after(async () => {
    for (const engine of engines) await engine.close();
    await aws.stop();
  });

  for (const role of [API, NODE]) {
    test(`${role} reads what changed since its last read`, async () => {
      const writer = await as(API);
      const { config } = await as(role);
      const kind = `kind ${newLane()}`;
      const seen = new Set<string>();
      const leave = config.watch((change) => {
        if (change.kind === kind) seen.add(change.key!);
      });
      await config.catchUp();
      for (let n = 0; n < 4; n += 1) await writer.config.put(kind, `key ${n}`, n);
      await until(() => seen.size === 4);
      leave();
    });
  }

  for (const role of [API, SUBMISSION]) {
    test(`${role} ends its claim when SQS refuses the send, and the next call is admitted`, async () => {
      const faults = new Faults();
      const engine = await openAws({
        resources: aws.resources,
        client: inRole(role, aws.resources, faults.on(withLanes(aws))),
        clock: { now: () => Date.now(), after: (_, task) => emulatedClock(true).after(1, task) },
      });
      engines.push(engine);
      const lane = newLane();
      const claim = { key: lane, digest: 'd', expiresAt: Date.now() + 900_000, response: 'r' };
      faults.add({ command: 'SendMessageBatch', kind: 'refused', times: 8, error: 'RequestThrottled' });
      const call = () => engine.queue.admit([mail(Date.now(), { lane, key: lane })], claim);
      await assert.rejects(call(), { code: 'storage_unavailable' });
      assert.deepEqual(await call(), { kind: 'admitted' });
    });
  }

  for (const role of [API, SUBMISSION, OUTCOMES, NODE]) {
    test(`${role} reads contact lists and lets readers leave them`, async () => {
      const clock = emulatedClock(true);
      const tenant = newTenant();
      const { rows } = await as(API);
      await new ContactLists(rows, clock).create({ tenant, name: 'news', topics: [] });
      const contacts = new Contacts((await as(role)).rows, clock);
      const { list } = await contacts.lookUp(tenant, 'news', ['ann@example.net']);
      await contacts.join(list, ['ann@example.net']);
      const leaving = { tenant, list: 'news', address: 'ann@example.net', messageId: 'm', at: clock.now() };
      assert.equal((await contactChanger(contacts)(leaving))!.after.unsubscribeAll, true);
    });
  }

  test('the function of jobs works by its role, on the bucket that the stage names', async () => {
    const clock = emulatedClock(true);
    const filesBucket = `operator-${newTenant()}`;
    const resources = { ...aws.resources, filesBucket };
    const { endpoints, region, credentials } = withLanes(aws);
    const s3 = new S3Client({ endpoint: endpoints!.s3, region, credentials, forcePathStyle: true });
    const body = 'ann@example.net,BOUNCE\nbad\nbob@example.net,COMPLAINT\n';
    await s3.send(new CreateBucketCommand({ Bucket: filesBucket }));
    await s3.send(new PutObjectCommand({ Bucket: filesBucket, Key: 'in/list.csv', Body: body }));
    const inRoles = async (role: string): Promise<Engine> => {
      const engine = await openAws({
        resources,
        client: inRole(role, resources, withLanes(aws)),
        clock,
        depthAge: 0,
      });
      engines.push(engine);
      return engine;
    };
    const [api, worker] = [await inRoles(API), await inRoles(JOBS)];
    const tenant = newTenant();
    const jobs = new Jobs(api.rows, clock);
    const order = { tenant, keyId: 'AKIA' };
    const put = { kind: 'suppressions', action: 'put', list: tenant } as const;
    const url = `s3://${filesBucket}/in/list.csv`;
    const imported = await jobs.orderImport({ ...order, destination: put, format: 'csv', url });
    const range = { from: clock.now() - DAY, before: clock.now() + DAY };
    const source = { kind: 'messages', ...range, max: 10 } as const;
    await api.queue.admit([mail(clock.now(), { tenant, lane: newLane() })]);
    const exported = await jobs.orderExport({ ...order, source, format: 'CSV' });
    const elsewhere = await jobs.orderExport({
      ...order,
      source,
      format: 'JSON',
      url: `s3://${filesBucket}/out/a.json`,
    });
    const metrics = { ISP: ['*'] };
    const counted = await jobs.orderExport({
      ...order,
      source: {
        kind: 'metrics',
        dimensions: metrics,
        metrics: [{ name: 'SEND', aggregation: 'VOLUME' }],
        ...range,
      },
      format: 'CSV',
    });
    const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
    await new JobWorker({ engine: worker, context, clock, log: silentLog }).work(Number.POSITIVE_INFINITY);
    const done = await jobs.imports.get(tenant, imported.id);
    assert.deepEqual(
      [done.status, done.counts.taken, done.counts.failed, done.error],
      ['COMPLETED', 2, 1, undefined],
    );
    assert.ok((await api.suppressions.find([{ tenant, address: 'ann@example.net' }]))[0]);
    const link = (await api.files.results.link(done.result!, 3_600_000))!;
    assert.match(await (await fetch(link)).text(), /^line,record,error\r\n2,bad,/);
    for (const { id } of [exported, elsewhere, counted])
      assert.equal((await jobs.exports.get(tenant, id)).status, 'COMPLETED');
    assert.equal((await jobs.exports.get(tenant, exported.id)).exported, 1);
    const written = await s3.send(new GetObjectCommand({ Bucket: filesBucket, Key: 'out/a.json' }));
    assert.match(await written.Body!.transformToString(), /"Destination":"user@example.net"/);
    s3.destroy();
  });

  test('the keys of Easy DKIM are made by one role, and brought into their zone by another', async () => {
    const clock = emulatedClock(true);
    const dkimZone = { name: 'dkim.example.com', elsewhere: true };
    const masterKey = Buffer.alloc(32, 7);
    const options = { masterKey, clock, dkimZone, verifyIdentities: true };
    const { config } = await as(API);
    const found: string[][] = [];
    const control = await openControl({ ...options, config, resolveTxt: async () => found });
    const name = `${newTenant()}.example`;
    const { dkim } = await control.identities.create({ name, tenant: 'a', keyLength: 'RSA_1024_BIT' });
    found.push([(await control.dkimZone!.find(dkim.tokens[0]!))!]);
    await control.identities.check(name);
    await control.close();

    const keys = (await as('api DkimKeysRole')).config;
    const later = { now: () => clock.now() + 84 * DAY, after: clock.after };
    const turns = await turnDkimKeys({ ...options, config: keys, clock: later });
    assert.ok(turns.prepared.includes(name));

    const written = new Map<string, string | undefined>();
    const zone: HostedZone = {
      async write(records) {
        for (const record of records) written.set(record.name, record.strings?.join(''));
      },
    };
    const writer = (await as('api DkimZoneRole')).config;
    const until = Number.POSITIVE_INFINITY;
    await writeDkimZone({ config: writer, zone, name: dkimZone.name, clock, until });
    const texts = dkim.tokens.map((token) => written.get(`${token}.${dkimZone.name}`));
    assert.deepEqual(
      [texts[0] === texts[2], texts[0] === texts[1]],
      [true, false],
      'the second is the next key',
    );
    await assert.rejects(writer.get('identity', name), /AccessDenied/);
    await assert.rejects(keys.get('key', 'AKIA'), /AccessDenied/);
  });

  test('a node writes directives of rules, reads no keys or identities, and changes nothing else', async () => {
    const { config } = await as(NODE);
    assert.equal(await config.put('rule-directive', 'rule', {}), 1);
    assert.equal(await config.delete('rule-directive', 'rule'), true);
    const denied = { code: 'storage_unavailable', message: /AccessDenied/ };
    await assert.rejects(config.get('key', 'AKIA'), denied);
    await assert.rejects(config.list('identity'), denied);
    await assert.rejects(config.put('config-limits', 'default', {}), denied);
    // An operator's order, as the suspension of a tenant, is neither made nor lifted by a node.
    await (await as(API)).config.put('directive', 'suspend-1', {});
    await assert.rejects(config.put('directive', 'suspend-2', {}), denied);
    await assert.rejects(config.delete('directive', 'suspend-1'), denied);
  });
});
