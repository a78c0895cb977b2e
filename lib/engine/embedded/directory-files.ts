/** Files in a directory: of results, and of buckets that a directory stands for. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PosternError } from '../../errors.ts';
import { type FileStore, noSuchFile, partsOf } from '../files.ts';

/** Names of files that are being written begin so; no result does. */
const UNFINISHED = '.unfinished-';

export class DirectoryFiles implements FileStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async *read(name: string): AsyncGenerator<Uint8Array> {
    const path = this.#path(name);
    try {
      for await (const piece of createReadStream(path)) yield piece as Buffer;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') throw noSuchFile(name);
      throw unavailable(name, error);
    }
  }

  async write(name: string, pieces: AsyncIterable<string | Uint8Array>): Promise<void> {
    const path = this.#path(name);
    const unfinished = join(dirname(path), UNFINISHED + randomUUID());
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const file = await open(unfinished, 'wx', 0o600);
      try {
        for await (const piece of pieces) await file.writeFile(piece);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error instanceof Error && 'errno' in error ? unavailable(name, error) : error;
    }
  }

  async remove(name: string): Promise<void> {
    await rm(this.#path(name), { force: true });
  }

  link(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** Removes files that were last written before a time, unfinished ones of dead processes too. */
  async prune(before: number, max: number): Promise<number> {
    let removed = 0;
    const entries = await readdir(this.#root, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (removed === max) break;
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile() || (await stat(path)).mtimeMs >= before) continue;
      await rm(path, { force: true });
      removed += 1;
    }
    return removed;
  }

  #path(name: string): string {
    return join(this.#root, ...partsOf(name));
  }
}

function unavailable(name: string, cause: unknown): PosternError {
  const { message } = cause as Error;
  return new PosternError(
    'storage_unavailable',
    `The file ${name.slice(0, 200)} cannot be used: ${message}`,
    {
      cause,
    },
  );
}
