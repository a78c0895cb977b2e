import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { describe, it, test } from 'node:test';
import PostalMime from 'postal-mime';
import { openRaw } from '../../lib/accept/content.ts';
import { parseMessage, serialise } from '../../lib/mail/message.ts';
import { toSevenBit } from '../../lib/mail/seven-bit.ts';

/** Raw content in the form that is signed. */
function travels(text: string): Buffer {
  const { message } = openRaw(Buffer.from(text.replaceAll('\n', '\r\n')));
  return serialise(message.fields, message.body);
}

/** The form that every server accepts: ASCII in lines of at most 998 octets, 76 with encoded words. */
function assertPlain(bytes: Buffer): void {
  assert.ok(isAscii(bytes), bytes.toString());
  for (const line of bytes.toString('latin1').split('\r\n')) {
    assert.ok(line.length <= 998);
    if (/^[^:]*: =\?|^ =\?/.test(line)) assert.ok(line.length <= 76, line);
  }
}

const mime = (headers: string, body: string): string =>
  `From: Ann <ann@example.com>\nTo: bob@example.net\nMIME-Version: 1.0\n${headers}\n\n${body}\n`;

describe('text', () => {
  const long = `<p>${'word '.repeat(400)}<a href="https://example.com/${'x'.repeat(900)}">link</a></p>`;

  it('in lines over 998 octets becomes quoted-printable, and its links stay whole', async () => {
    const bytes = travels(
      mime('Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit', long),
    );
    assertPlain(bytes);
    assert.match(bytes.toString(), /\r\nContent-Transfer-Encoding: quoted-printable\r\n/);
    assert.equal((await PostalMime.parse(bytes)).html, `${long}\n`);
  });

  it('beyond ASCII becomes the shorter of quoted-printable and base64', async () => {
    for (const [body, encoding] of [
      ['Grüße aus Köln und von allen anderen Orten am Rhein', 'quoted-printable'],
      ['日本語のテキスト'.repeat(20), 'base64'],
    ] as const) {
      const bytes = travels(
        mime('Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit', body),
      );
      assertPlain(bytes);
      assert.ok(bytes.includes(`Content-Transfer-Encoding: ${encoding}\r\n`), encoding);
      assert.equal((await PostalMime.parse(bytes)).text!.trimEnd(), body);
    }
  });

  it('without a MIME header is given one that names its charset', async () => {
    const bytes = travels('From: ann@example.com\nSubject: x\n\nGrüße\n');
    assertPlain(bytes);
    assert.match(bytes.toString(), /\r\nContent-Type: text\/plain; charset=utf-8\r\n/);
    assert.match(bytes.toString(), /\r\nMIME-Version: 1\.0\r\n/);
    assert.equal((await PostalMime.parse(bytes)).text!.trimEnd(), 'Grüße');
  });

  it('in quoted-printable or base64 with overlong lines is encoded again', async () => {
    const quoted = mime(
      'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable',
      `a=3Db ü ${'x'.repeat(1200)}`,
    );
    assertPlain(travels(quoted));
    assert.equal((await PostalMime.parse(travels(quoted))).text, `a=b ü ${'x'.repeat(1200)}\n`);
    const base64 = mime(
      'Content-Type: application/pdf\nContent-Transfer-Encoding: base64',
      Buffer.alloc(1500, 7).toString('base64'),
    );
    assertPlain(travels(base64));
    const [file] = (await PostalMime.parse(travels(base64))).attachments;
    assert.deepEqual(Buffer.from(file!.content as ArrayBuffer), Buffer.alloc(1500, 7));
  });
});

