/** The Query protocol of SES v1: parameters, members and XML. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SES_V1 } from '../../../lib/ses/model/v1-model.ts';
import { membersOf, parseForm } from '../../../lib/ses/v1/form.ts';
import { errorXml, successXml } from '../../../lib/ses/v1/xml.ts';

describe('parameters', () => {
  test('are decoded, a plus sign to a blank', () => {
    assert.deepEqual(
      [...parseForm('Action=Send+It&a=1%2B1+%C3%BC&empty=&bare&&')],
      [
        ['Action', 'Send It'],
        ['a', '1+1 ü'],
        ['empty', ''],
        ['bare', ''],
      ],
    );
    assert.equal(parseForm('').size, 0);
  });

  test('that are given twice, cut, or too many are refused', () => {
    for (const [form, words] of [
      ['a=1&a=2', 'The parameter "a" is given twice.'],
      ['a=%f', 'A parameter holds an invalid percent-encoding.'],
      ['a=%ff', 'A parameter holds an invalid percent-encoding.'],
    ] as const)
      assert.throws(() => parseForm(form), { code: 'malformed_request', message: words });
    const many = (count: number): string => Array.from({ length: count }, (_, i) => `p${i}=`).join('&');
    assert.equal(parseForm(many(10_000)).size, 10_000);
    assert.throws(() => parseForm(many(10_001)), { message: /more than 10000 parameters/ });
  });

  test('become the members of the shape; others are dropped', () => {
    const form = [
      'Action=SendEmail',
      'Source=a',
      'Destination.ToAddresses.member.1=x',
      'Destination.ToAddresses.member.2=y',
      'Destination.CcAddresses=',
      'Message.Subject.Data=hi',
      'Tags.member.1.Name=n',
      'Tags.member.1.Value=v',
      'Destination.Other.member.1=x',
      'constructor=1',
      '__proto__.x=1',
    ].join('&');
    assert.deepEqual(membersOf(SES_V1, 'SendEmailRequest', parseForm(form)), {
      Source: 'a',
      Destination: { ToAddresses: ['x', 'y'], CcAddresses: [] },
      Message: { Subject: { Data: 'hi' } },
      Tags: [{ Name: 'n', Value: 'v' }],
    });
  });

  test('that leave a gap in a list, or nest too deep, are refused', () => {
    const members = (form: string) => membersOf(SES_V1, 'SendEmailRequest', parseForm(form));
    for (const form of ['Tags.member.2.Name=x', 'Tags.member.0.Name=x', 'Tags.member.1x.Name=x'])
      assert.throws(() => members(form), {
        message: 'The members of Tags are not counted from 1 without a gap.',
      });
    members(`x${'.a'.repeat(15)}=1`);
    assert.throws(() => members(`x${'.a'.repeat(16)}=1`), { message: /nests too deep/ });
    assert.throws(() => members(`x${'.a'.repeat(1_000_000)}=1`), { message: /nests too deep/ });
  });
});

describe('XML', () => {
  const NAMESPACE = 'http://ses.amazonaws.com/doc/2010-12-01/';

  test('of an answer has lists, maps, times and escaped text', () => {
    assert.equal(
      successXml(
        SES_V1,
        'GetIdentityVerificationAttributes',
        { VerificationAttributes: { 'a<b&"c': { VerificationStatus: 'Success' } } },
        'id',
      ),
      `<GetIdentityVerificationAttributesResponse xmlns="${NAMESPACE}"><GetIdentityVerificationAttributesResult>` +
        '<VerificationAttributes><entry><key>a&lt;b&amp;&quot;c</key><value><VerificationStatus>Success</VerificationStatus></value></entry></VerificationAttributes>' +
        '</GetIdentityVerificationAttributesResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetIdentityVerificationAttributesResponse>',
    );
    const templates = {
      TemplatesMetadata: [{ Name: 't', CreatedTimestamp: new Date(0) }],
      NextToken: undefined,
    };
    assert.match(
      successXml(SES_V1, 'ListTemplates', templates, 'id'),
      /<TemplatesMetadata><member><Name>t<\/Name><CreatedTimestamp>1970-01-01T00:00:00\.000Z<\/CreatedTimestamp><\/member><\/TemplatesMetadata>/,
    );
  });

  test('of an action without an output has no result, and of an empty one an empty result', () => {
    assert.equal(
      successXml(SES_V1, 'VerifyEmailAddress', {}, 'id'),
      `<VerifyEmailAddressResponse xmlns="${NAMESPACE}"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></VerifyEmailAddressResponse>`,
    );
    assert.match(successXml(SES_V1, 'DeleteIdentity', {}, 'id'), /<DeleteIdentityResult\/>/);
  });

  test('has no character that XML cannot hold', () => {
    const message = 'a\u0000b\u001bc\uD800d\r\n😀<';
    assert.equal(
      errorXml({ type: 'Sender', code: 'X', message }, 'id'),
      `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>X</Code><Message>a\u{FFFD}b\u{FFFD}c\u{FFFD}d&#13;\n😀&lt;</Message></Error><RequestId>id</RequestId></ErrorResponse>`,
    );
  });
});
