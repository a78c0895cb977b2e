/** Files of the memory engine. */
import { type FileStore, type Files, noSuchFile, partsOf } from '../files.ts';

class MemoryFiles implements FileStore {
  readonly files = new Map<string, { bytes: Buffer; at: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  async *read(name: string): AsyncGenerator<Uint8Array> {
    partsOf(name);
    const file = this.files.get(name);
    if (!file) throw noSuchFile(name);
    yield file.bytes;
  }

  async write(name: string, pieces: AsyncIterable<string | Uint8Array>): Promise<void> {
    partsOf(name);
    const all: Buffer[] = [];
    for await (const piece of pieces) all.push(Buffer.from(piece as Uint8Array));
    this.files.set(name, { bytes: Buffer.concat(all), at: this.#now() });
  }

  remove(name: string): Promise<void> {
    this.files.delete(name);
    return Promise.resolve();
  }

  link(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

/** @param buckets names of the operator's buckets, empty at first. */
export function memoryFiles(now: () => number, buckets: readonly string[]): Files {
  const results = new MemoryFiles(now);
  const stores = new Map(buckets.map((name) => [name, new MemoryFiles(now)]));
  return {
    results,
    bucket: (name) => stores.get(name),
    prune(before, max) {
      const old = [...results.files].filter(([, { at }]) => at < before).slice(0, max);
      for (const [name] of old) results.files.delete(name);
      return Promise.resolve(old.length);
    },
  };
}
