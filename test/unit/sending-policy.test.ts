/** Sending authorisation policies: what is read, what is refused, and what follows for a message. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SendingContext } from '../../lib/control/sending-conditions.ts';
import {
  MAX_POLICY,
  readSendingPolicy,
  rule,
  type SendingRequest,
} from '../../lib/control/sending-policy.ts';
import { matchesPattern } from '../../lib/control/sending-policy-form.ts';

const ACCOUNT = '123456789012';
const ARN = `arn:aws:ses:us-east-1:${ACCOUNT}:identity/example.com`;
const STATEMENT = { Effect: 'Allow', Principal: '*', Action: 'ses:SendEmail', Resource: ARN };
const CONTEXT: SendingContext = {
  'ses:FromAddress': ['ann@example.com'],
  'ses:FromDisplayName': ['Ann'],
  'ses:FeedbackAddress': ['bounce@example.com'],
  'ses:Recipients': ['bob@gmail.com', 'cay@example.net'],
  'ses:ApiVersion': ['2'],
  'ses:TenantName': ['shop'],
  'aws:SourceIp': ['192.0.2.9'],
  'aws:CurrentTime': [String(Date.UTC(2026, 0, 1, 12))],
  'aws:EpochTime': [String(Date.UTC(2026, 0, 1, 12) / 1000)],
};

const read = (statement: unknown) =>
  readSendingPolicy(JSON.stringify({ Version: '2012-10-17', Statement: statement }), 'example.com', ACCOUNT);

function ruling(statement: object | object[], change: Partial<SendingRequest> = {}): string {
  const statements = [statement].flat().map((one) => ({ ...STATEMENT, ...one }));
  const request = { tenant: 'shop', key: 'AKIASHOP', actions: ['ses:SendEmail'] as const, context: CONTEXT };
  return rule([read(statements)], { ...request, ...change }) ?? 'nothing';
}
const when = (Condition: object, context?: SendingContext): string =>
  ruling({ Condition }, context && { context: { ...CONTEXT, ...context } });

describe('a statement', () => {
  for (const [name, principal, expected] of [
    ['everyone', '*', 'allow'],
    ['everyone by AWS', { AWS: '*' }, 'allow'],
    ['the account', { AWS: ACCOUNT }, 'allow'],
    ['its root', { AWS: `arn:aws:iam::${ACCOUNT}:root` }, 'allow'],
    ['the tenant', { AWS: `arn:aws:ses:us-east-1:${ACCOUNT}:tenant/shop` }, 'allow'],
    ['the tenant with its id', { AWS: `arn:aws:ses:us-east-1:${ACCOUNT}:tenant/shop/tn-0a` }, 'allow'],
    ['another tenant', { AWS: `arn:aws:ses:us-east-1:${ACCOUNT}:tenant/press` }, 'nothing'],
    ['the key', { AWS: 'AKIASHOP' }, 'allow'],
    ['the key as a user', { AWS: `arn:aws:iam::${ACCOUNT}:user/AKIASHOP` }, 'allow'],
    ['another key', { AWS: 'AKIAOTHER' }, 'nothing'],
    ['one of several', { AWS: ['AKIAOTHER', 'AKIASHOP'] }, 'allow'],
  ] as const)
    test(`is about its principal: ${name}`, () => assert.equal(ruling({ Principal: principal }), expected));

  for (const [action, actions, expected] of [
    ['ses:SendEmail', ['ses:SendEmail'], 'allow'],
    ['SES:sendemail', ['ses:SendEmail'], 'allow'],
    ['ses:*', ['ses:SendRawEmail'], 'allow'],
    ['ses:Send*', ['ses:SendBulkEmail'], 'allow'],
    ['ses:SendEmail', ['ses:SendRawEmail'], 'nothing'],
    [['ses:SendRawEmail', 'ses:SendBulkEmail'], ['ses:SendBulkEmail', 'ses:SendBulkTemplatedEmail'], 'allow'],
  ] as const)
    test(`is about its actions: ${JSON.stringify([action, actions])}`, () =>
      assert.equal(ruling({ Action: action }, { actions }), expected));

  test('denies whatever others allow, in whichever order', () => {
    const deny = { Effect: 'Deny', Principal: { AWS: 'AKIASHOP' } };
    assert.equal(ruling([{}, deny]), 'deny');
    assert.equal(ruling([deny, {}]), 'deny');
    assert.equal(ruling([{}, deny], { key: 'AKIAOTHER' }), 'allow');
    const [allowing, denying] = [read(STATEMENT), read({ ...STATEMENT, Effect: 'Deny' })];
    const request: SendingRequest = {
      tenant: 'a',
      key: 'AKIA',
      actions: ['ses:SendEmail'],
      context: CONTEXT,
    };
    assert.equal(rule([allowing, denying], request), 'deny');
    assert.equal(rule([], request), undefined);
  });
});

describe('a condition', () => {
  const cases: [condition: object, expected: string, context?: SendingContext][] = [
    [{ StringEquals: { 'ses:FromAddress': 'ann@example.com' } }, 'allow'],
    [{ StringEquals: { 'ses:FromAddress': 'ANN@example.com' } }, 'nothing'],
    [{ StringEqualsIgnoreCase: { 'SES:fromaddress': 'ANN@example.com' } }, 'allow'],
    [{ StringLike: { 'ses:FromAddress': ['x@*', '*@example.com'] } }, 'allow'],
    [{ StringLike: { 'ses:FromAddress': 'a?n@example.com' } }, 'allow'],
    [{ StringNotLike: { 'ses:FromAddress': ['x@*', '*@example.com'] } }, 'nothing'],
    [{ StringNotEquals: { 'ses:FromDisplayName': ['Bob', 'Cay'] } }, 'allow'],
    [{ StringNotEqualsIgnoreCase: { 'ses:FromDisplayName': ['ANN'] } }, 'nothing'],
    // A key that is not there.
    [{ StringEquals: { 'ses:FromDisplayName': 'Ann' } }, 'nothing', { 'ses:FromDisplayName': [] }],
    [{ StringNotEquals: { 'ses:FromDisplayName': 'Ann' } }, 'allow', { 'ses:FromDisplayName': [] }],
    [{ StringEqualsIfExists: { 'ses:FromDisplayName': 'Bob' } }, 'allow', { 'ses:FromDisplayName': [] }],
    [{ StringEqualsIfExists: { 'ses:FromDisplayName': 'Bob' } }, 'nothing'],
    [{ Null: { 'ses:FromDisplayName': 'true' } }, 'allow', { 'ses:FromDisplayName': [] }],
    [{ Null: { 'ses:FromDisplayName': true } }, 'nothing'],
    [{ Null: { 'ses:FromDisplayName': 'false' } }, 'allow'],
    // Several values.
    [{ 'ForAllValues:StringLike': { 'ses:Recipients': ['*@gmail.com', '*@example.net'] } }, 'allow'],
    [{ 'ForAllValues:StringLike': { 'ses:Recipients': '*@gmail.com' } }, 'nothing'],
    [{ 'ForAnyValue:StringLike': { 'ses:Recipients': '*@gmail.com' } }, 'allow'],
    [{ 'ForAnyValue:StringEquals': { 'ses:Recipients': 'x@gmail.com' } }, 'nothing'],
    [{ 'ForAllValues:StringNotLike': { 'ses:Recipients': '*@gmail.com' } }, 'nothing'],
    [{ 'ForAllValues:StringLike': { 'ses:Recipients': 'x' } }, 'allow', { 'ses:Recipients': [] }],
    [{ 'ForAnyValue:StringLike': { 'ses:Recipients': '*' } }, 'nothing', { 'ses:Recipients': [] }],
    // Addresses, times and numbers.
    [{ IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } }, 'allow'],
    [{ IpAddress: { 'aws:SourceIp': ['198.51.100.0/24', '192.0.2.9'] } }, 'allow'],
    [{ IpAddress: { 'aws:SourceIp': '192.0.2.8/32' } }, 'nothing'],
    [{ NotIpAddress: { 'aws:SourceIp': '192.0.2.0/24' } }, 'nothing'],
    [{ IpAddress: { 'aws:SourceIp': '2001:db8::/32' } }, 'allow', { 'aws:SourceIp': ['2001:db8::1'] }],
    [{ IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } }, 'allow', { 'aws:SourceIp': ['::ffff:192.0.2.1'] }],
    [{ DateLessThan: { 'aws:CurrentTime': '2026-01-01T12:00:01Z' } }, 'allow'],
    [{ DateLessThan: { 'aws:CurrentTime': '2026-01-01T12:00:00Z' } }, 'nothing'],
    [{ DateGreaterThanEquals: { 'aws:CurrentTime': '2026-01-01T12:00:00Z' } }, 'allow'],
    [{ DateGreaterThan: { 'aws:CurrentTime': '1767268799' } }, 'allow'],
    [{ NumericLessThan: { 'aws:EpochTime': '1767268801' } }, 'allow'],
    [{ NumericGreaterThan: { 'aws:EpochTime': '1767268801' } }, 'nothing'],
    // All keys and all operators.
    [{ StringEquals: { 'ses:ApiVersion': '2', 'ses:TenantName': 'shop' } }, 'allow'],
    [{ StringEquals: { 'ses:ApiVersion': '2', 'ses:TenantName': 'press' } }, 'nothing'],
    [{ StringLike: { 'ses:FeedbackAddress': '*' }, IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, 'nothing'],
  ];
  for (const [condition, expected, context] of cases)
    test(`${JSON.stringify(condition)} ${context ? JSON.stringify(context) : ''}`, () =>
      assert.equal(when(condition, context), expected));
});

describe('what is not understood is refused, and says where', () => {
  const condition = (Condition: unknown) => ({ ...STATEMENT, Condition });
  const cases: [statement: unknown, message: RegExp][] = [
    ['text', /\/Statement\/0 must be an object/],
    [[], /\/Statement must have 1 to 50 statements/],
    [{ ...STATEMENT, Effect: 'allow' }, /\/Statement\/0\/Effect must be "Allow" or "Deny"/],
    [{ ...STATEMENT, NotAction: 'ses:*' }, /\/Statement\/0\/NotAction is not supported/],
    [{ ...STATEMENT, Principal: undefined }, /\/Statement\/0\/Principal must be an object/],
    [{ ...STATEMENT, Principal: { Service: 'x' } }, /\/Principal\/Service is not supported/],
    [{ ...STATEMENT, Principal: { AWS: [] } }, /\/Principal\/AWS must have 1 to 100 values/],
    [{ ...STATEMENT, Principal: { AWS: '999999999999' } }, /\/Principal\/AWS must be "\*", 123456789012/],
    [
      { ...STATEMENT, Principal: { AWS: 'arn:aws:iam::999999999999:root' } },
      /is of another account than 123456789012/,
    ],
    [{ ...STATEMENT, Action: 'ses:DeleteIdentity' }, /\/Action must be of ses:SendEmail/],
    [{ ...STATEMENT, Action: ['ses:SendEmail', 's3:*'] }, /\/Action\/1 must be of/],
    [
      { ...STATEMENT, Resource: ARN.replace('example.com', 'other.com') },
      /\/Resource must be the ARN of this identity/,
    ],
    [{ ...STATEMENT, Resource: [ARN, ARN.replace(ACCOUNT, '999999999999')] }, /\/Resource\/1 must be/],
    [condition([]), /\/Condition must be an object/],
    [condition({ StringIs: { 'ses:FromAddress': 'a' } }), /\/Condition\/StringIs is not supported/],
    [
      condition({ Bool: { 'aws:SecureTransport': 'true' } }),
      /\/aws:SecureTransport is not supported; these are/,
    ],
    [condition({ StringLike: { 'aws:UserAgent': '*' } }), /\/aws:UserAgent is not supported/],
    [
      condition({ IpAddress: { 'ses:FromAddress': '10.0.0.0/8' } }),
      /ses:FromAddress cannot be compared by IpAddress/,
    ],
    [
      condition({ StringLike: { 'ses:Recipients': '*' } }),
      /ses:Recipients needs ForAllValues: or ForAnyValue:/,
    ],
    [
      condition({ 'ForAnyValue:StringLike': { 'ses:FromAddress': '*' } }),
      /has one value, and needs no set operator/,
    ],
    [condition({ 'ForSome:StringLike': { 'ses:Recipients': '*' } }), /must begin with ForAllValues/],
    [condition({ IpAddress: { 'aws:SourceIp': 'home' } }), /\/aws:SourceIp is no value for IpAddress/],
    [condition({ DateLessThan: { 'aws:CurrentTime': 'tomorrow' } }), /is no value for DateLessThan/],
    [condition({ Null: { 'ses:FromAddress': 'maybe' } }), /must be "true" or "false"/],
    [condition({ NullIfExists: { 'ses:FromAddress': 'true' } }), /is not supported/],
    [condition({ StringEquals: { 'ses:FromAddress': `\${aws:username}` } }), /has a policy variable/],
    [condition({ StringEquals: { 'ses:FromAddress': '' } }), /must be a text of 1 to 512 characters/],
    [condition({ StringEquals: { __proto__: null, constructor: 'a' } }), /\/constructor is not supported/],
  ];
  for (const [statement, message] of cases)
    test(`${message}`, () => assert.throws(() => read(statement), { code: 'invalid_policy', message }));

  test('as a whole', () => {
    const whole = (text: string) => () => readSendingPolicy(text, 'example.com', ACCOUNT);
    assert.throws(whole('{'), /is not valid JSON/);
    assert.throws(whole('[]'), /must be an object/);
    assert.throws(whole('{"Version": "2020-01-01", "Statement": []}'), /\/Version must be/);
    assert.throws(whole('{"Statment": []}'), /\/Statment is not supported/);
    const sized = (size: number): string => {
      const bare = JSON.stringify({ Id: '', Statement: { ...STATEMENT, Sid: 'x' } });
      return ' '.repeat(size - Buffer.byteLength(bare) - 1) + bare.replace('"Id":""', '"Id":"x"');
    };
    assert.equal(sized(MAX_POLICY).length, MAX_POLICY);
    whole(sized(MAX_POLICY))();
    assert.throws(whole(sized(MAX_POLICY + 1)), /has 4097 bytes; 4096 are the most/);
  });
});

test('a pattern is matched in bounded time, however many stars it has', () => {
  assert.equal(matchesPattern('*a*b*c', 'xxaxxbxxc'), true);
  assert.equal(matchesPattern('a**?', 'ab'), true);
  assert.equal(matchesPattern('a?', 'a'), false);
  assert.equal(matchesPattern('*.com', 'a.com.evil'), false);
  assert.equal(matchesPattern(`${'*a'.repeat(200)}b`, 'a'.repeat(10_000)), false);
});
