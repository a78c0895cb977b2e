/** `npm start`: the whole service in one process on the embedded engine. */
import { mkdirSync } from 'node:fs';
import { PosternError } from '../lib/errors.ts';
import { createLog } from '../lib/log.ts';
import { systemClock } from '../lib/time.ts';
import { runService } from './service/service.ts';
import { loadSettings, type Settings, SettingsError } from './settings.ts';
import { banner } from './standalone/banner.ts';
import { lowerPoolPriority } from './standalone/pool-priority.ts';
import { startStandalone } from './standalone/standalone.ts';

/** Doors, transactions under way and the store have so long to end, ms. */
const DRAIN = 60_000;

let settings: Settings;
try {
  settings = await loadSettings(process.env, process.cwd(), { verifyIdentities: false });
  mkdirSync(settings.data, { recursive: true, mode: 0o700 });
} catch (error) {
  fail(error);
}

const log = createLog({
  level: settings.logLevel,
  now: () => systemClock.now(),
  write: (line) => process.stderr.write(line),
});

await runService(
  async () => {
    const postern = await startStandalone(settings, log);
    lowerPoolPriority();
    process.stdout.write(banner(settings, postern.listening, postern.firstKey));
    return () => postern.stop();
  },
  log,
  DRAIN,
  fail,
);

/** Says in one sentence why it cannot go on. What is not foreseen is shown whole. */
function fail(error: unknown): never {
  if (error instanceof SettingsError || error instanceof PosternError) {
    const action = error instanceof PosternError ? ` ${error.entry.action}` : '';
    process.stderr.write(`postern: ${error.message}${action}\n`);
  } else if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    const { address, port } = error as { address?: string; port?: number };
    process.stderr.write(
      `postern: ${address}:${port} is in use. Stop what listens there, or set another address.\n`,
    );
  } else {
    process.stderr.write(`postern: ${(error as Error).stack ?? String(error)}\n`);
  }
  process.exit(1);
}
