/**
 * A source address, and the limits that hold for it whatever the destination. Mail leaves from it only while
 * this node holds its lease (law 3), so that every count here is the whole truth about that IP.
 */
import { Bucket } from '../lib/shaping/bucket.ts';
import type { Limits } from '../lib/shaping/limits.ts';
import { familyOf } from './addresses.ts';
import type { Path } from './path.ts';
import type { Site } from './site.ts';

/** What all connections from one source to one site share, with and without required TLS. */
export interface Gate {
  connections: number;
  readonly connectRate: Bucket;
  readonly messageRate: Bucket;
}

export class Source {
  /** Undefined: the host chooses. */
  readonly ip: string | undefined;
  readonly family: 0 | 4 | 6;
  readonly ehloName: string;
  readonly #maxConnections: number;
  /** End of the lease on the IP, ms; 0 while it is not ours. */
  heldUntil = 0;
  /** It was usable when its lease was last looked at. */
  inUse = false;
  /** Why it may not be used, for a person. */
  trouble = 'Its lease has not been taken yet.';
  connections = 0;
  readonly #byProvider = new Map<string, number>();
  readonly #gates = new Map<string, Gate>();
  /** Paths that wait for a connection to be closed elsewhere, longest wait first. */
  readonly #blocked = new Set<Path>();
  /** Paths with connections, for the search of an idle one. */
  readonly #connected = new Set<Path>();

  constructor(ip: string | undefined, ehloName: string, maxConnections: number) {
    this.ip = ip;
    this.family = ip === undefined ? 0 : familyOf(ip);
    this.ehloName = ehloName;
    this.#maxConnections = maxConnections;
  }

  gate(site: Site): Gate {
    let gate = this.#gates.get(site.name);
    if (gate === undefined) {
      const { connections, connectionsPerMinute, messagesPerSecond } = site.limits;
      gate = {
        connections: 0,
        connectRate: new Bucket(connectionsPerMinute / 60, connections),
        messageRate: new Bucket(messagesPerSecond),
      };
      this.#gates.set(site.name, gate);
    }
    return gate;
  }

  forget(site: Site): void {
    this.#gates.delete(site.name);
  }

  /**
   * Whether one more connection to the provider is within the limits of this IP. If not, the path is called
   * again when a connection closes; an idle connection of another path is closed for it.
   */
  mayConnect(path: Path, provider: string, limits: Limits): boolean {
    const full = this.connections >= this.#maxConnections;
    const providerFull = (this.#byProvider.get(provider) ?? 0) >= limits.providerConnections;
    if (!full && !providerFull) return true;
    if (!this.#blocked.has(path)) {
      this.#blocked.add(path);
      for (const other of this.#connected) {
        if (other !== path && (full || other.site.provider === provider) && other.closeIdle()) break;
      }
    }
    return false;
  }

  /** Whether another path waits for a place that a connection of this one holds. */
  wantsPlace(path: Path): boolean {
    if (this.#blocked.size === 0) return false;
    if (this.connections >= this.#maxConnections) return true;
    for (const blocked of this.#blocked) {
      if (blocked !== path && blocked.site.provider === path.site.provider) return true;
    }
    return false;
  }

  connected(path: Path, provider: string): void {
    this.connections += 1;
    this.#byProvider.set(provider, (this.#byProvider.get(provider) ?? 0) + 1);
    this.#connected.add(path);
  }

  disconnected(path: Path, provider: string, last: boolean): void {
    this.connections -= 1;
    this.#byProvider.set(provider, this.#byProvider.get(provider)! - 1);
    if (last) this.#connected.delete(path);
    for (const blocked of [...this.#blocked]) {
      this.#blocked.delete(blocked);
      blocked.pump();
    }
  }
}
