/** Reads limits, kernel settings and the disk: from /proc where there is one. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { familyOf } from '../../ip.ts';
import type { DiskFacts, LimitFacts } from '../rules/host.ts';

/** @param proc where the kernel shows itself. */
export async function gatherLimits(proc = '/proc'): Promise<LimitFacts> {
  const read = async (path: string): Promise<string> => {
    try {
      return await readFile(join(proc, path), 'utf8');
    } catch {
      // Another system, or a module of the kernel that is not loaded.
      return '';
    }
  };
  const number = async (path: string): Promise<number | undefined> => {
    const text = (await read(path)).trim();
    return /^\d+$/.test(text) ? Number(text) : undefined;
  };
  const files = /^Max open files\s+(\d+|unlimited)/m.exec(await read('self/limits'))?.[1];
  const ports = /^(\d+)\s+(\d+)/.exec(await read('sys/net/ipv4/ip_local_port_range'));
  return {
    openFiles:
      files === undefined ? undefined : files === 'unlimited' ? Number.POSITIVE_INFINITY : Number(files),
    localPorts: ports ? Number(ports[2]) - Number(ports[1]) + 1 : undefined,
    backlog: await number('sys/net/core/somaxconn'),
    tracked: await number('sys/net/netfilter/nf_conntrack_count'),
    maxTracked: await number('sys/net/netfilter/nf_conntrack_max'),
  };
}

/** @param refuses the store's reason for refusing new mail. */
export async function gatherDisk(path: string, refuses: string | undefined): Promise<DiskFacts> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(path);
  return { path, total: blocks * bsize, free: bavail * bsize, inodes: files, freeInodes: ffree, refuses };
}

/** Tests an address by binding it: the list of interfaces lacks addresses that the kernel would let us bind. */
export async function isOwnAddress(address: string): Promise<boolean> {
  const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4');
  socket.bind({ address, port: 0, exclusive: true });
  try {
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

/** The address from which the host reaches others when none is chosen; undefined without a route. Sends nothing. */
export async function defaultSource(): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    // A datagram socket that is connected asks the routing table, and no one else (192.0.2.1: RFC 5737).
    socket.connect(53, '192.0.2.1');
    await once(socket, 'connect');
    const { address } = socket.address();
    return address.startsWith('127.') ? undefined : address;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
