/**
 * One source IP and one site on a simulated clock: the path of the egress node with its ready queue, limits and
 * feedback as they run in production, over connections to a modelled peer.
 */

import type { CompletedAttempt } from '../../lib/egress/attempt.ts';
import { ConnectionPool } from '../../lib/egress/connection-pool.ts';
import { newCounts } from '../../lib/egress/counters.ts';
import { Delivery, type LaneUsage } from '../../lib/egress/delivery.ts';
import type { Destinations, SiteAddress, Targets } from '../../lib/egress/destination.ts';
import { PoolLimits } from '../../lib/egress/pool-limits.ts';
import { Site } from '../../lib/egress/site.ts';
import { SourceAddress } from '../../lib/egress/source-address.ts';
import { TlsFallback } from '../../lib/egress/tls-fallback.ts';
import type { MessageClass } from '../../lib/engine/items.ts';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import type { LimitDocument } from '../../lib/shaping/limits/document.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import type { SessionOptions } from '../../lib/smtp/types.ts';
import type { Random } from '../../lib/time.ts';
import type { SimulatedClock } from './clock.ts';
import { type Peer, SimulatedSession } from './peer.ts';

const NAME = 'mx.example.com';
const IP = '203.0.113.1';
const LANES: Readonly<Record<MessageClass, LaneUsage>> = {
  transactional: {
    pool: 'default',
    class: 'transactional',
    shared: false,
    held: 0,
    overflowed() {},
    tried() {},
    putBack() {},
  },
  bulk: {
    pool: 'default',
    class: 'bulk',
    shared: false,
    held: 0,
    overflowed() {},
    tried() {},
    putBack() {},
  },
};

export interface LineOptions {
  clock: SimulatedClock;
  random: Random;
  peer: Peer;
  limits: LimitDocument;
  /** A delivery was tried. */
  attempted: (delivery: Delivery, tried: CompletedAttempt) => void;
  /** A delivery was requeued without an attempt until `until`. */
  released?: (delivery: Delivery, until: number) => void;
}

export class Line {
  readonly path: ConnectionPool;
  readonly #clock: SimulatedClock;
  /** Connections requested. */
  connects = 0;

  private constructor(options: LineOptions, site: Site, destinations: Destinations) {
    const { clock, random, peer, attempted, released } = options;
    this.#clock = clock;
    // The part that the connection pool uses; the rest is about storage.
    const results = {
      mayBegin: () => true,
      attempted,
      release: (delivery: Delivery, _code: string, _text: string, until: number) =>
        released?.(delivery, until),
      // Only mail of a lane that many providers share waits for its site.
      unreached: attempted,
      park: () => {},
    };
    const host = {
      clock,
      random,
      destinations,
      tlsFallback: new TlsFallback(),
      deadlines: DEFAULT_DEADLINES,
      results,
      // Rules and warm-up have scenarios of their own: here the feedback is alone.
      observer: { onReply: () => 0, onSessionRefused: () => undefined },
      policy: undefined,
      warmup: undefined,
      requeue: () => undefined,
      reached: () => undefined,
      open: (session: SessionOptions) => {
        this.connects += 1;
        return new SimulatedSession(session, peer);
      },
    };
    const source = new SourceAddress(IP, 'mta.example.com');
    source.heldUntil = Number.POSITIVE_INFINITY;
    const place = { provider: 'other', site: NAME, routed: false, ip: IP, pool: 'default' };
    const mail = { domain: 'example.com', tenant: 'any', class: 'bulk' } as const;
    const poolLimits = new PoolLimits(new LimitBook(limitTable(options.limits)), place, mail);
    this.path = new ConnectionPool(site, source, false, poolLimits, host);
    this.#tick();
  }

  /** Called once a second, as by the dispatcher. */
  #tick(): void {
    this.path.pump(true);
    this.#clock.after(1000, () => this.#tick());
  }

  static async open(options: LineOptions): Promise<Line> {
    const now = options.clock.now();
    const forever = Number.POSITIVE_INFINITY;
    const address: SiteAddress = {
      kind: 'site',
      site: NAME,
      provider: 'other',
      hosts: [{ name: NAME, preference: 10 }],
      port: 25,
      routed: false,
      expiresAt: forever,
    };
    const target = { host: NAME, preference: 10, address: '198.51.100.25', port: 25, family: 4 } as const;
    const targets: Targets = { kind: 'targets', targets: [target], expiresAt: forever };
    const destinations = { targets: () => Promise.resolve(targets) } as unknown as Destinations;
    const site = new Site(address, newCounts(), now);
    await site.lookup(destinations);
    return new Line(options, site, destinations);
  }

  /** Adds deliveries to the pool; requeued ones may come again. */
  give(...deliveries: Delivery[]): void {
    for (const delivery of deliveries) this.path.queue.push(delivery);
    this.path.pump();
  }
}

const BYTES = Buffer.from('Subject: simulated\r\n\r\n\r\n');

/** A message of a tenant, accepted at an instant. */
export function delivery(tenant: string, messageClass: MessageClass, cameAt: number): Delivery {
  const item = {
    v: 1,
    messageId: '',
    n: 0,
    tenant,
    lane: `default:${messageClass}:other`,
    mailFrom: '',
    recipient: 'a@example.com',
    domain: 'example.com',
    eightBit: false,
    smtpUtf8: false,
    requireTls: false,
    acceptedAt: cameAt,
    expiresAt: Number.POSITIVE_INFINITY,
    attempts: 0,
    due: 0,
  };
  const leased = { item, bytes: BYTES, receives: 1, receipt: undefined };
  return new Delivery(leased, LANES[messageClass], Number.POSITIVE_INFINITY);
}
