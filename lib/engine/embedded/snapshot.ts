/**
 * A copy of the store while it is in use: one read transaction of SQLite's backup over a connection of its own, so that
 * the copy is the store of one instant, and writers go on. What was promised before it began is in it.
 */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { storageFault } from './faults.ts';
import { FILE } from './store/schema.ts';

/** All pages in one step: a copy in several begins anew whenever a page is written between two of them. */
const ALL_PAGES = 0x7fffffff;

/**
 * @param file a new one; it is whole and on the disk when the promise resolves.
 * @throws PosternError of the storage group; then the file is of no use.
 */
export async function snapshotStore(directory: string, file: string): Promise<void> {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(join(directory, FILE), { readOnly: true });
    await backup(db, file, { rate: ALL_PAGES });
    chmodSync(file, 0o600);
  } catch (error) {
    throw storageFault(error, directory);
  } finally {
    db?.close();
  }
}
