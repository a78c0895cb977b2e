/**
 * Restores a backup into a data directory of its own. The restored store starts with all sending paused: its original
 * may have sent, or go on sending, what the copy still holds.
 */

import { existsSync } from 'node:fs';
import { constants, copyFile, cp, mkdir, open, readdir, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { checkStore } from '../../engine/embedded/check.ts';
import { openEmbedded } from '../../engine/embedded/open.ts';
import { FILE } from '../../engine/embedded/store/schema.ts';
import { PosternError } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import { openDirectives } from '../directives.ts';
import { pauseAll } from '../paused-start.ts';
import { KEPT_DIRECTORIES, KEPT_FILES, MANIFEST, readManifest } from './backups.ts';

export interface Restored {
  /** When the backup was begun, since the epoch, ms. */
  at: number;
  bytes: number;
  /** Rows of each table, and deliveries by state. */
  counts: Record<string, number>;
  /** Directive that pauses all sending. */
  directive: string;
}

/**
 * @param step told what is being done, for a display.
 * @throws PosternError `not_found`, `already_exists`, and the storage group; then nothing is left in the directory.
 */
export async function restoreBackup(
  backup: string,
  directory: string,
  clock: Clock,
  step: (what: string) => void = () => undefined,
): Promise<Restored> {
  const [from, to] = [resolve(backup), resolve(directory)];
  if (!existsSync(join(from, MANIFEST))) {
    const why = existsSync(from)
      ? `it has no ${MANIFEST}: it was cut off, or is no backup`
      : 'it does not exist';
    throw new PosternError(
      'not_found',
      `${from} cannot be restored: ${why}. postern backup --list shows whole ones.`,
    );
  }
  if (existsSync(to) && (await readdir(to)).length > 0) {
    throw new PosternError(
      'already_exists',
      `${to} is not empty. Stop Postern and move it away, or name another --data.`,
    );
  }
  const { startedAt: at, bytes } = await readManifest(from, basename(from));
  await mkdir(to, { recursive: true, mode: 0o700 });
  try {
    step('Copying');
    for (const name of [...KEPT_FILES, FILE])
      if (existsSync(join(from, name))) await copySynced(join(from, name), join(to, name));
    for (const name of KEPT_DIRECTORIES)
      if (existsSync(join(from, name))) await cp(join(from, name), join(to, name), { recursive: true });
    step('Checking');
    const { problems, counts } = checkStore(to);
    if (problems.length > 0)
      throw new PosternError(
        'storage_damaged',
        `The backup is not sound: ${problems.slice(0, 3).join('; ')}.`,
      );
    step('Pausing');
    return { at, bytes, counts, directive: await paused(to, clock, new Date(at).toISOString()) };
  } catch (error) {
    for (const name of await readdir(to)) await rm(join(to, name), { recursive: true });
    throw error;
  }
}

/** Opens the store, which brings it up to date, and orders the pause in it. */
async function paused(directory: string, clock: Clock, at: string): Promise<string> {
  const engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  try {
    const directives = await openDirectives({ config: engine.config, clock });
    const reason = `Restored from the backup of ${at}. Remove this directive to send.`;
    const { id } = await pauseAll(directives, reason, 'restore');
    await directives.close();
    return id;
  } finally {
    await engine.close();
  }
}

async function copySynced(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = await open(to, 'r+');
  try {
    await file.chmod(0o600);
    await file.sync();
  } finally {
    await file.close();
  }
}
