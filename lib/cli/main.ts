/** The process of the `postern` command. */
import { readFileSync } from 'node:fs';
import { run } from './program.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// A reader that went away (`postern search … | head`) wants no more.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const interrupted = new AbortController();
process.on('SIGINT', () => {
  // The second one ends what does not end by itself.
  if (interrupted.signal.aborted) process.exit(130);
  interrupted.abort();
});

process.exitCode = await run(
  process.argv.slice(2),
  {
    env: process.env,
    input: process.stdin,
    out: process.stdout,
    err: process.stderr,
    now: () => Date.now(),
    signal: interrupted.signal,
  },
  version,
);
