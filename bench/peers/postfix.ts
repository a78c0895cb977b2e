/** Postfix with OpenDKIM as its milter: an instance of its own in a directory, beside one that the machine may run. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { end, freePort, greets, type Peer, run, SELECTOR } from './peer.ts';

/** The services of Debian's master.cf that relaying uses, none of them in a chroot. */
const SERVICES = [
  'cleanup unix n - n - 0 cleanup',
  'qmgr unix n - n 300 1 qmgr',
  'rewrite unix - - n - - trivial-rewrite',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'flush unix n - n 1000? 0 flush',
  'proxymap unix - - n - - proxymap',
  'smtp unix - - n - 100 smtp',
  'error unix - - n - - error',
  'retry unix - - n - - error',
  'discard unix - - n - - discard',
  'anvil unix - - n - 1 anvil',
  'scache unix - - n - 1 scache',
  'postlog unix-dgram n - n - 1 postlogd',
];

export const POSTFIX: Peer = {
  name: 'Postfix with OpenDKIM',

  async missing() {
    if (process.getuid?.() !== 0) return 'it needs root to start an instance of its own';
    for (const command of ['postfix', 'opendkim']) {
      try {
        await run('which', [command]);
      } catch {
        return `${command} is not installed; on Debian: apt-get install postfix opendkim`;
      }
    }
    return undefined;
  },

  async start({ directory, sink, key, domain }) {
    const [port, milter] = [await freePort(), await freePort()];
    const keyFile = join(directory, 'key.pem');
    writeFileSync(keyFile, key, { mode: 0o600 });
    const signing = join(directory, 'opendkim.conf');
    // The directory is below /tmp, which others may write: OpenDKIM would refuse the key.
    const lines = ['RequireSafeKeys no', `Domain ${domain}`, `Selector ${SELECTOR}`, `KeyFile ${keyFile}`];
    writeFileSync(
      signing,
      `${[...lines, 'Mode s', 'Canonicalization relaxed/relaxed', `Socket inet:${milter}@127.0.0.1`].join('\n')}\n`,
    );
    const signer = spawn('opendkim', ['-f', '-x', signing], { stdio: 'ignore' });
    const configuration = join(directory, 'etc');
    const [queue, data] = [join(directory, 'spool'), join(directory, 'data')];
    for (const made of [configuration, queue, data]) mkdirSync(made);
    chmodSync(directory, 0o755);
    await run('chown', ['postfix', data]);
    const settings = {
      compatibility_level: '3.6',
      queue_directory: queue,
      data_directory: data,
      mail_owner: 'postfix',
      setgid_group: 'postdrop',
      myhostname: 'postfix.bench.test',
      mydestination: '',
      inet_interfaces: '127.0.0.1',
      inet_protocols: 'ipv4',
      mynetworks: '127.0.0.0/8',
      relayhost: `[127.0.0.1]:${sink}`,
      smtpd_milters: `inet:127.0.0.1:${milter}`,
      milter_default_action: 'tempfail',
      maillog_file: join(directory, 'mail.log'),
      maillog_file_prefixes: directory,
      default_process_limit: '100',
      default_destination_concurrency_limit: '40',
      initial_destination_concurrency: '40',
      smtpd_client_connection_count_limit: '0',
      in_flow_delay: '0',
      // Connections are kept from the first message on, and not only while many wait.
      smtp_connection_cache_destinations: '127.0.0.1',
      smtpd_tls_security_level: 'none',
      smtp_tls_security_level: 'none',
      alias_maps: '',
      alias_database: '',
    };
    writeFileSync(
      join(configuration, 'main.cf'),
      Object.entries(settings)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(''),
    );
    writeFileSync(
      join(configuration, 'master.cf'),
      `${[`127.0.0.1:${port} inet n - n - 100 smtpd`, ...SERVICES].join('\n')}\n`,
    );
    await run('postfix', ['-c', configuration, 'start']);
    await greets(port);
    const master = Number(readFileSync(join(queue, 'pid', 'master.pid'), 'utf8'));
    return {
      host: '127.0.0.1',
      port,
      pids: [master, signer.pid!],
      async stop() {
        await run('postfix', ['-c', configuration, 'stop']);
        await end(signer);
      },
    };
  },
};
