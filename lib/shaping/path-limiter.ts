/**
 * Counts what was sent, and is under way, from one IP to one site, for every limit of the two. All connections
 * between them share it, across pools, tenants and TLS policies, so that the limits are exact.
 */
import { type Constraint, LOOK_AGAIN } from './constraint.ts';
import { MailCounter } from './counter.ts';
import { Concurrency } from './feedback/concurrency.ts';
import { MessageRate } from './feedback/message-rate.ts';
import type { MailLimits, Resolved } from './limits/terms.ts';
import { type Pace, Pacer, paceOf, perSecond } from './rate.ts';
import { type Down, LEARNT_TTL, type Lesson, lessonsOf, type SiteMemory } from './site-memory.ts';
import { type SharedParts, StreamLimiter } from './stream-limiter.ts';

const SITE_LIMIT = 'site_limit';
const BUILT_IN = 'built-in';

export class PathLimiter {
  /** Connections open or being opened. */
  connections = 0;
  /** Messages under way. */
  running = 0;
  concurrency = new Concurrency();
  messageRate = new MessageRate();
  /** Whether the site has answered a message, and has not been silent since. */
  answered = false;
  /** Set when the site could not be reached from here and is left alone. */
  down: Down | undefined;
  /** When something was last learnt, ms. */
  learntAt: number;
  /** Learnt maximum of messages over one connection, and until when it applies. */
  #perConnection = Number.POSITIVE_INFINITY;
  #perConnectionUntil = 0;
  readonly #connectPacer: Pacer;
  readonly #messagePacer: Pacer;
  /** Pacer positions of counters that were not used yet. */
  readonly #counted: Map<string, number>;
  readonly #unknown: number;
  readonly #counters = new Map<string, MailCounter>();
  readonly #streams = new WeakMap<MailLimits, StreamLimiter>();
  /** Pace of the held rate, while it is the slower one. */
  #heldPace: Pace | undefined;
  #heldRate = 0;

  /**
   * @param memory stored state of the two.
   * @param unknown until when more messages may have been sent than it shows, ms.
   */
  constructor(memory: SiteMemory = { at: 0 }, unknown = 0) {
    const { at, window, rate, down, message, connection, counters = {} } = memory;
    this.learntAt = at;
    this.#unknown = unknown;
    this.down = down;
    if (window !== undefined) this.concurrency.resume(window);
    if (rate !== undefined) this.messageRate.resume(rate);
    this.#messagePacer = new Pacer(message, unknown);
    this.#connectPacer = new Pacer(connection, unknown);
    this.#counted = new Map(Object.entries(counters));
  }

