/** Custom verification mails: templates, the mail, and the page behind its link. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as v1 from '@aws-sdk/client-ses';
import * as v2 from '@aws-sdk/client-sesv2';
import type { Content } from '../../../lib/accept/types.ts';
import { systemClock } from '../../../lib/time.ts';
import { type SesServer, startSesServer } from '../../support/ses-server.ts';

const TEMPLATE = {
  TemplateName: 'confirm',
  FromEmailAddress: 'shop@example.com',
  TemplateSubject: 'Is this your address?',
  TemplateContent: '<html><body><p>Please confirm.</p></body></html>',
  SuccessRedirectionURL: 'https://shop.example/done?a=1',
  FailureRedirectionURL: 'https://other.example/failed',
};
const LINK = /https:\/\/mail\.example(\/t\/v\/[\w-]+)/;
const DAY = 24 * 3600 * 1000;

/** Runs ahead of the system's clock, by which calls are signed. */
let ahead = 0;
const clock = { now: () => systemClock.now() + ahead, after: systemClock.after.bind(systemClock) };

let server: SesServer;
let client: v2.SESv2Client;
let old: v1.SESClient;
before(async () => {
  server = await startSesServer({ verifyIdentities: true, clock });
  client = server.client();
  old = server.clientV1();
  await prove('example.com', 'default');
  await client.send(new v2.CreateCustomVerificationEmailTemplateCommand(TEMPLATE));
});
after(() => server.close());

/** Makes a verified domain. */
async function prove(name: string, tenant: string): Promise<void> {
  server.txt.publish(await server.control.identities.create({ name, tenant, keyLength: 'RSA_1024_BIT' }));
  await server.control.identities.check(name);
}

type Simple = Extract<Content, { kind: 'simple' }>;

/** Sends the mail to an address. @returns the path of its link. */
async function linkFor(EmailAddress: string): Promise<string> {
  await client.send(
    new v2.SendCustomVerificationEmailCommand({ EmailAddress, TemplateName: TEMPLATE.TemplateName }),
  );
  const { html, text } = server.accept.last.content as Simple;
  return LINK.exec(html ?? text!)![1]!;
}

function open(path: string, method = 'GET'): Promise<Response> {
  return fetch(`${server.url}${path}`, { method, redirect: 'manual' });
}

async function isVerified(EmailIdentity: string): Promise<boolean> {
  const found = await client.send(new v2.GetEmailIdentityCommand({ EmailIdentity }));
  return found.VerifiedForSendingStatus!;
}

/** Name of the error of a call. */
async function errorOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'none';
  } catch (error) {
    return (error as Error).name;
  }
}

test('the link in the mail asks, a click on its page confirms, and leads on', async () => {
  const address = 'ann@mail.test';
  const path = await linkFor(address);
  const sent = server.accept.last;
  assert.equal(sent.from, TEMPLATE.FromEmailAddress);
  assert.deepEqual(sent.to, [address]);
  assert.deepEqual(sent.tracking, { opens: false, clicks: false });
  const { subject, html } = sent.content as Simple;
  assert.equal(subject, TEMPLATE.TemplateSubject);
  assert.match(
    html!,
    /<p>Please confirm\.<\/p><p><a href="https:\/\/mail\.example\/t\/v\/[\w-]+">.*<\/a><\/p><\/body>/,
  );
  assert.ok(!path.includes('ann'), 'the address does not stand in the link');
  assert.equal(await isVerified(address), false);

  // What scanners do.
  for (const method of ['HEAD', 'GET', 'GET']) assert.equal((await open(path, method)).status, 200);
  assert.equal(await isVerified(address), false, 'to look confirms nothing');

  const page = await open(path);
  assert.match(await page.text(), /<strong>ann@mail\.test<\/strong>.*<form method="post">/);
  assert.match(
    page.headers.get('content-security-policy')!,
    /form-action 'self' https:\/\/shop\.example https:\/\/other\.example;/,
  );
  const done = await open(path, 'POST');
  assert.equal(done.status, 303);
  assert.equal(done.headers.get('location'), TEMPLATE.SuccessRedirectionURL);
  assert.equal(await isVerified(address), true);
  assert.ok(await server.control.identities.forSender(address, 'default'), 'it may send');
  assert.equal((await open(path, 'POST')).status, 303, 'a second click is no fault');
});

