import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConnectionLimiter, networkOf, type Ticket } from '../../lib/smtp-server/connection-limiter.ts';
import { MessageBuffer } from '../../lib/smtp-server/message-buffer.ts';
import { defaultBudget, OctetBudget, SmtpBudget } from '../../lib/smtp-server/octet-budget.ts';
import { TestClock } from '../support/clock.ts';

const MB = 1024 * 1024;
const LIMITS = { connections: 20, anonymous: 10, anonymousOfOne: 3, messagesOfOne: 2 };

function admitted(limiter: ConnectionLimiter, address: string): Ticket {
  const ticket = limiter.admit(address);
  assert.ok(typeof ticket !== 'string', `${address}: ${ticket as string}`);
  return ticket;
}

describe('the connection limiter', () => {
  it('counts an IPv4 address, written as either family, and an IPv6 /64 as one network', () => {
    assert.equal(networkOf('::ffff:192.0.2.1'), networkOf('192.0.2.1'));
    assert.equal(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:2:ffff:ffff:ffff:ffff'));
    assert.notEqual(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:3::1'));
    const limiter = new ConnectionLimiter(LIMITS, new TestClock());
    for (let i = 1; i <= 3; i++) admitted(limiter, `2001:db8::${i}`);
    assert.match(limiter.admit('2001:db8::4') as string, /^4\.7\.0 Too many connections from your network/);
    admitted(limiter, '192.0.2.1');
  });

  it('frees a place once when it is released', () => {
    const limiter = new ConnectionLimiter(LIMITS, new TestClock());
    const tickets = [1, 2, 3].map(() => admitted(limiter, '192.0.2.1'));
    assert.equal(typeof limiter.admit('192.0.2.1'), 'string');
    tickets[0]!.release();
    tickets[0]!.release();
    admitted(limiter, '192.0.2.1');
    assert.equal(typeof limiter.admit('192.0.2.1'), 'string');
  });

  it('no longer counts a peer that has logged in against its network', () => {
    const limiter = new ConnectionLimiter(LIMITS, new TestClock());
    for (let i = 0; i < 20; i++) admitted(limiter, '192.0.2.1').trust();
    assert.match(limiter.admit('192.0.2.2') as string, /^4\.7\.0 Too many connections, /);
  });

  it('keeps half of the places for peers that log in', () => {
    const limiter = new ConnectionLimiter(LIMITS, new TestClock());
    const all = Array.from({ length: 10 }, (_, i) => admitted(limiter, `192.0.2.${i}`));
    assert.equal(typeof limiter.admit('192.0.2.99'), 'string');
    all[0]!.trust();
    admitted(limiter, '192.0.2.99');
  });

  it('gives a network a tenth of its share when four fifths of the places are taken', () => {
    const limits = { connections: 500, anonymous: 500, anonymousOfOne: 50, messagesOfOne: 1 };
    const limiter = new ConnectionLimiter(limits, new TestClock());
    for (let host = 0; host < 8; host++) {
      for (let i = 0; i < 50; i++) admitted(limiter, `192.0.2.${host}`);
    }
    for (let host = 8; host < 28; host++) {
      for (let i = 0; i < 5; i++) admitted(limiter, `192.0.2.${host}`);
      assert.equal(typeof limiter.admit(`192.0.2.${host}`), 'string', 'the sixth');
    }
  });

  it('counts the messages of a network by the minute', () => {
    const clock = new TestClock();
    const limiter = new ConnectionLimiter(LIMITS, clock);
    assert.deepEqual(
      [limiter.message('a'), limiter.message('a'), limiter.message('b')],
      [undefined, undefined, undefined],
    );
    assert.match(limiter.message('a')!, /^4\.7\.1 /);
    clock.advance(60_000);
    assert.equal(limiter.message('a'), undefined);
  });

  it('delays the reply to a failed login by a second more each time, to ten', () => {
    const clock = new TestClock();
    const limiter = new ConnectionLimiter(LIMITS, clock);
    const delays = Array.from({ length: 12 }, () => limiter.failedLogin('a'));
    assert.deepEqual([delays[0], delays[1], delays[9], delays[11]], [1000, 2000, 10_000, 10_000]);
    assert.equal(limiter.failedLogin('b'), 1000);
    clock.advance(600_000);
    assert.equal(limiter.failedLogin('a'), 1000);
  });
});

describe('the octet budget', () => {
  it('is taken from all parent budgets, or from none', () => {
    const all = new OctetBudget(10);
    const part = new OctetBudget(8, all);
    assert.ok(part.take(8));
    assert.ok(!part.take(1));
    const other = new OctetBudget(8, all);
    assert.ok(!other.take(3));
    assert.deepEqual([other.used, all.used], [0, 8]);
    part.give(8);
    assert.ok(other.take(3));
  });

  it('is small for one network of peers that have not logged in, and larger for the others', () => {
    const budget = new SmtpBudget({ all: 100, anonymous: 20, anonymousOfOne: 5 });
    assert.ok(budget.anonymous('a').take(5) && !budget.anonymous('a').take(1));
    assert.ok(
      budget.anonymous('b').take(5) && budget.anonymous('c').take(5) && budget.anonymous('d').take(5),
    );
    assert.ok(!budget.anonymous('e').take(1), 'all anonymous peers together');
    assert.ok(budget.trusted.take(80) && !budget.trusted.take(1));
  });

  it('follows the memory of the machine between 64 and 256 MB', () => {
    const limits = [1, 2, 4, 64].map((gigabytes) => defaultBudget(gigabytes * 1024 * MB).trusted.limit / MB);
    assert.deepEqual(limits, [64, 128, 256, 256]);
  });
});

const all = (buffer: MessageBuffer, chunk: Buffer): void => buffer.append(chunk, 0, chunk.length);

describe('the message buffer', () => {
  it('takes at most twice its octets from the budget, in pieces of any size', () => {
    const budget = new OctetBudget(64 * MB);
    const buffer = new MessageBuffer(budget, 40 * MB);
    const piece = Buffer.from('.\r\n');
    for (let i = 0; i < 200_000; i++) all(buffer, piece);
    assert.equal(buffer.bytes().toString('latin1'), '.\r\n'.repeat(200_000));
    assert.ok(budget.used >= 600_000 && budget.used <= 1_200_000, String(budget.used));
    buffer.release();
    assert.equal(budget.used, 0);
  });

  it('keeps a message of one piece without a copy', () => {
    const piece = Buffer.alloc(5000, 'x');
    const buffer = new MessageBuffer(new OctetBudget(MB), MB);
    all(buffer, piece);
    assert.equal(buffer.bytes().buffer, piece.buffer);
  });

  it('does not keep a large buffer for a small part of it', () => {
    const buffer = new MessageBuffer(new OctetBudget(MB), MB);
    all(buffer, Buffer.alloc(64 * 1024).subarray(0, 100));
    assert.ok(buffer.bytes().buffer.byteLength <= 4096);
  });

  it('keeps small and large pieces in order, and takes at most twice their octets', () => {
    const budget = new OctetBudget(MB);
    const buffer = new MessageBuffer(budget, MB);
    let octets = 0;
    for (const [n, size] of [100, 8192, 1, 5000, 5000, 20, 30_000, 3, 4096, 2, 9000, 1].entries()) {
      const piece = Buffer.alloc(size, n);
      all(buffer, piece);
      octets += size;
      // And the one piece that has room.
      assert.ok(budget.used <= 2 * octets + 4096, `${budget.used} for ${octets}`);
    }
    const bytes = buffer.bytes();
    assert.deepEqual([...new Set(bytes)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.equal(bytes.length, octets);
    assert.ok(budget.used < 1.1 * octets, `${budget.used} for ${octets}`);
    buffer.release();
    assert.equal(budget.used, 0);
  });

  it('keeps the start of the message up to the requested size', () => {
    const buffer = new MessageBuffer(new OctetBudget(MB), 10);
    for (const piece of ['abcd', 'efgh', 'ijkl', 'mnop']) all(buffer, Buffer.from(piece));
    assert.equal(buffer.bytes().toString(), 'abcdefghij');
  });

  it('is emptied when the budget has no room, and accepts nothing more', () => {
    const budget = new OctetBudget(10_000);
    const buffer = new MessageBuffer(budget, MB);
    for (let i = 0; i < 3; i++) all(buffer, Buffer.alloc(4000));
    assert.deepEqual([buffer.refused, budget.used, buffer.bytes().length], [true, 0, 0]);
    all(buffer, Buffer.alloc(1));
    assert.equal(budget.used, 0);
  });
});
