/**
 * Opens and clicks from the sender to the reader: configured over SES's API, sent, received by a real server,
 * followed by real requests, and shown as events.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import {
  BadRequestException,
  CreateConfigurationSetCommand,
  CreateEmailIdentityCommand,
  PutConfigurationSetTrackingOptionsCommand,
  type SESv2Client,
  SendEmailCommand,
  type SendEmailCommandInput,
} from '@aws-sdk/client-sesv2';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { createTransport } from 'nodemailer';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import type { AccessKey } from '../../lib/control/types.ts';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

const TRACK = 'track.example.com';
const HTML =
  '<html><body><p>Grüße</p><a ses:tags="k:v" href="https://a.example/?x=1&amp;y=2#z">a</a> <a ses:no-track href="https://b.example/">b</a></body></html>';

let site: StandaloneSite;
let postern: Standalone;
let ses: SESv2Client;
let key: AccessKey;

before(async () => {
  site = await StandaloneSite.open();
  postern = await site.start({ POSTERN_TRACKING_URL: `http://${TRACK}` });
  ({ key } = postern.firstKey!);
  ses = sesClient(postern, key);
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  await ses.send(new CreateConfigurationSetCommand({ ConfigurationSetName: 'tracked' }));
  await ses.send(
    new PutConfigurationSetTrackingOptionsCommand({
      ConfigurationSetName: 'tracked',
      HttpsPolicy: 'OPTIONAL',
    }),
  );
});

after(async () => {
  await postern.stop();
  assert.deepEqual(checkStore(site.directory).problems, []);
  await site.close();
});

/** The message to a recipient once the sink has it, with its signature verified. */
async function delivered(to: string): Promise<{ raw: string; html: string }> {
  const { raw: bytes } = await site.delivered(to);
  const { records } = (await postern.control.identities.find('example.com'))!.dkim;
  const { results } = await dkimVerify(bytes, {
    resolver: async (name: string) => [[records.find((record) => record.name === name)!.value]],
  });
  assert.deepEqual(
    results.map(({ status }) => status.result),
    ['pass'],
  );
  const raw = bytes.toString('latin1');
  return { raw, html: raw.replaceAll('=\r\n', '').replaceAll('=3D', '=') };
}

interface Event {
  eventType: string;
  mail: { messageId: string };
  open?: Record<string, unknown>;
  click?: Record<string, unknown>;
}

const links = (html: string): string[] =>
  [...html.matchAll(/https?:\/\/(?:track|links)\.example\.com\/t\/[\w/-]+/g)].map(([url]) => url);

/** Follows a link as a reader's program does, by its name. */
async function follow(
  url: string,
  method = 'GET',
): Promise<{ status: number; location?: string; body: Buffer }> {
  const { host, pathname } = new URL(url);
  const [address, port] = postern.listening.api.split(':');
  const outgoing = request({
    host: address,
    port,
    path: pathname,
    method,
    headers: { host, 'user-agent': 'Reader/2' },
  });
  outgoing.end();
  const [incoming] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return { status: incoming.statusCode!, location: incoming.headers.location, body: Buffer.concat(chunks) };
}

async function events(id: string): Promise<Event[]> {
  const answer = await fetch(`http://${postern.listening.api}/v1/messages/${encodeURIComponent(id)}/events`, {
    headers: { authorization: `Bearer ${key.id}.${key.secret}` },
  });
  return ((await answer.json()) as { events: Event[] }).events;
}

async function send(to: string, change: Partial<SendEmailCommandInput> = {}): Promise<string> {
  const { MessageId } = await ses.send(
    new SendEmailCommand({
      FromEmailAddress: 'Ann <ann@example.com>',
      Destination: { ToAddresses: [to] },
      ConfigurationSetName: 'tracked',
      Content: {
        Simple: {
          Subject: { Data: 'Hello' },
          Body: { Text: { Data: 'https://a.example/' }, Html: { Data: HTML } },
        },
      },
      ...change,
    }),
  );
  return MessageId!;
}

