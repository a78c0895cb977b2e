import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import {
  AlreadyExistsException,
  BadRequestException,
  ConcurrentModificationException,
  CreateConfigurationSetCommand,
  CreateDedicatedIpPoolCommand,
  DeleteConfigurationSetCommand,
  DeleteDedicatedIpPoolCommand,
  GetAccountCommand,
  GetConfigurationSetCommand,
  GetDedicatedIpCommand,
  GetDedicatedIpPoolCommand,
  GetDedicatedIpsCommand,
  type GetDedicatedIpsCommandInput,
  ListDedicatedIpPoolsCommand,
  NotFoundException,
  PutAccountDedicatedIpWarmupAttributesCommand,
  PutConfigurationSetDeliveryOptionsCommand,
  PutDedicatedIpInPoolCommand,
  PutDedicatedIpPoolScalingAttributesCommand,
  PutDedicatedIpWarmupAttributesCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import type { ApiDeps } from '../../../lib/http/deps.ts';
import { DAY } from '../../../lib/time.ts';
import { WarmupBook } from '../../../lib/warmup/book.ts';
import { checkpointName } from '../../../lib/warmup/checkpoint.ts';
import { readPlan } from '../../../lib/warmup/plan.ts';
import { TestClock } from '../../support/clock.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

const [A, B, C] = ['203.0.113.1', '203.0.113.2', '2001:db8::1'];
const DEFAULT = 'ses-default-dedicated-pool';
const DONE = { WarmupStatus: 'DONE', WarmupPercentage: 100 };
const BY = { by: 'test' };

let server: SesServer;
let client: SESv2Client;

async function start(installed: ApiDeps['installed'] = { ips: [A, B, C], pools: { news: [A] } }) {
  server = await startSesServer({ installed });
  client = server.client();
}
afterEach(() => server.close());

async function ips(input: GetDedicatedIpsCommandInput = {}): Promise<[string, string][]> {
  const { DedicatedIps } = await client.send(new GetDedicatedIpsCommand(input));
  return DedicatedIps!.map(({ Ip, PoolName }) => [Ip!, PoolName!]);
}

async function pools(): Promise<string[]> {
  return (await client.send(new ListDedicatedIpPoolsCommand({}))).DedicatedIpPools!;
}

const routing = () => server.control.documents.running('routing').get('default');
const move = (Ip: string, DestinationPoolName: string) =>
  client.send(new PutDedicatedIpInPoolCommand({ Ip, DestinationPoolName }));
const create = (PoolName: string) => client.send(new CreateDedicatedIpPoolCommand({ PoolName }));
const remove = (PoolName: string) => client.send(new DeleteDedicatedIpPoolCommand({ PoolName }));

describe('dedicated IPs', () => {
  test('of the default pool have the name of SES in a configuration set, and send by default', async () => {
    await start();
    const ConfigurationSetName = 'plain';
    const DeliveryOptions = { SendingPoolName: DEFAULT };
    await client.send(new CreateConfigurationSetCommand({ ConfigurationSetName, DeliveryOptions }));
    const [set] = await server.control.configurationSets.list('default');
    assert.equal(set?.delivery.pool, 'default');
    const shown = await client.send(new GetConfigurationSetCommand({ ConfigurationSetName }));
    assert.equal(shown.DeliveryOptions?.SendingPoolName, DEFAULT);
  });

  test('are the addresses of the installation and of the documents, each with its pool', async () => {
    await start();
    await server.control.documents.put('warmup', 'default', { '198.51.100.9': {} }, BY);
    assert.deepEqual(await ips(), [
      ['198.51.100.9', DEFAULT],
      [C, DEFAULT],
      [A, 'news'],
      [B, DEFAULT],
    ]);
    assert.deepEqual(await ips({ PoolName: 'news' }), [[A, 'news']]);
    assert.deepEqual(await ips({ PoolName: DEFAULT }), [
      ['198.51.100.9', DEFAULT],
      [C, DEFAULT],
      [B, DEFAULT],
    ]);
    await assert.rejects(ips({ PoolName: 'none' }), NotFoundException);
    const { DedicatedIp } = await client.send(new GetDedicatedIpCommand({ Ip: C.toUpperCase() }));
    assert.deepEqual(DedicatedIp, { Ip: C, PoolName: DEFAULT, ...DONE });
    await assert.rejects(client.send(new GetDedicatedIpCommand({ Ip: '192.0.2.1' })), NotFoundException);
  });

  test('come in pages', async () => {
    await start();
    const first = await client.send(new GetDedicatedIpsCommand({ PageSize: 2 }));
    assert.equal(first.DedicatedIps!.length, 2);
    const rest = await client.send(new GetDedicatedIpsCommand({ PageSize: 2, NextToken: first.NextToken }));
    assert.equal(rest.DedicatedIps!.length, 1);
    assert.equal(rest.NextToken, undefined);
  });

  test('in several pools are listed under each, and leave all of them when moved', async () => {
    await start();
    const before = {
      pools: {
        news: { ips: [{ ip: A, weight: 3 }, B], overBudget: 'wait' },
        alerts: { ips: [{ ip: A, weight: 3 }] },
        spare: { ips: [] },
      },
    };
    await server.control.documents.put('routing', 'default', before, BY);
    assert.deepEqual(await ips({ PoolName: 'alerts' }), [[A, 'alerts']]);
    await move(A, 'spare');
    assert.deepEqual(routing(), {
      pools: {
        news: { ips: [B], overBudget: 'wait' },
        alerts: { ips: [] },
        spare: { ips: [{ ip: A, weight: 3 }] },
      },
    });
    await move(A, DEFAULT);
    assert.deepEqual(await ips({ PoolName: 'spare' }), []);
    assert.ok((await ips({ PoolName: DEFAULT })).some(([ip]) => ip === A));
    await assert.rejects(move(A, 'none'), NotFoundException);
    await assert.rejects(move('192.0.2.1', 'spare'), NotFoundException);
  });

  test('are shown to administrators and changed by administrators only', async () => {
    await start();
    const user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    for (const command of [new GetDedicatedIpsCommand({}), new ListDedicatedIpPoolsCommand({})]) {
      await assert.rejects(user.send(command as GetDedicatedIpsCommand), { name: 'AccessDeniedException' });
    }
  });
});

describe('a dedicated IP pool', () => {
  test('is created, shown, filled and deleted; pools of the settings stay', async () => {
    await start();
    assert.deepEqual(await pools(), ['news', DEFAULT]);
    await create('alerts');
    assert.deepEqual(await pools(), ['alerts', 'news', DEFAULT]);
    const shown = await client.send(new GetDedicatedIpPoolCommand({ PoolName: 'alerts' }));
    assert.deepEqual(shown.DedicatedIpPool, { PoolName: 'alerts', ScalingMode: 'STANDARD' });
    await move(B, 'alerts');
    assert.deepEqual(routing(), {
      pools: { news: { ips: [A] }, alerts: { ips: [B], exclusive: true } },
    });
    assert.equal(server.control.documents.get('routing', 'default')!.version, 2);
    await remove('alerts');
    assert.deepEqual(routing(), { pools: { news: { ips: [A] } } });
    for (const gone of [remove('alerts'), client.send(new GetDedicatedIpPoolCommand({ PoolName: 'alerts' }))])
      await assert.rejects(gone, NotFoundException);
  });

  test('has a unique name', async () => {
    await start();
    for (const name of ['news', 'default', DEFAULT])
      await assert.rejects(create(name), AlreadyExistsException);
    await assert.rejects(create('no spaces'), BadRequestException);
  });

  test('that is managed has its addresses for itself, and warms up those that were in no pool', async () => {
    await start();
    const scale = (PoolName: string, ScalingMode: 'STANDARD' | 'MANAGED') =>
      client.send(new PutDedicatedIpPoolScalingAttributesCommand({ PoolName, ScalingMode }));
    const modeOf = async (PoolName: string) =>
      (await client.send(new GetDedicatedIpPoolCommand({ PoolName }))).DedicatedIpPool!.ScalingMode;
    await client.send(
      new CreateDedicatedIpPoolCommand({
        PoolName: 'auto',
        ScalingMode: 'MANAGED',
        Tags: [{ Key: 'a', Value: 'b' }],
      }),
    );
    assert.equal(await modeOf('auto'), 'MANAGED');
    // A has sent from another pool, B has been in none.
    await move(A, 'auto');
    await move(B, 'auto');
    assert.deepEqual(routing(), {
      pools: {
        news: { ips: [] },
        auto: { ips: [A, B], exclusive: true, managed: true, tags: [{ Key: 'a', Value: 'b' }] },
      },
    });
    const state = async (Ip: string) =>
      (await client.send(new GetDedicatedIpCommand({ Ip }))).DedicatedIp!.WarmupStatus;
    assert.deepEqual([await state(A), await state(B), await state(C)], ['DONE', 'IN_PROGRESS', 'DONE']);
    await scale('auto', 'MANAGED');
    await assert.rejects(scale('auto', 'STANDARD'), /cannot become STANDARD/);
    await assert.rejects(scale(DEFAULT, 'MANAGED'), BadRequestException);
    await assert.rejects(scale('none', 'STANDARD'), NotFoundException);
    await scale('news', 'STANDARD');
    await scale(DEFAULT, 'STANDARD');
    await scale('news', 'MANAGED');
    assert.equal(await modeOf('news'), 'MANAGED');
  });

  test('whose addresses another pool has cannot be managed', async () => {
    await start({ ips: [A, B], pools: { one: [A], two: [A, B] } });
    const command = new PutDedicatedIpPoolScalingAttributesCommand({
      PoolName: 'one',
      ScalingMode: 'MANAGED',
    });
    await assert.rejects(client.send(command), /exclusive; take it out of one of them/);
    const bad = { pools: { x: { ips: [], managed: true } } };
    await assert.rejects(server.control.documents.put('routing', 'default', bad, BY), /set exclusive, too/);
  });

  test('is named by a configuration set only while it exists and is open to it', async () => {
    await start({
      ips: [A, B, C],
      pools: {
        news: [A],
        theirs: { ips: [B], dedicatedTo: { tenants: ['acme'] } },
        invoices: { ips: [C], dedicatedTo: { configurationSets: [{ tenant: 'default', set: 'invoices' }] } },
      },
    });
    const make = (ConfigurationSetName: string, SendingPoolName: string) =>
      client.send(
        new CreateConfigurationSetCommand({ ConfigurationSetName, DeliveryOptions: { SendingPoolName } }),
      );
    const change = (ConfigurationSetName: string, SendingPoolName?: string) =>
      client.send(new PutConfigurationSetDeliveryOptionsCommand({ ConfigurationSetName, SendingPoolName }));
    const missing = (name: string) => (error: Error) =>
      error instanceof BadRequestException && error.message === `SendingPool <${name}> doesn't exist`;
    await make('invoices', 'invoices');
    await make('weekly', 'news');
    for (const name of ['nowhere', 'theirs', 'invoices']) {
      await assert.rejects(make('monthly', name), missing(name));
      await assert.rejects(change('weekly', name), missing(name));
    }
    const set = await client.send(new GetConfigurationSetCommand({ ConfigurationSetName: 'weekly' }));
    assert.equal(set.DeliveryOptions!.SendingPoolName, 'news', 'as it was');
    await assert.rejects(
      client.send(new GetConfigurationSetCommand({ ConfigurationSetName: 'monthly' })),
      NotFoundException,
    );
    await change('weekly');
    await change('weekly', DEFAULT);
  });

  test('is named by a configuration set only if it has lanes, where lanes are given', async () => {
    await start({ ips: [], lanes: ['default', 'news'] });
    await server.control.documents.put(
      'routing',
      'default',
      { pools: { news: { ips: [A] }, new: { ips: [B] } } },
      BY,
    );
    const make = (SendingPoolName: string) =>
      client.send(
        new CreateConfigurationSetCommand({
          ConfigurationSetName: SendingPoolName,
          DeliveryOptions: { SendingPoolName },
        }),
      );
    await make('news');
    await assert.rejects(make('new'), BadRequestException);
  });

  test('is not deleted while something refers to it', async () => {
    await start();
    await assert.rejects(remove(DEFAULT), BadRequestException);
    const ConfigurationSetName = 'weekly';
    const DeliveryOptions = { SendingPoolName: 'news' };
    await client.send(new CreateConfigurationSetCommand({ ConfigurationSetName, DeliveryOptions }));
    await assert.rejects(remove('news'), /Configuration set <weekly> of tenant default sends by pool <news>/);
    await client.send(new DeleteConfigurationSetCommand({ ConfigurationSetName }));
    const overflowing = { pools: { news: { ips: [A] }, small: { ips: [B], overflow: 'news' } } };
    await server.control.documents.put('routing', 'default', overflowing, BY);
    await assert.rejects(remove('news'), /routing\.pools\.small\.overflow: there is no pool "news"/);
    assert.deepEqual(routing(), overflowing);
  });

  test('changed by another caller at the same time is a concurrent modification', async () => {
    await start();
    await create('one');
    let deliver = (): void => undefined;
    const delayed = new Promise<void>((resolve) => (deliver = resolve));
    server.config.delayGet = () => delayed;
    await server.config.put('config-routing', 'default', { at: 0, by: 'another process', value: {} });
    await assert.rejects(create('two'), ConcurrentModificationException);
    deliver();
  });

  test('on AWS needs lanes, and changes where a document lists all pools', async () => {
    await start({ ips: [], lanes: ['default', 'news', 'alerts'] });
    assert.deepEqual(await pools(), ['alerts', 'news', DEFAULT]);
    await assert.rejects(create('other'), /there are lanes for default, news, alerts/);
    await assert.rejects(remove('news'), /Store a routing document that lists all of them first/);
    await server.control.documents.put('routing', 'default', { pools: { news: { ips: [A] } } }, BY);
    assert.deepEqual(await pools(), ['news', DEFAULT]);
    await create('alerts');
    await move(A, 'alerts');
    assert.deepEqual(await ips(), [[A, 'alerts']]);
  });
});

describe('warm-up', () => {
  const warm = (Ip: string, WarmupPercentage: number) =>
    client.send(new PutDedicatedIpWarmupAttributesCommand({ Ip, WarmupPercentage }));
  const shown = async (Ip: string) => {
    const { DedicatedIp } = await client.send(new GetDedicatedIpCommand({ Ip }));
    return [DedicatedIp!.WarmupStatus, DedicatedIp!.WarmupPercentage];
  };

  test('is set to a percentage, keeps its plan, and is read back from the node’s progress', async () => {
    await start();
    await server.control.documents.put('warmup', 'default', { [A]: { schedule: 'fast', spread: true } }, BY);
    assert.deepEqual(await shown(A), ['IN_PROGRESS', 0]);
    await warm(A, 50);
    assert.deepEqual(await shown(A), ['IN_PROGRESS', 50]);
    const stored = server.control.documents.running('warmup').get('default') as Record<
      string,
      { progress: { at: string } }
    >;
    assert.partialDeepStrictEqual(stored[A], { schedule: 'fast', spread: true, progress: { percent: 50 } });

    const node = new WarmupBook();
    const clock = new TestClock(Date.parse(stored[A]!.progress.at));
    node.setPlan(A, readPlan(stored[A], A));
    node.restore(A, undefined);
    for (let day = 0; day < 2; day += 1) {
      node.room(A, 'google', clock.now());
      node.outcome(A, 'google', 'delivered', clock.now(), 100_000);
      clock.advance(DAY);
    }
    node.room(A, 'google', clock.now());
    server.checkpoints.set(checkpointName(A), JSON.parse(JSON.stringify(node.checkpoint(A))));
    assert.deepEqual(await shown(A), ['IN_PROGRESS', 64], 'day 9 of 14 is behind it');
    await warm(A, 100);
    assert.deepEqual(await shown(A), ['DONE', 100]);
  });

  test('begins for an address without a plan, and needs a known address', async () => {
    await start();
    await warm(B, 0);
    assert.deepEqual(await shown(B), ['IN_PROGRESS', 0]);
    await assert.rejects(warm('192.0.2.1', 10), NotFoundException);
    await assert.rejects(warm(B, 101), BadRequestException);
  });

  test('of what a routing document adds is switched on and off for the account', async () => {
    await start();
    const isOn = async () => (await client.send(new GetAccountCommand({}))).DedicatedIpAutoWarmupEnabled;
    const put = (AutoWarmupEnabled?: boolean) =>
      client.send(new PutAccountDedicatedIpWarmupAttributesCommand({ AutoWarmupEnabled }));
    assert.equal(await isOn(), true);
    await put(false);
    assert.equal(await isOn(), false);
    await put(true);
    await put();
    assert.equal(await isOn(), false, 'an absent flag means false');
  });
});
