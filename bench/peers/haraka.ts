/** Haraka with its DKIM plugin, installed by npm once. Its queue files are synced (`outbound`). */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { end, freePort, greets, type Peer, run, SELECTOR } from './peer.ts';

const VERSION = '3.3.4';

/** A hook of its own: the next hop of every domain is the sink. */
const toSink = (port: number): string => `
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '127.0.0.1', port: ${port} });
exports.hook_rcpt = (next, connection) => { connection.relaying = true; next(OK); };
`;

/** Where it is installed, for later runs too. */
const HOME = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', `haraka-${VERSION}`);

export function haraka(): Peer {
  const program = join(HOME, 'node_modules', '.bin', 'haraka');
  return {
    name: 'Haraka',

    async missing() {
      if (existsSync(program)) return undefined;
      mkdirSync(HOME, { recursive: true });
      writeFileSync(join(HOME, 'package.json'), '{"private":true}');
      try {
        await run('npm', ['install', '--no-audit', '--no-fund', `Haraka@${VERSION}`], HOME);
        return undefined;
      } catch (error) {
        return `npm cannot install it: ${(error as Error).message.split('\n').slice(0, 3).join(' ')}`;
      }
    },

    async start({ directory, sink, key, domain }) {
      const port = await freePort();
      const write = (name: string, text: string): void => {
        const file = join(directory, name);
        mkdirSync(join(file, '..'), { recursive: true });
        writeFileSync(file, text);
      };
      // Its own defaults, which it does not find from here.
      cpSync(join(HOME, 'node_modules', 'Haraka', 'config'), join(directory, 'config'), { recursive: true });
      write('config/smtp.ini', `listen=127.0.0.1:${port}\nnodes=${availableParallelism()}\n`);
      write('config/plugins', 'to_sink\ndkim\n');
      write('config/log.ini', 'level=error\n');
      write('config/me', 'haraka.bench.test\n');
      write('config/outbound.ini', 'concurrency_max=100\nenable_tls=false\nlocal_mx_ok=true\n');
      write(
        'config/dkim.ini',
        `[verify]\nenabled=false\n[sign]\nenabled=true\nselector=${SELECTOR}\ndomain=${domain}\nheaders=From,Sender,Reply-To,Subject,Date,Message-ID,To,Cc,MIME-Version,Content-Type\n[canon]\nbody=relaxed\n`,
      );
      write(`config/dkim/${domain}/private`, key);
      write(`config/dkim/${domain}/selector`, SELECTOR);
      write('plugins/to_sink.js', toSink(sink));
      mkdirSync(join(directory, 'queue'));
      const child = spawn(program, ['-c', directory], { cwd: directory, stdio: 'ignore' });
      await greets(port);
      return { host: '127.0.0.1', port, pids: [child.pid!], stop: () => end(child) };
    },
  };
}
