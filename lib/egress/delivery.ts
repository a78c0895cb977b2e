import type { MessageClass, QueueItem } from '../engine/items.ts';
import type { LeasedItem } from '../engine/ports.ts';
import type { RetrySchedule } from '../outcome/retry.ts';
import type { Mail, MailLimits } from '../shaping/limits/terms.ts';
import type { Queued } from '../shaping/ready-queue.ts';
import type { StreamLimiter } from '../shaping/stream-limiter.ts';
import type { Transaction } from '../smtp/types.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';

/** What the dispatcher must know of the lane that a delivery came from. */
export interface LaneUsage {
  readonly pool: string;
  readonly class: MessageClass;
  /** Deliveries of this lane in hand. */
  held: number;
}

/**
 * A delivery in hand. It is itself the transaction that goes to the SMTP client, and a link of the ready
 * queue: one object for each message on its way through.
 */
export class Delivery implements Transaction, Mail, Queued<Delivery> {
  readonly leased: LeasedItem;
  readonly item: QueueItem;
  readonly lane: LaneUsage;
  readonly mailFrom: string;
  readonly recipients: string[];
  readonly bytes: Buffer;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  readonly domain: string;
  readonly tenant: string;
  readonly campaign: string | undefined;
  readonly class: MessageClass;
  readonly bulk: boolean;
  /** It ends as expired then: by its own age, or earlier by a limit of its destination. */
  expiresAt: number;
  /** When it is tried again, by a limit of its destination; undefined: as its configuration set says. */
  retry: RetrySchedule | undefined = undefined;
  /** What its own mail must pass beside the limits of the site. */
  stream: StreamLimiter | undefined = undefined;
  /** Until then it is ours alone; later the queue may hand it out again. */
  visibleUntil: number;
  /** Site and source that it counts for, once known. */
  site: Site | undefined = undefined;
  source: SourceAddress | undefined = undefined;
  /** Where it waits; undefined while it is under way. */
  path: ConnectionPool | undefined = undefined;
  /** Pool whose IPs send it: that of its lane, unless it goes by another. */
  pool: string;
  /** A directive has sent it to another pool; it is not sent on from there. */
  moved = false;
  /** How often a connection broke under it before anything of it was answered. */
  interruptions = 0;
  /** Next in the ready queue. */
  next: Delivery | undefined = undefined;

  constructor(leased: LeasedItem, lane: LaneUsage, visibleUntil: number) {
    const { item } = leased;
    this.leased = leased;
    this.item = item;
    this.lane = lane;
    this.mailFrom = item.mailFrom;
    this.recipients = [item.recipient];
    this.bytes = leased.bytes;
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
  }

  /** Follows the limits of its destination on its age and on when it is tried again. */
  follow(mailLimits: MailLimits | undefined): void {
    const { acceptedAt, expiresAt } = this.item;
    this.retry = mailLimits?.retry;
    this.expiresAt = Math.min(expiresAt, acceptedAt + (mailLimits?.maxAge ?? Number.POSITIVE_INFINITY));
  }
}
