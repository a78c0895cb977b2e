/** Passes the existing pools to processes that accept mail: as a setting, or, in a stage with many, as a file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { poolsOf } from './cells.ts';
import type { Stage } from './stage.ts';

/** Characters of the setting. Lambda takes 4 KB for all settings of a function. */
const MAX_SETTING = 1_024;
const FILE = 'pools.txt';

export interface StagePoolSetting {
  /** As `readApiSettings` takes it. */
  pools: readonly string[];
  /** Paths of files that go beside the bundle. */
  files: readonly string[];
}

/** @param directory where the file is put, when one is needed. */
export function poolSetting(stage: Stage, directory: string): StagePoolSetting {
  const pools = poolsOf(stage);
  const text = pools.join(',');
  if (text.length <= MAX_SETTING) return { pools, files: [] };
  mkdirSync(directory, { recursive: true });
  const file = join(directory, FILE);
  writeFileSync(file, text);
  return { pools: [`@${FILE}`], files: [file] };
}
