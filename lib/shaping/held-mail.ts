/** What a process has in hand of the queues, for whoever displays them: counts that cost little, and why when asked. */
import type { Constraint } from './constraint.ts';

/** The way from an IP to a site, and how fast it goes now. */
export interface HeldPath {
  provider: string;
  site: string;
  /** Absent: the host's default address. */
  ip?: string;
  pool: string;
  /** Connections open or being opened. */
  connections: number;
  /** Deliveries that ended lately, by any result, a second. */
  rate: number;
  /** Messages a second that limits permit, learnt ones included; `Infinity`: any number. */
  limit: number;
  /** The constraint for which its mail waits, if any, and when the next message may go, since the epoch, ms. */
  why(): { binding: Constraint | undefined; nextAt: number };
}

/** Deliveries that agree in all of these, in hand of a process. */
export interface HeldMail {
  tenant: string;
  pool: string;
  class: 'transactional' | 'bulk';
  /** Provider group of their lane. */
  group: string;
  /** Absent while their destination is looked up. */
  path?: HeldPath;
  /** Deliveries that wait for a connection; all others are under way. */
  waiting: number;
  underWay: number;
  /** When the oldest was accepted, since the epoch, ms. */
  oldest: number;
}

export interface MailInHand {
  mail: HeldMail[];
  /** Paths with connections, whether mail waits for them or not. */
  paths: HeldPath[];
}
