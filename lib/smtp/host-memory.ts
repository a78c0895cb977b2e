/**
 * Facts about a peer that sessions learn for later ones: which of its offers fail, and its TLS session. They are kept
 * by host and port in memory only: each fact is learnt again at the cost of one connection.
 */
import { TtlCache } from '../cache.ts';
import { type Clock, DAY } from '../time.ts';
import type { PeerHabits, TlsTicket } from './types.ts';

/** How long a fact is kept, ms; after that a mended peer gets another chance. */
const KEPT = 7 * DAY;
/** TLS sessions are 2 to 4 KB each with the certificate of the peer. */
const CAPACITY = 32 * 1024 * 1024;
const RECORD_OCTETS = 300;

export class HostMemory {
  readonly #clock: Clock;
  readonly #hosts: TtlCache<Habits>;

  /** @param capacity octets. */
  constructor(clock: Clock, capacity = CAPACITY) {
    this.#clock = clock;
    this.#hosts = new TtlCache(capacity);
  }

  /** The habits of a host, shared by all of its sessions. */
  of(host: string, port: number): PeerHabits {
    const key = `${host}:${port}`;
    const now = this.#clock.now();
    const known = this.#hosts.get(key, now);
    if (known !== undefined) return known;
    const habits = new Habits((octets) =>
      this.#hosts.set(key, habits, this.#clock.now() + KEPT, RECORD_OCTETS + octets),
    );
    this.#hosts.set(key, habits, now + KEPT, RECORD_OCTETS);
    return habits;
  }

  /** Forgets a host, for open sessions too. @returns whether its habits differed from those of an unknown host. */
  forget(host: string, port: number): boolean {
    const habits = this.#hosts.get(`${host}:${port}`, this.#clock.now());
    return habits?.forget() ?? false;
  }
}

class Habits implements PeerHabits {
  earlyEnvelope = true;
  chunking = true;
  ticket: TlsTicket | undefined;
  readonly #keep: (octets: number) => void;

  constructor(keep: (octets: number) => void) {
    this.#keep = keep;
  }

  forget(): boolean {
    const known = !this.earlyEnvelope || !this.chunking || this.ticket !== undefined;
    this.earlyEnvelope = true;
    this.chunking = true;
    this.keepTicket(undefined);
    return known;
  }

  keepTicket(ticket: TlsTicket | undefined): void {
    this.ticket = ticket;
    this.#keep(ticket?.session.length ?? 0);
  }
}
