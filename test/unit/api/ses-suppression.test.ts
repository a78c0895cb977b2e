/** The suppression operations of SES v2 with Amazon's SDK, over the embedded store. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  BadRequestException,
  CreateConfigurationSetCommand,
  DeleteSuppressedDestinationCommand,
  GetAccountCommand,
  GetConfigurationSetCommand,
  GetSuppressedDestinationCommand,
  InvalidNextTokenException,
  ListSuppressedDestinationsCommand,
  type ListSuppressedDestinationsCommandInput,
  NotFoundException,
  PutAccountSuppressionAttributesCommand,
  PutConfigurationSetSuppressionOptionsCommand,
  PutSuppressedDestinationCommand,
  PutTenantSuppressionAttributesCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { openEmbedded } from '../../../lib/engine/embedded/open.ts';
import type { Engine } from '../../../lib/engine/ports.ts';
import { DAY, systemClock } from '../../../lib/time.ts';
import { type SesServer, send, startSesServer, USER } from '../../support/ses-server.ts';

let directory: string;
let engine: Engine;
let server: SesServer;
let admin: SESv2Client;
let user: SESv2Client;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-suppression-'));
  engine = await openEmbedded({ directory, clock: systemClock, minimumFree: 0 });
  server = await startSesServer({ suppressions: engine.suppressions });
  for (const name of ['listed', 'empty']) await server.control.tenants.create({ name });
  admin = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
});
after(async () => {
  await server.close();
  await engine.close();
  await rm(directory, { recursive: true });
});

const put = (client: SESv2Client, EmailAddress: string, Reason: 'BOUNCE' | 'COMPLAINT' = 'BOUNCE') =>
  client.send(new PutSuppressedDestinationCommand({ EmailAddress, Reason }));
const get = async (client: SESv2Client, EmailAddress: string) =>
  (await client.send(new GetSuppressedDestinationCommand({ EmailAddress }))).SuppressedDestination!;
const remove = (client: SESv2Client, EmailAddress: string) =>
  client.send(new DeleteSuppressedDestinationCommand({ EmailAddress }));

function missing(address: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof NotFoundException);
    assert.equal(error.message, `Email address ${address} does not exist on your suppression list.`);
    return true;
  };
}

describe('an address', () => {
  test('is put on the list, shown, replaced and removed', async () => {
    const start = Date.now();
    await assert.rejects(get(admin, 'ann@example.net'), missing('ann@example.net'));
    await put(admin, ' Ann+tag@EXAMPLE.net ', 'COMPLAINT');
    const shown = await get(admin, 'Ann+tag@example.net');
    const { LastUpdateTime, ...rest } = shown;
    assert.deepEqual(rest, { EmailAddress: 'Ann+tag@example.net', Reason: 'COMPLAINT' });
    assert.ok(Math.abs(LastUpdateTime!.getTime() - start) < 60_000);
    await put(admin, 'ann+TAG@example.net');
    assert.deepEqual((await get(admin, 'ANN+tag@example.net')).EmailAddress, 'ann+TAG@example.net');
    await remove(admin, 'ann+tag@example.net');
    await assert.rejects(remove(admin, 'ann+tag@example.net'), missing('ann+tag@example.net'));
  });

  test('is shown with the message that put it there', async () => {
    const MessageId = '010001a2-m@example.com';
    const entry = { tenant: 'default', address: 'why@example.net', reason: 'BOUNCE', at: 1_500 } as const;
    await engine.suppressions.put({ ...entry, messageId: MessageId, feedbackId: 'f-1' });
    const { Attributes, LastUpdateTime } = await get(admin, 'why@example.net');
    assert.deepEqual(Attributes, { MessageId, FeedbackId: 'f-1' });
    assert.equal(LastUpdateTime!.getTime(), 1_500);
  });

  test('is on the list of its tenant, and of another for an administrator who names it', async () => {
    await put(user, 'cy@example.net');
    await assert.rejects(get(admin, 'cy@example.net'), NotFoundException);
    const EmailAddress = 'cy@example.net';
    const TenantName = 'tenant-2';
    const named = await admin.send(new GetSuppressedDestinationCommand({ EmailAddress, TenantName }));
    assert.equal(named.SuppressedDestination!.TenantName, TenantName);
    const others = new ListSuppressedDestinationsCommand({ TenantName: 'default' });
    await assert.rejects(user.send(others), { name: 'AccessDeniedException' });
    const bad = new ListSuppressedDestinationsCommand({ TenantName: 'a/b' });
    await assert.rejects(admin.send(bad), { name: 'BadRequestException' });
    await admin.send(new DeleteSuppressedDestinationCommand({ EmailAddress, TenantName }));
    await assert.rejects(get(user, EmailAddress), NotFoundException);
  });

  test('must be valid, and not of the simulator', async () => {
    for (const [address, message] of [
      ['no address', /no address/],
      ['a@b@c', /a@b@c/],
      ['bounce@simulator.amazonses.com', /mailbox simulator/],
    ] as const) {
      await assert.rejects(put(admin, address), (error) => {
        assert.ok(error instanceof BadRequestException);
        assert.match(error.message, message);
        return true;
      });
    }
    await assert.rejects(put(admin, 'ann@example.net', 'SPITE' as 'BOUNCE'), {
      name: 'BadRequestException',
      message: /Value at 'reason' failed to satisfy constraint: .*\[BOUNCE, COMPLAINT\]/,
    });
  });
});

describe('the list', () => {
  const start = Date.UTC(2026, 1, 1);
  const list = async (input: ListSuppressedDestinationsCommandInput) => {
    const { SuppressedDestinationSummaries, NextToken } = await admin.send(
      new ListSuppressedDestinationsCommand(input),
    );
    return { addresses: SuppressedDestinationSummaries!.map((one) => one.EmailAddress!), NextToken };
  };
  const TenantName = 'listed';

  before(async () => {
    for (let n = 0; n < 6; n += 1) {
      const reason = n % 2 === 0 ? 'BOUNCE' : 'COMPLAINT';
      const entry = {
        tenant: TenantName,
        address: `user${n}@example.net`,
        reason,
        at: start + n * DAY,
      } as const;
      await engine.suppressions.put(entry);
    }
  });
  const users = (...numbers: number[]) => numbers.map((n) => `user${n}@example.net`);

  test('is read in pages to its end', async () => {
    const first = await list({ TenantName, PageSize: 4 });
    assert.deepEqual(first.addresses, users(0, 2, 4, 1));
    const rest = await list({ TenantName, PageSize: 4, NextToken: first.NextToken });
    assert.deepEqual(rest, { addresses: users(3, 5), NextToken: undefined });
    const whole = await list({ TenantName, PageSize: 6 });
    assert.equal(whole.NextToken, undefined, 'nothing comes after the last page');
    assert.equal((await list({ TenantName })).addresses.length, 6);
    assert.deepEqual(await list({ TenantName: 'empty' }), { addresses: [], NextToken: undefined });
  });

  test('is filtered by reasons and times', async () => {
    assert.deepEqual((await list({ TenantName, Reasons: ['COMPLAINT'] })).addresses, users(1, 3, 5));
    assert.equal((await list({ TenantName, Reasons: ['BOUNCE', 'COMPLAINT'] })).addresses.length, 6);
    const StartDate = new Date(start + 2 * DAY);
    const EndDate = new Date(start + 4 * DAY);
    assert.deepEqual((await list({ TenantName, StartDate, EndDate })).addresses, users(2, 3));
    assert.deepEqual((await list({ TenantName, Reasons: ['BOUNCE'], StartDate })).addresses, users(2, 4));
  });

  test('refuses foreign tokens and invalid times', async () => {
    for (const NextToken of ['x', Buffer.from('BOUNCE soon a@b').toString('base64url')]) {
      await assert.rejects(list({ NextToken }), (error) => error instanceof InvalidNextTokenException);
    }
    await assert.rejects(list({ Reasons: ['SPITE' as 'BOUNCE'] }), BadRequestException);
    await assert.rejects(list({ PageSize: 1001 }), BadRequestException);
    const rawPath = '/v2/email/suppression/addresses';
    // Times as botocore writes them, and in other formats.
    const from = (StartDate: string) =>
      send(server, {
        method: 'GET',
        rawPath,
        rawQuery: `StartDate=${encodeURIComponent(StartDate)}`,
        query: { StartDate },
      });
    assert.equal((await from('2026-01-01T00:00:00Z')).status, 200);
    assert.equal((await from('yesterday')).headers['x-amzn-errortype'], 'SerializationException');
  });
});

describe('the reasons of suppression', () => {
  const ConfigurationSetName = 'news';
  const account = async (client: SESv2Client) =>
    (await client.send(new GetAccountCommand({}))).SuppressionAttributes;
  const set = async () =>
    (await admin.send(new GetConfigurationSetCommand({ ConfigurationSetName }))).SuppressionOptions;
  const putSet = (input: object) =>
    admin.send(new PutConfigurationSetSuppressionOptionsCommand({ ConfigurationSetName, ...input }));

  beforeEach(async () => {
    if (!(await server.control.configurationSets.find(ConfigurationSetName, 'default')))
      await admin.send(new CreateConfigurationSetCommand({ ConfigurationSetName }));
  });

  test('are both for a new account, then those that an administrator sets, for its tenants too', async () => {
    const both = { SuppressedReasons: ['BOUNCE', 'COMPLAINT'] };
    assert.deepEqual(await account(admin), both);
    await admin.send(new PutAccountSuppressionAttributesCommand({ SuppressedReasons: ['COMPLAINT'] }));
    assert.deepEqual(await account(admin), { SuppressedReasons: ['COMPLAINT'] });
    assert.deepEqual(await account(user), { SuppressedReasons: ['COMPLAINT'] });
    await admin.send(new PutAccountSuppressionAttributesCommand({}));
    assert.deepEqual(await account(admin), { SuppressedReasons: [] });
    const more = new PutAccountSuppressionAttributesCommand({
      ValidationAttributes: { ConditionThreshold: { ConditionThresholdEnabled: 'ENABLED' } },
    });
    await assert.rejects(admin.send(more), { message: /ValidationAttributes is not supported/ });
    await assert.rejects(user.send(new PutAccountSuppressionAttributesCommand({})), {
      name: 'AccessDeniedException',
    });
  });

  test('and the list are those that an administrator sets for a tenant', async () => {
    const TenantName = 'tenant-2';
    const set = (client: SESv2Client, input: object) =>
      client.send(new PutTenantSuppressionAttributesCommand({ TenantName, ...input }));
    const EmailAddress = 'shared@example.net';
    await admin.send(new PutSuppressedDestinationCommand({ EmailAddress, Reason: 'BOUNCE' }));
    await set(admin, { SuppressionScope: 'ACCOUNT', SuppressedReasons: ['BOUNCE'] });
    assert.deepEqual(await server.control.account.suppression(TenantName), {
      list: 'default',
      reasons: ['BOUNCE'],
    });
    assert.deepEqual(await account(user), { SuppressedReasons: ['BOUNCE'] });
    // The account's list stops the mail of others, too.
    await assert.rejects(get(user, EmailAddress), {
      name: 'AccessDeniedException',
      message: /of the account, which this/,
    });
    await set(admin, { SuppressionScope: 'TENANT', SuppressedReasons: [] });
    assert.deepEqual(await server.control.account.suppression(TenantName), { list: TenantName, reasons: [] });
    await assert.rejects(get(user, EmailAddress), NotFoundException);
    await set(admin, {});
    assert.deepEqual(await server.control.account.suppressionAttributes(TenantName), {});
    for (const [input, message] of [
      [{ SuppressedReasons: ['BOUNCE'] }, 'SuppressedReasons cannot be specified without SuppressionScope.'],
      [{ SuppressionScope: 'ACCOUNT' }, 'SuppressionScope cannot be specified without SuppressedReasons.'],
      [
        { SuppressedReasons: [] },
        'SuppressionScope is required when SuppressedReasons are provided. Valid values are: TENANT, ACCOUNT',
      ],
      [
        { SuppressionScope: 'TENANT', SuppressedReasons: ['BOUNCE', 'BOUNCE'] },
        'Each suppressed reason can only be specified at most once',
      ],
      [{ TenantName: 'a/b' }, /^Invalid tenant name <a\/b>: /],
    ] as const) {
      await assert.rejects(set(admin, input), { name: 'BadRequestException', message });
    }
    await assert.rejects(set(user, {}), { name: 'AccessDeniedException' });
  });

  test('are those of the configuration set, until it has none', async () => {
    assert.equal(await set(), undefined);
    await putSet({ SuppressedReasons: ['BOUNCE'], SuppressionScope: 'ACCOUNT' });
    assert.deepEqual(await set(), { SuppressedReasons: ['BOUNCE'], SuppressionScope: 'ACCOUNT' });
    await putSet({ SuppressionScope: 'TENANT' });
    assert.deepEqual(await set(), { SuppressionScope: 'TENANT' });
    await putSet({ SuppressedReasons: [] });
    assert.deepEqual(await set(), { SuppressedReasons: [] });
    await putSet({});
    assert.equal(await set(), undefined);
    await assert.rejects(putSet({ SuppressionScope: 'BOTH' }), {
      message: /SuppressionScope|suppressionScope/,
    });
    const unknown = putSet({ ConfigurationSetName: 'none', SuppressedReasons: [] });
    await assert.rejects(unknown, NotFoundException);
  });
});
