/** Tracking of any HTML: nothing but links and the image changes, links lead where they led, nothing throws. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage, serialise } from '../../lib/mail/message.ts';
import { sanitise } from '../../lib/mail/sanitise.ts';
import { trackMessage } from '../../lib/tracking/mime.ts';
import { seededRandom } from '../support/clock.ts';
import { ALL, CLICKS, clicksIn, tracker, untracked } from '../support/tracking.ts';

const PIECES = [
  '<a ',
  '<A\n',
  '<area ',
  'href=',
  ' HREF = ',
  '"',
  "'",
  '>',
  '/>',
  '<',
  '</a>',
  '</body>',
  '</html>',
  '<!--',
  '-->',
  '<!doctype html>',
  '<script>',
  '</script>',
  '<title>',
  '</title>',
  'https://a.example/',
  'http://b.example/?x=1&y=2',
  'mailto:a@b.example',
  ' ',
  '\n',
  '=',
  '/',
  'ä',
  '😀',
  '\ud800',
  '&',
  'text',
  'title="x"',
  '\0',
];
const LINKS = [
  '<a href="https://a.example/1">',
  "<a class=x href='http://b.example/2?q=3'>",
  '<area href=https://c.example/4>',
];

const random = seededRandom(23);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const html = (pieces: number): string =>
  Array.from({ length: pieces }, () => (random() < 0.1 ? pick(LINKS) : pick(PIECES))).join('');

/** White space in a link's value is no part of where it leads. */
const bare = (text: string): string => text.replace(/\s/g, '');

test('tracked HTML is unchanged but for its links and its image', () => {
  let links = 0;
  for (let i = 0; i < 3000; i++) {
    const given = html(1 + (i % 60));
    const tracked = tracker(ALL)(given)!;
    assert.equal(bare(untracked(tracked)), bare(given));
    links += clicksIn(tracked).length;
  }
  assert.ok(links > 3000, `only ${links} links were tried`);
});

test('a link tracked twice leads to its first target', () => {
  for (let i = 0; i < 500; i++) {
    const given = html(40);
    const once = tracker(CLICKS)(given);
    if (once === undefined) continue;
    const twice = tracker(CLICKS)(once)!;
    assert.equal(bare(untracked(untracked(twice))), bare(given));
    assert.equal(clicksIn(twice).length, clicksIn(once).length);
  }
});

test('in a raw message of any encoding, everything but links and image stays', () => {
  for (let i = 0; i < 600; i++) {
    const content = html(50)
      .replaceAll('\0', '')
      .replace(/\r\n?|\n/g, '\r\n');
    const encoding = pick(['8bit', 'quoted-printable', 'base64'] as const);
    const bytes = Buffer.from(content);
    const body =
      encoding === '8bit'
        ? content
        : encoding === 'base64'
          ? bytes.toString('base64').replace(/.{76}/g, '$&\r\n')
          : [...bytes].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('=\r\n');
    const before = `X: 1\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\n${LINKS[0]}\r\n--bb\r\n`;
    const part = `Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}`;
    const after = '\r\n--bb--\r\nepilogue\r\n';
    const message = parseMessage(sanitise(Buffer.from(`${before}${part}\r\n\r\n${body}${after}`), 'refuse'));
    const { fields, body: out } = trackMessage(message, tracker(ALL));
    const text = serialise(fields, out).toString();
    assert.ok(text.startsWith(before) && text.endsWith(after));
    const split = text.indexOf('\r\n\r\n', before.length);
    const header = text.slice(before.length, split);
    const inside = text.slice(split + 4, text.length - after.length);
    const decoded = /: base64$/m.test(header)
      ? Buffer.from(inside, 'base64')
      : /: quoted-printable$/m.test(header)
        ? Buffer.from(
            inside
              .replaceAll('=\r\n', '')
              .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
            'latin1',
          )
        : Buffer.from(inside);
    assert.equal(bare(untracked(decoded.toString())), bare(bytes.toString()));
  }
});
