import assert from 'node:assert/strict';
import { test } from 'node:test';
import MailComposer from 'nodemailer/lib/mail-composer';
import PostalMime from 'postal-mime';
import { compose } from '../../lib/mail/compose.ts';
import { findField, serialise } from '../../lib/mail/message.ts';
import type { Attachment, ComposeInput, ParsedMessage } from '../../lib/mail/types.ts';
import { seededRandom } from '../support/clock.ts';

const IDS = { messageId: '0100-1@example.com', date: Date.UTC(2026, 10, 21, 9, 5) };
const BASE: ComposeInput = { from: 'a@example.com', to: ['b@example.net'], subject: 'Hello' };
const FILE: Attachment = { fileName: 'report.pdf', content: Buffer.from('%PDF-1.4 …') };
const IMAGE: Attachment = {
  fileName: 'logo.png',
  contentId: 'logo',
  inline: true,
  content: Buffer.from('png'),
};

const bytesOf = (message: ParsedMessage): Buffer => serialise(message.fields, message.body);
const make = (input: Partial<ComposeInput>): ParsedMessage => compose({ ...BASE, ...input }, IDS);
const read = (message: ParsedMessage) => PostalMime.parse(bytesOf(message));
const raw = (message: ParsedMessage, name: string): string | undefined =>
  findField(message.fields, name)?.raw;

/** Media types in document order, with the depth of each: the structure of a message. */
function structureOf(bytes: Buffer): string[] {
  const open: string[] = [];
  const out: string[] = [];
  let type = '';
  for (const line of bytes
    .toString('latin1')
    .replaceAll(/;\r\n /g, '; ')
    .split('\r\n')) {
    const media = /^Content-Type: ([\w/-]+)/i.exec(line);
    if (media) {
      type = media[1]!;
      out.push('  '.repeat(open.length) + type);
      const boundary = /boundary="([^"]+)"/.exec(line);
      if (boundary) open.push(boundary[1]!);
    }
    if (open.length > 0 && line === `--${open.at(-1)!}--`) open.pop();
  }
  assert.equal(open.length, 0, 'every multipart is closed');
  return out;
}

test('writes the header fields of a message in a fixed order', () => {
  const message = compose(
    {
      from: 'Jörg Müller <j@example.com>',
      to: ['b@example.net', '"Doe, Jane" <jane@example.net>'],
      cc: ['c@example.net'],
      replyTo: ['r@example.com'],
      subject: 'Hi',
      text: 'x',
      headers: [{ name: 'X-Campaign', value: 'spring' }],
    },
    IDS,
  );
  assert.deepEqual(
    message.fields.map((field) => field.name),
    [
      'from',
      'to',
      'cc',
      'reply-to',
      'subject',
      'date',
      'message-id',
      'mime-version',
      'x-campaign',
      'content-type',
      'content-transfer-encoding',
    ],
  );
  assert.equal(raw(message, 'to'), 'To: b@example.net, "Doe, Jane" <jane@example.net>');
  assert.equal(raw(message, 'date'), 'Date: Sat, 21 Nov 2026 09:05:00 +0000');
  assert.equal(raw(message, 'message-id'), 'Message-ID: <0100-1@example.com>');
  assert.match(raw(message, 'from')!, /^From: =\?UTF-8\?[BQ]\?.*\?= <j@example\.com>$/);
});

test('keeps clean ASCII as it is, with CRLF line breaks and an ended last line', () => {
  const message = make({ text: 'one\ntwo\r\nthree\rfour\n\n  .\nFrom five' });
  assert.equal(message.body.toString(), 'one\r\ntwo\r\nthree\r\nfour\r\n\r\n  .\r\nFrom five\r\n');
  assert.equal(raw(message, 'content-transfer-encoding'), 'Content-Transfer-Encoding: 7bit');
  assert.equal(raw(message, 'content-type'), 'Content-Type: text/plain; charset=utf-8');
});

test('encodes at the limits of 7bit', () => {
  const encoding = (text: string) => raw(make({ text }), 'content-transfer-encoding')!.split(': ')[1];
  assert.equal(encoding('x'.repeat(998)), '7bit');
  assert.equal(encoding('x'.repeat(999)), 'quoted-printable');
  assert.equal(encoding(`ok\n${'x'.repeat(999)}\nok`), 'quoted-printable');
  assert.equal(encoding('nul \0 in the middle of a text'), 'quoted-printable');
  assert.equal(encoding('an escape \u001b[2J in the middle of a text'), 'quoted-printable');
  assert.equal(encoding('a long enough text with a single umlaut: ä'), 'quoted-printable');
  assert.equal(encoding('Привет, как дела? Это письмо на русском языке.'), 'base64');
  assert.equal(encoding('件名のテスト'), 'base64');
});

