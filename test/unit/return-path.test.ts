import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { parseEnvelopeAddress } from '../../lib/mail/address.ts';
import { createHmacSha256 } from '../../lib/mail/hmac.ts';
import {
  callOf,
  callOfKey,
  callUuids,
  isMessageId,
  messageIdIn,
  newMessageId,
  qualifiedId,
  readIdBytes,
  writeIdBytes,
} from '../../lib/mail/message-id.ts';
import { createReferences } from '../../lib/mail/message-reference.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { createUnsubscribeAddresses } from '../../lib/mail/unsubscribe-address.ts';
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
    const uuidAt = callUuids();
    assert.notEqual(uuidAt(0), uuidAt(1));
    assert.equal(uuidAt(0).slice(0, 24), uuidAt(1).slice(0, 24), 'a call has its own beginning');
  });

  it('has a UUID of version 8 and of the RFC variant', () => {
    for (const uuid of [callUuids()(0), callUuids('key')(0)])
      assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(callOf(newMessageId(NOW, callUuids()(3))));
  });

  it('is the same for the same call and place', () => {
    assert.equal(callUuids('AKIA/key')(0), 'ee91bfaa-76dc-8d99-bc94-352e6f18a0e1');
    assert.equal(callUuids('AKIA/key')(49), 'ee91bfaa-76dc-8d99-bc94-1b6b81b3becf');
    assert.equal(callOfKey('AKIA/key'), callOf(newMessageId(NOW, callUuids('AKIA/key')(7))));
  });

  it('is written as octets and read again, and what is none is not', () => {
    const bytes = Buffer.alloc(22);
    assert.ok(writeIdBytes(id, bytes));
    assert.equal(readIdBytes(bytes), id);
    for (let at = 0; at < id.length; at++)
      for (const other of ['g', '/', 'F', 'é', '\u0130', '-'])
        if (id[at] !== other) {
          const text = id.slice(0, at) + other + id.slice(at + 1);
          assert.equal(writeIdBytes(text, bytes), isMessageId(text), text);
        }
    for (const text of ['', id.slice(1), `${id}0`]) assert.ok(!writeIdBytes(text, bytes), text);
  });
});

describe('the digest of a token', () => {
  it('is HMAC-SHA256, whatever the length of the secret', () => {
    for (const length of [0, 1, 32, 63, 64, 65, 200]) {
      const secret = randomBytes(length);
      const digestOf = createHmacSha256(secret, 'a use', 26);
      for (let i = 0; i < 5; i++) {
        const text = randomBytes(26);
        const expected = createHmac('sha256', secret).update('a use').update(text).digest('binary');
        assert.equal(digestOf(text), expected, `${length} octets`);
      }
    }
  });

  it('is the one of mail that was sent by earlier versions', () => {
    const old = '01000199aabbccdd-00112233-4455-8677-8899-aabbccddeeff-000000';
    const secret = Buffer.alloc(32, 7);
    const token = 'agm2vo6m3uabcirtirkym54itgvlxtg5537qaa2rfoiiaahkjs3mmwhd';
    assert.equal(paths.make(old, 3, 'bounce.example', NOW), `b${token}@bounce.example`);
    assert.deepEqual(paths.read(`b${token}@bounce.example`, NOW), { messageId: old, n: 3 });
    assert.equal(
      createReferences(secret).make(old, NOW),
      'magm2vo6m3uabcirtirkym54itgvlxtg5537qaacrfpg5iedojpqxg5al',
    );
    assert.equal(
      createUnsubscribeAddresses(secret).make(old, 'bounce.example', NOW),
      'uagm2vo6m3uabcirtirkym54itgvlxtg5537qaacrfmiuxccnrkczbrub@bounce.example',
    );
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