describe('a link', () => {
  test('ends after 24 hours', async () => {
    const address = 'late@mail.test';
    const path = await linkFor(address);
    ahead = DAY - 60_000;
    assert.equal((await open(path)).status, 200);
    ahead = DAY;
    for (const method of ['GET', 'POST']) {
      const { status, headers } = await open(path, method);
      assert.equal(status, method === 'GET' ? 302 : 303);
      assert.equal(headers.get('location'), TEMPLATE.FailureRedirectionURL);
    }
    ahead = 0;
    assert.equal(await isVerified(address), false);
  });

  test('that was altered, or made for another use, is none', async () => {
    const path = await linkFor('alter@mail.test');
    const at = 30;
    const altered = path.slice(0, at) + (path[at] === 'A' ? 'B' : 'A') + path.slice(at + 1);
    for (const bad of [altered, path.replace('/v/', '/u/'), '/t/v/', '/t/v/x', `${path}x`])
      assert.equal((await open(bad, 'POST')).status, 404, bad);
    assert.equal((await open(path, 'PUT')).status, 405);
    assert.equal(await isVerified('alter@mail.test'), false);
  });

  test('serves the identity that it was made for, and none of its name that comes later', async () => {
    const address = 'again@mail.test';
    const path = await linkFor(address);
    await client.send(new v2.DeleteEmailIdentityCommand({ EmailIdentity: address }));
    assert.equal((await open(path, 'POST')).headers.get('location'), TEMPLATE.FailureRedirectionURL);
    ahead = 5;
    const fresh = await linkFor(address);
    ahead = 0;
    assert.equal((await open(path, 'POST')).headers.get('location'), TEMPLATE.FailureRedirectionURL);
    assert.equal(await isVerified(address), false);
    await open(fresh, 'POST');
    assert.equal(await isVerified(address), true);
  });

  test('confirms when its template is gone, and says so itself', async () => {
    const address = 'gone@mail.test';
    const input = { ...TEMPLATE, TemplateName: 'gone' };
    await client.send(new v2.CreateCustomVerificationEmailTemplateCommand(input));
    await client.send(
      new v2.SendCustomVerificationEmailCommand({ EmailAddress: address, TemplateName: 'gone' }),
    );
    const path = LINK.exec((server.accept.last.content as Simple).html!)![1]!;
    await client.send(new v2.DeleteCustomVerificationEmailTemplateCommand({ TemplateName: 'gone' }));
    const done = await open(path, 'POST');
    assert.equal(done.status, 200);
    assert.match(await done.text(), /is confirmed/);
    ahead = DAY;
    assert.equal((await open(path)).status, 410);
    ahead = 0;
  });
});

test('a confirmed address yields to the tenant that has verified its domain', async () => {
  const address = 'bob@owned.test';
  await open(await linkFor(address), 'POST');
  assert.equal(await isVerified(address), true);
  await prove('owned.test', 'tenant-2');
  assert.equal(await isVerified(address), false);
  assert.equal(await server.control.identities.forSender(address, 'default'), undefined);
});

test("another tenant's address gets no mail", async () => {
  await server.control.identities.create({ name: 'theirs@mail.test', tenant: 'tenant-2' });
  const sent = server.accept.submissions.length;
  const command = new v2.SendCustomVerificationEmailCommand({
    EmailAddress: 'theirs@mail.test',
    TemplateName: TEMPLATE.TemplateName,
  });
  await assert.rejects(client.send(command), /already exist/);
  assert.equal(server.accept.submissions.length, sent);
});