test('looks at every octet of a text, wherever it stands and however long the text is', () => {
  const encoding = (text: string) => raw(make({ text }), 'content-transfer-encoding')!.split(': ')[1];
  const line = `${'x'.repeat(70)}\r\n`;
  // Around and beyond the size up to which texts share one piece of memory.
  for (const lines of [0, 1, 455, 456, 1_000]) {
    const text = line.repeat(lines);
    assert.equal(encoding(text), '7bit', `${lines} lines`);
    assert.equal(encoding(`${text}${'x'.repeat(998)}`), '7bit');
    assert.equal(encoding(`${text}${'x'.repeat(999)}`), 'quoted-printable');
    assert.equal(encoding(`${text}${'x'.repeat(60)}\u007f`), 'quoted-printable');
    assert.equal(encoding(`\u001b${text}${'x'.repeat(60)}`), 'quoted-printable');
    assert.equal(encoding(`${text}${'x'.repeat(60)}ÿ`), 'quoted-printable');
    // Its lower octet is that of an A.
    assert.equal(encoding(`${'x'.repeat(60)}Ł${text}`), 'quoted-printable');
    // A text that ends in CR, while the octet behind it may be left from a text before.
    assert.equal(encoding(`${text}last\r`), '7bit');
    assert.equal(make({ text: `${text}last\r` }).body.toString(), `${text}last\r\n`);
    assert.equal(make({ text: `${text}last\r\rx\n` }).body.toString(), `${text}last\r\n\r\nx\r\n`);
  }
});

test('encoded lines stay within 76 characters, and white space at their end is kept', async () => {
  const text = `${'ü x'.repeat(200)}  \n\t\nende \n${'日本語'.repeat(300)}\n`;
  for (const content of [text, text.slice(0, 700)]) {
    const message = make({ text: content });
    for (const line of message.body.toString('latin1').split('\r\n')) assert.ok(line.length <= 76, line);
    assert.equal((await read(message)).text!.replaceAll('\r\n', '\n').trimEnd(), content.trimEnd());
  }
});

test('nests parts as nodemailer does', async () => {
  const cases: Partial<ComposeInput>[] = [
    { text: 't' },
    { html: '<p>h</p>' },
    { text: 't', html: '<p>h</p>' },
    { text: 't', attachments: [FILE] },
    { html: '<p>h</p>', attachments: [FILE, FILE] },
    { text: 't', html: '<p>h</p>', attachments: [FILE] },
    { html: '<img src="cid:logo">', attachments: [IMAGE] },
    { text: 't', html: '<img src="cid:logo">', attachments: [IMAGE] },
    { text: 't', html: '<img src="cid:logo">', attachments: [IMAGE, FILE] },
    { attachments: [FILE, FILE] },
    { attachments: [FILE] },
  ];
  for (const input of cases) {
    const theirs = await new MailComposer({
      from: BASE.from,
      to: BASE.to,
      text: input.text,
      html: input.html,
      attachments: input.attachments?.map((attachment) => ({
        filename: attachment.fileName,
        content: attachment.content,
        cid: attachment.contentId,
        contentDisposition: attachment.inline ? ('inline' as const) : ('attachment' as const),
      })),
    })
      .compile()
      .build();
    assert.deepEqual(structureOf(bytesOf(make(input))), structureOf(theirs));
  }
});

test('an inline file without HTML, or without a Content-ID, stands beside the text', () => {
  const structure = (input: Partial<ComposeInput>) => structureOf(bytesOf(make(input)));
  assert.deepEqual(structure({ text: 't', attachments: [IMAGE] }), [
    'multipart/mixed',
    '  text/plain',
    '  image/png',
  ]);
  const { contentId: _, ...anonymous } = IMAGE;
  assert.deepEqual(structure({ html: '<p>', attachments: [anonymous] }), [
    'multipart/mixed',
    '  text/html',
    '  image/png',
  ]);
});

test('a message without content is an empty text', async () => {
  const message = make({});
  assert.equal(message.body.length, 0);
  assert.equal((await read(message)).subject, 'Hello');
});

