/** The host: certificate, clock, disk, limits of the kernel and of the process. */
import { DAY, MINUTE, SECOND } from '../../time.ts';
import { finding, type HealthFinding } from '../finding.ts';

export interface CertificateFacts {
  /** Since the epoch, ms. */
  now: number;
  expires: number;
  selfSigned: boolean;
  /** Whether it is for the host name of this service. */
  coversHost: boolean;
  hostname: string;
}

/** An automatic renewal (ACME) comes 30 days before the end: at 21 it has failed for a week. */
const EXPIRING = 21 * DAY;

export function certificateFindings({
  now,
  expires,
  selfSigned,
  coversHost,
  hostname,
}: CertificateFacts): HealthFinding[] {
  const at = new Date(expires).toISOString().slice(0, 10);
  const renew = 'Renew it, then send SIGHUP: the files are read again.';
  if (expires <= now)
    return [finding('certificate.expired', hostname, `The certificate expired on ${at}.`, renew)];
  if (selfSigned)
    return [
      finding(
        'certificate.self-signed',
        hostname,
        'The certificate is self-signed.',
        'Set `tls` in postern.config.ts to the files of a certificate (Let’s Encrypt).',
      ),
    ];
  return [
    ...(expires - now < EXPIRING
      ? [
          finding(
            'certificate.expiring',
            hostname,
            `The certificate expires on ${at}, in ${Math.floor((expires - now) / DAY)} days.`,
            renew,
          ),
        ]
      : []),
    ...(coversHost
      ? []
      : [
          finding(
            'certificate.name',
            hostname,
            `The certificate is not for ${hostname}.`,
            'Get one for that name, or set `hostname` to a name that it has.',
          ),
        ]),
  ];
}

export interface ClockFacts {
  server: string;
  /** How far the clock is ahead (behind: negative), ms; a text: why it is unknown. */
  offset: number | string;
}

/** Beyond it a signature with a time (DKIM t=, SigV4) may be of the future; NTP keeps a host within milliseconds. */
const MAX_OFFSET = 5 * SECOND;

export function clockFindings({ server, offset }: ClockFacts): HealthFinding[] {
  const command = 'timedatectl set-ntp true && timedatectl status';
  if (typeof offset === 'string') {
    return [
      finding(
        'clock.unknown',
        server,
        `The time server ${server} gives no answer: ${offset}.`,
        'Name another in doctor.timeServer, or let the host follow one.',
        { command },
      ),
    ];
  }
  if (Math.abs(offset) <= MAX_OFFSET) return [];
  const amount =
    Math.abs(offset) > 2 * MINUTE
      ? `${Math.round(Math.abs(offset) / MINUTE)} minutes`
      : `${(Math.abs(offset) / SECOND).toFixed(1)} s`;
  return [
    finding(
      'clock.off',
      server,
      `The clock is ${amount} ${offset > 0 ? 'ahead of' : 'behind'} ${server}.`,
      'Let the host follow a time server (chrony, systemd-timesyncd).',
      { command },
    ),
  ];
}

export interface DiskFacts {
  path: string;
  /** Octets of the file system; free: for this user. */
  total: number;
  free: number;
  /** Files that it can still make, and in all; 0: it has no such limit. */
  inodes: number;
  freeInodes: number;
  /** The store's reason for refusing new mail. */
  refuses?: string;
}

const LOW_SHARE = 0.1;
const LOW_OCTETS = 2 * 1024 ** 3;

export function diskFindings({ path, total, free, inodes, freeInodes, refuses }: DiskFacts): HealthFinding[] {
  const command = `df -h ${path}; du -xh --max-depth=1 ${path}`;
  if (refuses !== undefined)
    return [
      finding(
        'disk.full',
        path,
        refuses,
        'Free space, or enlarge the file system; mail is taken again by itself.',
        { command },
      ),
    ];
  const gigabytes = (free / 1024 ** 3).toFixed(1);
  if (free < LOW_OCTETS || free < total * LOW_SHARE) {
    return [
      finding(
        'disk.low',
        path,
        `${gigabytes} GB are free, ${Math.floor((free / total) * 100)} %.`,
        'Free space, enlarge the file system, or keep records for fewer days (recordDays).',
        { command },
      ),
    ];
  }
  if (inodes > 0 && freeInodes < inodes * LOW_SHARE) {
    return [
      finding(
        'disk.low',
        path,
        `${freeInodes} of ${inodes} inodes are free.`,
        'Delete files, or make the file system with more inodes.',
        { command: `df -i ${path}` },
      ),
    ];
  }
  return [];
}

/** Undefined where the system does not say. */
export interface LimitFacts {
  /** Open files that the process may have (soft limit). */
  openFiles?: number;
  /** Local ports of outgoing connections. */
  localPorts?: number;
  /** net.core.somaxconn. */
  backlog?: number;
  /** Connections that the firewall follows, and may follow. */
  tracked?: number;
  maxTracked?: number;
}

const MIN_FILES = 16_384;
const MIN_PORTS = 28_000;
const MIN_BACKLOG = 512;
const TRACKED_SHARE = 0.8;

export function limitFindings({
  openFiles,
  localPorts,
  backlog,
  tracked,
  maxTracked,
}: LimitFacts): HealthFinding[] {
  const found: HealthFinding[] = [];
  if (openFiles !== undefined && openFiles < MIN_FILES) {
    found.push(
      finding(
        'limits.files',
        'RLIMIT_NOFILE',
        `The process may have ${openFiles} open files.`,
        `Set LimitNOFILE=65536 in the unit of systemd, or raise it in the shell that starts the service.`,
        { command: 'ulimit -n 65536' },
      ),
    );
  }
  if (localPorts !== undefined && localPorts < MIN_PORTS) {
    found.push(
      finding(
        'limits.ports',
        'net.ipv4.ip_local_port_range',
        `There are ${localPorts} local ports.`,
        'Widen the range.',
        { command: 'sysctl -w net.ipv4.ip_local_port_range="16384 65535"' },
      ),
    );
  }
  if (backlog !== undefined && backlog < MIN_BACKLOG) {
    found.push(
      finding(
        'limits.backlog',
        'net.core.somaxconn',
        `New connections that may wait: ${backlog}.`,
        'Raise it.',
        { command: 'sysctl -w net.core.somaxconn=4096' },
      ),
    );
  }
  if (tracked !== undefined && maxTracked !== undefined && tracked > maxTracked * TRACKED_SHARE) {
    found.push(
      finding(
        'limits.conntrack',
        'net.netfilter.nf_conntrack_max',
        `The firewall follows ${tracked} of ${maxTracked} connections.`,
        'Raise the maximum, or do not track port 25 (notrack).',
        { command: `sysctl -w net.netfilter.nf_conntrack_max=${maxTracked * 4}` },
      ),
    );
  }
  return found;
}
