/**
 * A connection of a pool, and the messages that go over it.
 *
 * ```
 *  next ─► a delivery of the ready queue ─► done ─► attempted ─► settled
 *   │                                        └────► to the front of the queue: it was not tried
 *   ├─► idle: nothing may begin now
 *   └─► closed: the peer takes no further message over it
 * ```
 */
import type { AttemptResult } from '../outcome/classify.ts';
import { cutResult } from '../outcome/reply-text.ts';
import type { MailCounter } from '../shaping/counter.ts';
import { refusesConnection } from '../shaping/feedback/connection-refusal.ts';
import { learn } from '../shaping/feedback/learn.ts';
import { providerOf } from '../shaping/providers.ts';
import { replyText } from '../smtp/reply.ts';
import type { RecipientResult, SmtpSession, Transaction, TransactionResult } from '../smtp/types.ts';
import type { Via } from './attempt.ts';
import type { ConnectionClaim } from './connection-limits.ts';
import type { Delivery } from './delivery.ts';
import type { Target } from './destination.ts';
import type { PoolCore, PoolHost, ReplyOrigin } from './pool-host.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';

/** Number of broken connections after which a delivery is deferred: it may be their cause. */
const MAX_INTERRUPTIONS = 2;
/** Number of refusals, by connections that had carried mail, after which a delivery is deferred. */
const MAX_REFUSALS = 5;

/** The connections of one pool. */
export interface Siblings {
  /** How many have opened. */
  opened: number;
  /** Those that could take a message at once. */
  readonly idle: Connection[];
}

export class Connection {
  session: SmtpSession | undefined;
  readonly target: Target;
  /** What it is counted in at its source. */
  readonly claim: ConnectionClaim;
  /** Counts connections of mail with connection limits of its own; undefined for the others. */
  readonly counter: MailCounter | undefined;
  readonly via: Via;
  /** Greeting, EHLO and TLS are done. */
  opened = false;
  idle = false;
  readonly #pool: PoolCore;
  readonly #siblings: Siblings;
  readonly #host: PoolHost;
  readonly #from: ReplyOrigin;
  /** Messages that it was given, and those of them that the peer accepted. */
  #taken = 0;
  #carried = 0;
  /** The peer takes no further message over it. */
  #exhausted = false;

  constructor(
    pool: PoolCore,
    siblings: Siblings,
    host: PoolHost,
    target: Target,
    claim: ConnectionClaim,
    counter: MailCounter | undefined,
  ) {
    const { site, source } = pool;
    this.#pool = pool;
    this.#siblings = siblings;
    this.#host = host;
    this.target = target;
    this.claim = claim;
    this.counter = counter;
    this.#from = originOf(site, source, target.host);
    this.via = {
      ip: source.ip,
      mx: { host: target.host, address: target.address, port: target.port },
      provider: site.provider === providerOf([target.host]) ? undefined : site.provider,
      tls: undefined,
    };
  }

