/**
 * Backups of the running service: `<data>/backups/<time>` holds a copy of the store of one instant and the keys that
 * open it. `backup.json` is written last: a directory without it is no backup.
 */

import { existsSync } from 'node:fs';
import {
  constants,
  copyFile,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  statfs,
} from 'node:fs/promises';
import { join } from 'node:path';
import { FILE, JOURNAL } from '../../engine/embedded/store/schema.ts';
import type { Engine } from '../../engine/ports.ts';
import { asPosternError, PosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';

/** The directory of backups in a data directory. */
export const BACKUPS = 'backups';
export const MANIFEST = 'backup.json';
/** Files of a data directory beside the store: without the key no secret in the store can be read. */
export const KEPT_FILES = ['master.key', 'tls.pem'] as const;
/**
 * Directories of a data directory beside the store: what peers answered last, which the store may not have yet, and the
 * files of finished jobs.
 */
export const KEPT_DIRECTORIES = [JOURNAL, 'results'] as const;
/** Free bytes that a backup leaves: new mail is refused below as many. */
const LEFT_FREE = 256 << 20;

export interface Backup {
  id: string;
  /** On the host of the service. */
  directory: string;
  state: 'running' | 'done' | 'failed';
  /** Since the epoch, ms. */
  startedAt: number;
  endedAt?: number;
  /** Bytes that are copied, and of how many. */
  bytes: number;
  of: number;
  /** Why it failed. */
  error?: string;
}

export interface BackupOptions {
  /** The data directory. */
  directory: string;
  engine: Pick<Engine, 'snapshot'>;
  clock: Clock;
  log: Pick<Log, 'info' | 'error'>;
  version: string;
}

export class Backups {
  readonly #options: BackupOptions;
  /** Those of this process, and the one under way. */
  readonly #own = new Map<string, Backup>();
  #running: Promise<void> | undefined;

  constructor(options: BackupOptions) {
    this.#options = options;
  }

  /** Begins a backup. @throws PosternError `already_exists` while one is under way, `storage_full`. */
  async start(): Promise<Backup> {
    if (this.#running !== undefined)
      throw new PosternError('already_exists', 'A backup is under way: GET /v1/backups shows how far it is.');
    const { directory, clock } = this.#options;
    const at = clock.now();
    const id = new Date(at).toISOString().replaceAll(':', '-');
    const { size } = await stat(join(directory, FILE));
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize < size + LEFT_FREE) {
      throw new PosternError(
        'storage_full',
        `The backup needs ${size} bytes and ${LEFT_FREE} must stay free; ${bavail * bsize} are. Free disk space, or remove old backups.`,
      );
    }
    const target = join(directory, BACKUPS, id);
    const backup: Backup = { id, directory: target, state: 'running', startedAt: at, bytes: 0, of: size };
    this.#own.set(id, backup);
    this.#running = this.#run(backup).finally(() => {
      this.#running = undefined;
    });
    return backup;
  }

  /** Those that the host has, the oldest first. */
  async list(): Promise<Backup[]> {
    const directory = join(this.#options.directory, BACKUPS);
    const names = existsSync(directory) ? (await readdir(directory)).sort() : [];
    const found = await Promise.all([...new Set([...names, ...this.#own.keys()])].map((id) => this.find(id)));
    return found.filter((one) => one !== undefined);
  }

  async find(id: string): Promise<Backup | undefined> {
    const own = this.#own.get(id);
    const directory = join(this.#options.directory, BACKUPS, id);
    if (own?.state === 'running') {
      const copied = await stat(join(directory, FILE)).catch(() => undefined);
      return { ...own, bytes: copied?.size ?? 0 };
    }
    if (own !== undefined && existsSync(directory)) return own;
    // No name of a caller leads out of the directory.
    if (!/^\w[\w.-]{0,63}$/.test(id) || !existsSync(directory)) return undefined;
    return readManifest(directory, id);
  }

  /** Resolves when none is under way. */
  async stop(): Promise<void> {
    await this.#running;
  }

  async #run(backup: Backup): Promise<void> {
    const { directory, engine, clock, log, version } = this.#options;
    const { id, directory: target, startedAt } = backup;
    try {
      await mkdir(target, { recursive: true, mode: 0o700 });
      await engine.snapshot!(join(target, FILE));
      for (const name of KEPT_FILES)
        if (existsSync(join(directory, name)))
          await copyFile(join(directory, name), join(target, name), constants.COPYFILE_EXCL);
      for (const name of KEPT_DIRECTORIES)
        if (existsSync(join(directory, name)))
          await cp(join(directory, name), join(target, name), { recursive: true });
      const { size } = await stat(join(target, FILE));
      const manifest = { version, startedAt, endedAt: clock.now(), bytes: size };
      await writeSynced(join(target, MANIFEST), JSON.stringify(manifest));
      this.#own.set(id, { ...backup, state: 'done', endedAt: manifest.endedAt, bytes: size });
      log.info('backup.done', { id, bytes: size });
    } catch (cause) {
      const error = asPosternError(cause);
      this.#own.set(id, { ...backup, state: 'failed', endedAt: clock.now(), error: error.message });
      log.error('backup.failed', { id, error });
    }
  }
}

/** A backup on the disk, of this process or one before. */
export async function readManifest(directory: string, id: string): Promise<Backup> {
  try {
    const { startedAt, endedAt, bytes } = JSON.parse(await readFile(join(directory, MANIFEST), 'utf8'));
    return { id, directory, state: 'done', startedAt, endedAt, bytes, of: bytes };
  } catch {
    const { mtimeMs } = await stat(directory);
    const error = 'It was cut off, and is of no use. Remove its directory.';
    return { id, directory, state: 'failed', startedAt: Math.floor(mtimeMs), bytes: 0, of: 0, error };
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  const file = await open(partial, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}
