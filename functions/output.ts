/** The output of functions: standard output itself, whose lines CloudWatch reads as log and as metrics. */

import { createLog, type Log } from '../lib/log.ts';
import { createEmf, type Emf, STAGE_VARIABLE } from '../lib/observe/emf.ts';
import type { Clock } from '../lib/time.ts';

export interface Output {
  log: Log;
  emf: Emf;
}

export function openOutput(clock: Clock, write: (line: string) => void = toStandardOutput): Output {
  const now = (): number => clock.now();
  return {
    log: createLog({ level: 'info', now, write }),
    emf: createEmf({ now, write, stage: process.env[STAGE_VARIABLE] }),
  };
}

function toStandardOutput(line: string): void {
  process.stdout.write(line);
}
