import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  AlreadyExistsException,
  BadRequestException,
  CreateEmailIdentityCommand,
  DeleteEmailIdentityCommand,
  GetEmailIdentityCommand,
  ListEmailIdentitiesCommand,
  type ListEmailIdentitiesCommandInput,
  NotFoundException,
  PutEmailIdentityConfigurationSetAttributesCommand,
  PutEmailIdentityDkimAttributesCommand,
  PutEmailIdentityDkimSigningAttributesCommand,
  PutEmailIdentityFeedbackAttributesCommand,
  PutEmailIdentityMailFromAttributesCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { type SesServer, send, startSesServer, USER } from '../../support/ses-server.ts';

let server: SesServer;
let client: SESv2Client;
let user: SESv2Client;
before(async () => {
  server = await startSesServer({ verifyIdentities: true });
  client = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
});
after(() => server.close());

const KEY_2048 = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs8', format: 'der' })
  .toString('base64');

describe('an identity', () => {
  test('of a domain is created with signing keys, proven by DNS, and shown', async () => {
    const tags = [{ Key: 'team', Value: 'post' }];
    const made = await client.send(
      new CreateEmailIdentityCommand({ EmailIdentity: 'example.com', Tags: tags }),
    );
    assert.equal(made.IdentityType, 'DOMAIN');
    assert.equal(made.VerifiedForSendingStatus, false);
    assert.equal(made.DkimAttributes!.Status, 'NOT_STARTED');
    assert.equal(made.DkimAttributes!.SigningAttributesOrigin, 'AWS_SES');
    assert.equal(made.DkimAttributes!.CurrentSigningKeyLength, 'RSA_2048_BIT');
    assert.ok(made.DkimAttributes!.Tokens!.length > 0);

    const get = new GetEmailIdentityCommand({ EmailIdentity: 'example.com' });
    assert.equal((await client.send(get)).VerificationStatus, 'PENDING');
    server.txt.publish((await server.control.identities.find('example.com'))!);
    const shown = await client.send(get);
    assert.equal(shown.VerificationStatus, 'SUCCESS');
    assert.equal(shown.VerifiedForSendingStatus, true);
    assert.equal(shown.DkimAttributes!.Status, 'SUCCESS');
    assert.equal(shown.FeedbackForwardingStatus, true);
    assert.deepEqual(shown.Tags, tags);
    assert.deepEqual(shown.DkimAttributes!.Tokens, made.DkimAttributes!.Tokens);
  });

  test('of an address with any characters is reached by its path', async () => {
    for (const EmailIdentity of ["a+b'!*@example.com", 'user/one@example.com', '50%@example.com']) {
      await client.send(new CreateEmailIdentityCommand({ EmailIdentity }));
      const shown = await client.send(new GetEmailIdentityCommand({ EmailIdentity }));
      assert.equal(shown.IdentityType, 'EMAIL_ADDRESS');
      await client.send(new DeleteEmailIdentityCommand({ EmailIdentity }));
    }
  });

  test('with a key of its own is signed with that key', async () => {
    const made = await client.send(
      new CreateEmailIdentityCommand({
        EmailIdentity: 'byo.example',
        DkimSigningAttributes: { DomainSigningSelector: 'mine', DomainSigningPrivateKey: KEY_2048 },
      }),
    );
    assert.equal(made.DkimAttributes!.SigningAttributesOrigin, 'EXTERNAL');
    assert.deepEqual(made.DkimAttributes!.Tokens, ['mine']);
  });

  test('that exists already is refused, and a missing one is not found', async () => {
    await assert.rejects(
      client.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' })),
      AlreadyExistsException,
    );
    const EmailIdentity = 'nothing.example';
    for (const call of [
      () => client.send(new GetEmailIdentityCommand({ EmailIdentity })),
      () => client.send(new DeleteEmailIdentityCommand({ EmailIdentity })),
      () => client.send(new PutEmailIdentityDkimAttributesCommand({ EmailIdentity })),
      () => client.send(new PutEmailIdentityFeedbackAttributesCommand({ EmailIdentity })),
    ])
      await assert.rejects(call, NotFoundException);
  });

  test('with an invalid name, half a key, or a key of another region is refused', async () => {
    const bad: [string, object, RegExp][] = [
      ['no domain', {}, /no domain/],
      [
        'half.example',
        { DomainSigningSelector: 'mine' },
        /needs both DomainSigningSelector and DomainSigningPrivateKey/,
      ],
      [
        'bad.example',
        { DomainSigningSelector: '-x', DomainSigningPrivateKey: KEY_2048 },
        /domainSigningSelector/,
      ],
      [
        'replica.example',
        { DomainSigningAttributesOrigin: 'AWS_SES_EU_WEST_1' },
        /origin AWS_SES_EU_WEST_1 is another region: its private keys do not leave/,
      ],
    ];
    for (const [EmailIdentity, DkimSigningAttributes, message] of bad) {
      const call = client.send(new CreateEmailIdentityCommand({ EmailIdentity, DkimSigningAttributes }));
      await assert.rejects(
        call,
        (error) => error instanceof BadRequestException && message.test(error.message),
      );
    }
    await assert.rejects(
      client.send(
        new CreateEmailIdentityCommand({ EmailIdentity: 'x.example', ConfigurationSetName: 'nothing' }),
      ),
      NotFoundException,
    );
  });
});