describe('tracking', () => {
  test('of a message over the API: links are signed, followed and reported', async () => {
    const id = await send('one@example.net');
    const { html } = await delivered('one@example.net');
    assert.match(html, /<a href="https:\/\/b\.example\/">b<\/a>/);
    assert.match(html, /\r\n\r\nhttps:\/\/a\.example\/\r\n/);
    const [link, image, ...more] = links(html);
    assert.deepEqual(more, []);

    assert.equal((await follow(image!, 'HEAD')).status, 200);
    const pixel = await follow(image!);
    assert.deepEqual([pixel.status, pixel.body.toString('latin1', 0, 6)], [200, 'GIF89a']);
    const click = await follow(link!);
    assert.deepEqual(
      [click.status, click.location, click.body.length],
      [302, 'https://a.example/?x=1&y=2#z', 0],
    );
    for (const wrong of [
      `${link}x`,
      link!.replace(TRACK, 'track.example.net'),
      link!.replace(/[^/]+$/, Buffer.from('https://evil.example/').toString('base64url')),
    ]) {
      const { status, location } = await follow(wrong);
      assert.deepEqual([status, location], [404, undefined]);
    }

    const shown = await events(id);
    assert.deepEqual(
      shown
        .map(({ eventType }) => eventType)
        .filter((type) => type !== 'Delivery')
        .sort(),
      ['Click', 'Open', 'Send'],
    );
    const of = (type: string) => shown.find(({ eventType }) => eventType === type)!;
    assert.equal(of('Open').mail.messageId, id);
    const { timestamp: openedAt, ...opened } = of('Open').open!;
    // Opened and clicked at once, as no reader does.
    assert.deepEqual(opened, { ipAddress: '127.0.0.1', userAgent: 'Reader/2', isBotEvent: 'Likely' });
    const { timestamp: clickedAt, ...clicked } = of('Click').click!;
    assert.deepEqual(clicked, {
      ipAddress: '127.0.0.1',
      userAgent: 'Reader/2',
      link: 'https://a.example/?x=1&y=2#z',
      linkTags: { k: ['v'] },
      isBotEvent: 'Likely',
    });
    for (const at of [openedAt, clickedAt]) assert.match(String(at), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test('of raw MIME over SMTP, by a domain of the sender', async () => {
    await ses.send(
      new PutConfigurationSetTrackingOptionsCommand({
        ConfigurationSetName: 'tracked',
        CustomRedirectDomain: 'links.example.com',
        HttpsPolicy: 'REQUIRE',
      }),
    );
    const { smtpPassword } = postern.firstKey!;
    const [host, port] = postern.listening.submission.split(':');
    await createTransport({
      host,
      port: Number(port),
      auth: { user: key.id, pass: smtpPassword },
      tls: { rejectUnauthorized: false },
    }).sendMail({
      from: 'ann@example.com',
      to: 'two@example.net',
      subject: 'Hi',
      text: 'Hello',
      html: HTML,
      attachments: [{ filename: 'a.html', content: HTML, contentType: 'text/html' }],
      headers: { 'X-SES-CONFIGURATION-SET': 'tracked' },
    });
    const { raw, html } = await delivered('two@example.net');
    const [link, image, ...more] = links(html);
    assert.deepEqual(more, [], 'the attachment is as it was');
    assert.match(image!, /^https:\/\/links\.example\.com\/t\/o\//);
    assert.equal((await follow(link!)).location, 'https://a.example/?x=1&y=2#z');
    assert.equal((await follow(image!)).status, 200);
    const id = /^Message-ID: <([^>]+)>/m.exec(raw)![1]!;
    const types = (await events(id)).map(({ eventType }) => eventType);
    assert.deepEqual(types.filter((type) => type !== 'Delivery').sort(), ['Click', 'Open', 'Send']);
  });

  test('is off for a message with tracking off, and refused without a tracking domain', async () => {
    await send('three@example.net', {
      ConfigurationOverrides: {
        Tracking: { OpenTrackingEnabled: 'DISABLED', ClickTrackingEnabled: 'DISABLED' },
      },
    });
    assert.deepEqual(links((await delivered('three@example.net')).html), []);
    await postern.stop();
    postern = await site.start();
    const again = sesClient(postern, key);
    await again.send(
      new SendEmailCommand({
        FromEmailAddress: 'ann@example.com',
        Destination: { ToAddresses: ['four@example.net'] },
        ConfigurationSetName: 'tracked',
        Content: { Simple: { Subject: { Data: 'x' }, Body: { Html: { Data: HTML } } } },
      }),
    );
    const [link] = links((await delivered('four@example.net')).html);
    assert.equal(
      (await follow(link!)).location,
      'https://a.example/?x=1&y=2#z',
      'a domain of the sender needs no URL of ours',
    );
    await assert.rejects(
      again.send(
        new PutConfigurationSetTrackingOptionsCommand({
          ConfigurationSetName: 'tracked',
          HttpsPolicy: 'OPTIONAL',
        }),
      ),
      (error) => {
        assert.ok(error instanceof BadRequestException);
        assert.match(error.message, /CustomRedirectDomain must be specified\./);
        return true;
      },
    );
  });
});
