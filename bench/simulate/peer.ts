/** A provider's hosts, and a session with them, without a network. */
import type {
  SessionEnd,
  SessionOptions,
  SmtpReply,
  SmtpSession,
  Transaction,
} from '../../lib/smtp/types.ts';
import type { Clock } from '../../lib/time.ts';

export interface Peer {
  /** Time from the first packet to the reply to EHLO, and from the envelope to the reply to the body, ms. */
  readonly opening: number;
  readonly transaction: number;
  /** The failure of a connection that begins now, and its delay; undefined: the connection succeeds. */
  refuses(now: number): { end: SessionEnd; after: number } | undefined;
  /** The reply to a body that ends now; undefined: accepted. */
  putsOff(now: number): SmtpReply | undefined;
}

const TAKEN: SmtpReply = { code: 250, lines: ['queued'] };
const QUIT: SessionEnd = { code: 'quit', phase: 'quit', text: '' };

/** One connection to a peer: the contract of the SMTP client, one transaction at a time. */
export class SimulatedSession implements SmtpSession {
  state: SmtpSession['state'] = 'opening';
  readonly extensions: ReadonlyMap<string, string> = new Map();
  busy = 0;
  readonly #options: SessionOptions;
  readonly #peer: Peer;
  readonly #clock: Clock;
  #transactions = 0;
  #cancelIdle: (() => void) | undefined;

  constructor(options: SessionOptions, peer: Peer) {
    this.#options = options;
    this.#peer = peer;
    this.#clock = options.clock;
    const refusal = peer.refuses(this.#clock.now());
    if (refusal === undefined) this.#clock.after(peer.opening, () => this.#opened());
    else this.#clock.after(refusal.after, () => this.#end(refusal.end));
  }

  #opened(): void {
    if (this.state !== 'opening') return;
    this.state = 'open';
    this.wake();
  }

  wake(): void {
    if (this.state !== 'open' || this.busy > 0) return;
    const { next, maxTransactions, idle } = this.#options;
    if (this.#transactions >= maxTransactions) {
      this.quit();
      return;
    }
    const transaction = next(this.#clock.now());
    if (transaction !== undefined) {
      this.#begin(transaction);
    } else if (this.#cancelIdle === undefined && this.state === 'open') {
      this.#cancelIdle = this.#clock.after(idle, () => this.quit());
    }
  }

  #begin(transaction: Transaction): void {
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    this.busy = 1;
    this.#transactions += 1;
    const startedAt = this.#clock.now();
    this.#clock.after(this.#peer.transaction, () => {
      if (this.busy === 0) return;
      this.busy = 0;
      const endedAt = this.#clock.now();
      const refusal = this.#peer.putsOff(endedAt);
      const reply = refusal ?? TAKEN;
      const kind = refusal === undefined ? 'accepted' : 'refused';
      this.#options.done(transaction, {
        results: [{ recipient: transaction.recipients[0]!, kind, phase: 'body', reply }],
        replies: [{ phase: 'body', code: reply.code, text: reply.lines.join(' ') }],
        startedAt,
        endedAt,
      });
      if (this.state === 'closing') this.#end(QUIT);
      else this.wake();
    });
  }

  quit(): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    this.state = 'closing';
    if (this.busy === 0) this.#clock.after(0, () => this.#end(QUIT));
  }

  destroy(text: string): void {
    this.#end({ code: 'connection_lost', phase: 'body', text });
  }

  #end(end: SessionEnd): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#cancelIdle?.();
    this.#options.ended(end);
  }
}

/** A hidden limit of the peer: messages/s, of which a quarter, at least two, may come at once. */
export class HiddenLimit {
  readonly #rate: (now: number) => number;
  #tokens = 0;
  #at: number;

  constructor(rate: (now: number) => number, start: number) {
    this.#rate = rate;
    this.#at = start;
  }

  /** Counts one more message if it is within the limit. @returns whether it is. */
  takes(now: number): boolean {
    const rate = this.#rate(now);
    this.#tokens = Math.min(Math.max(2, rate / 4), this.#tokens + ((now - this.#at) / 1000) * rate);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
