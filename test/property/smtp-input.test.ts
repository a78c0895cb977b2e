/** What an SMTP listener makes of the octets of a peer does not depend on how they were cut into packets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DotReader } from '../../lib/smtp-server/dot-reader.ts';
import { openTestSession } from '../support/smtp-session.ts';

/** Cuts octets at the given places, which are fractions of the length. */
function cut(octets: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => Math.floor(place * octets.length)))].sort((a, b) => a - b);
  const starts = [0, ...at.filter((place) => place > 0)];
  // Copies, because a chunk of a socket has nothing of the next one behind it.
  return starts.map((start, n) => Buffer.from(octets.subarray(start, starts[n + 1])));
}

const places = fc.oneof(
  fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 12 }),
  // Octet by octet.
  fc.constant(Array.from({ length: 4000 }, (_, n) => n / 4000)),
);
const wires = fc
  .array(fc.constantFrom('.', '..', '\r', '\n', '\r\n', '\r\n.', '\n.', '\r\n.\r\n', '\0', 'x', 'text.'), {
    maxLength: 40,
  })
  .map((parts) => Buffer.from(parts.join('')));

/** The rules of the content, written as plainly as can be. */
function plainly(wire: string): { content: string; rest: string | undefined } {
  const end = /(?:^|\r\n)\.\r\n/.exec(wire);
  const lastLineEnd = end?.[0].startsWith('\r') ? 2 : 0;
  const content = end ? wire.slice(0, end.index + lastLineEnd) : wire;
  return {
    content: content.replace(/(^|\n)\.\./g, '$1.'),
    rest: end ? wire.slice(end.index + end[0].length) : undefined,
  };
}

function read(chunks: readonly Buffer[]): { content: string; rest: string | undefined } {
  const reader = new DotReader();
  const parts: Buffer[] = [];
  const sink = {
    append(chunk: Buffer, from: number, to: number): void {
      assert.ok(from <= to && to <= chunk.length);
      parts.push(chunk.subarray(from, to));
    },
  };
  for (const [n, chunk] of chunks.entries()) {
    const end = reader.read(chunk, 0, sink);
    if (end >= 0) {
      const rest = Buffer.concat([chunk.subarray(end), ...chunks.slice(n + 1)]).toString('latin1');
      return { content: Buffer.concat(parts).toString('latin1'), rest };
    }
  }
  return { content: Buffer.concat(parts).toString('latin1'), rest: undefined };
}

test('content ends at CRLF.CRLF alone, without its added dots, in any pieces', () => {
  fc.assert(
    fc.property(wires, places, (wire, at) => {
      const { content, rest } = plainly(wire.toString('latin1'));
      const found = read(cut(wire, at));
      assert.equal(found.rest, rest);
      // What could still become the end is held back.
      if (rest !== undefined) assert.equal(found.content, content);
      else assert.ok(content.startsWith(found.content) && content.length - found.content.length <= 2);
    }),
    { seed: 5321, numRuns: 20_000 },
  );
});

const ENVELOPE = 'MAIL FROM:<a@example.com> SIZE=10\r\nRCPT TO:<b@example.com>\r\nDATA\r\n';
const dialogues = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'EHLO x\r\n',
        'NOOP\n',
        'RSET\r\n',
        'BOGUS\r\n',
        '\r\n',
        ENVELOPE,
        'QUIT\r\n',
        'DATA\r\n',
      ),
      fc.constantFrom(
        'MAIL FROM:<"a b"@example.com>\r\n',
        'RCPT TO:<nobody@example.com>\r\n',
        'RCPT TO:<ü@ü.example>\r\n',
      ),
      wires.map((wire) => `${ENVELOPE}${wire.toString('latin1')}\r\n.\r\n`),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.from(`EHLO client.test\r\n${parts.join('')}`));

async function hold(chunks: readonly Buffer[], slow: boolean) {
  const waits = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  const opened = openTestSession(slow ? { onMail: waits } : {});
  await opened.arrive(...chunks);
  for (let n = 0; n < 60; n += 1) await opened.arrive();
  const messages = opened.messages.map(({ bytes, from, to }) => [bytes.toString('latin1'), from, to]);
  opened.socket.destroy();
  await opened.arrive();
  assert.equal(opened.budget.trusted.used, 0);
  return { text: opened.text(), messages };
}

test('a session gives the same replies and messages in any pieces, whether its owner answers at once or later', async () => {
  await fc.assert(
    fc.asyncProperty(dialogues, places, fc.boolean(), async (octets, at, slow) => {
      const whole = await hold([octets], false);
      assert.deepEqual(await hold(cut(octets, at), slow), whole);
    }),
    { seed: 2920, numRuns: 150 },
  );
});
