/** Bounces and complaints in the whole service: their addresses are listed and get no more mail. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import {
  CreateEmailIdentityCommand,
  DeleteSuppressedDestinationCommand,
  GetSuppressedDestinationCommand,
  ListSuppressedDestinationsCommand,
  NotFoundException,
  type SESv2Client,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { createTransport } from 'nodemailer';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

let site: StandaloneSite;
let postern: Standalone;
let ses: SESv2Client;

before(async () => {
  site = await StandaloneSite.open();
  await start();
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.org' }));
});
after(async () => {
  ses.destroy();
  await postern.stop();
  await site.close();
});

const KEY = { id: 'AKIASUPPRESSION00001', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };

async function start(): Promise<void> {
  postern = await site.start({
    POSTERN_ACCESS_KEY_ID: KEY.id,
    POSTERN_SECRET_ACCESS_KEY: KEY.secret,
  });
  ses = sesClient(postern, KEY);
}

async function send(...to: string[]): Promise<string> {
  const { MessageId } = await ses.send(
    new SendEmailCommand({
      FromEmailAddress: 's@example.org',
      Destination: { ToAddresses: to },
      Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'Hi' } } } },
    }),
  );
  return MessageId!;
}

/** Polls until there is an answer. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The states of a message's deliveries, when all have ended. */
function ended(messageId: string): Promise<string[]> {
  const id = messageId.slice(0, 60);
  return until(async () => {
    const states = (await postern.engine.records.deliveries(id)).map(({ state }) => state);
    return states.every((state) => ['delivered', 'bounced', 'suppressed'].includes(state))
      ? states
      : undefined;
  });
}

const listed = (EmailAddress: string) =>
  until(async () => {
    try {
      return (await ses.send(new GetSuppressedDestinationCommand({ EmailAddress }))).SuppressedDestination;
    } catch (error) {
      if (error instanceof NotFoundException) return undefined;
      throw error;
    }
  });

test('an address that bounced hard is suppressed until it is removed, also after a restart', async () => {
  const first = await send('nobody@example.com', 'ann@example.com');
  assert.deepEqual(await ended(first), ['bounced', 'delivered']);
  const entry = await listed('nobody@example.com');
  assert.deepEqual([entry.Reason, entry.Attributes!.MessageId], ['BOUNCE', first]);

  assert.deepEqual(await ended(await send('NOBODY@example.com', 'bob@example.com')), [
    'suppressed',
    'delivered',
  ]);
  ses.destroy();
  await postern.stop();
  await start();
  const alone = await send('nobody@example.com');
  assert.deepEqual(await ended(alone), ['suppressed']);
  const [delivery] = await postern.engine.records.deliveries(alone.slice(0, 60));
  assert.match(
    delivery!.text,
    /^Not sent: nobody@example\.com is on the suppression list since .* bounces\.$/,
  );

  await ses.send(new DeleteSuppressedDestinationCommand({ EmailAddress: 'nobody@example.com' }));
  assert.deepEqual(await ended(await send('nobody@example.com')), ['bounced'], 'it is tried again');
  await listed('nobody@example.com');
});

test('a complaint and a later bounce put their recipients on the list', async () => {
  for (const [to, report, reason] of [
    ['user@example.com', 'comcast-arf', 'COMPLAINT'],
    ['late@example.com', 'postfix-dsn', 'BOUNCE'],
  ] as const) {
    const messageId = await send(to);
    assert.deepEqual(await ended(messageId), ['delivered']);
    const { from } = site.received(to)!;
    await sendReport(report, { messageId, from, to });
    assert.equal((await listed(to)).Reason, reason);
    assert.deepEqual(await ended(await send(to)), ['suppressed']);
  }
});

test('a not-spam report removes its recipient from the list', async () => {
  const to = 'torn@example.com';
  const messageId = await send(to);
  assert.deepEqual(await ended(messageId), ['delivered']);
  const { from } = site.received(to)!;
  await sendReport('comcast-arf', { messageId, from, to });
  await listed(to);
  await sendReport('not-spam-arf', { messageId, from, to });
  await until(async () => {
    const [entry] = await postern.engine.suppressions.find([{ tenant: 'default', address: to }]);
    return entry === undefined ? true : undefined;
  });
  assert.deepEqual(await ended(await send(to)), ['delivered']);
});

test('the simulator is never suppressed', async () => {
  for (const name of ['bounce', 'complaint', 'suppressionlist']) {
    const address = `${name}@simulator.amazonses.com`;
    const [state] = await ended(await send(address));
    assert.equal(state, name === 'complaint' ? 'delivered' : 'bounced');
    assert.deepEqual(await ended(await send(address)), [state]);
  }
  // A later bounce is on the list, so the feed has been followed to here.
  await ended(await send('nobody-else@example.com'));
  await listed('nobody-else@example.com');
  const { SuppressedDestinationSummaries: all } = await ses.send(new ListSuppressedDestinationsCommand({}));
  assert.deepEqual(
    all!.filter(({ EmailAddress }) => EmailAddress!.includes('simulator')),
    [],
  );
});

/** Sends a fixture to the return path of a message, as if it were about that message. */
async function sendReport(
  name: string,
  about: { messageId: string; from: string; to: string },
): Promise<void> {
  const text = await readFile(new URL(`../fixtures/reports/${name}.eml`, import.meta.url), 'utf8');
  const raw = text
    .replaceAll('0100019b76da7c00-3c0f6f9e-5d3a-4a57-9d1f-0b7a3f1c2d4e-000000', about.messageId)
    .replaceAll('b-return-path@bounces.example.org', about.from)
    .replaceAll('user@example.com', about.to)
    .replaceAll('\n', '\r\n');
  const [host, port] = postern.listening.inbound.split(':');
  const transport = createTransport({ host, port: Number(port), ignoreTLS: true });
  await transport.sendMail({ envelope: { from: '', to: about.from }, raw });
  transport.close();
}