  /** State from which a later limiter of the two can continue. */
  get memory(): SiteMemory {
    const counters = new Map(this.#counted);
    for (const [key, { pacer }] of this.#counters) counters.set(key, pacer.next);
    return {
      at: this.learntAt,
      window: this.concurrency.lowered,
      rate: this.messageRate.state,
      down: this.down,
      message: this.#messagePacer.next,
      connection: this.#connectPacer.next,
      counters: Object.fromEntries(counters),
    };
  }

  /** Forgets learnt state, but not the counts of sent messages. @returns what was forgotten. */
  forget(now: number): Lesson[] {
    const lessons = lessonsOf(this.memory);
    if (this.messagesPerConnection(now) !== Number.POSITIVE_INFINITY) lessons.push('messagesPerConnection');
    if (this.concurrency.lowered !== undefined) this.concurrency = new Concurrency();
    this.messageRate = new MessageRate();
    this.#heldPace = undefined;
    this.#heldRate = 0;
    this.#perConnectionUntil = 0;
    this.down = undefined;
    this.learntAt = 0;
    return lessons;
  }

  /** Whether the past no longer affects the next message. */
  idle(now: number): boolean {
    this.sweep(now);
    const pacers = this.#messagePacer.idle(now) && this.#connectPacer.idle(now);
    return pacers && this.#counters.size + this.#counted.size === 0 && now - this.learntAt > LEARNT_TTL;
  }

  /** Wait until another message may begin, ms; `Infinity`: when one has ended. */
  messageWait(now: number, resolved: Resolved): number {
    if (this.running >= resolved.limits.concurrency) return Number.POSITIVE_INFINITY;
    const { pausedUntil } = this.messageRate;
    if (pausedUntil > now) return pausedUntil - now;
    return this.#messagePacer.wait(now, this.#heldPace ?? resolved.messagePace);
  }

  messageStarted(now: number, { messagePace }: Resolved): void {
    this.running += 1;
    this.#messagePacer.take(now, this.messageRate.held ? this.#slower(now, messagePace) : messagePace);
  }

  /** The pace of the held rate or that of the limit, whichever is slower. */
  #slower(now: number, pace: Pace): Pace {
    const rate = this.messageRate.rate(now);
    // Computed once for each percent of change.
    if (Math.abs(rate - this.#heldRate) > rate / 100) {
      this.#heldRate = rate;
      this.#heldPace = rate === Number.POSITIVE_INFINITY ? undefined : paceOf(perSecond(rate));
    }
    if (this.#heldPace === undefined || this.#heldPace.interval > pace.interval)
      return this.#heldPace ?? pace;
    this.#heldPace = undefined;
    this.#heldRate = 0;
    return pace;
  }

  /** Messages a second that limits permit, learnt ones included; `Infinity`: any number. */
  messagesPerSecond(now: number, { messagePace }: Resolved): number {
    const { interval } = messagePace;
    return Math.min(interval > 0 ? 1000 / interval : Number.POSITIVE_INFINITY, this.messageRate.rate(now));
  }

  connectWait(now: number, { connectionPace }: Resolved): number {
    return this.#connectPacer.wait(now, connectionPace);
  }

  connected(now: number, { connectionPace }: Resolved): void {
    this.#connectPacer.take(now, connectionPace);
  }

  /** Learnt maximum of messages over one connection; `Infinity`: any number. */
  messagesPerConnection(now: number): number {
    return now < this.#perConnectionUntil ? this.#perConnection : Number.POSITIVE_INFINITY;
  }

  /** Learns the maximum from a connection that carried `count` messages and was refused another. */
  limitMessagesPerConnection(count: number, now: number): void {
    this.#perConnection = Math.min(this.messagesPerConnection(now), count);
    this.#perConnectionUntil = now + LEARNT_TTL;
  }

  /** Constraints on beginning messages. */
  *messageConstraints(now: number, { limits, origins, messagePace }: Resolved): Iterable<Constraint> {
    const { running } = this;
    const { pausedUntil } = this.messageRate;
    const heldPace = this.#heldPace;
    if (pausedUntil > now || heldPace !== undefined || this.messageRate.held) yield this.#learntRate(now);
    yield {
      limit: 'concurrency',
      word: 'concurrency',
      value: `${limits.concurrency}`,
      origin: origins.concurrency ?? BUILT_IN,
      used: `${running} under way`,
      wait: running >= limits.concurrency ? LOOK_AGAIN : 0,
      code: SITE_LIMIT,
      text: `${running} messages are under way (concurrency, ${origins.concurrency}).`,
    };
    const wait = this.#messagePacer.peek(now, messagePace);
    const value = limits.messageRate?.text ?? 'unlimited';
    yield {
      limit: 'messageRate',
      word: 'messageRate',
      value,
      origin: origins.messageRate ?? BUILT_IN,
      // While a learnt rate is held, the pacer keeps to that.
      wait: heldPace === undefined ? wait : Math.min(wait, this.#messagePacer.peek(now, heldPace)),
      code: SITE_LIMIT,
      text: `The limit is ${value} (messageRate, ${origins.messageRate}).`,
    };
  }

  #learntRate(now: number): Constraint {
    const { pausedUntil } = this.messageRate;
    const pace = this.#heldPace;
    const rate = (pace === undefined ? this.messageRate.rate(now) : 1000 / pace.interval).toPrecision(3);
    const paused = pausedUntil > now;
    const next = new Date(pausedUntil).toISOString();
    return {
      limit: 'messageRate',
      word: 'learnt',
      value: `${rate} a second`,
      origin: 'learnt',
      wait: paused ? pausedUntil - now : pace === undefined ? 0 : this.#messagePacer.peek(now, pace),
      code: SITE_LIMIT,
      text: paused
        ? `The site accepts nothing for now; the next try is ${next}.`
        : `The site asked for less: held at ${rate} messages a second, and regaining.`,
    };
  }

  /**
   * Constraints on opening connections.
   * @param idle connections that could carry a message at once: while there are any, a lack of connections delays no
   * mail.
   * @param open connections of the requesting pool: a pace of new ones delays only a pool without any.
   */
  *connectionConstraints(
    now: number,
    own: Resolved,
    { idle, open }: { idle: number; open: number },
  ): Iterable<Constraint> {
    const { limits, origins } = own;
    const { connections } = this;
    const window = this.concurrency.window(limits.connections);
    const full = (most: number): number => (idle === 0 && connections >= most ? LOOK_AGAIN : 0);
    yield {
      limit: 'connections',
      word: 'connections',
      value: `${limits.connections}`,
      origin: origins.connections ?? BUILT_IN,
      used: `${connections} of ${limits.connections} open`,
      wait: full(limits.connections),
      code: SITE_LIMIT,
      text: `All ${limits.connections} connections are in use (connections, ${origins.connections}).`,
    };
    yield {
      limit: 'connections',
      word: 'learnt',
      value: `${window}`,
      origin: 'learnt',
      used: `${connections} of ${window} open`,
      wait: full(window),
      code: SITE_LIMIT,
      text: `The site bears ${window} connections, as its faults have shown.`,
    };
    const perConnection = this.messagesPerConnection(now);
    if (perConnection !== Number.POSITIVE_INFINITY) {
      const text = `The site takes ${perConnection} messages over one connection, as its replies have shown.`;
      yield {
        limit: 'messagesPerConnection',
        word: 'learnt',
        value: `${perConnection}`,
        origin: 'learnt',
        wait: 0,
        code: SITE_LIMIT,
        text,
      };
    }
    const rate = limits.connectionRate?.text ?? 'unlimited';
    yield {
      limit: 'connectionRate',
      word: 'connectionRate',
      value: rate,
      origin: origins.connectionRate ?? BUILT_IN,
      wait: open === 0 ? this.#connectPacer.peek(now, own.connectionPace) : 0,
      code: SITE_LIMIT,
      text: `New connections are limited to ${rate} (connectionRate, ${origins.connectionRate}).`,
    };
  }

  counter(key: string): MailCounter {
    let counter = this.#counters.get(key);
    if (counter === undefined) {
      counter = new MailCounter(new Pacer(this.#counted.get(key), this.#unknown));
      this.#counted.delete(key);
      this.#counters.set(key, counter);
    }
    return counter;
  }

  /** The stream limiter of mail with these limits. @param shared finds its shares of shared limits. */
  stream(mailLimits: MailLimits, shared: (mailLimits: MailLimits) => SharedParts): StreamLimiter {
    let stream = this.#streams.get(mailLimits);
    if (stream === undefined) {
      stream = new StreamLimiter(mailLimits, (key) => this.counter(key), shared(mailLimits));
      this.#streams.set(mailLimits, stream);
    }
    return stream;
  }

  /** The existing stream limiter of mail with these limits. */
  knownStream(mailLimits: MailLimits): StreamLimiter | undefined {
    return this.#streams.get(mailLimits);
  }

  /** Drops counters that neither past nor present messages affect. */
  sweep(now: number): void {
    for (const [key, counter] of this.#counters) {
      if (!counter.idle(now)) continue;
      counter.dropped = true;
      this.#counters.delete(key);
    }
    for (const [key, next] of this.#counted) if (next <= now) this.#counted.delete(key);
  }
}
