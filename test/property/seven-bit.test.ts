import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { test } from 'node:test';
import PostalMime from 'postal-mime';
import { openRaw } from '../../lib/accept/content.ts';
import { PosternError } from '../../lib/errors.ts';
import { serialise } from '../../lib/mail/message.ts';
import { seededRandom } from '../support/clock.ts';
import { generateMessage } from '../support/messages.ts';

test('a raw message is refused, or becomes 7-bit in short lines and stays as it is the second time', () => {
  const random = seededRandom(7);
  let taken = 0;
  for (let i = 0; i < 400; i++) {
    const bytes = generateMessage(random);
    try {
      const { message } = openRaw(bytes);
      const out = serialise(message.fields, message.body);
      taken++;
      assert.doesNotMatch(out.toString('latin1'), /\r(?!\n)|(?<!\r)\n|\0/);
      for (const line of out.toString('latin1').split('\r\n')) assert.ok(line.length <= 998);
      const again = openRaw(out).message;
      assert.deepEqual(serialise(again.fields, again.body), out);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
    }
  }
  assert.ok(taken > 40, `${taken} of 400 taken`);
});

test('a re-encoded message reads as before', async () => {
  const random = seededRandom(11);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const text = () =>
    Array.from({ length: 1 + Math.floor(random() * 30) }, () =>
      pick(['word ', 'Grüße ', '日本 ', '=3D', '.', '\r\n', '\r\n.', 'x'.repeat(300), ' \r\n', '😀']),
    ).join('');
  const leaf = (type: string, body: string) =>
    `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${body}`;
  for (let i = 0; i < 100; i++) {
    const head = `From: Jörg <a@example.com>\r\nTo: b@example.net\r\nSubject: ${pick(['für dich', '件名'.repeat(20)])}\r\nMIME-Version: 1.0\r\n`;
    const parts = `--b\r\n${leaf('text/plain', text())}\r\n--b\r\n${leaf('text/html', `<p>${text()}</p>`)}\r\n--b--\r\n`;
    const given = Buffer.from(
      pick([
        `${head}Content-Type: multipart/alternative; boundary=b\r\n\r\n${parts}`,
        `${head}${leaf('text/plain', `${text()}\r\n`)}`,
      ]),
    );
    const { message } = openRaw(given);
    const out = serialise(message.fields, message.body);
    assert.ok(isAscii(out));
    const [before, after] = [await PostalMime.parse(given), await PostalMime.parse(out)];
    const read = ({ from, to, subject, text: plain, html }: typeof before) => ({
      from,
      to,
      subject,
      // The parser drops the blanks at the end of 8-bit text, and keeps them in encoded text.
      plain: plain?.replaceAll('\r\n', '\n').replace(/ +$/gm, '').trimEnd(),
      html: html?.replaceAll('\r\n', '\n').replace(/ +$/gm, '').trimEnd(),
    });
    assert.deepEqual(read(after), read(before));
  }
});