test('never takes a boundary that stands in the content', async () => {
  const random = seededRandom(7);
  const first = compose({ ...BASE, text: 'a', html: 'b' }, { ...IDS, random });
  const boundary = /boundary="([^"]+)"/.exec(raw(first, 'content-type')!)![1]!;
  const text = `--${boundary}\nContent-Type: text/html\n\n<script>\n--${boundary}--\n`;
  const again = compose({ ...BASE, text, html: 'b' }, { ...IDS, random: seededRandom(7) });
  assert.ok(!raw(again, 'content-type')!.includes(boundary));
  const parsed = await read(again);
  assert.equal(parsed.text!.trimEnd(), text.trimEnd());
  assert.equal(parsed.html!.trimEnd(), 'b');
});

test('file names of any script and length arrive', async () => {
  const names = [
    'plain.pdf',
    'two words.pdf',
    'quote " and \\ backslash.pdf',
    'semi;colon=equals.pdf',
    "l'été à la plage %20 100%.pdf",
    'Übersicht.pdf',
    '報告書.pdf',
    `${'x'.repeat(251)}.pdf`,
    `${'長'.repeat(251)}.pdf`,
    '😀'.repeat(50),
  ];
  for (const fileName of names) {
    const message = make({ text: 't', attachments: [{ fileName, content: Buffer.from('c') }] });
    for (const line of message.body.toString('latin1').split('\r\n')) assert.ok(line.length <= 78, line);
    assert.equal((await read(message)).attachments[0]!.filename, fileName);
  }
});

test('attachments keep their members and bytes', async () => {
  const content = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 31) & 255));
  const message = make({
    html: '<p>',
    attachments: [
      { fileName: 'a.bin', content, description: 'Größe und Gewicht', contentType: 'application/x-a; v="1"' },
      { fileName: 'b.png', content: Buffer.alloc(0), contentId: '<b@c>', inline: true },
      { content: Buffer.from('x') },
    ],
  });
  const [b, a, c] = (await read(message)).attachments;
  assert.deepEqual(Buffer.from(a!.content as ArrayBuffer), content);
  assert.equal(a!.mimeType, 'application/x-a');
  assert.equal(a!.description, 'Größe und Gewicht');
  assert.equal(a!.disposition, 'attachment');
  assert.equal(b!.contentId, '<b@c>');
  assert.equal(b!.mimeType, 'image/png');
  assert.equal(b!.disposition, 'inline');
  assert.equal(b!.related, true);
  assert.equal(c!.filename, null);
  assert.equal(c!.mimeType, 'application/octet-stream');
});

test('base64 is cut into lines of 76 at every length', () => {
  for (const length of [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 171, 1000]) {
    const content = Buffer.alloc(length, 'xyz');
    const { body } = make({ attachments: [{ content }] });
    const expected = content
      .toString('base64')
      .replace(/.{76}(?=.)/g, '$&\r\n')
      .replace(/.$/, '$&\r\n');
    assert.equal(body.toString(), expected);
  }
});

test('a forwarded message travels in 7bit, or as a file when it cannot', () => {
  const forward = (content: string) =>
    make({ attachments: [{ fileName: 'm.eml', content: Buffer.from(content) }] });
  const clean = forward('Subject: x\n\nbody\n');
  assert.equal(raw(clean, 'content-type'), 'Content-Type: message/rfc822');
  assert.equal(clean.body.toString(), 'Subject: x\r\n\r\nbody\r\n');
  const eightBit = forward('Subject: ü\n\nbody\n');
  assert.equal(raw(eightBit, 'content-type'), 'Content-Type: application/octet-stream');
  assert.equal(raw(eightBit, 'content-transfer-encoding'), 'Content-Transfer-Encoding: base64');
});

test("refuses attachments beyond SES's limits", () => {
  const attach = (attachment: Partial<Attachment>) =>
    make({ attachments: [{ content: Buffer.from('x'), ...attachment }] });
  const refused = (attachment: Partial<Attachment>, words: RegExp) =>
    assert.throws(() => attach(attachment), { code: 'bad_request', message: words });

  attach({ fileName: 'x'.repeat(255) });
  refused({ fileName: 'x'.repeat(256) }, /FileName.*between 1 and 255/);
  refused({ fileName: '' }, /FileName/);
  attach({ contentType: `text/${'x'.repeat(73)}` });
  refused({ contentType: `text/${'x'.repeat(74)}` }, /ContentType.*between 1 and 78/);
  refused({ contentType: 'text' }, /not a media type/);
  refused({ contentType: 'text/plain\r\nBcc: x@example.com' }, /not a media type/);
  refused({ contentType: 'Multipart/mixed' }, /multipart/);
  attach({ contentId: 'x'.repeat(78) });
  refused({ contentId: 'x'.repeat(79) }, /ContentId.*between 1 and 78/);
  refused({ contentId: 'a> <b' }, /angle brackets/);
  refused({ contentId: 'a\r\nX: y' }, /printable/);
  attach({ description: 'é'.repeat(1000) });
  refused({ description: 'x'.repeat(1001) }, /ContentDescription/);
  refused({ description: 'a\r\nX: y' }, /control character/);
  refused({ fileName: 'a\r\nX: y' }, /control character/);
  for (const fileName of ['x.exe', 'X.EXE', 'a.pdf.js', 'x.ps1xml', 'x.scr. . ', '.bat']) {
    refused({ fileName }, /Illegal filename/);
  }
  attach({ fileName: 'exe' });
  attach({ fileName: 'x.exe.txt' });
});

