/**
 * A network of the bench's own, where MX hosts have public addresses: Postern goes to no others (`lib/public-address.ts`),
 * and nobody's real one may be tried. The process runs again in a network namespace whose loopback interface has them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { a, mx, startDnsServer, type TestDnsServer, type ZoneEntry } from '../../test/support/dns-server.ts';

/** Set in the process that runs in the namespace. */
const INSIDE = 'BENCH_NETWORK';
/** Addresses of the namespace, all of which its loopback interface answers for. */
const NETWORK = '203.0.114';
/** Pairs of MX hosts: as many sites. */
const SITES = 100;

/**
 * Goes on in a network of its own: this process runs again there, and ends with it.
 * @returns why that cannot be, in the first process; undefined in the second.
 */
export function enterNetwork(): string | undefined {
  if (process.env[INSIDE] !== undefined) {
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    execFileSync('ip', ['address', 'add', `${NETWORK}.1/24`, 'dev', 'lo']);
    return undefined;
  }
  // Where root is not needed, a namespace of users makes one of its own.
  const how = process.getuid?.() === 0 ? ['--net'] : ['--net', '--map-root-user'];
  const probe = spawnSync('unshare', [...how, 'ip', 'link', 'set', 'lo', 'up'], { encoding: 'utf8' });
  if (probe.error) return 'unshare and ip are needed (Debian: apt-get install util-linux iproute2)';
  if (probe.status !== 0) return `a network namespace is refused here: ${probe.stderr.trim()}`;
  const { status } = spawnSync(
    'unshare',
    [...how, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    {
      stdio: 'inherit',
      env: { ...process.env, [INSIDE]: '1' },
    },
  );
  process.exit(status ?? 1);
}

/** Starts a name server for the domains `r0.example` and up, each with two of the MX hosts. */
export function startZone(domains: number): Promise<TestDnsServer> {
  const zone: Record<string, ZoneEntry> = {};
  for (let site = 0; site < SITES; site += 1) {
    zone[`A mx1.site${site}.example`] = a(`${NETWORK}.${2 * site + 2}`);
    zone[`A mx2.site${site}.example`] = a(`${NETWORK}.${2 * site + 3}`);
  }
  for (let n = 0; n < domains; n += 1) {
    const site = `site${n % SITES}.example`;
    zone[`MX r${n}.example`] = mx([10, `mx1.${site}`], [20, `mx2.${site}`]);
  }
  return startDnsServer(zone);
}
