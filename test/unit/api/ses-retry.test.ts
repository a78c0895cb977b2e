import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SendBulkEmailCommand, SendEmailCommand, type SendEmailCommandInput } from '@aws-sdk/client-sesv2';
import { type SesServer, send, startSesServer } from '../../support/ses-server.ts';

const MESSAGE: SendEmailCommandInput = {
  FromEmailAddress: 'sender@example.com',
  Destination: { ToAddresses: ['to@example.net'] },
  Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'text' } } } },
};

/** A server whose first answer is lost: the call is carried out, and the connection cut instead of a reply. */
function losingTheFirstAnswer(): Promise<SesServer> {
  let lost = false;
  return startSesServer({
    before(incoming, outgoing) {
      if (lost) return false;
      lost = true;
      outgoing.writeHead = () => {
        incoming.socket.destroy();
        return outgoing;
      };
      return false;
    },
  });
}

test('the retry of an SDK after a lost answer sends one message and gets its id', async () => {
  const server = await losingTheFirstAnswer();
  try {
    const reply = await server.client({ maxAttempts: 3 }).send(new SendEmailCommand(MESSAGE));
    assert.equal(reply.$metadata.attempts, 2);
    assert.equal(server.accept.calls.length, 2);
    assert.equal(server.accept.submissions.length, 1);
    assert.equal(reply.MessageId, '0100-1-000000');
    assert.equal(server.accept.calls[0]!.idempotency!.ttl, 15 * 60_000);
  } finally {
    await server.close();
  }
});

test('the retry of a bulk call gives every entry its first result', async () => {
  const server = await losingTheFirstAnswer();
  try {
    const { BulkEmailEntryResults: results } = await server.client({ maxAttempts: 3 }).send(
      new SendBulkEmailCommand({
        FromEmailAddress: 'sender@example.com',
        DefaultContent: { Template: { TemplateContent: { Subject: 's', Text: 't' }, TemplateData: '{}' } },
        BulkEmailEntries: ['a', 'b', 'c'].map((name) => ({
          Destination: { ToAddresses: [`${name}@example.net`] },
        })),
      }),
    );
    assert.equal(server.accept.submissions.length, 3);
    assert.deepEqual(
      results!.map((result) => result.MessageId),
      [1, 2, 3].map((n) => `0100-${n}-000000`),
    );
  } finally {
    await server.close();
  }
});

test('two calls with the same content are two messages', async () => {
  const server = await startSesServer();
  try {
    const client = server.client();
    const first = await client.send(new SendEmailCommand(MESSAGE));
    const second = await client.send(new SendEmailCommand(MESSAGE));
    assert.notEqual(first.MessageId, second.MessageId);
  } finally {
    await server.close();
  }
});

test('an invocation id is bound to its body, and an invalid one is ignored', async () => {
  const server = await startSesServer();
  try {
    const id = { 'amz-sdk-invocation-id': '11111111-2222-3333-4444-555555555555' };
    const body = JSON.stringify(MESSAGE);
    await send(server, { body, headers: id });
    await send(server, { body, headers: id });
    assert.equal(server.accept.submissions.length, 1);
    await send(server, { body: `${body} `, headers: id });
    assert.equal(server.accept.submissions.length, 2);
    for (const value of ['', 'x', 'y'.repeat(200)]) {
      await send(server, { body, headers: { 'amz-sdk-invocation-id': value } });
      assert.equal(server.accept.calls.at(-1)!.idempotency, undefined);
    }
    await send(server, { body });
    assert.equal(server.accept.calls.at(-1)!.idempotency, undefined);
  } finally {
    await server.close();
  }
});

test('only a call that its SDK counts as the first is made without a look for an answer', async () => {
  const server = await startSesServer();
  try {
    const body = JSON.stringify(MESSAGE);
    const cases: [request: string | undefined, first: boolean][] = [
      ['attempt=1; max=3', true],
      ['attempt=1', true],
      ['attempt=2; max=3', false],
      ['attempt=10; max=10', false],
      ['ttl=20260101T000000Z; attempt=1', false],
      [undefined, false],
    ];
    for (const [at, [request, first]] of cases.entries()) {
      const headers = {
        'amz-sdk-invocation-id': `11111111-2222-3333-4444-55555555555${at}`,
        ...(request !== undefined && { 'amz-sdk-request': request }),
      };
      await send(server, { body, headers });
      assert.equal(server.accept.calls.at(-1)!.idempotency?.first, first, request);
    }
  } finally {
    await server.close();
  }
});
