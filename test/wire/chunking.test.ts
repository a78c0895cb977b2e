import { hear, octets, type PeerStep, say } from './peer.ts';
import { BIG, BODY, BYE, dialogs, mail, opening, QUIT } from './run.ts';

const bdat = (...to: string[]): PeerStep[] => [
  hear('MAIL FROM:<from@a.test>', ...to.map((address) => `RCPT TO:<${address}>`), `BDAT ${BODY.length} LAST`),
  octets(Buffer.from(BODY)),
];
const CHUNKED = opening('PIPELINING', 'CHUNKING');

dialogs('a peer that offers CHUNKING and', [
  {
    name: 'accepts two messages by BDAT, both before its first reply',
    dialog: [
      ...CHUNKED,
      ...bdat('b@x'),
      hear('RSET'),
      ...bdat('c@x'),
      say('250 a', '250 b', '250 c', '250 reset', '250 a', '250 b', '250 c'),
      ...BYE,
    ],
    items: [mail('b@x'), mail('c@x')],
    results: ['b@x accepted in body: 250', 'c@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'body 250', 'mail 250', 'rcpt 250', 'body 250'],
    end: QUIT,
  },
  {
    name: 'refuses BDAT, and accepts the next message after RSET',
    dialog: [
      ...CHUNKED,
      ...bdat('b@x'),
      hear('RSET'),
      ...bdat('c@x'),
      say('250 a', '250 b', '554 no', '250 reset', '250 a', '250 b', '250 c'),
      ...BYE,
    ],
    items: [mail('b@x'), mail('c@x')],
    results: ['b@x refused in body: 554', 'c@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'body 554', 'mail 250', 'rcpt 250', 'body 250'],
    end: QUIT,
  },
  {
    name: 'refuses all recipients, and so BDAT',
    dialog: [...CHUNKED, ...bdat('b@x', 'c@x'), say('250 a', '550 b', '450 c', '503 d'), ...BYE],
    items: [mail(['b@x', 'c@x'])],
    results: ['b@x refused in rcpt: 550', 'c@x refused in rcpt: 450'],
    replies: ['mail 250', 'rcpt 550', 'rcpt 450', 'body 503'],
    end: QUIT,
  },
  {
    name: 'does not get a large body by BDAT when it refused all recipients',
    dialog: [
      ...CHUNKED,
      hear('MAIL FROM:<from@a.test>', 'RCPT TO:<b@x>'),
      say('250 a', '550 b'),
      hear('RSET'),
      ...bdat('c@x'),
      say('250 r', '250 a', '250 b', '250 c'),
      ...BYE,
    ],
    items: [mail('b@x', { bytes: BIG }), mail('c@x')],
    results: ['b@x refused in rcpt: 550', 'c@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 550', 'mail 250', 'rcpt 250', 'body 250'],
    end: QUIT,
  },
  {
    name: 'accepts a large body by BDAT',
    dialog: [
      ...CHUNKED,
      hear('MAIL FROM:<from@a.test>', 'RCPT TO:<b@x>'),
      say('250 a', '250 b'),
      hear(`BDAT ${BIG.length} LAST`),
      octets(BIG),
      say('250 c'),
      ...BYE,
    ],
    items: [mail('b@x', { bytes: BIG })],
    results: ['b@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'body 250'],
    end: QUIT,
  },
  {
    name: 'accepts BDAT in lock-step',
    dialog: [
      ...opening('CHUNKING'),
      hear('MAIL FROM:<from@a.test>'),
      say('250 a'),
      hear('RCPT TO:<b@x>'),
      say('250 b'),
      hear(`BDAT ${BODY.length} LAST`),
      octets(Buffer.from(BODY)),
      say('250 c'),
      ...BYE,
    ],
    items: [mail('b@x')],
    results: ['b@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'body 250'],
    end: QUIT,
  },
  {
    name: 'closes with two bodies by BDAT unanswered',
    dialog: [...CHUNKED, ...bdat('b@x', 'c@x'), hear('RSET'), ...bdat('d@x'), say('250 a', '550 b')],
    items: [mail(['b@x', 'c@x']), mail('d@x')],
    results: [
      'b@x refused in rcpt: 550',
      'c@x uncertain in rcpt: uncertain',
      'd@x uncertain in mail: uncertain',
    ],
    replies: ['mail 250', 'rcpt 550'],
    end: 'connection_lost in rcpt',
  },
  {
    name: 'answers 421 with two bodies by BDAT unanswered',
    dialog: [...CHUNKED, ...bdat('b@x'), hear('RSET'), ...bdat('d@x'), say('250 a', '250 b', '421 c')],
    items: [mail('b@x'), mail('d@x')],
    results: ['b@x refused in body: 421', 'd@x unsent in mail: connection_lost'],
    replies: ['mail 250', 'rcpt 250', 'body 421'],
    end: 'peer_temporary in mail 421',
  },
]);