describe('the attributes of an identity', () => {
  const EmailIdentity = 'attributes.example';
  const shown = () => client.send(new GetEmailIdentityCommand({ EmailIdentity }));
  before(async () => {
    await client.send(new CreateEmailIdentityCommand({ EmailIdentity }));
  });

  test('DKIM signing goes off and on', async () => {
    for (const SigningEnabled of [false, true]) {
      await client.send(new PutEmailIdentityDkimAttributesCommand({ EmailIdentity, SigningEnabled }));
      assert.equal((await shown()).DkimAttributes!.SigningEnabled, SigningEnabled);
    }
  });

  test('signing keys are imported, and generated anew', async () => {
    const brought = await client.send(
      new PutEmailIdentityDkimSigningAttributesCommand({
        EmailIdentity,
        SigningAttributesOrigin: 'EXTERNAL',
        SigningAttributes: { DomainSigningSelector: 'mine', DomainSigningPrivateKey: KEY_2048 },
      }),
    );
    assert.deepEqual(brought.DkimTokens, ['mine']);
    const made = await client.send(
      new PutEmailIdentityDkimSigningAttributesCommand({ EmailIdentity, SigningAttributesOrigin: 'AWS_SES' }),
    );
    assert.equal(made.DkimStatus, 'PENDING');
    assert.notDeepEqual(made.DkimTokens, ['mine']);
    await assert.rejects(
      client.send(
        new PutEmailIdentityDkimSigningAttributesCommand({
          EmailIdentity,
          SigningAttributesOrigin: 'EXTERNAL',
        }),
      ),
      /EXTERNAL needs DomainSigningSelector/,
    );
  });

  test('feedback forwarding, MAIL FROM domain and configuration set are stored and shown', async () => {
    await server.control.configurationSets.create({
      name: 'set-1',
      tenant: 'default',
      delivery: { tlsPolicy: 'OPTIONAL' },
      sendingEnabled: true,
      reputationMetricsEnabled: false,
      createdAt: 1,
    });
    await client.send(
      new PutEmailIdentityFeedbackAttributesCommand({ EmailIdentity, EmailForwardingEnabled: false }),
    );
    await client.send(
      new PutEmailIdentityMailFromAttributesCommand({
        EmailIdentity,
        MailFromDomain: `bounce.${EmailIdentity}`,
      }),
    );
    await client.send(
      new PutEmailIdentityConfigurationSetAttributesCommand({ EmailIdentity, ConfigurationSetName: 'set-1' }),
    );
    const after = await shown();
    assert.equal(after.FeedbackForwardingStatus, false);
    assert.equal(after.MailFromAttributes!.MailFromDomain, `bounce.${EmailIdentity}`);
    assert.equal(after.ConfigurationSetName, 'set-1');

    await client.send(new PutEmailIdentityMailFromAttributesCommand({ EmailIdentity }));
    await client.send(new PutEmailIdentityConfigurationSetAttributesCommand({ EmailIdentity }));
    const cleared = await shown();
    assert.equal(cleared.MailFromAttributes, undefined);
    assert.equal(cleared.ConfigurationSetName, undefined);
  });

  test('a MAIL FROM domain outside the identity and a missing set are refused', async () => {
    await assert.rejects(
      client.send(
        new PutEmailIdentityMailFromAttributesCommand({ EmailIdentity, MailFromDomain: 'other.example' }),
      ),
      /is not subdomain of the domain of the identity/,
    );
    await assert.rejects(
      client.send(
        new PutEmailIdentityConfigurationSetAttributesCommand({
          EmailIdentity,
          ConfigurationSetName: 'nothing',
        }),
      ),
      NotFoundException,
    );
  });
});

