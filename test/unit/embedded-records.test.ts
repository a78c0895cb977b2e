/** Reading records of the embedded engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddedRecords } from '../../lib/engine/embedded/records.ts';
import { PosternError } from '../../lib/errors.ts';

type Link = ConstructorParameters<typeof EmbeddedRecords>[0];

function recordsOver(answer: (ids: string[]) => Promise<(string | undefined)[]>) {
  const calls: string[][] = [];
  const link = {
    call(_name: string, ids: string[]) {
      calls.push([...ids]);
      return answer(ids);
    },
  } as unknown as Link;
  return { calls, records: new EmbeddedRecords(link, undefined as never, undefined as never) };
}

const stored: Record<string, string> = { a: '{"v":1,"id":"a"}', b: '{"v":1,"id":"b"}', broken: '{"v":' };
const fromStore = (ids: string[]) => Promise.resolve(ids.map((id) => stored[id]));

test('records that are asked for at one time are read by one call, each for who asked', async () => {
  const { calls, records } = recordsOver(fromStore);
  const found = await Promise.all(['a', 'none', 'b', 'a'].map((id) => records.message(id)));
  assert.deepEqual(
    found.map((one) => one?.id),
    ['a', undefined, 'b', 'a'],
  );
  assert.equal((await records.message('b'))?.id, 'b');
  assert.deepEqual(calls, [['a', 'none', 'b', 'a'], ['b']]);
});

test('a record that cannot be read fails alone', async () => {
  const { records } = recordsOver(fromStore);
  const [whole, broken] = await Promise.allSettled([records.message('a'), records.message('broken')]);
  assert.equal(whole.status, 'fulfilled');
  assert.ok(broken.status === 'rejected' && broken.reason instanceof PosternError);
  assert.equal(broken.reason.code, 'storage_damaged');
});

test('a storage that fails is asked anew by the next read', async () => {
  let fails = true;
  const { records } = recordsOver((ids) =>
    fails ? Promise.reject(new PosternError('storage_unavailable', 'Gone.')) : fromStore(ids),
  );
  const both = await Promise.allSettled([records.message('a'), records.message('b')]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  fails = false;
  assert.equal((await records.message('a'))?.id, 'a');
});
