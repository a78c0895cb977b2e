import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseEnvelopeAddress } from '../../lib/mail/address.ts';
import { isMessageId, messageIdIn, newMessageId, qualifiedId } from '../../lib/mail/message-id.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { DAY } from '../../lib/time.ts';

const NOW = Date.UTC(2026, 10, 21, 9, 5);
const paths = createReturnPaths(Buffer.alloc(32, 7));
const id = newMessageId(NOW);

describe('a message id', () => {
  it('has the format of SES: 60 characters without a domain', () => {
    assert.match(id, /^0100[0-9a-f]{12}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-000000$/);
    assert.equal(id.length, 60);
    assert.equal(Number.parseInt(id.slice(4, 16), 16), NOW);
    assert.ok(isMessageId(id));
    assert.ok(!isMessageId(`${id}@mail.example`));
  });

  it('sorts by time', () => {
    assert.ok(newMessageId(NOW + 1) > newMessageId(NOW));
  });

  it('is found in every text that names a message', () => {
    const field = `<${qualifiedId(id, 'mail.example')}>`;
    for (const text of [id, `<${id}>`, field, ` ${field}\r\n`, `${id}@email.amazonses.com`]) {
      assert.equal(messageIdIn(text), id, text);
    }
  });

  it('is unique', () => {
    assert.notEqual(newMessageId(NOW), id);
  });
});

describe('a return path', () => {
  it('names its delivery', () => {
    for (const n of [0, 1, 49, 65_535]) {
      const address = paths.make(id, n, 'bounce.example', NOW + DAY);
      assert.deepEqual(paths.read(address, NOW), { messageId: id, n });
    }
  });

  it('is an address of at most 64 octets before the @', () => {
    const { local, address } = parseEnvelopeAddress(paths.make(id, 3, 'bounce.example', NOW + DAY));
    assert.match(local, /^b[a-z2-7]{56}$/);
    assert.equal(address, `${local}@bounce.example`);
  });

  it('is read in upper case too, in which some relays return it', () => {
    const address = paths.make(id, 3, 'bounce.example', NOW + DAY);
    assert.deepEqual(paths.read(address.toUpperCase(), NOW), { messageId: id, n: 3 });
  });

  it('is valid until it expires, plus at most one day', () => {
    const address = paths.make(id, 3, 'bounce.example', NOW);
    assert.ok(paths.read(address, NOW));
    assert.equal(paths.read(address, NOW + DAY), undefined);
    const midnight = paths.make(id, 3, 'bounce.example', Math.ceil(NOW / DAY) * DAY);
    assert.ok(paths.read(midnight, Math.ceil(NOW / DAY) * DAY - 1));
    assert.equal(paths.read(midnight, Math.ceil(NOW / DAY) * DAY), undefined);
  });

  it('of another secret, or with any character changed, is invalid', () => {
    const address = paths.make(id, 3, 'bounce.example', NOW + DAY);
    assert.equal(createReturnPaths(Buffer.alloc(32, 8)).read(address, NOW), undefined);
    for (let i = 0; i < 57; i++) {
      const other = address[i] === 'a' ? 'q' : 'a';
      assert.equal(paths.read(address.slice(0, i) + other + address.slice(i + 1), NOW), undefined, String(i));
    }
  });

  it('is not read from any other text', () => {
    const address = paths.make(id, 3, 'bounce.example', NOW + DAY);
    const texts = [
      '',
      '@',
      'b@x.example',
      address.slice(1),
      `b${address}`,
      `<${address}>`,
      address.split('@')[0]!,
    ];
    for (const text of texts) assert.equal(paths.read(text, NOW), undefined, text);
  });

  it('is made only from ids and indexes that fit into it', () => {
    for (const [messageId, n] of [
      ['x@y.example', 0],
      [id, -1],
      [id, 65_536],
      [id.toUpperCase(), 0],
    ] as const) {
      assert.throws(() => paths.make(messageId, n, 'bounce.example', NOW), { code: 'internal' });
    }
  });
});
