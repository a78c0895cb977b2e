/** `npm start`: the whole service in one process on the embedded engine. */
import { createLog } from '../lib/log.ts';
import { systemClock } from '../lib/time.ts';
import { describeFailure } from './service/failure.ts';
import { runService } from './service/service.ts';
import { loadSettings, type Settings } from './settings.ts';
import { banner } from './standalone/banner.ts';
import { prepareDirectory } from './standalone/data-directory.ts';
import { lowerPoolPriority } from './standalone/pool-priority.ts';
import { foreignAddresses } from './standalone/source-check.ts';
import { startStandalone } from './standalone/standalone.ts';

/** Maximum time for listeners, transactions under way and the store to end, ms. */
const DRAIN = 60_000;

let settings: Settings;
try {
  settings = await load();
  prepareDirectory(settings.data);
} catch (error) {
  fail(error);
}

const log = createLog({
  get level() {
    return settings.logLevel;
  },
  now: () => systemClock.now(),
  write: (line) => process.stderr.write(line),
});

await runService(
  async () => {
    const postern = await startStandalone(settings, log);
    lowerPoolPriority();
    const foreign = await foreignAddresses(settings);
    process.stdout.write(banner(settings, postern.listening, postern.firstKey, foreign));
    return {
      stop: () => postern.stop(),
      async reload() {
        const next = await load();
        const { applied, pending } = await postern.reload(next);
        settings = { ...settings, logLevel: next.logLevel };
        log.info('reloaded', { certificate: 'read again', applied, needRestart: pending });
      },
    };
  },
  { log, drain: DRAIN, fail },
);

function load(): Promise<Settings> {
  return loadSettings(process.env, process.cwd(), { verifyIdentities: false });
}

function fail(error: unknown): never {
  process.stderr.write(`postern: ${describeFailure(error)}\n`);
  process.exit(1);
}
