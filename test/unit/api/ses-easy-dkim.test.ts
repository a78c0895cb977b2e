/** Easy DKIM as SES's users and their modules see it, by the SDKs of both versions. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  GetIdentityDkimAttributesCommand,
  type SESClient,
  SetIdentityDkimEnabledCommand,
  VerifyDomainDkimCommand,
} from '@aws-sdk/client-ses';
import {
  AlreadyExistsException,
  BadRequestException,
  CreateEmailIdentityCommand,
  type DkimSigningAttributes,
  type DkimSigningAttributesOrigin,
  GetEmailIdentityCommand,
  PutEmailIdentityDkimSigningAttributesCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { DAY } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { settled } from '../../support/engine.ts';
import { type SesServer, startSesServer } from '../../support/ses-server.ts';

const ZONE = 'dkim.mail.example.net';
const KEY = generateKeyPairSync('rsa', { modulusLength: 1024 })
  .privateKey.export({ type: 'pkcs8', format: 'der' })
  .toString('base64');

let server: SesServer;
let client: SESv2Client;
let v1: SESClient;
before(async () => {
  server = await startSesServer({ verifyIdentities: true, dkimZone: ZONE });
  client = server.client();
  v1 = server.clientV1();
});
after(() => server.close());

const get = async (EmailIdentity: string) =>
  (await client.send(new GetEmailIdentityCommand({ EmailIdentity }))).DkimAttributes!;

const create = (EmailIdentity: string, DkimSigningAttributes?: DkimSigningAttributes) =>
  client.send(new CreateEmailIdentityCommand({ EmailIdentity, DkimSigningAttributes }));

const put = (
  EmailIdentity: string,
  SigningAttributesOrigin: DkimSigningAttributesOrigin,
  SigningAttributes?: DkimSigningAttributes,
) =>
  client.send(
    new PutEmailIdentityDkimSigningAttributesCommand({
      EmailIdentity,
      SigningAttributesOrigin,
      SigningAttributes,
    }),
  );

/** The records as the usual modules write them: three CNAMEs, from the tokens and the zone alone. */
function publish(domain: string, { Tokens = [], SigningHostedZone }: Awaited<ReturnType<typeof get>>): void {
  for (const n of [0, 1, 2]) {
    server.txt.aliases.set(`${Tokens[n]}._domainkey.${domain}`, `${Tokens[n]}.${SigningHostedZone}`);
  }
}

describe('an identity', () => {
  test('is verified by the three CNAMEs that a module writes', async () => {
    const made = (await create('module.example')).DkimAttributes!;
    assert.equal(made.Tokens!.length, 3);
    assert.deepEqual(
      [made.Status, made.SigningHostedZone, made.SigningAttributesOrigin],
      ['NOT_STARTED', ZONE, 'AWS_SES'],
    );
    assert.deepEqual(
      [made.CurrentSigningKeyLength, made.NextSigningKeyLength],
      ['RSA_2048_BIT', 'RSA_2048_BIT'],
    );
    assert.ok(Date.now() - made.LastKeyGenerationTimestamp!.getTime() < DAY);
    assert.equal((await get('module.example')).Status, 'PENDING');
    publish('module.example', made);
    const shown = await get('module.example');
    assert.deepEqual(shown, { ...made, Status: 'SUCCESS' });
    await create('ann@module.example');
    assert.deepEqual(await get('ann@module.example'), shown, 'an address shows how its domain signs');
  });

  test('is answered as it is known while DNS gives no answer', async () => {
    await create('silent.example', { NextSigningKeyLength: 'RSA_1024_BIT' });
    server.txt.failing = 'ESERVFAIL';
    assert.equal((await get('silent.example')).Status, 'PENDING');
    server.txt.failing = undefined;
  });

  test('keeps its tokens when the same is asked for again, as Terraform does at each change', async () => {
    const made = (await create('again.example', { NextSigningKeyLength: 'RSA_1024_BIT' })).DkimAttributes!;
    for (const attributes of [undefined, {}, { NextSigningKeyLength: 'RSA_1024_BIT' as const }]) {
      const answer = await put('again.example', 'AWS_SES', attributes);
      assert.deepEqual(answer.DkimTokens, made.Tokens);
      assert.deepEqual([answer.DkimStatus, answer.SigningHostedZone], ['PENDING', ZONE]);
    }
    await put('again.example', 'AWS_SES', { NextSigningKeyLength: 'RSA_2048_BIT' });
    const { CurrentSigningKeyLength, NextSigningKeyLength } = await get('again.example');
    assert.deepEqual([CurrentSigningKeyLength, NextSigningKeyLength], ['RSA_1024_BIT', 'RSA_2048_BIT']);
    await assert.rejects(
      put('again.example', 'AWS_SES', { NextSigningKeyLength: 'RSA_1024_BIT' }),
      (error) => error instanceof BadRequestException && /less than a day ago/.test(error.message),
    );
  });

  test('with Easy DKIM takes no key beside, and with a key of its own no tokens', async () => {
    await create('own.example', { NextSigningKeyLength: 'RSA_1024_BIT' });
    const key = { DomainSigningSelector: 'mine', DomainSigningPrivateKey: KEY };
    await assert.rejects(put('own.example', 'AWS_SES', key), /AWS_SES takes no key of your own/);
    const answer = await put('own.example', 'EXTERNAL', key);
    assert.deepEqual([answer.DkimTokens, answer.SigningHostedZone], [['mine'], undefined]);
    assert.equal((await get('own.example')).LastKeyGenerationTimestamp, undefined);
  });
});

