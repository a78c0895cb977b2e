/** Formats of the AWS engine, the placement of bodies, and unreadable records. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compress, decompress, readEnvelope, writeEnvelope } from '../../lib/engine/aws/envelope.ts';
import { batches } from '../../lib/engine/aws/lanes.ts';
import { readOutcomes, writeOutcomes } from '../../lib/engine/aws/outcome-message.ts';
import {
  laneCost,
  lanePlace,
  ledgerPlace,
  PRICES,
  SQS_BYTES,
  sqsRequests,
} from '../../lib/engine/aws/placement.ts';
import { decodeRecord, encodeRecord } from '../../lib/engine/aws/record-codec.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import { mail } from '../contract/harness.ts';

const KIB = 1024;

describe('where bodies are kept', () => {
  test('SQS charges each begun 64 KiB', () => {
    assert.deepEqual([0, 1, 64 * KIB, 64 * KIB + 1, SQS_BYTES].map(sqsRequests), [1, 1, 1, 2, 16]);
  });

  test('bodies are inline up to the byte at which S3 is cheaper, by the number of deliveries', () => {
    for (const deliveries of [1, 2, 10, 50]) {
      let edge = 0;
      for (let size = 1024; size <= SQS_BYTES; size += 512) {
        const place = lanePlace(size, deliveries);
        if (place === 's3' && edge === 0) edge = size;
        assert.equal(place === 's3', edge > 0, 'the larger is never the dearer in S3');
      }
      const inS3 = PRICES.s3Put + deliveries * PRICES.s3Get;
      assert.ok(laneCost(edge - 1024, deliveries) <= inS3 + laneCost(1024, deliveries));
      assert.ok(laneCost(edge + 1024, deliveries) > inS3);
    }
    // One delivery pays the $5.40 of S3 for some 450 KB of SQS; fifty share that price.
    assert.equal(lanePlace(400 * KIB, 1), 'inline');
    assert.equal(lanePlace(500 * KIB, 1), 's3');
    assert.equal(lanePlace(30 * KIB, 50), 'inline');
    assert.equal(lanePlace(60 * KIB, 50), 's3');
  });

  test('bodies of waiting mail are in the table up to 8 KiB', () => {
    assert.equal(ledgerPlace(8 * KIB), 'table');
    assert.equal(ledgerPlace(9 * KIB), 's3');
    assert.equal(ledgerPlace(500_000), 's3');
  });

  test('a batch has at most ten entries and 1 MiB, and no extra begun 64 KiB', () => {
    const of = (count: number, size: number) =>
      batches(Array.from({ length: count }, () => ({ text: 'x'.repeat(size), delay: 0 }))).map(
        (one) => one.length,
      );
    assert.deepEqual(of(25, 100), [10, 10, 5]);
    assert.deepEqual(of(4, 300 * KIB), [3, 1]);
    assert.deepEqual(of(10, 21 * KIB), [9, 1]);
    assert.deepEqual(of(10, 128 * KIB), [8, 2]);
    assert.deepEqual(of(1, SQS_BYTES), [1]);
    assert.deepEqual(of(0, 1), []);
  });
});

describe('envelopes', () => {
  const [item] = mail(1_700_000_000_000).deliveries;
  const envelope = { item: item!, generation: 3, claim: true, at: undefined };

  test('carry an item and its bytes, in characters that SQS takes', async () => {
    const odd = { ...item!, reason: { code: 'x', text: 'a\u0000\ufffe\uffff\ud800é😀\u007f' } };
    const bytes = Buffer.from('a\r\n.\0é');
    const text = writeEnvelope({ ...envelope, item: odd }, (await compress(bytes)).toString('base64'));
    assert.doesNotMatch(text, /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u);
    const read = readEnvelope(text);
    assert.deepEqual(read.envelope, { ...envelope, item: odd });
    assert.deepEqual(await decompress(read.packed!, 100), bytes);
  });

  test('bodies of every size come back, in no larger buffer than they need', async () => {
    for (const size of [0, 1, 63, 64, 255, 256, 257, 65_791, 65_792, 131_072, 131_073, 300_000]) {
      const bytes = Buffer.alloc(size, 'ab c');
      const back = await decompress(await compress(bytes), size + 1);
      assert.ok(back.equals(bytes), `${size} bytes`);
      // Small ones are cut from a pool that they share.
      if (size > 65_000 && size <= 131_072) assert.equal(back.buffer.byteLength, size + 1);
    }
  });

  test('a frame whose header has another size than its content is damaged', async () => {
    const packed = await compress(Buffer.alloc(1_000, 'ab c'));
    packed[5]! += 1;
    await assert.rejects(decompress(packed, 10_000), { code: 'storage_damaged' });
    await assert.rejects(decompress(packed.subarray(0, 7), 10_000), { code: 'storage_damaged' });
  });

  test('a body that would grow beyond its limit is refused', async () => {
    const packed = await compress(Buffer.alloc(1 << 20));
    await assert.rejects(decompress(packed, 1000), { code: 'storage_damaged' });
    await assert.rejects(decompress(Buffer.from('no zstd'), 1000), { code: 'storage_damaged' });
  });

  test('an invalid envelope is damaged; a newer one is marked as newer', () => {
    for (const text of [
      '',
      'x',
      'null',
      '{}',
      '{"v":1,"g":0}',
      `{"v":1,"g":0,"item":{"messageId":"a","v":1}}`,
    ]) {
      assert.throws(() => readEnvelope(text), { code: 'storage_damaged' }, text);
    }
    assert.throws(() => readEnvelope('{"v":3}'), { code: 'storage_too_new' });
    const newer = JSON.stringify({ v: 1, g: 0, at: 's3', item: { ...item, v: 2 } });
    assert.throws(() => readEnvelope(newer), { code: 'storage_too_new' });
  });
});

test('outcomes and envelopes use only characters that SQS accepts, for any text', () => {
  const text = String.fromCharCode(...Array.from({ length: 0x10000 }, (_, unit) => unit));
  const outcome: Outcome = { v: 1, messageId: 'm', at: 1, kind: 'bounce', tenant: 't', detail: { text } };
  const body = writeOutcomes([outcome]);
  assert.doesNotMatch(body, /[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/);
  assert.deepEqual(readOutcomes(body), [outcome]);
});

describe('compressed JSON', () => {
  test('is decoded again, and takes half the bytes', () => {
    const { record } = mail(1_700_000_000_000);
    const small = encodeRecord(record);
    assert.deepEqual(decodeRecord(small, 'a record'), record);
    assert.ok(small.length < JSON.stringify(record).length / 2, `${small.length}`);
  });

  test('damage and newer versions are different errors', () => {
    assert.throws(() => decodeRecord(Buffer.of(1, 255, 255), 'x'), { code: 'storage_damaged' });
    assert.throws(() => decodeRecord(Buffer.of(2), 'x'), { code: 'storage_too_new' });
    assert.throws(() => decodeRecord(encodeRecord({ v: 2 }), 'x'), { code: 'storage_too_new' });
  });
});
