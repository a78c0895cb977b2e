import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findField, parseMessage, serialise } from '../../lib/mail/message.ts';
import { trackMessage } from '../../lib/tracking/mime.ts';
import { ALL, clicksIn, imagesIn, tracker, untracked } from '../support/tracking.ts';

const LINK = '<a href="https://a.example/">x</a>';

function track(
  lines: string[],
  charset: BufferEncoding = 'utf8',
  targets = ALL,
): { text: string; same: boolean } {
  const message = parseMessage(Buffer.from(lines.join('\r\n'), charset));
  const tracked = trackMessage(message, tracker(targets));
  const text = serialise(tracked.fields, tracked.body).toString(charset);
  assert.ok(tracked.body.length === 0 || text.endsWith('\r\n'));
  assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n/);
  for (const line of text.split('\r\n')) assert.ok(line.length <= 998);
  return { text, same: tracked === message };
}

describe('raw MIME', () => {
  test('that is HTML alone is tracked', () => {
    const { text } = track(['Content-Type: text/html', '', LINK, '']);
    assert.deepEqual([clicksIn(text).length, imagesIn(text).length], [1, 1]);
    assert.equal(untracked(text), `Content-Type: text/html\r\n\r\n${LINK}\r\n\r\n`);
  });

  test('keeps every octet outside of its HTML parts', () => {
    const lines = [
      'Subject: x',
      'Content-Type: multipart/mixed; boundary="a b"',
      '',
      'preamble <a href="https://a.example/">',
      '--a b',
      'Content-Type: multipart/alternative;',
      '\tboundary=inner',
      '',
      '--inner  ',
      'content-type:text/plain',
      '',
      'https://a.example/',
      '--inner',
      'X: kept',
      'Content-Type: TEXT/HTML; charset="UTF-8"',
      'Content-Disposition: inline',
      '',
      `<p>grüße ${LINK}</p>`,
      '--inner--',
      '',
      '--a b',
      'Content-Type: text/html',
      'Content-Disposition: attachment; filename=a.html',
      '',
      LINK,
      '--a b',
      'Content-Type: message/rfc822',
      '',
      'Content-Type: text/html',
      '',
      LINK,
      '--a b--',
      'epilogue',
      '',
    ];
    const { text } = track(lines);
    assert.equal(clicksIn(text).length, 1);
    assert.equal(imagesIn(text).length, 1);
    assert.equal(untracked(text), lines.join('\r\n'));
  });

  test('with nothing to track is returned as the same object', () => {
    const part = (...header: string[]): string[] => [...header, '', LINK, ''];
    for (const lines of [
      part('Content-Type: text/plain'),
      part('Subject: no type'),
      part('Content-Type: text/html', 'Content-Disposition: attachment'),
      part('Content-Type: text/html', 'Content-Transfer-Encoding: x-uuencode'),
      part('Content-Type: text/html', 'Content-Transfer-Encoding: 7bit', 'Content-Transfer-Encoding: base64'),
      part('Content-Type: text/html; charset=utf-7'),
      part('Content-Type: text/html; charset=utf-16le'),
      part("Content-Type: text/html; charset*=us-ascii''utf-8"),
      part('Content-Type: text/html-x'),
      part('Content-Type: multipart/mixed'),
      ['Content-Type: multipart/mixed; boundary=b', '', '--b', '', LINK, '--b--', ''],
      [
        'Content-Type: multipart/signed; boundary=b',
        '',
        '--b',
        ...part('Content-Type: text/html'),
        '--b--',
        '',
      ],
      [
        'Content-Type: multipart/mixed; boundary=b',
        'Content-Transfer-Encoding: base64',
        '',
        '--b',
        ...part('Content-Type: text/html'),
        '--b--',
        '',
      ],
    ]) {
      assert.equal(track(lines).same, true, lines[0]);
    }
    assert.equal(
      track(['Content-Type: text/html', '', '<p>no link', ''], 'utf8', { click: ALL.click! }).same,
      true,
    );
  });

  test('in quoted-printable or base64 keeps its encoding', () => {
    const html = `<p>Grüße, ${LINK} =3D ${'lang '.repeat(40)}</p>\r\n`;
    const quoted = track([
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: Quoted-Printable',
      '',
      'Gr=C3=BC=C3=9Fe=  ',
      ', <a href=3D"https://a.ex=',
      'ample/?b=3D1">x</a>   ',
      'y=',
      '',
    ]).text;
    assert.match(quoted, /Transfer-Encoding: Quoted-Printable\r\n\r\nGr=C3=BC=C3=9Fe, <a href=3D"https:/);
    const unquoted = quoted
      .slice(quoted.indexOf('\r\n\r\n') + 4)
      .replaceAll('=\r\n', '')
      .replaceAll('=3D', '=');
    assert.equal(untracked(unquoted), 'Gr=C3=BC=C3=9Fe, <a href="https://a.example/?b=1">x</a>\r\ny\r\n');

    const encoded = track([
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.from(html).toString('base64').replace(/.{76}/g, '$&\r\n'),
      '',
    ]).text;
    const body = Buffer.from(encoded.slice(encoded.indexOf('\r\n\r\n')), 'base64').toString();
    assert.equal(untracked(body), html);
    assert.deepEqual([clicksIn(body).length, imagesIn(body).length], [1, 1]);
  });

  test('with lone line breaks inside of quoted-printable becomes base64, which keeps them', () => {
    const { text } = track([
      'Content-Type: text/html',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      `a=0Ab=0D${LINK.replaceAll('=', '=3D')}`,
      '',
    ]);
    assert.match(text, /\r\nContent-Transfer-Encoding: base64\r\n/);
    assert.doesNotMatch(text, /quoted-printable/);
    const body = Buffer.from(text.slice(text.indexOf('\r\n\r\n')), 'base64').toString();
    assert.equal(untracked(body), `a\nb\r${LINK}\r\n`);
  });

  test('whose lines would grow too long becomes quoted-printable', () => {
    const long = `<a href="https://a.example/?${'x'.repeat(800)}">ä</a>`;
    for (const [charset, a] of [
      ['utf8', '=C3=A4'],
      ['latin1', '=E4'],
    ] as const) {
      const { text } = track(
        [`Content-Type: text/html; charset=${charset === 'utf8' ? 'utf-8' : 'iso-8859-1'}`, '', long, ''],
        charset,
      );
      assert.match(text, /Content-Transfer-Encoding: quoted-printable\r\n/);
      const body = text
        .slice(text.indexOf('\r\n\r\n') + 4)
        .replaceAll('=\r\n', '')
        .replaceAll('=3D', '=')
        .replaceAll(a, 'ä');
      assert.equal(untracked(body), `${long}\r\n\r\n`);
    }
  });

  test('in ISO-2022-JP is parsed by its characters, not by octets that look like ASCII', () => {
    // U+305F in JIS X 0208 is `$?`; 0x3c61 is a kanji, and would be `<a`.
    const kanji = '\x1b$B<a$?<a\x1b(B';
    const lines = [
      'Content-Type: text/html; charset=ISO-2022-JP',
      '',
      `${kanji} href="https://no.example/">${LINK}`,
      '',
    ];
    const { text } = track(lines, 'latin1');
    assert.deepEqual(
      clicksIn(text).map(({ target }) => target),
      ['https://a.example/'],
    );
    assert.equal(untracked(text), `${lines.join('\r\n')}\r\n`);
  });

  test('gives a message one image and counts its links together', () => {
    const lines = ['Content-Type: multipart/mixed; boundary=b', ''];
    for (let i = 0; i < 3; i++) lines.push('--b', 'Content-Type: text/html', '', `${LINK}\r\n`.repeat(100));
    lines.push('--b--', '');
    const { text } = track(lines);
    assert.deepEqual([clicksIn(text).length, imagesIn(text).length], [250, 1]);
    assert.equal(findField(parseMessage(Buffer.from(text)).fields, 'content-type')?.raw, lines[0]);
  });
});
