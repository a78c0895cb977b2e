import assert from 'node:assert/strict';
import { test } from 'node:test';
import { body, hear, hold, type PeerStep, raw, say, secure } from './peer.ts';
import { BYE, dialogs, envelope, MINUTE, mail, opening, PIPED, play, QUIT } from './run.ts';

const OPEN_TLS: PeerStep[] = [...opening('PIPELINING', 'STARTTLS'), hear('STARTTLS')];

dialogs('a peer that, asked for TLS,', [
  {
    name: 'injects a reply behind the 220 of STARTTLS',
    dialog: [...OPEN_TLS, say('220 go', '250 injected')],
    options: { tls: 'opportunistic' },
    end: 'peer_protocol in tls 220',
  },
  {
    name: 'injects half a line behind the 220 of STARTTLS',
    dialog: [...OPEN_TLS, raw('220 go\r\n25')],
    options: { tls: 'required' },
    end: 'peer_protocol in tls 220',
  },
  {
    name: 'answers STARTTLS before the command',
    dialog: [say('220 peer'), hear('EHLO client.test'), say('250-peer', '250 STARTTLS', '220 go'), hold],
    options: { tls: 'opportunistic' },
    end: 'peer_protocol in starttls 220',
  },
  {
    name: 'refuses STARTTLS, which was optional',
    dialog: [
      ...OPEN_TLS,
      say('454 not now'),
      envelope('b@x'),
      say('250 a', '250 b', '354 c'),
      body(),
      say('250 d'),
      ...BYE,
    ],
    options: { tls: 'opportunistic' },
    items: [mail('b@x')],
    results: ['b@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'data 354', 'body 250'],
    end: QUIT,
  },
  {
    name: 'refuses STARTTLS, which was required',
    dialog: [...OPEN_TLS, say('454 not now')],
    options: { tls: 'required' },
    end: 'tls_failed in starttls 454',
  },
  {
    name: 'does not offer STARTTLS, which was required',
    dialog: [...PIPED],
    options: { tls: 'required' },
    end: 'tls_required in ehlo 250',
  },
  {
    name: 'answers STARTTLS with 250',
    dialog: [...OPEN_TLS, say('250 go')],
    options: { tls: 'opportunistic' },
    end: 'peer_protocol in starttls 250',
  },
  {
    name: 'never answers STARTTLS',
    dialog: [...OPEN_TLS, hold],
    options: { tls: 'opportunistic' },
    advance: 2 * MINUTE,
    end: 'peer_timeout in starttls',
  },
  {
    name: 'goes on in plaintext after STARTTLS',
    dialog: [...OPEN_TLS, say('220 go'), hold, say('250 plaintext')],
    options: { tls: 'opportunistic' },
    whenHolding: (_session, peer) => void setTimeout(() => peer.release(), 20),
    end: 'tls_failed in tls',
  },
  {
    name: 'closes in the handshake',
    dialog: [...OPEN_TLS, say('220 go')],
    options: { tls: 'opportunistic' },
    end: 'tls_failed in tls',
  },
  {
    name: 'hangs in the handshake',
    dialog: [...OPEN_TLS, say('220 go'), hold],
    options: { tls: 'opportunistic' },
    advance: 2 * MINUTE,
    end: 'tls_failed in tls',
  },
  {
    name: 'offers other extensions after STARTTLS',
    dialog: [
      ...opening('PIPELINING', 'STARTTLS', 'SIZE 100'),
      hear('STARTTLS'),
      say('220 go'),
      secure,
      hear('EHLO client.test'),
      say('250-peer', '250 8BITMIME'),
      hear('MAIL FROM:<from@a.test>'),
      say('250 ok'),
      hear('RCPT TO:<b@x>'),
      say('250 ok'),
      hear('DATA'),
      say('354 go'),
      body(),
      say('250 ok'),
      ...BYE,
    ],
    options: { tls: 'required' },
    items: [mail('b@x')],
    results: ['b@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'data 354', 'body 250'],
    end: QUIT,
  },
  {
    name: 'closes after the handshake',
    dialog: [...OPEN_TLS, say('220 go'), secure, hear('EHLO client.test')],
    options: { tls: 'required' },
    end: 'connection_lost in ehlo',
  },
]);

test('a TLS violation differs from a connection that closes or hangs in the handshake', async () => {
  const options = { tls: 'opportunistic' } as const;
  const broke = await play({
    dialog: [...OPEN_TLS, say('220 go'), hold, say('250 plaintext')],
    options,
    whenHolding: (_session, peer) => void setTimeout(() => peer.release(), 20),
  });
  const closed = await play({ dialog: [...OPEN_TLS, say('220 go')], options });
  const hung = await play({ dialog: [...OPEN_TLS, say('220 go'), hold], options, advance: 2 * MINUTE });
  assert.deepEqual(
    [broke, closed, hung].map(({ ends }) => ends[0]!.tlsBroke),
    [true, undefined, undefined],
  );
});
