#!/usr/bin/env node
/**
 * The `postern` command. Plain JavaScript, because an older Node starts it too: the Node that `npm ci` brought then
 * runs the rest.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const main = new URL('main.ts', import.meta.url);

if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  await import(main.href);
} else {
  const brought = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));
  // Says how to get it, and ends.
  if (!existsSync(brought)) await import(new URL('../../egress-node/node-version.js', import.meta.url).href);
  const child = spawn(brought, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends its signals to both; the child decides what follows.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}
