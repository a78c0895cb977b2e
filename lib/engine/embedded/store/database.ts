/**
 * Opens the file of the embedded store, and refuses what it must not touch: a file in use by another process
 * (`storage_locked`), of a newer version (`storage_too_new`), or damaged (`storage_damaged`).
 */
import { chmodSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../../errors.ts';
import { storageFault } from '../faults.ts';
import { APPLICATION_ID, FILE, IN_MEMORY, LOCK, STEPS, STORE_VERSION } from './schema.ts';

/**
 * Bytes of a page of a new store. Large pages make fewer, longer writes of a group commit: bodies of a few
 * KB lie side by side instead of each in an overflow page of its own.
 */
export const PAGE_SIZE = 16384;

/** Page cache in KiB. The hot ends of the B-trees fit; bodies pass through. */
const CACHE_KIB = 16384;

/** The WAL file is cut back to this when it starts anew, bytes. */
const WAL_LIMIT = 64 << 20;

/** A number from a PRAGMA. */
export function pragma(db: DatabaseSync, name: string): number {
  const row = db.prepare(`PRAGMA ${name}`).get();
  return Number(row === undefined ? 0 : Object.values(row)[0]);
}

/** The store of a data directory, open for this process alone to write. */
export interface OpenedDatabase {
  db: DatabaseSync;
  close(): void;
}

/**
 * Opens the store in `directory`, making it when there is none. Other processes may read it meanwhile (`check.ts`, a
 * backup); a second one that writes is refused.
 */
export function openDatabase(directory: string): OpenedDatabase {
  let lock: DatabaseSync | undefined;
  let db: DatabaseSync | undefined;
  const close = (): void => {
    db?.close();
    lock?.close();
  };
  if (directory === IN_MEMORY) {
    db = new DatabaseSync(IN_MEMORY);
    bringUpToDate(db);
    return { db, close };
  }
  try {
    // 0700 and 0600: bodies and idempotent answers are private mail.
    makeDirectory(directory);
    lock = openPrivate(join(directory, LOCK));
    // Held until close, or until the process dies: the kernel forgets it then.
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    const file = join(directory, FILE);
    db = openPrivate(file);
    refuseForeign(db, directory);
    db.exec(`PRAGMA page_size = ${PAGE_SIZE}`);
    db.exec('PRAGMA journal_mode = WAL');
    // Law 1: a commit is on the disk when it returns.
    db.exec('PRAGMA synchronous = FULL');
    db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
    // Checkpoints run between batches, after the answer (store.ts), not inside a commit.
    db.exec('PRAGMA wal_autocheckpoint = 0');
    db.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT}`);
    db.exec('PRAGMA temp_store = MEMORY');
    bringUpToDate(db);
    // A reader may hold pages of the WAL; then the file is not whole without it.
    if (db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.busy === 0) refuseTruncated(db, file);
    return { db, close };
  } catch (error) {
    close();
    throw storageFault(error, directory);
  }
}

function bringUpToDate(db: DatabaseSync): void {
  db.exec('BEGIN IMMEDIATE');
  const version = pragma(db, 'user_version');
  if (version < STORE_VERSION) {
    for (const step of STEPS.slice(version)) db.exec(step);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${STORE_VERSION}`);
  }
  db.exec('COMMIT');
}

/** Makes a directory with those above it. (Node's `recursive` never ends below /proc.) */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  const above = dirname(directory);
  if (above !== directory) makeDirectory(above);
  mkdirSync(directory, { mode: 0o700 });
}

function openPrivate(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 0 });
  chmodSync(file, 0o600);
  return db;
}

/** Refuses a file that a newer Postern, or another program, wrote. Nothing has been written to it yet. */
export function refuseForeign(db: DatabaseSync, directory: string): void {
  const version = pragma(db, 'user_version');
  const application = pragma(db, 'application_id');
  if (application === APPLICATION_ID && version > STORE_VERSION) {
    throw new PosternError(
      'storage_too_new',
      `The store in ${directory} has version ${version}; this Postern knows ${STORE_VERSION}. ` +
        'Run the version of Postern that wrote it, or a newer one.',
    );
  }
  const empty = pragma(db, 'schema_version') === 0;
  if (!empty && application !== APPLICATION_ID) {
    throw new PosternError(
      'storage_damaged',
      `${FILE} in ${directory} was not written by Postern. Choose another data directory.`,
    );
  }
}

/** A file that lost its end (a failed copy, a full disk under a snapshot) is found before anything is promised. */
function refuseTruncated(db: DatabaseSync, file: string): void {
  const expected = pragma(db, 'page_count') * pragma(db, 'page_size');
  const found = statSync(file).size;
  if (found < expected) {
    throw new PosternError(
      'storage_damaged',
      `${file} should have ${expected} bytes and has ${found}. Stop, keep a copy, and restore it.`,
    );
  }
}
