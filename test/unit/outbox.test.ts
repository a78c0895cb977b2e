import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { discard, pin, unpin } from '../../lib/discard.ts';
import { LARGE, Outbox } from '../../lib/smtp/outbox.ts';
import { Wire } from '../../lib/smtp/wire.ts';

/** A body in memory of its own. */
const bodyOf = (length: number, octet = 'b'): Buffer => Buffer.from(new ArrayBuffer(length)).fill(octet);
const text = (pieces: readonly Buffer[]): string => Buffer.concat(pieces).toString();

describe('what is gathered for one write', () => {
  it('is one piece while it is small', () => {
    const outbox = new Outbox(undefined);
    outbox.commands('BDAT 3 LAST\r\n', 0);
    outbox.octets(Buffer.from('abc'));
    outbox.endBody('', 3);
    outbox.commands('MAIL FROM:<ü@x>\r\n', 1);
    assert.equal(outbox.replies, 2);
    const pieces = outbox.take();
    assert.deepEqual(pieces.map(String), ['BDAT 3 LAST\r\nabcMAIL FROM:<ü@x>\r\n']);
    assert.ok(outbox.empty);
    assert.equal(outbox.replies, 0);
    assert.deepEqual(outbox.take(), []);
  });

  it('has a large body from its own memory, and all else beside it in order', () => {
    const small = bodyOf(LARGE - 1, 's');
    const large = bodyOf(LARGE);
    const outbox = new Outbox(undefined);
    outbox.octets(large);
    assert.ok(!outbox.empty);
    outbox.endBody('.\r\n', large.length);
    outbox.commands('MAIL\r\n', 1);
    outbox.octets(small);
    outbox.commands('RCPT\r\n', 1);
    outbox.octets(large);
    const pieces = outbox.take();
    const between = [Buffer.from('.\r\nMAIL\r\n'), small, Buffer.from('RCPT\r\n')];
    assert.equal(text(pieces), text([large, ...between, large]));
    assert.equal(pieces.length, 3);
    assert.ok(pieces[0] === large && pieces[2] === large);
    assert.ok(outbox.empty);
  });
});

it('memory that two sockets write is freed when both are done', () => {
  const body = bodyOf(LARGE);
  pin(body);
  pin(body);
  unpin(body);
  discard(body);
  assert.equal(body.length, LARGE);
  unpin(body);
  discard(body);
  assert.equal(body.length, 0);
});

it('what a peer has not read yet stays in memory, though it is discarded, and can be freed when it is read', async () => {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let flush: () => void = () => {};
  const flushed = new Promise<void>((resolve) => {
    flush = resolve;
  });
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const wire = await new Promise<Wire>((resolve) => {
    const opened = new Wire('127.0.0.1', (server.address() as AddressInfo).port, undefined, {
      connected: () => resolve(opened),
      secured: () => {},
      received: () => {},
      flushed: () => flush(),
      lost: () => {},
    });
  });
  const [peer] = await connected;
  // More than the kernel takes.
  const [first, second, third] = [bodyOf(8 << 20, '1'), bodyOf(8 << 20, '2'), bodyOf(8 << 20, '3')];
  const bodies = [first, second, third];
  wire.write([first, Buffer.from('first')]);
  // To two recipients of a message its body goes twice.
  wire.write([second, third, Buffer.from('again'), third]);
  await new Promise((resolve) => void setImmediate(resolve));
  assert.ok(!wire.idle);
  for (const body of bodies) discard(body);
  assert.deepEqual(
    bodies.map(({ length }) => length),
    [8 << 20, 8 << 20, 8 << 20],
  );
  const expected = text([first, Buffer.from('first'), second, third, Buffer.from('again'), third]);
  const read: Buffer[] = [];
  peer.on('data', (chunk) => read.push(chunk)).resume();
  await flushed;
  for (const body of bodies) discard(body);
  assert.deepEqual(
    bodies.map(({ length }) => length),
    [0, 0, 0],
  );
  wire.close();
  await once(peer, 'end');
  assert.ok(text(read) === expected);
  peer.destroy();
  server.close();
});
