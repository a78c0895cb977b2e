import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SendEmailCommand } from '@aws-sdk/client-sesv2';
import { createTransport } from 'nodemailer';
import { PosternError } from '../../../lib/errors.ts';
import { startSesServer } from '../../support/ses-server.ts';

test("nodemailer's SES transport sends and verifies", async () => {
  const server = await startSesServer();
  try {
    const transport = createTransport({ SES: { sesClient: server.client(), SendEmailCommand } });
    const info = await transport.sendMail({
      from: 'Sender <sender@example.com>',
      to: 'to@example.net',
      bcc: 'hidden@example.net',
      subject: 'Grüße',
      text: 'text',
    });
    // The transport adds Amazon's domain, and the look-up by such an id finds the message all the same.
    assert.equal(info.messageId, '<0100-1-000000@email.amazonses.com>');
    const { content, to, bcc, from } = server.accept.last;
    assert.deepEqual(
      [from, [...to, ...bcc].sort()],
      ['Sender <sender@example.com>', ['hidden@example.net', 'to@example.net']],
    );
    assert.equal(content.kind, 'raw');
    assert.match((content as { bytes: Buffer }).bytes.toString(), /^From: Sender <sender@example\.com>\r\n/);

    server.accept.refuse = () => {
      throw new PosternError(
        'identity_not_verified',
        'Email address is not verified. The following identities failed the check in region US-EAST-1: invalid@invalid',
      );
    };
    assert.equal(await transport.verify(), true);
  } finally {
    await server.close();
  }
});
