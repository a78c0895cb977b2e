import type { MessageClass, QueueItem } from '../lib/engine/items.ts';
import type { LeasedItem } from '../lib/engine/ports.ts';
import type { Site } from './site.ts';
import type { Transaction } from './smtp/types.ts';

/** What the dispatcher must know of the lane that a delivery came from. */
export interface LaneHold {
  readonly pool: string;
  readonly class: MessageClass;
  /** Deliveries of this lane in hand. */
  held: number;
}

/**
 * A delivery in hand. It is itself the transaction that goes to the SMTP client, and a link of the ready
 * queue: one object for each message on its way through.
 */
export class Delivery implements Transaction {
  readonly leased: LeasedItem;
  readonly item: QueueItem;
  readonly lane: LaneHold;
  readonly mailFrom: string;
  readonly recipients: string[];
  readonly bytes: Buffer;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  /** Until then it is ours alone; later the queue may hand it out again. */
  visibleUntil: number;
  /** Site that it counts for, once known. */
  site: Site | undefined = undefined;
  /** How often a connection broke under it before anything of it was answered. */
  interruptions = 0;
  /** Next in the ready queue. */
  next: Delivery | undefined = undefined;

  constructor(leased: LeasedItem, lane: LaneHold, visibleUntil: number) {
    const { item } = leased;
    this.leased = leased;
    this.item = item;
    this.lane = lane;
    this.mailFrom = item.mailFrom;
    this.recipients = [item.recipient];
    this.bytes = leased.bytes;
    this.eightBit = item.eightBit;
    this.smtpUtf8 = item.smtpUtf8;
    this.visibleUntil = visibleUntil;
  }
}
