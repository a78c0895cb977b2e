/** Contract of files: whole or not there, names that lead nowhere else, removed when told. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { FileStore } from '../../lib/engine/files.ts';
import type { EngineUnderTest } from './harness.ts';

export async function* pieces(...all: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* all;
}

export async function contentOf(store: FileStore, name: string): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of store.read(name)) all.push(piece);
  return Buffer.concat(all);
}

export function filesContract(under: () => EngineUnderTest): void {
  const results = () => under().engine.files.results;

  describe('files', () => {
    test('are read as they were written, and replaced whole', async () => {
      const name = `${randomUUID()}/a ü+&.csv`;
      await results().write(name, pieces('one ', Buffer.from('twö')));
      assert.equal((await contentOf(results(), name)).toString(), 'one twö');
      await results().write(name, pieces());
      assert.equal((await contentOf(results(), name)).length, 0);
      await results().remove(name);
      await results().remove(name);
      await assert.rejects(contentOf(results(), name), { code: 'not_found' });
    });

    test('may be larger than any part of them', async () => {
      const name = randomUUID();
      const block = randomBytes(3 << 20);
      const all = Array.from({ length: 7 }, () => block);
      await results().write(name, pieces(...all, 'end'));
      assert.ok((await contentOf(results(), name)).equals(Buffer.concat([...all, Buffer.from('end')])));
      await results().remove(name);
    });

    test('whose pieces fail leave what was there', async () => {
      const name = randomUUID();
      await results().write(name, pieces('before'));
      for (const size of [10, 9 << 20]) {
        const failing = async function* () {
          yield Buffer.alloc(size);
          yield Buffer.alloc(size);
          throw new Error('no more');
        };
        await assert.rejects(results().write(name, failing()), /no more/);
        assert.equal((await contentOf(results(), name)).toString(), 'before');
      }
      await results().remove(name);
    });

    test('have names that lead nowhere else', async () => {
      for (const name of [
        '',
        '..',
        'a/../b',
        '/etc/passwd',
        'a//b',
        'a/',
        './a',
        'a\0b',
        'a\\b',
        'a'.repeat(901),
      ]) {
        const refused = { code: 'bad_request' };
        await assert.rejects(contentOf(results(), name), refused, name);
        await assert.rejects(results().write(name, pieces('x')), refused, name);
      }
    });

    test('of a bucket that nobody named are not to be had', () => {
      assert.equal(under().engine.files.bucket('another-bucket'), undefined);
    });
  });
}