describe('a tenant', () => {
  before(async () => {
    await server.control.identities.create({ name: 'theirs.example', tenant: 'tenant-2' });
  });

  test('sees its own identities, an administrator all', async () => {
    const own = await user.send(new ListEmailIdentitiesCommand({}));
    assert.deepEqual(
      own.EmailIdentities!.map(({ IdentityName }) => IdentityName),
      ['theirs.example'],
    );
    const all = await client.send(new ListEmailIdentitiesCommand({}));
    assert.ok(all.EmailIdentities!.length > 1);
    const mine = await user.send(new GetEmailIdentityCommand({ EmailIdentity: 'theirs.example' }));
    assert.equal(mine.IdentityType, 'DOMAIN');
  });

  test('neither sees identities of another tenant nor changes stored identities', async () => {
    for (const call of [
      () => user.send(new CreateEmailIdentityCommand({ EmailIdentity: 'new.example' })),
      () => user.send(new DeleteEmailIdentityCommand({ EmailIdentity: 'theirs.example' })),
    ])
      await assert.rejects(call, { name: 'AccessDeniedException' });
    assert.ok(await server.control.identities.find('theirs.example'));
    // Another tenant's identity and a missing one get the same answer.
    for (const EmailIdentity of ['example.com', 'nowhere.example'])
      await assert.rejects(user.send(new GetEmailIdentityCommand({ EmailIdentity })), {
        name: 'NotFoundException',
        message: `Email identity ${EmailIdentity} does not exist.`,
      });
  });
});

describe('the list of identities', () => {
  const names = (input: ListEmailIdentitiesCommandInput) =>
    client.send(new ListEmailIdentitiesCommand(input));

  test('comes in pages in the order of names, also with deletions in between', async () => {
    const made = ['c', 'a', 'e', 'b', 'd'].map((name) => `${name}@page.example`);
    for (const EmailIdentity of made) await client.send(new CreateEmailIdentityCommand({ EmailIdentity }));
    const Filter = { IDENTITY_NAME_CONTAINS: '@page.' };
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const reply = await names({ Filter, PageSize: 2, NextToken });
      seen.push(...reply.EmailIdentities!.map(({ IdentityName }) => IdentityName!));
      NextToken = reply.NextToken;
      if (seen.length === 2) await server.control.identities.delete('b@page.example');
    } while (NextToken);
    assert.deepEqual(seen, made.toSorted());
  });

  test('is filtered by type and by status', async () => {
    const types = await names({ Filter: { IDENTITY_TYPE: 'DOMAIN' } });
    assert.ok(types.EmailIdentities!.every(({ IdentityType }) => IdentityType === 'DOMAIN'));
    const proven = await names({ Filter: { IDENTITY_TYPE: 'DOMAIN', VERIFICATION_STATUS: 'SUCCESS' } });
    assert.deepEqual(
      proven.EmailIdentities!.map(({ IdentityName }) => IdentityName),
      ['example.com'],
    );
  });

  test('is served at the path of older SDKs, with its page in the query', async () => {
    const rawQuery = 'PageSize=1';
    const { status, json } = await send(server, {
      method: 'GET',
      rawPath: '/v2/email/identities',
      rawQuery,
      query: { PageSize: '1' },
    });
    assert.equal(status, 200);
    assert.equal((json.EmailIdentities as unknown[]).length, 1);
    assert.equal(typeof json.NextToken, 'string');
  });

  test('refuses a page size of 1001 or -1, and a foreign token', async () => {
    await names({ PageSize: 1000 });
    await names({ PageSize: 0 });
    for (const PageSize of [1001, -1]) await assert.rejects(names({ PageSize }), BadRequestException);
    await assert.rejects(names({ NextToken: 'abc' }), /NextToken is invalid/);
  });
});
