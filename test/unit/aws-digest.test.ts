import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { Sha256 } from '../../lib/engine/aws/digest.ts';

const hex = async (digest: Sha256): Promise<string> => Buffer.from(await digest.digest()).toString('hex');

describe('digests of the AWS clients', () => {
  it('are SHA-256, of one piece, many and none', async () => {
    for (const parts of [[], ['one'], ['one', 'two', '', 'drei ü']]) {
      const digest = new Sha256();
      for (const part of parts) digest.update(part);
      assert.equal(await hex(digest), createHash('sha256').update(parts.join('')).digest('hex'));
    }
  });

  it('are HMAC-SHA-256 under keys of every form, the same key again and another after it', async () => {
    const memory = Buffer.from('before a key of some octets after');
    const keys = [
      'AWS4secret',
      'AWS4other',
      'x'.repeat(100),
      memory.subarray(7, 22),
      new Uint8Array(32).fill(7),
    ];
    for (const key of [...keys, ...keys]) {
      const code = new Sha256(key);
      code.update(Buffer.from('20261129'));
      assert.equal(await hex(code), createHmac('sha256', key).update('20261129').digest('hex'));
    }
    const whole = new Uint8Array([1, 2, 3]).buffer;
    assert.equal(await hex(new Sha256(whole)), createHmac('sha256', Buffer.from(whole)).digest('hex'));
  });

  it('begin anew after a reset', async () => {
    const code = new Sha256('key');
    code.update('dropped');
    code.reset();
    code.update('kept');
    assert.equal(await hex(code), createHmac('sha256', 'key').update('kept').digest('hex'));
  });
});
