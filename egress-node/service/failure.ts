/** Formats why a process cannot start, in one sentence. An unforeseen error is shown whole, with its stack. */
import { PosternError } from '../../lib/errors.ts';
import { SettingsError } from '../settings.ts';

export function describeFailure(error: unknown): string {
  if (error instanceof SettingsError) return error.message;
  if (error instanceof PosternError) return `${error.message} ${error.entry.action}`;
  const { code, syscall, address, port, hostname, stack } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
    hostname?: string;
  };
  if (syscall === 'listen' || syscall === 'bind') {
    const at = `${address}:${port}`;
    if (code === 'EADDRINUSE') return `${at} is in use. Stop what listens there, or set another address.`;
    if (code === 'EACCES')
      return `This user may not listen on port ${port}. Set another port, or give the right: setcap cap_net_bind_service=+ep on the node binary, or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit.`;
    if (code === 'EADDRNOTAVAIL')
      return `This host has no address ${address}, so that nothing can listen on ${at}. Set an address of this host, or 0.0.0.0 for all.`;
  }
  if (syscall === 'getaddrinfo')
    return `"${hostname}" is not the name of an address of this host. Set an IP address to listen on.`;
  return stack ?? String(error);
}