test("refuses callers' headers beyond SES's limits, and reserved ones", () => {
  const header = (name: string, value = 'v') => make({ text: 't', headers: [{ name, value }] });
  const refused = (name: string, value: string, words: RegExp) =>
    assert.throws(() => header(name, value), { code: 'invalid_header', message: words });

  header('X'.repeat(126));
  refused('X'.repeat(127), 'v', /1 to 126/);
  refused('', 'v', /1 to 126/);
  refused('X:Y', 'v', /without a colon/);
  refused('X Y', 'v', /without a colon or a space/);
  refused('X\r\nBcc', 'v', /printable ASCII/);
  header('X', 'v'.repeat(995));
  refused('X', 'v'.repeat(996), /1 to 995/);
  refused('X', '', /1 to 995/);
  refused('XX', 'v'.repeat(995), /at most 996/);
  refused('X', 'a\r\nBcc: x@example.com', /printable ASCII/);
  refused('X', 'ü', /printable ASCII/);
  for (const name of ['From', 'to', 'BCC', 'Subject', 'Content-Type', 'DKIM-Signature', 'Received']) {
    refused(name, 'v', /cannot be set by the caller/);
  }
  refused('X-SES-CONFIGURATION-SET', 'v', /ConfigurationSetName/);

  const twice = (name: string) => [
    { name, value: '1' },
    { name: name.toUpperCase(), value: '2' },
  ];
  assert.throws(() => make({ headers: twice('List-Unsubscribe') }), {
    code: 'invalid_header',
    message: "Duplicate header 'LIST-UNSUBSCRIBE'.",
  });
  assert.equal(
    make({ headers: twice('X-Repeated') }).fields.filter((f) => f.name === 'x-repeated').length,
    2,
  );

  const many = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `X-${i}`, value: 'v' }));
  make({ headers: many(15) });
  assert.throws(() => make({ headers: many(16) }), {
    code: 'bad_request',
    message: /less than or equal to 15/,
  });
});

test('a Date or Message-ID of the caller is overwritten', () => {
  const message = make({
    headers: [
      { name: 'Date', value: 'Mon, 1 Jan 2001 00:00:00 +0000' },
      { name: 'Message-ID', value: '<x@y>' },
    ],
  });
  assert.equal(message.fields.filter((f) => f.name === 'date' || f.name === 'message-id').length, 2);
  assert.equal(raw(message, 'message-id'), 'Message-ID: <0100-1@example.com>');
});

test('line breaks in the subject become a space', async () => {
  const message = make({ text: 't', subject: 'Hi\r\nBcc: victim@example.com\u2028x\0' });
  assert.equal(raw(message, 'subject'), 'Subject: Hi Bcc: victim@example.com x');
  assert.equal((await read(message)).bcc, undefined);
});

test('a line break in an address is refused', () => {
  assert.throws(() => make({ from: 'A\r\nBcc: v@example.com <a@example.com>' }), { code: 'invalid_address' });
  assert.throws(() => make({ to: ['a@example.com\nBcc: v@example.com'] }), { code: 'invalid_address' });
});

test('a line with encoded words has at most 76 octets', async () => {
  const name = '日本語の名前'.repeat(6);
  const message = make({
    from: `${name} <a@example.com>`,
    to: [`${name} <b@example.net>`, `ü${'x'.repeat(80)} <c@example.net>`],
    replyTo: [`${name} <d@example.net>`],
    subject: '日本語の件名'.repeat(12),
  });
  for (const field of message.fields)
    for (const line of field.raw.split('\r\n')) assert.ok(line.length <= 76, line);
  const parsed = await read(message);
  assert.deepEqual([parsed.subject, parsed.from?.name], ['日本語の件名'.repeat(12), name]);
});

test('a subject of one long word is encoded', async () => {
  const subject = 'x'.repeat(1386);
  assert.equal((await read(make({ subject }))).subject, subject);
});
