/** Policies of identities by both versions of SES's API, and in force when mail is sent across tenants. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as v1 from '@aws-sdk/client-ses';
import * as sdk from '@aws-sdk/client-sesv2';
import type { Caller, Submission, SubmitOptions } from '../../../lib/accept/types.ts';
import { openTestAccept, raw, simple, type TestAccept } from '../../support/accept.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

const ACCOUNT = '123456789012';
const ARN = `arn:aws:ses:us-east-1:${ACCOUNT}:identity/example.com`;

function policy(statement: object): string {
  const usual = { Effect: 'Allow', Principal: '*', Action: 'ses:*', Resource: ARN };
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ ...usual, ...statement }] });
}

const failureOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'none',
    (error: Error) => `${error.name}: ${error.message}`,
  );

describe('the API', () => {
  let server: SesServer;
  let admin: sdk.SESv2Client;
  let old: v1.SESClient;
  before(async () => {
    server = await startSesServer();
    admin = server.client();
    old = server.clientV1();
    await admin.send(new sdk.CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  });
  after(() => server.close());

  const EmailIdentity = 'example.com';
  const put = (PolicyName: string, Policy: string) =>
    admin.send(new sdk.CreateEmailIdentityPolicyCommand({ EmailIdentity, PolicyName, Policy }));
  const all = async () =>
    (await admin.send(new sdk.GetEmailIdentityPoliciesCommand({ EmailIdentity }))).Policies;

  test('keeps policies as they were given, the same by both versions', async () => {
    assert.deepEqual(await all(), {});
    const [one, two] = [policy({}), policy({ Action: 'ses:SendRawEmail' })];
    await put('p1', one);
    await old.send(
      new v1.PutIdentityPolicyCommand({ Identity: EmailIdentity, PolicyName: 'p2', Policy: one }),
    );
    await old.send(
      new v1.PutIdentityPolicyCommand({ Identity: EmailIdentity, PolicyName: 'p2', Policy: two }),
    );
    assert.deepEqual(await all(), { p1: one, p2: two });
    const { Policies } = await admin.send(new sdk.GetEmailIdentityCommand({ EmailIdentity }));
    assert.deepEqual(Policies, { p1: one, p2: two });
    const { PolicyNames } = await old.send(new v1.ListIdentityPoliciesCommand({ Identity: EmailIdentity }));
    assert.deepEqual(PolicyNames, ['p1', 'p2']);
    const some = { Identity: EmailIdentity, PolicyNames: ['p2', 'none'] };
    assert.deepEqual((await old.send(new v1.GetIdentityPoliciesCommand(some))).Policies, { p2: two });
    await admin.send(
      new sdk.UpdateEmailIdentityPolicyCommand({ EmailIdentity, PolicyName: 'p1', Policy: two }),
    );
    for (let twice = 0; twice < 2; twice += 1)
      await old.send(new v1.DeleteIdentityPolicyCommand({ Identity: EmailIdentity, PolicyName: 'p2' }));
    assert.deepEqual(await all(), { p1: two });
  });

  test('refuses what is not valid, in the words of each version', async () => {
    const bad = policy({ Condition: { StringLike: { 'aws:UserAgent': '*' } } });
    assert.match(await failureOf(put('bad', bad)), /^BadRequestException: .*aws:UserAgent is not supported/);
    const PolicyName = 'bad';
    const byOld = (Policy: string) =>
      failureOf(old.send(new v1.PutIdentityPolicyCommand({ Identity: EmailIdentity, PolicyName, Policy })));
    assert.match(await byOld(bad), /^InvalidPolicyException: .*aws:UserAgent is not supported/);
    assert.match(await failureOf(put('a b', policy({}))), /PolicyName is invalid/);
    assert.equal(
      await failureOf(put('p1', policy({}))),
      'AlreadyExistsException: Policy <p1> already exists',
    );
    const none = { EmailIdentity, PolicyName: 'none' };
    assert.equal(
      await failureOf(admin.send(new sdk.DeleteEmailIdentityPolicyCommand(none))),
      'NotFoundException: Policy <none> does not exist',
    );
    const user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    assert.match(
      await failureOf(user.send(new sdk.GetEmailIdentityPoliciesCommand({ EmailIdentity }))),
      /^NotFoundException/,
    );
  });

  test('ends policies with their identity', async () => {
    await admin.send(new sdk.DeleteEmailIdentityCommand({ EmailIdentity }));
    await admin.send(new sdk.CreateEmailIdentityCommand({ EmailIdentity }));
    assert.deepEqual(await all(), {});
  });

  test('passes ARNs of identities on, of both versions', async () => {
    const Destination = { ToAddresses: ['b@example.net'] };
    await admin.send(
      new sdk.SendEmailCommand({
        FromEmailAddress: 'a@example.com',
        FromEmailAddressIdentityArn: ARN,
        FeedbackForwardingEmailAddress: 'c@example.com',
        FeedbackForwardingEmailAddressIdentityArn: `${ARN}/2`,
        Destination,
        Content: { Simple: { Subject: { Data: 's' }, Body: { Text: { Data: 't' } } } },
      }),
    );
    assert.deepEqual(server.accept.submissions.at(-1)!.arns, {
      source: ARN,
      from: ARN,
      returnPath: `${ARN}/2`,
    });
    const Data = Buffer.from('From: a@example.com\r\n\r\nx');
    const rawMail = {
      RawMessage: { Data },
      SourceArn: ARN,
      FromArn: `${ARN}/3`,
      Destinations: ['b@example.net'],
    };
    await old.send(new v1.SendRawEmailCommand(rawMail));
    assert.deepEqual(server.accept.submissions.at(-1)!.arns, { source: ARN, from: `${ARN}/3` });
  });
});

describe('mail of another tenant', () => {
  const SHOP: Caller = { keyId: 'AKIASHOP', tenant: 'shop', admin: false, sourceIp: '192.0.2.9' };
  const OWNER: Caller = { keyId: 'AKIAOWNER', tenant: 'default', admin: false, sourceIp: '192.0.2.9' };
  let t: TestAccept;
  beforeEach(async () => {
    t = await openTestAccept();
  });

  const allow = (statement: object, name = 'p') =>
    t.control.identityPolicies.put(
      { name: 'example.com', tenant: 'default' },
      { name, text: policy(statement) },
      ACCOUNT,
    );
  async function send(
    submission: Submission,
    caller = SHOP,
    more: Partial<SubmitOptions> = {},
  ): Promise<string> {
    const [result] = await t.accept.submit([submission], { door: 'ses-v2', caller, ...more });
    return 'error' in result! ? result.error.code : 'accepted';
  }

  test('is sent as far as the policy of the identity goes, and signed by it', async () => {
    assert.equal(await send(simple()), 'identity_not_verified');
    await allow({
      Principal: { AWS: `arn:aws:ses:us-east-1:${ACCOUNT}:tenant/shop` },
      Action: ['ses:SendEmail', 'ses:SendRawEmail'],
      Condition: {
        StringEquals: { 'ses:FromAddress': 'ann@example.com' },
        'ForAllValues:StringLike': { 'ses:Recipients': '*@gmail.com' },
        IpAddress: { 'aws:SourceIp': '192.0.2.0/24' },
      },
    });
    assert.equal(await send(simple()), 'accepted');
    assert.match(Buffer.from(t.queue.admissions[0]!.body).toString(), / d=example\.com/);
    assert.equal(t.queue.admissions[0]!.record.tenant, 'shop');
    for (const [what, submission, caller, more] of [
      ['another From', simple({ from: 'bob@example.com' }), SHOP, {}],
      ['another recipient', simple({ to: ['a@gmail.com', 'b@example.net'] }), SHOP, {}],
      ['another place', simple(), { ...SHOP, sourceIp: '198.51.100.1' }, {}],
      ['another tenant', simple(), { ...SHOP, tenant: 'press' }, {}],
      ['another action', simple(), SHOP, { bulk: true }],
    ] as const)
      assert.equal(await send(submission, caller, more), 'identity_not_verified', what);
    assert.equal(
      await send(raw(['From: ann@example.com', 'To: b@gmail.com', '', 'x']), SHOP, { door: 'smtp' }),
      'accepted',
    );
  });

  test('is not sent where an explicit Deny meets it; nor is the mail of the owner', async () => {
    await allow({});
    await allow({ Effect: 'Deny', Condition: { StringLike: { 'ses:FromAddress': 'ceo@*' } } }, 'deny');
    assert.equal(await send(simple()), 'accepted');
    assert.equal(await send(simple({ from: 'ceo@example.com' })), 'identity_not_verified');
    assert.equal(await send(simple({ from: 'ceo@example.com' }), OWNER), 'access_denied');
    assert.equal(await send(simple(), OWNER), 'accepted');
    await t.control.tenants.resources.add({
      tenant: 'shop',
      kind: 'identity',
      name: 'example.com',
      owner: 'default',
      at: 0,
    });
    assert.equal(await send(simple({ from: 'ceo@example.com' })), 'access_denied');
  });

  test('does not use the default set of the owner', async () => {
    await allow({});
    await t.control.identities.update('example.com', (one) => ({ ...one, configurationSet: 'owners' }));
    assert.equal(await send(simple()), 'accepted');
    assert.equal(await send(simple(), OWNER), 'bad_request');
  });

  test('may name the identity by its ARN, which must cover the address', async () => {
    await allow({});
    const lines = (arn: string) => ['From: ann@example.com', `X-SES-SOURCE-ARN: ${arn}`, '', 'x'];
    assert.equal(await send(raw(lines(ARN))), 'accepted');
    assert.equal(await send(simple({ arns: { source: ARN } })), 'accepted');
    for (const arn of [
      ARN.replace('example.com', 'ample.com'),
      ARN.replace(ACCOUNT, '999999999999'),
      'example.com',
    ]) {
      assert.equal(await send(raw(lines(arn))), 'bad_request', arn);
      assert.equal(await send(simple({ arns: { source: arn } })), 'bad_request', arn);
    }
    const feedback = {
      feedbackTo: 'bounce@example.com',
      arns: { returnPath: ARN.replace('example.com', 'other.com') },
    };
    assert.equal(await send(simple(feedback)), 'bad_request');
    assert.equal(await send(simple({ ...feedback, arns: { returnPath: ARN } })), 'accepted');
  });

  test('is refused again when the policy is removed', async () => {
    await allow({});
    assert.equal(await send(simple()), 'accepted');
    await t.control.identityPolicies.remove({ name: 'example.com', tenant: 'default' }, 'p');
    assert.equal(await send(simple()), 'identity_not_verified');
  });
});