describe('parts', () => {
  const parts = [
    'Content-Type: text/plain; charset=iso-8859-1\n\nK\xf6ln',
    `Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n<p>K\xf6ln</p>${' x'.repeat(900)}`,
    'Content-Type: application/octet-stream; name="\xe4.bin"\nContent-Disposition: attachment;\n filename="\xe4.bin"\n\n\xff\xfe',
    'Content-Type: text/plain\n\nclean',
  ];
  const message = mime(
    'Content-Type: multipart/mixed; boundary=b',
    `pre\n--b\n${parts.join('\n--b\n')}\n--b--\npost`,
  ).replaceAll('\n', '\r\n');

  it('are encoded each by itself; clean ones and the text around them stay', async () => {
    const { message: out } = openRaw(Buffer.from(message, 'latin1'));
    const bytes = serialise(out.fields, out.body);
    assertPlain(bytes);
    const text = bytes.toString();
    assert.ok(text.includes('\r\n\r\npre\r\n--b\r\n') && text.endsWith('--b--\r\npost\r\n'));
    assert.ok(text.includes('--b\r\nContent-Type: text/plain\r\n\r\nclean\r\n--b--'));
    const parsed = await PostalMime.parse(bytes);
    assert.match(parsed.text!, /^Köln/);
    assert.match(parsed.html!, /<p>Köln<\/p>( x){900}/);
    assert.equal(parsed.attachments[0]!.filename, 'ä.bin');
  });

  it('that are signed as a whole stay, with long lines broken', () => {
    const inner = `Content-Type: text/plain; charset=utf-8\n\nGrüße\n--b\n\n${'x'.repeat(1200)}`;
    const text = mime('Content-Type: multipart/signed; boundary=b', `--b\n${inner}\n--b--`);
    const out = travels(text).toString();
    assert.ok(out.includes('Grüße'));
    assert.ok(out.split('\r\n').every((line) => Buffer.byteLength(line) <= 998));
  });

  it('that are attached messages are re-encoded inside, not around', async () => {
    const inner = 'From: Jörg <j@example.org>\nSubject: für dich\n\nGrüße\n';
    const bytes = travels(
      mime(
        'Content-Type: multipart/mixed; boundary=b',
        `--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n${inner}\n--b--`,
      ),
    );
    assertPlain(bytes);
    assert.match(
      bytes.toString(),
      /message\/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: =\?UTF-8/,
    );
    assert.ok(bytes.includes(Buffer.from('Grüße\r\n').toString('base64')));
  });
});

describe('fields', () => {
  const field = (line: string): string => {
    const bytes = travels(`From: ann@example.com\n${line}\n\nx\n`);
    assertPlain(bytes);
    return bytes.toString().split(/\r\n(?![ \t])/)[1]!;
  };

  it('beyond ASCII become encoded words, and read the same', async () => {
    for (const subject of ['日本語の件名'.repeat(12), 'Grüße =?UTF-8?Q?aus?= Köln', 'ü']) {
      const bytes = travels(`From: ann@example.com\nSubject: ${subject}\n\nx\n`);
      assertPlain(bytes);
      const read = subject.replace('=?UTF-8?Q?aus?=', 'aus');
      assert.equal((await PostalMime.parse(bytes)).subject, read);
    }
  });

  it('with addresses keep them', async () => {
    const bytes = travels(
      'From: Jörg Müller <ann@example.com>\nTo: "Ü, Ö" <a@example.net>, Ä <b@example.net>, c@example.net\n\nx\n',
    );
    assertPlain(bytes);
    const { from, to } = await PostalMime.parse(bytes);
    assert.deepEqual([from?.name, from?.address], ['Jörg Müller', 'ann@example.com']);
    assert.deepEqual(
      to?.map(({ name, address }) => [name, address]),
      [
        ['Ü, Ö', 'a@example.net'],
        ['Ä', 'b@example.net'],
        ['', 'c@example.net'],
      ],
    );
  });

  it('that are not UTF-8 are read as Latin-1', async () => {
    const { message } = openRaw(
      Buffer.from('From: ann@example.com\r\nSubject: K\xf6ln\r\n\r\nx\r\n', 'latin1'),
    );
    assert.equal((await PostalMime.parse(serialise(message.fields, message.body))).subject, 'Köln');
  });

  it('with a grammar of their own have single words encoded', () => {
    assert.equal(field('List-Id: Über <x.example.com>'), 'List-Id: =?UTF-8?B?w5xiZXI=?= <x.example.com>');
  });

  it('of one long word are encoded', () => {
    const bytes = travels(`From: ann@example.com\nSubject: ${'x'.repeat(1386)}\n\nx\n`);
    assertPlain(bytes);
    assert.equal(
      bytes
        .toString()
        .match(/=\?UTF-8\?Q\?x+\?=/g)!
        .join('')
        .replace(/[^x]/g, '').length,
      1386,
    );
  });
});

test('several CR before one LF are one line end, in header and body', () => {
  const { message } = openRaw(
    Buffer.from('From: ann@example.com\r\r\nSubject: x\r\r\n\r\r\none\r\r\ntwo\r\r\r\n'),
  );
  assert.deepEqual(
    message.fields.map(({ raw }) => raw),
    ['From: ann@example.com', 'Subject: x'],
  );
  assert.equal(message.body.toString(), 'one\r\ntwo\r\n');
});

test('a plain message comes back unchanged', () => {
  const message = parseMessage(Buffer.from('From: ann@example.com\r\nSubject: x\r\n\r\nbody\r\n'));
  assert.equal(toSevenBit(message), message);
});
