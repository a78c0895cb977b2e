/** Tags by ARN, of every kind of resource that has any. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CreateConfigurationSetCommand,
  CreateDedicatedIpPoolCommand,
  CreateEmailIdentityCommand,
  CreateEmailTemplateCommand,
  GetConfigurationSetCommand,
  GetEmailIdentityCommand,
  GetEmailTemplateCommand,
  ListTagsForResourceCommand,
  PutDedicatedIpInPoolCommand,
  type SESv2Client,
  type Tag,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateEmailTemplateCommand,
} from '@aws-sdk/client-sesv2';
import { ContactLists } from '../../../lib/contacts/contact-lists.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import { systemClock } from '../../../lib/time.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

const engine = openMemory({ clock: systemClock });
const MADE = [{ Key: 'made', Value: 'by hand' }];
const CONTENT = { Subject: 's' };
let server: SesServer;
let client: SESv2Client;
let user: SESv2Client;
before(async () => {
  server = await startSesServer({
    stored: engine,
    installed: { ips: ['192.0.2.1'], pools: { 'pool-1': ['192.0.2.1'] } },
  });
  client = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
  await client.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com', Tags: MADE }));
  await client.send(new CreateConfigurationSetCommand({ ConfigurationSetName: 'set', Tags: MADE }));
  await client.send(
    new CreateEmailTemplateCommand({ TemplateName: 'hello', TemplateContent: CONTENT, Tags: MADE }),
  );
  await client.send(new CreateDedicatedIpPoolCommand({ PoolName: 'spare', Tags: MADE }));
  await new ContactLists(engine.rows, systemClock).create({
    tenant: 'default',
    name: 'readers',
    topics: [],
    tags: MADE,
  });
});
after(() => server.close());

const arn = (kind: string, name: string): string => `arn:aws:ses:us-east-1:123456789012:${kind}/${name}`;
const list = async (ResourceArn: string, by = client): Promise<Tag[]> =>
  (await by.send(new ListTagsForResourceCommand({ ResourceArn }))).Tags!;
const tag = (ResourceArn: string, Tags: Tag[], by = client) =>
  by.send(new TagResourceCommand({ ResourceArn, Tags }));
const untag = (ResourceArn: string, TagKeys: string[]) =>
  client.send(new UntagResourceCommand({ ResourceArn, TagKeys }));

describe('the tags of a resource', () => {
  for (const [kind, name] of [
    ['identity', 'example.com'],
    ['configuration-set', 'set'],
    ['template', 'hello'],
    ['dedicated-ip-pool', 'spare'],
    ['contact-list', 'readers'],
  ] as const) {
    test(`of kind ${kind} are listed, added, replaced and taken off`, async () => {
      const ResourceArn = arn(kind, name);
      assert.deepEqual(await list(ResourceArn), MADE);
      await tag(ResourceArn, [
        { Key: 'made', Value: 'by a tool' },
        { Key: 'a b+c', Value: '' },
      ]);
      assert.deepEqual(await list(ResourceArn), [
        { Key: 'made', Value: 'by a tool' },
        { Key: 'a b+c', Value: '' },
      ]);
      await untag(ResourceArn, ['a b+c', 'other']);
      assert.deepEqual(await list(ResourceArn), [{ Key: 'made', Value: 'by a tool' }]);
      const none = arn(kind, 'none');
      for (const call of [() => list(none), () => tag(none, MADE), () => untag(none, ['made'])])
        await assert.rejects(call, { name: 'NotFoundException' });
    });
  }

  test('are shown with the resource, and stay when it changes', async () => {
    const shown = [{ Key: 'made', Value: 'by a tool' }];
    const identity = await client.send(new GetEmailIdentityCommand({ EmailIdentity: 'example.com' }));
    const set = await client.send(new GetConfigurationSetCommand({ ConfigurationSetName: 'set' }));
    await client.send(
      new UpdateEmailTemplateCommand({ TemplateName: 'hello', TemplateContent: { Subject: 'other' } }),
    );
    const template = await client.send(new GetEmailTemplateCommand({ TemplateName: 'hello' }));
    assert.equal(template.TemplateContent!.Subject, 'other');
    assert.deepEqual([identity.Tags, set.Tags, template.Tags], [shown, shown, shown]);
    await client.send(new PutDedicatedIpInPoolCommand({ Ip: '192.0.2.1', DestinationPoolName: 'spare' }));
    assert.deepEqual(await list(arn('dedicated-ip-pool', 'spare')), shown);
  });

  test('are found by any region, and by an ARN without the account', async () => {
    for (const prefix of ['arn:aws:ses:eu-west-1:123456789012', 'arn:aws:ses:us-east-1:', 'arn:aws-cn:ses::'])
      assert.equal((await list(`${prefix}:identity/example.com`)).length, 1);
  });
});

describe('tags are refused', () => {
  test('by what is no ARN, one of another account, or of a kind without tags', async () => {
    await assert.rejects(list('arn:aws:ses:us-east-1:210987654321:identity/example.com'), {
      name: 'NotFoundException',
      message: /is of another account than 123456789012/,
    });
    for (const bad of [
      'example.com',
      'arn:aws:sns:us-east-1:123456789012:topic',
      'arn:aws:ses:us-east-1:123456789012:identity',
      'arn:aws:ses:us-east-1:123456789012:identity/',
      'arn:aws:ses:us-east-1:12345:identity/x',
      `arn:aws:ses:us-east-1:123456789012:identity/${'x'.repeat(100_000)}`,
    ])
      await assert.rejects(tag(bad, MADE), { name: 'BadRequestException', message: /is not the ARN/ });
    for (const kind of ['import-job', 'constructor'])
      await assert.rejects(tag(arn(kind, 'x'), MADE), {
        message: /have no tags here; these have: identity,/,
      });
    await assert.rejects(tag(arn('identity', '../../set'), MADE), { name: 'NotFoundException' });
  });

  test('past each bound, the tags that are there counted', async () => {
    const set = arn('configuration-set', 'set');
    const many = (count: number) => Array.from({ length: count }, (_, i) => ({ Key: `k${i}`, Value: 'v' }));
    await tag(set, many(49));
    await assert.rejects(tag(set, [{ Key: 'one more', Value: '' }]), {
      message: /50 tags at most; these are 51/,
    });
    await tag(set, [{ Key: 'k1', Value: 'w' }]);
    await untag(
      set,
      many(49).map(({ Key }) => Key),
    );
    await tag(set, [{ Key: 'k'.repeat(128), Value: 'v'.repeat(256) }]);
    for (const bad of [
      [{ Key: 'k'.repeat(129), Value: '' }],
      [{ Key: '', Value: '' }],
      [{ Key: 'k', Value: 'v'.repeat(257) }],
      [
        { Key: 'k', Value: '' },
        { Key: 'k', Value: '' },
      ],
      many(51),
      [{ Key: 'x'.repeat(1_000_000), Value: '' }],
    ])
      await assert.rejects(tag(set, bad), { name: 'BadRequestException' });
    assert.equal((await list(set)).length, 2);
  });

  test('to the key of another tenant, and changes to any but an administrator’s', async () => {
    for (const [kind, name] of [
      ['identity', 'example.com'],
      ['template', 'hello'],
      ['contact-list', 'readers'],
    ] as const)
      await assert.rejects(list(arn(kind, name), user), { name: 'NotFoundException' });
    await assert.rejects(list(arn('dedicated-ip-pool', 'spare'), user), { name: 'AccessDeniedException' });
    await assert.rejects(tag(arn('identity', 'example.com'), MADE, user), { name: 'AccessDeniedException' });
  });
});
