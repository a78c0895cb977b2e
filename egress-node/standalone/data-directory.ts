/** The data directory: made at the first start, and proven to be writable before anything is opened in it. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { SettingsError } from '../settings.ts';

/** @throws SettingsError with the reason why it cannot be used. */
export function prepareDirectory(path: string): void {
  const directory = resolve(path);
  try {
    makeDirectory(directory);
    const probe = join(directory, `.write-test-${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new SettingsError(
      `POSTERN_DATA: ${directory} cannot be written: ${REASONS[code ?? ''] ?? message}. Name a directory that this user may write.`,
    );
  }
}

const REASONS: Record<string, string> = {
  EACCES: 'this user has no right to it',
  EPERM: 'this user has no right to it',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'it is a file',
  ENOENT: 'the file system takes no new entries there',
  ENOSPC: 'the disk is full',
};

/**
 * Creates parent by parent: with `recursive`, Node 24 retries without end where a file system refuses with ENOENT
 * (/proc).
 */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  makeDirectory(dirname(directory));
  mkdirSync(directory, { mode: 0o700 });
}
