import { body, hear, say } from './peer.ts';
import { BODY, BYE, dialogs, mail, opening, PIPED, QUIT } from './run.ts';

dialogs('a peer that, by its extensions,', [
  {
    name: 'accepts less than the size of the message (SIZE)',
    dialog: [...opening('PIPELINING', `SIZE ${BODY.length - 1}`), ...BYE],
    items: [mail('b@x')],
    results: ['b@x unsent in mail: over_peer_size'],
    replies: [],
    end: QUIT,
  },
  {
    name: 'accepts exactly the size of the message (SIZE)',
    dialog: [
      ...opening('PIPELINING', `SIZE ${BODY.length}`),
      hear(`MAIL FROM:<from@a.test> SIZE=${BODY.length}`, 'RCPT TO:<b@x>', 'DATA'),
      say('552 no room', '503 a', '503 b'),
      ...BYE,
    ],
    items: [mail('b@x')],
    results: ['b@x refused in mail: 552'],
    replies: ['mail 552', 'rcpt 503', 'data 503'],
    end: QUIT,
  },
  {
    name: 'has no 8BITMIME',
    dialog: [...opening('PIPELINING'), ...BYE],
    items: [mail('b@x', { eightBit: true })],
    results: ['b@x unsent in mail: needs_8bitmime'],
    replies: [],
    end: QUIT,
  },
  {
    name: 'has no SMTPUTF8',
    dialog: [...opening('8BITMIME'), ...BYE],
    items: [mail('b@x', { smtpUtf8: true }), mail('jörg@x')],
    results: ['b@x unsent in mail: needs_smtputf8', 'jörg@x unsent in mail: needs_smtputf8'],
    replies: [],
    end: QUIT,
  },
  {
    name: 'has all of them',
    dialog: [
      ...opening('pipelining', '8bitmime', 'SmtpUtf8', 'SIZE'),
      hear(
        `MAIL FROM:<from@a.test> SIZE=${BODY.length} BODY=8BITMIME SMTPUTF8`,
        `RCPT TO:<${Buffer.from('jörg@x').toString('latin1')}>`,
        'DATA',
      ),
      say('250 a', '250 b', '354 c'),
      body(),
      say('250 d'),
      ...BYE,
    ],
    items: [mail('jörg@x', { eightBit: true })],
    results: ['jörg@x accepted in body: 250'],
    replies: ['mail 250', 'rcpt 250', 'data 354', 'body 250'],
    end: QUIT,
  },
  {
    name: 'is never sent an address that would end its command',
    dialog: [
      ...PIPED,
      hear('MAIL FROM:<from@a.test>', 'RCPT TO:<"a> b"@x>', 'DATA'),
      say('250 a', '250 b', '354 c'),
      body(),
      say('250 d'),
      ...BYE,
    ],
    items: [
      mail('b@x', { mailFrom: 'a@x>\r\nRCPT TO:<evil@x' }),
      mail(['b@x\r\nDATA', 'b@x> NOTIFY=NEVER', 'b @x', '', '"a> b"@x', '"a\r\nb"@x', '<b@x']),
    ],
    results: [
      'b@x unsent in mail: invalid_address',
      'b@x\r\nDATA unsent in rcpt: invalid_address',
      'b@x> NOTIFY=NEVER unsent in rcpt: invalid_address',
      'b @x unsent in rcpt: invalid_address',
      ' unsent in rcpt: invalid_address',
      '"a> b"@x accepted in body: 250',
      '"a\r\nb"@x unsent in rcpt: invalid_address',
      '<b@x unsent in rcpt: invalid_address',
    ],
    replies: ['mail 250', 'rcpt 250', 'data 354', 'body 250'],
    end: QUIT,
  },
]);
