/** Opens sessions with their shared state: the memory of hosts, and whether connections succeed at all. */
import { FailureStreak, type Health } from '../failure-streak.ts';
import type { Clock } from '../time.ts';
import { HostMemory } from './host-memory.ts';
import { openSession } from './session.ts';
import type { SessionOptions, SmtpSession } from './types.ts';

/** Number of addresses in a row that failed to connect after which the port counts as blocked. */
const MIN_FAILED = 5;

export interface SmtpClient {
  open(options: SessionOptions): SmtpSession;
  /** Forgets the habits of a host. @returns whether any were known. */
  forget(host: string, port: number): boolean;
  /** Whether connections succeed. A network that blocks port 25 shows here. */
  health(): Health;
}

export function createSmtpClient(clock: Clock): SmtpClient {
  const hosts = new HostMemory(clock);
  const connects = new FailureStreak(
    MIN_FAILED,
    (last) =>
      `No connection was made to the last ${MIN_FAILED} addresses; the network may block the port. The last: ${last}`,
  );
  return {
    open: (options) =>
      openSession({
        ...options,
        habits: hosts.of(options.host, options.port),
        connected: () => connects.succeeded(),
        ended(end) {
          const unconnected = end.code === 'connect_failed' || end.code === 'no_source_ip';
          if (unconnected && end.phase === 'connect') connects.failed(options.address, end.text);
          options.ended(end);
        },
      }),
    forget: (host, port) => hosts.forget(host, port),
    health: () => connects.health(),
  };
}
