/**
 * The master key: 32 random bytes in `master.key`, mode 0600, made at the first start. With it and the store every
 * secret can be read, without it none: back it up, away from the store.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PosternError } from '../errors.ts';
import { MASTER_KEY_BYTES } from './vault.ts';

const FILE = 'master.key';

/**
 * Reads the master key of a data directory, and creates it (and the directory) when there is none.
 * @throws `storage_damaged` when the file does not have 32 bytes; `storage_unavailable` when other users may read it,
 * or it cannot be read or written.
 */
export async function loadMasterKey(directory: string): Promise<Buffer> {
  const path = join(directory, FILE);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return (await read(path)) ?? (await create(directory, path));
  } catch (cause) {
    if (cause instanceof PosternError) throw cause;
    throw new PosternError('storage_unavailable', `The master key ${path} cannot be used: ${String(cause)}`, {
      cause,
    });
  }
}

async function read(path: string): Promise<Buffer | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!file) return undefined;
  try {
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) {
      throw new PosternError(
        'storage_unavailable',
        `Others than its owner may read or write ${path} (mode ${(mode & 0o777).toString(8)}). ` +
          `Run: chmod 600 ${path} -- and make new keys if somebody may have read it.`,
      );
    }
    const bytes = await file.readFile();
    if (bytes.length !== MASTER_KEY_BYTES) {
      throw new PosternError(
        'storage_damaged',
        `${path} has ${bytes.length} bytes instead of ${MASTER_KEY_BYTES}. Restore it from a backup.`,
      );
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/**
 * Writes the key to another file, syncs it, then links it into place: a crash leaves no half key, and of two
 * processes that start together one wins and the other reads the winner's (rename would overwrite it).
 */
async function create(directory: string, path: string): Promise<Buffer> {
  const aside = `${path}.${randomBytes(8).toString('hex')}`;
  const file = await open(aside, 'wx', 0o600);
  try {
    await file.writeFile(randomBytes(MASTER_KEY_BYTES));
    await file.sync();
    await link(aside, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await file.close();
    await unlink(aside);
  }
  const parent = await open(directory, 'r');
  await parent.sync();
  await parent.close();
  const bytes = await read(path);
  if (!bytes) throw new PosternError('storage_unavailable', `${path} vanished while it was made.`);
  return bytes;
}