describe('a template', () => {
  const made = (change: object) =>
    client.send(
      new v2.CreateCustomVerificationEmailTemplateCommand({ ...TEMPLATE, TemplateName: 'x', ...change }),
    );

  test('is held to its bounds', async () => {
    const script = (html: string) => ({ TemplateContent: `<p>${html}</p>` });
    for (const bad of [
      { TemplateName: 'a/../b' },
      { TemplateName: 'a'.repeat(65) },
      { TemplateSubject: ' ' },
      { TemplateSubject: 'a'.repeat(999) },
      { TemplateContent: ' ' },
      { TemplateContent: `<p>${'é'.repeat(5 * 1024 * 1024)}` },
      script('<script>x()</script>'),
      script('<IMG SRC=x OnError=x()>'),
      script('<a href=" javascript:x()">x</a>'),
      script('<iframe src="//x.example">'),
      { SuccessRedirectionURL: 'javascript:alert(1)' },
      { FailureRedirectionURL: '//x.example' },
      { FailureRedirectionURL: `https://x.example/${'a'.repeat(2048)}` },
      { FromEmailAddress: 'shop' },
    ])
      assert.equal(await errorOf(made(bad)), 'BadRequestException', JSON.stringify(bad).slice(0, 80));
    assert.equal(await errorOf(made({ FromEmailAddress: 'a@none.example' })), 'NotFoundException');
  });

  test('of just under 10 MB is kept whole, replaced and removed with all its parts', async () => {
    const before = (await client.send(new v2.ListCustomVerificationEmailTemplatesCommand({})))
      .CustomVerificationEmailTemplates!.length;
    const content = `<p>${'ü"\n'.repeat(2_600_000)}</p>`.slice(0, 10 * 1024 * 1024);
    const size = 10 * 1024 * 1024 - 1;
    const largest = `<p>${'a'.repeat(size - 3)}`;
    await made({ TemplateName: 'large', TemplateContent: largest });
    const read = async () =>
      (await client.send(new v2.GetCustomVerificationEmailTemplateCommand({ TemplateName: 'large' })))
        .TemplateContent;
    assert.ok((await read()) === largest);
    const half = content.slice(0, 3 * 1024 * 1024);
    await client.send(
      new v2.UpdateCustomVerificationEmailTemplateCommand({
        ...TEMPLATE,
        TemplateName: 'large',
        TemplateContent: half,
      }),
    );
    assert.ok((await read()) === half);
    await client.send(new v2.DeleteCustomVerificationEmailTemplateCommand({ TemplateName: 'large' }));
    assert.equal(await errorOf(read()), 'NotFoundException');
    const left = await client.send(new v2.ListCustomVerificationEmailTemplatesCommand({}));
    assert.equal(left.CustomVerificationEmailTemplates!.length, before);
  });

  test('has tags by its ARN', async () => {
    const ResourceArn = 'arn:aws:ses:us-east-1:123456789012:custom-verification-email-template/confirm';
    await client.send(new v2.TagResourceCommand({ ResourceArn, Tags: [{ Key: 'team', Value: 'shop' }] }));
    const found = await client.send(
      new v2.GetCustomVerificationEmailTemplateCommand({ TemplateName: 'confirm' }),
    );
    assert.deepEqual(found.Tags, [{ Key: 'team', Value: 'shop' }]);
    assert.equal(found.TemplateContent, TEMPLATE.TemplateContent, 'its content stays');
  });

  test('of plain text becomes a mail of plain text', async () => {
    await made({ TemplateName: 'plain', TemplateContent: 'Please confirm.\n' });
    await client.send(
      new v2.SendCustomVerificationEmailCommand({ EmailAddress: 'cay@mail.test', TemplateName: 'plain' }),
    );
    const { html, text } = server.accept.last.content as Simple;
    assert.equal(html, undefined);
    assert.match(text!, /^Please confirm\.\n\nhttps:\/\/mail\.example\/t\/v\/[\w-]+\n$/);
  });

  test('with an image in it becomes a mail with an attachment', async () => {
    const image = Buffer.from('GIF89a');
    await made({
      TemplateName: 'image',
      TemplateContent: `<img alt="" src="data:image/gif;base64,${image.toString('base64')}">`,
    });
    await client.send(
      new v2.SendCustomVerificationEmailCommand({ EmailAddress: 'cay@mail.test', TemplateName: 'image' }),
    );
    const { html, attachments } = server.accept.last.content as Simple;
    assert.match(html!, /<img alt="" src="cid:image-1">/);
    assert.deepEqual(attachments, [
      {
        fileName: 'image-1.gif',
        contentType: 'image/gif',
        contentId: 'image-1',
        inline: true,
        content: image,
      },
    ]);
  });
});