  /** The next delivery. */
  readonly next = (now: number): Delivery | undefined => {
    const pool = this.#pool;
    const { limiter, queue, source } = pool;
    if (!this.opened) {
      this.opened = true;
      this.#siblings.opened += 1;
      if (pool.breaker.success(this.target, this.session?.tls !== undefined))
        this.#host.reached(pool.site.name);
    }
    if (this.#exhausted || this.#taken >= limiter.messagesPerConnection(now)) {
      this.session?.quit();
      return undefined;
    }
    while (pool.closing === undefined && pool.mayBegin(now)) {
      const { own, limits } = pool.limits.current;
      const delivery = queue.take(now, limits.bulkReserve);
      if (delivery === undefined || !this.#host.results.mayBegin(delivery, now)) continue;
      limiter.messageStarted(now, own);
      delivery.stream?.started(now);
      delivery.queued = false;
      this.#taken += 1;
      this.#host.warmup?.take(source.ip ?? '', pool.site.provider, now);
      return delivery;
    }
    if (!this.idle) {
      this.idle = true;
      this.#siblings.idle.push(this);
    }
    const { connections } = source;
    if (queue.size === 0 && connections.waiters > 0 && connections.isWanted(pool, this.claim))
      pool.closeIdle();
    return undefined;
  };

  /** A transaction has ended. */
  readonly done = (transaction: Transaction, result: TransactionResult): void => {
    const delivery = transaction as Delivery;
    const pool = this.#pool;
    const { limiter, closing } = pool;
    const { results, observer, policy } = this.#host;
    const recipient = result.results[0]!;
    const { startedAt, endedAt, replies } = result;
    const accepted = recipient.kind === 'accepted';
    limiter.running -= 1;
    delivery.stream?.ended(endedAt);
    // What others are shaped by is decided by the peer's own words.
    const said = cutResult(recipient, delivery.item);
    if (accepted) this.#carried += 1;
    if (recipient.code === 'peer_timeout') limiter.answered = false;
    else if (recipient.reply !== undefined && this.claim.unproven.length > 0) this.#answered();
    // Another node, or this one from another address, could not reach where it now went.
    if (delivery.item.site !== undefined && recipient.reply !== undefined)
      this.#host.reached(delivery.item.site);
    if (!accepted && closing === undefined && this.#refused(delivery, said, endedAt)) {
      pool.toFront(delivery);
      return;
    }
    learn(limiter, pool.limits.current.own.limits, said, startedAt, endedAt);
    if (pool.full) pool.resume();
    this.via.tls ??= this.session?.tls;
    this.via.ip ??= this.session?.localAddress;
    if (!accepted && this.#interrupted(delivery, recipient, result)) return;
    const notBefore = observer.onReply(delivery, this.#from, said, endedAt);
    const attempt = {
      result: recipient,
      at: startedAt,
      duration: endedAt - startedAt,
      replies,
      via: this.via,
    };
    results.attempted(delivery, attempt, notBefore, policy?.reply(delivery, this.#from, said, endedAt));
  };

  /** The first answer to a message over a connection to a site that had not answered any. */
  #answered(): void {
    const { limiter, source } = this.#pool;
    limiter.answered = true;
    source.connections.answered(this.claim);
    // What waited here for a connection to an unproven site no longer does.
    this.#pool.pump();
  }

  /** Whether the peer refused the connection and not the delivery: the connection is closed, and another opened. */
  #refused(delivery: Delivery, result: AttemptResult, now: number): boolean {
    const refusal = refusesConnection(result, this.#carried);
    if (refusal === undefined) return false;
    if (refusal === 'limit') this.#pool.limiter.limitMessagesPerConnection(this.#carried, now);
    this.#exhausted = true;
    this.session?.quit();
    delivery.interruptions += 1;
    return delivery.interruptions <= (refusal === 'limit' ? MAX_REFUSALS : MAX_INTERRUPTIONS);
  }

  /**
   * Whether a delivery was not tried, and has been put in front or back. A connection that broke before any reply to
   * this delivery is no evidence about it; nor is one that only showed a habit of this peer.
   */
  #interrupted(
    delivery: Delivery,
    recipient: RecipientResult,
    { again, replies }: TransactionResult,
  ): boolean {
    const { closing } = this.#pool;
    const { results } = this.#host;
    const lost = recipient.kind === 'unsent' && recipient.code === 'connection_lost';
    const demandsTls = this.#demandsTls(recipient);
    if ((lost && (again || replies.length === 0)) || demandsTls) {
      if (closing !== undefined) {
        results.release(delivery, closing.code, closing.text, 0);
        return true;
      }
      if (!this.#exhausted) delivery.interruptions += 1;
      if (delivery.interruptions <= MAX_INTERRUPTIONS) {
        this.#pool.toFront(delivery);
        // The next connection begins with TLS.
        if (demandsTls) this.session?.quit();
        return true;
      }
    }
    if (recipient.kind !== 'unsent' || recipient.code !== 'no_source_ip') return false;
    // The lease of the IP was lost half-way.
    results.release(delivery, recipient.code, recipient.text ?? '', 0);
    return true;
  }

  /**
   * Whether the host demands TLS by 530 in clear (RFC 3207 §4): the next connection begins with it, even after
   * earlier TLS failures.
   */
  #demandsTls({ reply }: RecipientResult): boolean {
    if (reply?.code !== 530 || this.via.tls !== undefined || !/tls/i.test(replyText(reply))) return false;
    if (this.#pool.limits.current.limits.tls === 'off') return false;
    this.#host.tlsFallback.spoke(this.target.host, this.#host.clock.now());
    return true;
  }
}

export function originOf(site: Site, source: SourceAddress, mx: string): ReplyOrigin {
  return { site: site.name, provider: site.provider, ip: source.ip, mx };
}
