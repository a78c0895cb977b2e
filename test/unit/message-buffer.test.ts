import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DotReader } from '../../lib/smtp-server/dot-reader.ts';
import { MessageBuffer } from '../../lib/smtp-server/message-buffer.ts';
import { OctetBudget } from '../../lib/smtp-server/octet-budget.ts';

const KB = 1024;
const LINE = `${'x'.repeat(62)}\r\n`;

/** A chunk as a socket reads it, in memory of its own. */
function chunkOf(text: string): Buffer {
  const chunk = Buffer.from(new ArrayBuffer(text.length));
  chunk.write(text, 'latin1');
  return chunk;
}

/** Reads chunks into a buffer of `keep` octets, under a budget of `room`. */
function read(chunks: readonly Buffer[], { keep = 1024 * KB, room = 1024 * KB } = {}): MessageBuffer {
  const buffer = new MessageBuffer(new OctetBudget(room), keep);
  const reader = new DotReader();
  for (const chunk of chunks) reader.read(chunk, 0, buffer);
  return buffer;
}

const lengths = (chunks: readonly Buffer[]): number[] => chunks.map(({ length }) => length);

describe('the memory of a message', () => {
  it('is that of its only chunk, and is freed with it', () => {
    const text = LINE.repeat(512);
    const chunk = chunkOf(`${text}.\r\n`);
    const buffer = read([chunk]);
    assert.equal(buffer.bytes().buffer, chunk.buffer);
    assert.equal(buffer.bytes().toString(), text);
    buffer.free();
    assert.equal(chunk.length, 0);
  });

  it('of several chunks is freed when they are joined, and that of the whole at the end', () => {
    const chunks = [LINE.repeat(256), LINE.repeat(300), `${LINE.repeat(256)}.\r\n`].map(chunkOf);
    const buffer = read(chunks);
    const bytes = buffer.bytes();
    assert.equal(bytes.toString(), LINE.repeat(812));
    assert.deepEqual(lengths(chunks), [0, 0, 0]);
    buffer.free();
    assert.equal(bytes.length, 0);
  });

  it('stays while commands behind the content are not read', () => {
    for (const rest of ['QUIT\r\n', 'Q', '\r\n']) {
      const text = LINE.repeat(512);
      const chunk = chunkOf(`${text}.\r\n${rest}`);
      const buffer = read([chunk]);
      assert.equal(buffer.bytes().toString(), text);
      buffer.free();
      assert.equal(chunk.toString('latin1', text.length + 3), rest);
    }
  });

  it('is freed wherever the end of the content is cut, and with dots taken out', () => {
    const text = LINE.repeat(512);
    for (const end of ['\r\n.\r\n', '..\r\n.\r\n', '...\r\n..\r\n.\r\n'])
      for (let cut = 0; cut < end.length; cut++) {
        const chunks = [`${text}${end.slice(0, cut)}`, end.slice(cut)].map(chunkOf);
        const buffer = read(chunks);
        const body = `${text}${end.slice(0, -3).replace(/(^|\n)\./g, '$1')}`;
        assert.equal(buffer.bytes().toString(), body, `${JSON.stringify(end)} cut at ${cut}`);
        const bytes = buffer.bytes();
        buffer.free();
        assert.equal(bytes.length, 0, `${JSON.stringify(end)} cut at ${cut}`);
      }
  });

  it('stays while a chunk is read whose octets find no room', () => {
    const chunks = [LINE.repeat(256), `${LINE.repeat(256)}.\r\n`].map(chunkOf);
    const buffer = read(chunks, { room: 20 * KB });
    assert.ok(buffer.refused);
    buffer.free();
    assert.deepEqual(lengths(chunks), [16 * KB, 16 * KB + 3]);
  });

  it('of what is over the part that is kept is left to the collector', () => {
    const chunks = [LINE.repeat(512), LINE.repeat(512), '.\r\n'].map(chunkOf);
    const buffer = read(chunks, { keep: 40 * KB });
    assert.equal(buffer.bytes().length, 40 * KB);
    buffer.free();
    assert.equal(chunks[0]!.length, 0);
  });

  it('returns its octets to the budget', () => {
    const budget = new OctetBudget(1024 * KB);
    const buffer = new MessageBuffer(budget, 1024 * KB);
    new DotReader().read(chunkOf(`${LINE.repeat(512)}.\r\n`), 0, buffer);
    assert.equal(budget.used, 32 * KB);
    buffer.bytes();
    buffer.free();
    assert.equal(budget.used, 0);
  });
});