describe('SES v1', () => {
  test('sees the same templates, and leaves members that are not given', async () => {
    const TemplateName = 'old';
    await old.send(new v1.CreateCustomVerificationEmailTemplateCommand({ ...TEMPLATE, TemplateName }));
    await old.send(
      new v1.UpdateCustomVerificationEmailTemplateCommand({ TemplateName, TemplateSubject: 'Please' }),
    );
    const { $metadata: _, ...found } = await old.send(
      new v1.GetCustomVerificationEmailTemplateCommand({ TemplateName }),
    );
    assert.deepEqual(found, { ...TEMPLATE, TemplateName, TemplateSubject: 'Please' });
    const listed = await old.send(new v1.ListCustomVerificationEmailTemplatesCommand({ MaxResults: 1 }));
    assert.equal(listed.CustomVerificationEmailTemplates!.length, 1);
    assert.ok(listed.NextToken);
    const { MessageId } = await old.send(
      new v1.SendCustomVerificationEmailCommand({ EmailAddress: 'dan@mail.test', TemplateName }),
    );
    assert.ok(MessageId);
    for (let twice = 0; twice < 2; twice += 1)
      await old.send(new v1.DeleteCustomVerificationEmailTemplateCommand({ TemplateName }));
  });

  test('has its own errors', async () => {
    const create = (change: object) =>
      errorOf(old.send(new v1.CreateCustomVerificationEmailTemplateCommand({ ...TEMPLATE, ...change })));
    assert.equal(await create({}), 'CustomVerificationEmailTemplateAlreadyExistsException');
    assert.equal(
      await create({ TemplateName: 'y', TemplateContent: '<script>' }),
      'CustomVerificationEmailInvalidContentException',
    );
    assert.equal(
      await create({ TemplateName: 'y', FromEmailAddress: 'a@none.example' }),
      'FromEmailAddressNotVerifiedException',
    );
    const missing = { TemplateName: 'none' };
    assert.equal(
      await errorOf(old.send(new v1.GetCustomVerificationEmailTemplateCommand(missing))),
      'CustomVerificationEmailTemplateDoesNotExistException',
    );
    assert.equal(
      await errorOf(
        old.send(new v1.SendCustomVerificationEmailCommand({ ...missing, EmailAddress: 'a@mail.test' })),
      ),
      'CustomVerificationEmailTemplateDoesNotExistException',
    );
  });
});

test('without a URL that readers reach, no mail is sent, and the refusal says what to set', async () => {
  const inner = await startSesServer({ url: undefined });
  try {
    const sender = inner.client();
    await inner.control.identities.create({
      name: 'example.com',
      tenant: 'default',
      keyLength: 'RSA_1024_BIT',
    });
    await sender.send(new v2.CreateCustomVerificationEmailTemplateCommand(TEMPLATE));
    const command = new v2.SendCustomVerificationEmailCommand({
      EmailAddress: 'ann@mail.test',
      TemplateName: TEMPLATE.TemplateName,
    });
    await assert.rejects(sender.send(command), /POSTERN_TRACKING_URL/);
    assert.equal(await inner.control.identities.find('ann@mail.test'), undefined, 'nothing is made');
  } finally {
    await inner.close();
  }
});
