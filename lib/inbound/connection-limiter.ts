/** Who may come in, and how often: a flood of forged bounces must not take the place of real ones. */
import type { Clock } from '../time.ts';

export interface GateLimits {
  /** Connections at the same time, in all and from one address. */
  connections: number;
  connectionsOfOne: number;
  /** Messages from one address in a minute. */
  messagesOfOne: number;
}

/**
 * A large provider bounces a whole campaign from a few addresses within minutes, hence the generous rate; what
 * is over it is answered 4yz, and a real server comes again.
 */
export const DEFAULT_GATE: GateLimits = { connections: 500, connectionsOfOne: 50, messagesOfOne: 6000 };

/** Each returns why not, as the text of a temporary reply, or undefined. */
export interface Gate {
  open(session: string, address: string): string | undefined;
  close(session: string): void;
  message(address: string): string | undefined;
}

const WINDOW = 60_000;

export function createGate(limits: GateLimits, clock: Clock): Gate {
  /** Session to address. */
  const sessions = new Map<string, string>();
  const connections = new Map<string, number>();
  const messages = new Map<string, number>();
  let windowEnd = 0;

  return {
    open(session, address) {
      if (sessions.size >= limits.connections) return '4.7.0 Too many connections, try again later';
      const open = connections.get(address) ?? 0;
      if (open >= limits.connectionsOfOne) return '4.7.0 Too many connections from you, try again later';
      sessions.set(session, address);
      connections.set(address, open + 1);
      return undefined;
    },

    close(session) {
      const address = sessions.get(session);
      if (address === undefined) return;
      sessions.delete(session);
      const left = connections.get(address)! - 1;
      if (left > 0) connections.set(address, left);
      else connections.delete(address);
    },

    message(address) {
      const now = clock.now();
      // One window for all: the map starts empty each minute, so that it cannot grow for ever.
      if (now >= windowEnd) {
        messages.clear();
        windowEnd = now + WINDOW;
      }
      const count = (messages.get(address) ?? 0) + 1;
      messages.set(address, count);
      return count > limits.messagesOfOne ? '4.7.1 Too many messages from you, try again later' : undefined;
    },
  };
}