describe('deterministic Easy DKIM', () => {
  test('in this region is the identity itself, with its tokens and keys', async () => {
    const origin = 'AWS_SES_US_EAST_1';
    await assert.rejects(
      create('replica.example', { DomainSigningAttributesOrigin: origin }),
      (error) =>
        error instanceof BadRequestException && /no parent identity replica.example/.test(error.message),
    );
    const made = (await create('replica.example', { NextSigningKeyLength: 'RSA_1024_BIT' })).DkimAttributes!;
    await assert.rejects(
      create('replica.example', { DomainSigningAttributesOrigin: origin }),
      AlreadyExistsException,
    );
    const answer = await put('replica.example', origin);
    assert.deepEqual([answer.DkimTokens, answer.SigningHostedZone], [made.Tokens, ZONE]);
    assert.deepEqual(await get('replica.example'), { ...made, Status: 'PENDING' });
    await assert.rejects(
      put('replica.example', origin, { NextSigningKeyLength: 'RSA_2048_BIT' }),
      /leave out NextSigningKeyLength/,
    );
    await put('replica.example', 'EXTERNAL', { DomainSigningSelector: 'mine', DomainSigningPrivateKey: KEY });
    await assert.rejects(put('replica.example', origin), /no parent identity replica.example with Easy DKIM/);
  });

  test('of another region is refused, and says why and what to use', async () => {
    await create('abroad.example', { NextSigningKeyLength: 'RSA_1024_BIT' });
    const refusal = (error: unknown) =>
      error instanceof BadRequestException &&
      /AWS_SES_EU_WEST_1 is another region: .* us-east-1 cannot sign with them.* stand beside/.test(
        error.message,
      );
    await assert.rejects(put('abroad.example', 'AWS_SES_EU_WEST_1'), refusal);
    await assert.rejects(
      create('nowhere.example', { DomainSigningAttributesOrigin: 'AWS_SES_EU_WEST_1' }),
      refusal,
    );
    assert.equal(await server.control.identities.find('nowhere.example'), undefined);
  });
});

test('v1 works on the same identities', async () => {
  const { DkimTokens } = await v1.send(new VerifyDomainDkimCommand({ Domain: 'one.example' }));
  assert.equal(DkimTokens!.length, 3);
  assert.deepEqual(
    (await v1.send(new VerifyDomainDkimCommand({ Domain: 'one.example' }))).DkimTokens,
    DkimTokens,
  );
  const shown = await get('one.example');
  assert.deepEqual(shown.Tokens, DkimTokens);
  publish('one.example', shown);
  await v1.send(new SetIdentityDkimEnabledCommand({ Identity: 'one.example', DkimEnabled: false }));
  const { DkimAttributes } = await v1.send(
    new GetIdentityDkimAttributesCommand({ Identities: ['one.example', 'none.example'] }),
  );
  assert.deepEqual(DkimAttributes, {
    'one.example': { DkimEnabled: false, DkimVerificationStatus: 'Success', DkimTokens },
  });
});

test('the key takes its turn, and SES’s members say so', async () => {
  const clock = new TestClock();
  const turning = await startSesServer({ verifyIdentities: true, dkimZone: ZONE, clock });
  const { identities } = turning.control;
  try {
    const made = await identities.create({
      name: 'turn.example',
      tenant: 'default',
      keyLength: 'RSA_1024_BIT',
    });
    turning.txt.publish(made);
    await identities.check('turn.example');
    await identities.setSigning('turn.example', { keyLength: 'RSA_2048_BIT' });
    const dkim = async () => (await identities.find('turn.example'))!.dkim;
    assert.deepEqual(
      [(await dkim()).keyLength, (await dkim()).nextKeyLength],
      ['RSA_1024_BIT', 'RSA_2048_BIT'],
    );
    await identities.recheck();
    clock.advance(7 * DAY);
    assert.deepEqual((await identities.recheck()).turned, ['turn.example']);
    await settled();
    assert.equal((await dkim()).keyLength, 'RSA_2048_BIT');
    assert.deepEqual((await dkim()).tokens, made.dkim.tokens);
    const [signing] = await identities.signingKeys((await identities.find('turn.example'))!);
    assert.equal(signing!.selector, made.dkim.tokens[1]);
  } finally {
    await turning.close();
  }
});
