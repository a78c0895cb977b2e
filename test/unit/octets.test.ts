import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { EIGHT_BIT, factsOf, LONG_LINE, STRAY, WINDOW } from '../../lib/mail/octets.ts';
import { octetsModule } from '../../lib/mail/octets-build.ts';
import { seededRandom } from '../support/clock.ts';

/** The facts by their words. Of a long line there is one only where lines end as they should. */
function byTheWord(text: string): number {
  let facts = 0;
  if (/[\x80-\xff]/.test(text)) facts |= EIGHT_BIT;
  if (/\r(?!\n)|(?<!\r)\n|\0/.test(text)) facts |= STRAY;
  if (text.split('\r\n').some((line) => line.length > 998)) facts |= LONG_LINE;
  return facts;
}

/** Compares facts, as part of other memory in which all that is not meant stands around them. */
function check(text: string, what = JSON.stringify(text)): void {
  for (const around of ['', '\r', '\n', '\0', '\xe9']) {
    const memory = Buffer.from(`${around}${text}${around}`, 'latin1');
    const found = factsOf(memory.subarray(around.length, around.length + text.length));
    const expected = byTheWord(text);
    const judged = text.endsWith('\r\n') && (expected & STRAY) === 0 ? ~0 : ~LONG_LINE;
    assert.equal(found & judged, expected & judged, `${what} in ${JSON.stringify(around)}`);
  }
}

describe('the facts of octets', () => {
  it('are those of any text, however long it is', () => {
    const random = seededRandom(11);
    const pieces = [
      'a',
      'plain text',
      '\r\n',
      '\r\n',
      '\r\n\r\n',
      '\r',
      '\n',
      '\0',
      '\xa0',
      '\x7f',
      '\x8d',
      '\x0b',
    ];
    for (let i = 0; i < 20_000; i++) {
      let text = '';
      for (let n = Math.floor(random() * 12); n > 0; n--)
        text += pieces[Math.floor(random() * (i % 2 ? 5 : pieces.length))]!;
      check(text);
    }
  });

  it('are found at every place of a window and around its end', () => {
    const places = Array.from({ length: 70 }, (_, n) => n);
    for (const edge of [WINDOW - 1024, WINDOW, 2 * WINDOW - 2048, 2 * WINDOW - 1024])
      for (let n = -17; n <= 17; n++) places.push(edge + n);
    const lines = `${'x'.repeat(74)}\r\n`.repeat(2000);
    for (const place of places)
      for (const odd of ['\r', '\n', '\0', '\x80']) {
        const text = `${lines.slice(0, place)}${odd}${lines.slice(place + 1)}`;
        const line = Math.max(0, place - (place % 76) - 76);
        const expected = byTheWord(text.slice(line, line + 3 * 76));
        assert.equal(factsOf(Buffer.from(text, 'latin1')), expected, `${JSON.stringify(odd)} at ${place}`);
      }
  });

  it('tell a line of 998 octets from one of 999, wherever it stands', () => {
    const places = [0, 2, 3, 14, 15, 16, 17, 62, 63, 64, 65];
    for (let place = WINDOW - 1100; place < WINDOW + 20; place += place < WINDOW - 980 ? 1 : 13)
      places.push(place);
    for (const place of places)
      for (const length of [982, 983, 997, 998, 999, 1000, 1015]) {
        const before = '\r\n'.repeat(place >> 1).padStart(place, 'x');
        const text = `${before}${'y'.repeat(length)}\r\nz\r\n`;
        const found = factsOf(Buffer.from(text)) === LONG_LINE;
        assert.equal(found, length > 998, `${length} octets at ${before.length}`);
      }
    assert.equal(factsOf(Buffer.from(`${'y'.repeat(3 * WINDOW)}\r\n`)), LONG_LINE);
  });

  it('of nothing are none', () => {
    assert.equal(factsOf(Buffer.alloc(0)), 0);
  });
});

it('octets-module.ts agrees with octets.wat (npm run octets writes it)', async () => {
  const url = new URL('../../lib/mail/octets-module.ts', import.meta.url);
  assert.equal(readFileSync(url, 'utf8'), await octetsModule());
});
