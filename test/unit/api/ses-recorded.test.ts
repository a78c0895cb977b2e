/** Answers that were recorded at Amazon: the status, the name and the words of each refusal, and SES's defaults. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CreateConfigurationSetCommand,
  CreateEmailIdentityCommand,
  GetConfigurationSetCommand,
  GetEmailIdentityCommand,
  type SESv2Client,
} from '@aws-sdk/client-sesv2';
import { type RawReply, type SesServer, send, startSesServer } from '../../support/ses-server.ts';

let server: SesServer;
let client: SESv2Client;
before(async () => {
  server = await startSesServer({ verifyIdentities: true });
  client = server.client();
  await client.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  server.txt.publish((await server.control.identities.find('example.com'))!);
  await client.send(new GetEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  await client.send(new CreateConfigurationSetCommand({ ConfigurationSetName: 'set' }));
});
after(() => server.close());

const call = (method: string, rawPath: string, body: unknown): Promise<RawReply> =>
  send(server, { method, rawPath, body: JSON.stringify(body) });
const ofSet = (option: string): string => `/v2/email/configuration-sets/set/${option}`;
const SETS = '/v2/email/configuration-sets';
const SEND = '/v2/email/outbound-emails';
const message = (more: object): object => ({
  FromEmailAddress: 'a@example.com',
  Destination: { ToAddresses: ['b@example.net'] },
  Content: { Simple: { Subject: { Data: 's' }, Body: { Text: { Data: 't' } } } },
  ...more,
});
const tagged = (Name: string, Value: string): object => message({ EmailTags: [{ Name, Value }] });

const BAD = 'BadRequestException';
const SERIAL = 'SerializationException';
const recorded: [what: string, method: string, path: string, body: unknown, type: string, words: string][] = [
  [
    'an identity twice',
    'POST',
    '/v2/email/identities',
    { EmailIdentity: 'example.com' },
    'AlreadyExistsException',
    'Email identity example.com already exist.',
  ],
  [
    'a number for SendingEnabled',
    'PUT',
    ofSet('sending'),
    { SendingEnabled: 1 },
    SERIAL,
    'NUMBER_VALUE can not be converted to a Boolean',
  ],
  [
    'null for SendingEnabled',
    'PUT',
    ofSet('sending'),
    { SendingEnabled: null },
    SERIAL,
    'NULL_VALUE can not be converted to a Boolean',
  ],
  [
    'an unknown pool in the delivery options',
    'PUT',
    ofSet('delivery-options'),
    { SendingPoolName: 'nopool' },
    BAD,
    "SendingPool <nopool> doesn't exist",
  ],
  [
    'an unknown pool of a new set',
    'POST',
    SETS,
    { ConfigurationSetName: 'new', DeliveryOptions: { SendingPoolName: 'nopool' } },
    BAD,
    "SendingPool <nopool> doesn't exist",
  ],
  [
    'an unknown TlsPolicy',
    'PUT',
    ofSet('delivery-options'),
    { TlsPolicy: 'X' },
    BAD,
    "1 validation error detected: Value at 'tlsPolicy' failed to satisfy constraint: Member must satisfy enum value set: [OPTIONAL, REQUIRE]",
  ],
  [
    'a tracking domain that is not verified',
    'PUT',
    ofSet('tracking-options'),
    { CustomRedirectDomain: 't.none.example' },
    BAD,
    'Domain <t.none.example> is not verified under this account.',
  ],
  [
    'HttpsPolicy without a domain',
    'PUT',
    ofSet('tracking-options'),
    { HttpsPolicy: 'REQUIRE' },
    BAD,
    'CustomRedirectDomain must be specified.',
  ],
  [
    'a blank tracking domain',
    'PUT',
    ofSet('tracking-options'),
    { CustomRedirectDomain: '' },
    BAD,
    'CustomRedirectDomain must be specified.',
  ],
  [
    'an unknown reason for the suppression of a set',
    'PUT',
    ofSet('suppression-options'),
    { SuppressedReasons: ['X'] },
    BAD,
    'Reason X is invalid, must be one of [BOUNCE, COMPLAINT].',
  ],
  [
    'reasons that are no list',
    'PUT',
    ofSet('suppression-options'),
    { SuppressedReasons: 'BOUNCE' },
    SERIAL,
    'Expected list or null',
  ],
  [
    'an unknown reason for the suppression of the account',
    'PUT',
    '/v2/email/account/suppression',
    { SuppressedReasons: ['X'] },
    BAD,
    "1 validation error detected: Value at 'suppressedReasons' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [BOUNCE, COMPLAINT]]",
  ],
  [
    'a template without a sender',
    'POST',
    SEND,
    {
      Destination: { ToAddresses: ['b@example.net'] },
      Content: { Template: { TemplateName: 't', TemplateData: '{}' } },
    },
    BAD,
    'Source cannot be empty',
  ],
  [
    'DKIM signing attributes of an address',
    'PUT',
    '/v2/email/identities/a%40example.com/dkim/signing',
    { SigningAttributesOrigin: 'AWS_SES' },
    BAD,
    'The EmailIdentity value must be a valid domain.',
  ],
  [
    'a tag name with a colon',
    'POST',
    SEND,
    tagged('a:b', 'x'),
    BAD,
    "Invalid tag name <a:b>: only alphanumeric ASCII characters, '_',  '-' are allowed.",
  ],
  [
    'a tag value with a colon',
    'POST',
    SEND,
    tagged('a', 'x:y'),
    BAD,
    "Invalid tag value <x:y>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed.",
  ],
  [
    'a tag name of 256',
    'POST',
    SEND,
    tagged('a'.repeat(256), 'x'),
    BAD,
    'Tag name cannot exceed 255 characters.',
  ],
  ['an empty tag name', 'POST', SEND, tagged('', 'x'), BAD, 'The tag name must be specified.'],
  ['an empty tag value', 'POST', SEND, tagged('a', ''), BAD, 'The tag value must be specified.'],
];

describe('refused in the words of SES', () => {
  for (const [what, method, path, body, type, words] of recorded)
    test(what, async () => {
      const { status, headers, json } = await call(method, path, body);
      assert.deepEqual(
        { status, type: headers['x-amzn-errortype'], message: json.message },
        { status: 400, type, message: words },
      );
    });
});

describe('the defaults of SES', () => {
  const shown = async (ConfigurationSetName: string) => {
    const set = await client.send(new GetConfigurationSetCommand({ ConfigurationSetName }));
    return [set.SendingOptions!.SendingEnabled, set.ReputationOptions!.ReputationMetricsEnabled];
  };

  test('a new set sends and measures, unless it has options without the flag', async () => {
    assert.deepEqual(await shown('set'), [true, true]);
    await client.send(
      new CreateConfigurationSetCommand({
        ConfigurationSetName: 'empty',
        SendingOptions: {},
        ReputationOptions: {},
      }),
    );
    assert.deepEqual(await shown('empty'), [false, false]);
  });

  test('any string is true', async () => {
    assert.equal((await call('PUT', ofSet('sending'), { SendingEnabled: 'false' })).status, 200);
    assert.deepEqual(await shown('set'), [true, true]);
  });

  test('an empty NextToken is none', async () => {
    const rawQuery = 'NextToken=';
    const query = { NextToken: '' };
    const { status } = await send(server, { method: 'GET', rawPath: '/v2/email/templates', rawQuery, query });
    assert.equal(status, 200);
  });

  test('a tag value may have a dot and an at', async () => {
    assert.equal((await call('POST', SEND, tagged('user', 'ann.b@rcpt.example'))).status, 200);
  });

  test('an address shows how its domain signs', async () => {
    await client.send(new CreateEmailIdentityCommand({ EmailIdentity: 'a@example.com' }));
    const [address, domain] = await Promise.all(
      ['a@example.com', 'example.com'].map((EmailIdentity) =>
        client.send(new GetEmailIdentityCommand({ EmailIdentity })),
      ),
    );
    assert.deepEqual(address!.DkimAttributes, domain!.DkimAttributes);
    assert.equal(address!.DkimAttributes!.Status, 'SUCCESS');
  });
});
