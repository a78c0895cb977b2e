/** Bytes that cross to the storage thread and back: through the buffer of the link, and beside it where it is too small. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { systemClock } from '../../lib/time.ts';

const MB = 1 << 20;
const directory = mkdtempSync(join(tmpdir(), 'postern-bytes-'));
let engine: Engine;

before(async () => {
  engine = await openEmbedded({ directory, clock: systemClock, minimumFree: 0 });
});
after(async () => {
  await engine.close();
  rmSync(directory, { recursive: true });
});

const put = (id: string, fill: number, size: number) =>
  engine.bodies.put(id, Buffer.alloc(size, fill), Number.MAX_SAFE_INTEGER);

it('what was read stays as it was while later calls use the buffer', async () => {
  await Promise.all([put('a', 1, 1000), put('b', 2, 1000), put('empty', 0, 0)]);
  const [a, b, empty] = await Promise.all(['a', 'b', 'empty'].map((id) => engine.bodies.get(id)));
  await put('c', 3, 2 * MB);
  assert.deepEqual(a, Buffer.alloc(1000, 1));
  assert.deepEqual(b, Buffer.alloc(1000, 2));
  assert.deepEqual(empty, Buffer.alloc(0));
});

it('what the buffer does not hold comes and goes whole, alone and beside others', async () => {
  await Promise.all([put('large', 4, 5 * MB), put('small', 5, 10), put('larger', 6, 7 * MB)]);
  const found = await Promise.all(['small', 'large', 'larger', 'a'].map((id) => engine.bodies.get(id)));
  assert.ok(found[0]!.equals(Buffer.alloc(10, 5)));
  assert.ok(found[1]!.equals(Buffer.alloc(5 * MB, 4)));
  assert.ok(found[2]!.equals(Buffer.alloc(7 * MB, 6)));
  assert.ok(found[3]!.equals(Buffer.alloc(1000, 1)));
});
