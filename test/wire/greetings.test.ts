import assert from 'node:assert/strict';
import { test } from 'node:test';
import { body, drip, hear, hold, raw, reset, say } from './peer.ts';
import { BODY, BYE, dialogs, MINUTE, mail, PIPED, play, QUIT } from './run.ts';

dialogs('a peer that, before any mail,', [
  { name: 'closes at once', dialog: [], end: 'connection_lost in greeting' },
  {
    name: 'resets after EHLO',
    dialog: [say('220 peer'), hear('EHLO client.test'), reset],
    end: 'connection_lost in ehlo',
  },
  { name: 'greets with 554', dialog: [say('554 no mail here')], end: 'peer_permanent in greeting 554' },
  { name: 'greets with 450', dialog: [say('450 later')], end: 'peer_temporary in greeting 450' },
  { name: 'greets with 421', dialog: [say('421 busy')], end: 'peer_temporary in greeting 421' },
  { name: 'greets with 250', dialog: [say('250 hello')], end: 'peer_protocol in greeting 250' },
  { name: 'greets in HTTP', dialog: [say('HTTP/1.1 400 Bad Request', '')], end: 'peer_protocol in greeting' },
  { name: 'greets with NUL and noise', dialog: [raw('\0\xff\x8022\r\n')], end: 'peer_protocol in greeting' },
  { name: 'greets twice', dialog: [say('220 a', '220 b')], end: 'peer_protocol in ehlo 220' },
  { name: 'never greets', dialog: [hold], advance: 5 * MINUTE, end: 'peer_timeout in greeting' },
  {
    name: 'greets one octet a minute',
    dialog: [drip('220 peer ESMTP\r\n')],
    end: 'peer_timeout in greeting',
  },
  {
    name: 'greets without end',
    dialog: [raw('220-more\r\n'.repeat(101))],
    end: 'peer_protocol in greeting',
  },
  {
    name: 'greets with a giant line',
    dialog: [raw(`220 ${'x'.repeat(5000)}`)],
    end: 'peer_protocol in greeting',
  },
  {
    name: 'greets with a line that only just fits',
    dialog: [raw(`220 ${'x'.repeat(4090)}\r\n`), hear('EHLO client.test'), say('250 peer'), ...BYE],
    end: QUIT,
  },
  { name: 'greets with two codes', dialog: [say('220-peer', '221 peer')], end: 'peer_protocol in greeting' },
  {
    name: 'ends its lines with LF alone',
    dialog: [raw('220 peer\n'), hear('EHLO client.test'), raw('250-peer\n250 PIPELINING\n'), ...BYE],
    end: QUIT,
  },
  {
    name: 'refuses EHLO and accepts HELO',
    dialog: [
      say('220 old'),
      hear('EHLO client.test'),
      say('502 what'),
      hear('HELO client.test'),
      say('250 old'),
      hear('MAIL FROM:<from@a.test>'),
      say('250 ok'),
      hear('RCPT TO:<b@x>'),
      say('250 ok'),
      hear('DATA'),
      say('354 go'),
      body(`${BODY}.\r\n`),
      say('250 ok'),
      ...BYE,
    ],
    items: [mail('b@x')],
    results: ['b@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'data 354', 'body 250'],
    end: QUIT,
  },
  {
    name: 'refuses EHLO and HELO',
    dialog: [
      say('220 old'),
      hear('EHLO client.test'),
      say('502 no'),
      hear('HELO client.test'),
      say('550 no'),
    ],
    end: 'peer_permanent in ehlo 550',
  },
  {
    name: 'defers EHLO',
    dialog: [say('220 old'), hear('EHLO client.test'), say('451 later')],
    end: 'peer_temporary in ehlo 451',
  },
  {
    name: 'never answers EHLO',
    dialog: [say('220 peer'), hear('EHLO client.test'), hold],
    advance: 5 * MINUTE,
    end: 'peer_timeout in ehlo',
  },
  {
    name: 'answers EHLO without end',
    dialog: [say('220 peer'), hear('EHLO client.test'), raw(`250-${'x'.repeat(1000)}\r\n`.repeat(70))],
    end: 'peer_protocol in ehlo',
  },
  {
    name: 'has no mail and lets the idle session end',
    dialog: [...PIPED, hold, ...BYE],
    options: { idle: 5000, next: () => undefined },
    whenHolding: (session, peer) => {
      session.quit();
      peer.release();
    },
    end: QUIT,
  },
  {
    name: 'sends 421 to an idle session',
    dialog: [...PIPED, say('421 4.4.2 idle too long')],
    options: { idle: 5000, next: () => undefined },
    end: 'peer_temporary in mail 421',
  },
  {
    name: 'sends 250 to an idle session',
    dialog: [...PIPED, hold, say('250 hello?')],
    options: { idle: 5000, next: () => undefined },
    whenHolding: (_session, peer) => peer.release(),
    end: 'peer_protocol in mail 250',
  },
  {
    name: 'never answers QUIT',
    dialog: [...PIPED, hear('QUIT'), hold],
    advance: 10_000,
    end: 'quit in quit',
  },
  { name: 'closes on QUIT', dialog: [...PIPED, hear('QUIT')], end: 'quit in quit' },
]);

test('a refused session is described in the peer’s own words', async () => {
  const { ends } = await play({ dialog: [say('554 5.7.1 No mail from 192.0.2.1, see https://peer.test')] });
  assert.equal(
    ends[0]!.text,
    'The peer refused the session with 554 5.7.1 No mail from 192.0.2.1, see https://peer.test',
  );
});
