import type { Attempt, MessageClass, QueueItem } from '../engine/items.ts';
import type { LeasedItem } from '../engine/ports.ts';
import type { RetrySchedule } from '../outcome/retry.ts';
import type { Mail, MailLimits } from '../shaping/limits/terms.ts';
import type { Queued } from '../shaping/ready-queue.ts';
import type { StreamLimiter } from '../shaping/stream-limiter.ts';
import type { Transaction } from '../smtp/types.ts';

/** A code of `lib/outcome/reasons.ts`, and text for a person. */
export interface Reason {
  code: string;
  text: string;
}

/** Why a delivery waits. */
export interface WaitStatus extends Reason {
  /** Not before then, ms since the epoch. */
  until: number;
}

/** Where a delivery is queued or under way, and counted: set by the connection pool that queues it. */
export interface Slot {
  /** Stops counting the delivery. */
  leave(delivery: Delivery): void;
  /** Why the delivery waits; undefined when it need not wait. */
  waitStatus(delivery: Delivery, now: number): WaitStatus | undefined;
  /** Counts the result of an attempt at its site. */
  attempted(attempt: Attempt): void;
}

/** The lane that a delivery came from. */
export interface LaneUsage {
  readonly pool: string;
  readonly class: MessageClass;
  /** It holds the mail of many providers: what one site keeps is not to come back again and again among it. */
  readonly shared: boolean;
  /** Deliveries of this lane in flight. */
  held: number;
  /** `count` deliveries were put back for want of room at their sites. */
  overflowed(count: number): void;
  /** A delivery of it was tried. */
  tried(): void;
  /** A delivery of it was put back without being tried. @param to domain, or site. @param why and until when it is kept. */
  putBack(to: string, why: WaitStatus): void;
}

/**
 * A delivery in flight. It is itself the transaction that goes to the SMTP client, and a link of the ready
 * queue: one object for each message on its way through.
 */
export class Delivery implements Transaction, Mail, Queued<Delivery> {
  readonly leased: LeasedItem;
  readonly item: QueueItem;
  readonly lane: LaneUsage;
  readonly mailFrom: string;
  readonly recipients: string[];
  readonly bytes: Buffer;
  /** Octets of the body; `bytes` is empty once its lease has ended. */
  readonly size: number;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  readonly domain: string;
  readonly tenant: string;
  readonly campaign: string | undefined;
  readonly class: MessageClass;
  readonly bulk: boolean;
  /** It ends as expired then: by its own age, or earlier by a limit of its destination. */
  expiresAt: number;
  /** Retry schedule that a limit of its destination sets; undefined: the configuration set's. */
  retry: RetrySchedule | undefined;
  /** Limits of its own mail beside those of the site. */
  stream: StreamLimiter | undefined;
  /** End of its lease, ms: later the queue may hand it out again. */
  visibleUntil: number;
  /** Undefined until it is queued for a connection. */
  slot: Slot | undefined;
  /** It waits for a connection; false while it is under way. */
  queued: boolean;
  /** Pool whose IPs send it: that of its lane, unless it was routed to another. */
  pool: string;
  /** Its way leads to the smarthost of a pool. */
  toSmarthost = false;
  /** A directive has rerouted it to another pool; it is not rerouted again. */
  moved: boolean;
  /** How often a connection broke under it before a reply to any of its commands. */
  interruptions: number;
  /** Next in the ready queue. */
  next: Delivery | undefined;

  constructor(leased: LeasedItem, lane: LaneUsage, visibleUntil: number) {
    const { item } = leased;
    this.leased = leased;
    this.item = item;
    this.lane = lane;
    this.mailFrom = item.mailFrom;
    this.recipients = [item.recipient];
    this.bytes = leased.bytes;
    this.size = leased.bytes.length;
    this.eightBit = item.eightBit;
    this.smtpUtf8 = item.smtpUtf8;
    this.domain = item.domain;
    this.tenant = item.tenant;
    this.campaign = item.campaign;
    this.class = lane.class;
    this.pool = lane.pool;
    this.bulk = lane.class === 'bulk';
    this.expiresAt = item.expiresAt;
    this.visibleUntil = visibleUntil;
    this.retry = undefined;
    this.stream = undefined;
    this.slot = undefined;
    this.next = undefined;
    this.queued = false;
    this.moved = item.moved === true;
    this.interruptions = 0;
  }

  /** Applies the limits of its destination to its age and retries. */
  follow(mailLimits: MailLimits | undefined): void {
    const { acceptedAt, expiresAt } = this.item;
    this.retry = mailLimits?.retry;
    this.expiresAt = Math.min(expiresAt, acceptedAt + (mailLimits?.maxAge ?? Number.POSITIVE_INFINITY));
  }
}
