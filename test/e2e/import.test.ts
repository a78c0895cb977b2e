/** Imports and splits at a running service, with its own SES API as the account to import from. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CreateConfigurationSetCommand,
  CreateEmailIdentityCommand,
  CreateEmailTemplateCommand,
  GetConfigurationSetCommand,
  GetEmailIdentityCommand,
  GetEmailTemplateCommand,
  GetSuppressedDestinationCommand,
  PutSuppressedDestinationCommand,
  type SESv2Client,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { SMTPServer } from 'smtp-server';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { EXIT, type ImportRun, runImport } from '../../lib/importers/import.ts';
import { runSplit } from '../../lib/importers/split.ts';
import type { TargetOptions } from '../../lib/importers/target.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

const KEY = { id: 'AKIATESTTESTTESTTEST', secret: 'test-secret-of-the-administrator-0000000' };
const ENVIRONMENT = { POSTERN_ACCESS_KEY_ID: KEY.id, POSTERN_SECRET_ACCESS_KEY: KEY.secret };

let site: StandaloneSite;
let service: Standalone;
let ses: SESv2Client;
let target: TargetOptions;
let folder: string;
let lines: string[];
let warnings: string[];

before(async () => {
  site = await StandaloneSite.open();
  service = await site.start(ENVIRONMENT);
  ses = sesClient(service, KEY);
  target = { url: `http://${service.listening.api}`, accessKeyId: KEY.id, secretAccessKey: KEY.secret };
  folder = mkdtempSync(join(tmpdir(), 'postern-import-'));
});
after(async () => {
  ses.destroy();
  await service.stop();
  await site.close();
  rmSync(folder, { recursive: true, force: true });
});

function run(options: Omit<ImportRun, 'all' | 'json'> & Partial<ImportRun>): Promise<number> {
  lines = [];
  warnings = [];
  return runImport(
    { all: false, json: false, ...options },
    (line) => void lines.push(line),
    (line) => void warnings.push(line),
  );
}

async function config(
  kind: string,
): Promise<{ version: number; value: Record<string, unknown> } | undefined> {
  const answer = await fetch(`${target.url}/v1/config/${kind}/default`, {
    headers: { authorization: `Bearer ${KEY.id}.${KEY.secret}` },
  });
  return answer.ok ? ((await answer.json()) as never) : undefined;
}

test('an import changes nothing without --apply, all of it with it, and nothing the second time', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(folder, 'mail.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
  writeFileSync(join(folder, 'suppressed.csv'), 'gone@example.net\nno address\n');
  writeFileSync(
    join(folder, 'config'),
    [
      'domain-key s1,example.com,mail.key',
      '<virtual-mta news>',
      '  smtp-source-host 192.0.2.7 news.example.com',
      '</virtual-mta>',
      '<smtp-pattern-list slow>',
      '  reply /too many/ mode=backoff',
      '</smtp-pattern-list>',
      '<domain example.net>',
      '  max-smtp-out 3',
      '  max-msg-rate 100/5min',
      '  backoff-max-msg-rate 1/min',
      '  smtp-pattern-list slow',
      '</domain>',
    ].join('\r\n'),
  );
  const options = { product: 'powermta', path: folder, target } as const;
  assert.equal(await run({ ...options, apply: false }), EXIT.well);
  assert.match(warnings.join(), /Nothing was changed/);
  assert.deepEqual([await config('limits'), await config('routing')], [undefined, undefined]);

  assert.equal(await run({ ...options, apply: true }), EXIT.well, warnings.join('\n'));
  assert.deepEqual((await config('limits'))?.value, {
    domains: { 'example.net': { connections: 3, messageRate: '20/min' } },
  });
  assert.deepEqual((await config('routing'))?.value, {
    pools: { news: { ips: [{ ip: '192.0.2.7', warm: true }] } },
  });
  const rules = (await config('automation'))?.value.rules as { id: string; action: unknown }[];
  assert.deepEqual(
    rules.map(({ id, action }) => [id, action]),
    [['pmta.slow.1', { limit: { messageRate: '1/min' } }]],
  );
  const identity = await ses.send(new GetEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  assert.deepEqual(
    [identity.DkimAttributes?.SigningAttributesOrigin, identity.DkimAttributes?.Tokens],
    ['EXTERNAL', ['s1']],
  );
  await ses.send(new GetSuppressedDestinationCommand({ EmailAddress: 'gone@example.net' }));
  assert.match(
    lines.join('\n'),
    /2 rows: 1 taken, 0 that change nothing, 1 not taken\. The first one: line 2/,
  );

  assert.equal(await run({ ...options, apply: true }), EXIT.well);
  assert.equal((await config('limits'))?.version, 1);
  assert.match(lines.join('\n'), /document limits: is so already/);
});

test('a configuration that cannot be read whole changes nothing', async () => {
  const path = join(folder, 'cut');
  writeFileSync(path, '<domain example.org>\nmax-smtp-out 1\n');
  const before = await config('limits');
  assert.equal(await run({ product: 'powermta', path, apply: true, target }), EXIT.failed);
  assert.match(warnings.join(), /1 directives could not be read.*nothing was changed/);
  assert.deepEqual(await config('limits'), before);
  assert.equal(
    await run({ product: 'powermta', path: join(folder, 'absent'), apply: true, target }),
    EXIT.nothing,
  );
  assert.match(warnings.join(), /does not exist/);
});

test('an SES account is copied through its SDK', async () => {
  const other = await StandaloneSite.open();
  const account = await other.start(ENVIRONMENT);
  const client = sesClient(account, KEY);
  try {
    await client.send(
      new CreateConfigurationSetCommand({
        ConfigurationSetName: 'news',
        SuppressionOptions: { SuppressedReasons: ['COMPLAINT'] },
      }),
    );
    await client.send(
      new CreateEmailIdentityCommand({ EmailIdentity: 'copied.example', ConfigurationSetName: 'news' }),
    );
    await client.send(
      new CreateEmailTemplateCommand({
        TemplateName: 'hello',
        TemplateContent: { Subject: 'Hi {{name}}', Text: 'Hello' },
      }),
    );
    for (let n = 0; n < 120; n += 1)
      await client.send(
        new PutSuppressedDestinationCommand({ EmailAddress: `a${n}@example.net`, Reason: 'BOUNCE' }),
      );
    process.env.AWS_ACCESS_KEY_ID = KEY.id;
    process.env.AWS_SECRET_ACCESS_KEY = KEY.secret;
    const path = `http://${account.listening.api}`;
    const code = await run({ product: 'ses', path, region: 'us-east-1', apply: true, target });
    assert.equal(code, EXIT.well, [...warnings, ...lines].join('\n'));
    const identity = await ses.send(new GetEmailIdentityCommand({ EmailIdentity: 'copied.example' }));
    assert.equal(identity.ConfigurationSetName, 'news');
    const set = await ses.send(new GetConfigurationSetCommand({ ConfigurationSetName: 'news' }));
    assert.deepEqual(set.SuppressionOptions?.SuppressedReasons, ['COMPLAINT']);
    const { TemplateContent } = await ses.send(new GetEmailTemplateCommand({ TemplateName: 'hello' }));
    assert.equal(TemplateContent?.Subject, 'Hi {{name}}');
    await ses.send(new GetSuppressedDestinationCommand({ EmailAddress: 'a119@example.net' }));
    assert.match(lines.join('\n'), /120 rows: 120 taken/);
  } finally {
    client.destroy();
    await account.stop();
    await other.close();
  }
});

test('a split sends by the former server, by share and by tenant, and back', async () => {
  const relayed: string[] = [];
  const relay = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    // Postern keeps its connection open for more.
    closeTimeout: 1,
    onRcptTo({ address }, _session, callback) {
      relayed.push(address);
      callback();
    },
    onData(stream, _session, callback) {
      stream.resume().on('end', () => callback());
    },
  });
  await new Promise<void>((resolve) => void relay.listen(0, '127.0.0.1', resolve));
  const { port } = relay.server.address() as AddressInfo;
  const said: string[] = [];
  const split = (options: Partial<Parameters<typeof runSplit>[0]>) =>
    runSplit(
      { target, ...options },
      (line) => void said.push(line),
      (line) => void said.push(line),
    );
  const send = async (to: string): Promise<void> => {
    const { MessageId } = await ses.send(
      new SendEmailCommand({
        FromEmailAddress: 'ann@example.com',
        Destination: { ToAddresses: [to] },
        Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'Hi' } } } },
      }),
    );
    await ended(MessageId!);
  };
  const ended = async (id: string): Promise<void> => {
    for (let n = 0; n < 500; n += 1) {
      const answer = await fetch(`${target.url}/v1/messages/${id}`, {
        headers: { authorization: `Bearer ${KEY.id}.${KEY.secret}` },
      });
      const { deliveries } = (await answer.json()) as { deliveries: { state: string }[] };
      if (deliveries.every(({ state }) => state === 'delivered')) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.fail('it was not delivered within ten seconds');
  };
  try {
    assert.equal(await split({ share: 5 }), EXIT.failed);
    assert.match(said.at(-1)!, /There is no former server .* --relay old\.example\.com:25/);
    assert.equal(
      await split({ share: 'back', relay: `127.0.0.1:${port}`, tenants: ['acme'] }),
      EXIT.well,
      said.join('\n'),
    );
    await send('one@example.org');
    assert.deepEqual(relayed, ['one@example.org']);
    said.length = 0;
    assert.equal(await split({ share: 100 }), EXIT.well);
    assert.deepEqual(said, [
      `Pool default: 100 % by Postern, 0 % by 127.0.0.1:${port}.`,
      'Always by Postern: acme.',
      'Way back: at 10 % bounces or 50 % deferrals of 200 attempts or more in an hour.',
    ]);
    await send('two@example.org');
    assert.equal(relayed.length, 1);
    assert.ok(site.received('two@example.org'));
    assert.equal(await split({ share: 'end' }), EXIT.well);
    assert.match(said.at(-1)!, /is not split/);
  } finally {
    await new Promise<void>((resolve) => relay.close(() => resolve()));
  }
});
