/**
 * The files of a data directory as system calls wrote them, and what a power cut leaves of them: of each file what was
 * last synced, and of what was written to it since any part, in any order, whole sectors or none of it. A new file may
 * be missing until it was synced; a removed one may still be there.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A disk writes a sector whole or not at all, bytes. */
const SECTOR = 512;

type Change = { kind: 'write'; at: number; bytes: Buffer } | { kind: 'truncate'; size: number };

class TracedFile {
  /** As of the last sync; undefined: the disk does not have the file. */
  durable: Buffer | undefined;
  /** In order, since then. */
  changes: Change[] = [];
  /** As the process sees it. */
  size = 0;
}

export class TracedDisk {
  readonly #files = new Map<string, TracedFile>();

  /** @param path below the data directory. */
  write(path: string, at: number | 'end', bytes: Buffer): void {
    const file = this.#at(path);
    const from = at === 'end' ? file.size : at;
    file.changes.push({ kind: 'write', at: from, bytes });
    file.size = Math.max(file.size, from + bytes.length);
  }

  truncate(path: string, size: number): void {
    const file = this.#at(path);
    file.changes.push({ kind: 'truncate', size });
    file.size = size;
  }

  sync(path: string): void {
    const file = this.#at(path);
    file.durable = applied(file.durable ?? Buffer.alloc(0), file.changes);
    file.changes = [];
  }

  /** A name that was removed and not synced may be there again: what was in it is harmless, or it is a fault. */
  remove(path: string): void {
    const file = this.#files.get(path);
    if (file) this.truncate(path, 0);
  }

  /** Changes that a power cut may undo. */
  get unsynced(): number {
    let count = 0;
    for (const { changes } of this.#files.values()) count += changes.length;
    return count;
  }

  /** Writes what a power cut leaves into a directory. */
  async cut(directory: string, random: () => number): Promise<void> {
    for (const [path, file] of this.#files) {
      const left = leftOf(file, random);
      if (left === undefined) continue;
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), left);
    }
  }

  #at(path: string): TracedFile {
    let file = this.#files.get(path);
    if (!file) this.#files.set(path, (file = new TracedFile()));
    return file;
  }
}

/** What may be left of a file: nothing of what was not synced, all of it, or any of it in any order. */
function leftOf({ durable, changes }: TracedFile, random: () => number): Buffer | undefined {
  const kind = random();
  if (durable === undefined && (changes.length === 0 || kind < 0.2)) return undefined;
  const synced = durable ?? Buffer.alloc(0);
  if (kind < 0.2) return synced;
  if (kind < 0.3) return applied(synced, changes);
  const kept = changes.filter(() => random() < 0.7);
  if (kind < 0.7) shuffle(kept, random);
  return applied(
    synced,
    kept.map((change) => (random() < 0.3 ? torn(change, random) : change)),
  );
}

/** Some sectors of a write. */
function torn(change: Change, random: () => number): Change {
  if (change.kind === 'truncate') return change;
  const { at, bytes } = change;
  const first = Math.floor(at / SECTOR);
  const sectors = Math.ceil((at + bytes.length) / SECTOR) - first;
  const from = Math.max(0, (first + Math.floor(random() * sectors)) * SECTOR - at);
  const to = Math.min(bytes.length, from + SECTOR * (1 + Math.floor(random() * sectors)));
  return { kind: 'write', at: at + from, bytes: bytes.subarray(from, to) };
}

/** The content after changes, in their order. */
function applied(content: Buffer, changes: readonly Change[]): Buffer {
  let size = content.length;
  const room = changes.reduce((most, change) => Math.max(most, endOf(change)), size);
  const next = Buffer.alloc(room);
  content.copy(next);
  for (const change of changes) {
    if (change.kind === 'write') {
      change.bytes.copy(next, change.at);
      size = Math.max(size, endOf(change));
    } else {
      next.fill(0, change.size, Math.max(size, change.size));
      size = change.size;
    }
  }
  return next.subarray(0, size);
}

function endOf(change: Change): number {
  return change.kind === 'truncate' ? change.size : change.at + change.bytes.length;
}

function shuffle<T>(list: T[], random: () => number): void {
  for (let left = list.length - 1; left > 0; left -= 1) {
    const other = Math.floor(random() * (left + 1));
    [list[left], list[other]] = [list[other]!, list[left]!];
  }
}
