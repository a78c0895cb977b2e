/**
 * The circuit breaker of a connection pool: whether its site can be reached from its source IP, which address is
 * tried next, and how long a site that cannot be reached is left alone.
 *
 * ```
 *  state     │ connections            │ one opens │ no address is left to try │ its time has passed
 *  closed    │ as the mail needs them │ closed    │ open, for 15 s            │
 *  open      │ none; mail is put back │ closed    │ open, for longer          │ half-open
 *  half-open │ one more, as a probe   │ closed    │ open, for longer          │
 * ```
 * What opens while the breaker is open was begun before. A fault that does not yet mean that the site is dead leaves
 * the breaker closed, and makes it pause for a second.
 */
import type { AttemptResult } from '../outcome/classify.ts';
import { backoffDelay } from '../shaping/backoff.ts';
import type { Constraint } from '../shaping/constraint.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import type { SessionEnd, SessionOptions } from '../smtp/types.ts';
import type { Clock, Random } from '../time.ts';
import type { Reason } from './delivery.ts';
import type { Target, Targets } from './destination.ts';
import { MxSelector } from './mx-selection.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { Site } from './site.ts';
import type { TlsFallback } from './tls-fallback.ts';

/** Failures in a row, 75 s apart in all, after which an outage may last: its mail need not come back at each retry. */
const LASTING = 3;
/** Of the mail that comes during a lasting outage, one delivery in this time comes back at the retry, ms. */
const PROBE_PACE = 60_000;
/** News of a site that can be reached again ends a back-off that has lasted so long, ms; a probe, one that lasted longer. */
const LEAST_BACK_OFF = 60_000;
const LEAST_BEFORE_PROBE = 600_000;
/** Pause after a fault that does not yet mean that the site is dead, ms. */
const FAULT_PAUSE = 1_000;

export interface CircuitBreakerOptions {
  site: Site;
  /** Address family of the source; 0 for either. */
  family: 0 | 4 | 6;
  limiter: PathLimiter;
  requireTls: boolean;
  limits: PoolLimits;
  clock: Clock;
  random: Random;
  tlsFallback: TlsFallback;
  /** Called when the peer refused a session. */
  onRefused: (target: Target, end: SessionEnd, now: number) => void;
}

/** What a failed opening leads to. */
export interface OpenFailure {
  /** Another connection may be opened after this time, ms. */
  lookAgain?: number;
  /** All mail that waits has been tried, with this result. */
  result?: AttemptResult;
}

export class CircuitBreaker {
  /** Times in a row that it has opened. */
  failures = 0;
  /** Set while it is open or half-open. */
  #opened: (Reason & { until: number }) | undefined;
  /** When it opened last, ms. */
  #openedAt = 0;
  #pausedUntil = 0;
  #nextProbe = 0;
  /** Mail has been parked since the site was reached last: it waits for a probe. */
  #parked = false;
  readonly #options: CircuitBreakerOptions;
  readonly #mx: MxSelector;

  constructor(options: CircuitBreakerOptions) {
    const { family, limiter, requireTls, random } = options;
    this.#options = options;
    this.#mx = new MxSelector(family, random);
    const { down } = limiter;
    if (down?.tls !== requireTls) return;
    this.failures = down.failures;
    this.#opened = { code: down.code, text: down.text, until: down.until };
  }

  state(now: number): 'closed' | 'open' | 'half-open' {
    if (this.#opened === undefined) return 'closed';
    return now < this.#opened.until ? 'open' : 'half-open';
  }

  /** Why no connection is opened; undefined unless it is open. */
  reason(now: number): Reason | undefined {
    return this.state(now) === 'open' ? this.#opened : undefined;
  }

  /** What keeps connections from being opened. */
  *constraints(now: number): Iterable<Constraint> {
    const reason = this.reason(now);
    if (reason === undefined) return;
    const { code, text } = reason;
    yield {
      limit: 'back-off',
      word: 'back-off',
      value: text,
      origin: code,
      wait: this.retryAt - now,
      code,
      text,
    };
  }

  /** No connection is opened before then, ms since the epoch. */
  get retryAt(): number {
    return Math.max(this.#pausedUntil, this.#opened?.until ?? 0);
  }

  /** Whether mail is parked that waits for a probe. */
  get hasParked(): boolean {
    return this.#parked;
  }

  /** Whether a delivery that comes while it is open is parked, and does not come back at the retry as a probe. */
  parks(now: number): boolean {
    const parks = this.failures >= LASTING && now < this.#nextProbe;
    if (parks) this.#parked = true;
    else this.#nextProbe = now + PROBE_PACE;
    return parks;
  }

  /**
   * Mail came back that waited for this site. What was recalled, because a node reached the site since this one failed, is
   * tried now, not at the retry; and so is a probe of another node, whose own back-off is over.
   */
  cameBack(recalled: number | undefined, now: number): void {
    if (this.#opened === undefined) return;
    const least = recalled === undefined ? LEAST_BEFORE_PROBE : LEAST_BACK_OFF;
    if ((recalled ?? now) <= this.#openedAt || now - this.#openedAt < least) return;
    this.#opened.until = Math.min(this.#opened.until, now);
  }

  /** The addresses of the site that no rule prohibits; undefined: they are to be looked up. */
  targets(now: number): Targets | undefined {
    const { site, limits } = this.#options;
    const targets = site.targets(now);
    return targets === undefined ? undefined : limits.permitted(targets);
  }

  /** The address to connect to; undefined when each has failed lately, or is of a family that the source lacks. */
  pick({ targets }: Extract<Targets, { kind: 'targets' }>, now: number): Target | undefined {
    return this.#mx.pick(targets, now, this.#options.limits.current.limits.addressFamilies);
  }

  /** How a connection to the address is encrypted. */
  tls(target: Target, now: number): SessionOptions['tls'] {
    const { requireTls, limits, tlsFallback } = this.#options;
    const { tls } = limits.current.limits;
    if (requireTls || tls === 'required') return 'required';
    return tls === 'off' ? 'off' : tlsFallback.mode(target.host, now);
  }

  /** A connection to the address has opened. @returns whether it was open or half-open: the site is reached again. */
  success(target: Target, encrypted: boolean): boolean {
    const { limiter, requireTls, tlsFallback, clock } = this.#options;
    const again = this.#opened !== undefined;
    this.#parked = false;
    if (encrypted) tlsFallback.spoke(target.host, clock.now());
    if (this.#opened !== undefined) limiter.concurrency.revive();
    this.#mx.success(target);
    if (limiter.down?.tls === requireTls) limiter.down = undefined;
    this.failures = 0;
    this.#opened = undefined;
    this.#pausedUntil = 0;
    return again;
  }

  /**
   * A connection ended before it opened.
   * @param text what happened, for a person.
   * @param others how many connections there are besides, and how many of them opened.
   */
  failure(
    target: Target,
    end: SessionEnd,
    text: string,
    others: { connections: number; opened: number },
  ): OpenFailure {
    const { limiter, limits, clock, random, onRefused } = this.#options;
    const now = clock.now();
    if (this.#fallsBack(target, end, now)) return {};
    // The destination is not at fault, and nothing was tried.
    if (end.code === 'no_source_ip') return this.#openFor(end.code, text, now, others.opened);
    if (end.reply !== undefined && end.reply.code >= 400) onRefused(target, end, now);
    const { current } = limits;
    limiter.learntAt = now;
    limiter.concurrency.fault(others.connections + 1, current.own.limits.connections);
    this.#mx.failure(target, now + backoffDelay(this.failures + 1, random));
    const targets = this.targets(now);
    if (targets?.kind === 'targets' && this.pick(targets, now) !== undefined) return {};
    if (others.opened === 0 && !limiter.concurrency.dead(current.limits.deadAfter)) {
      this.#mx.reset();
      this.#pausedUntil = now + FAULT_PAUSE;
      return { lookAgain: FAULT_PAUSE };
    }
    const result = openingResult(end, text);
    const failure = this.#openFor(result.code!, text, now, others.opened);
    // While others are open the site works, and it only bears no more connections.
    return others.opened > 0 ? failure : { result };
  }

  /** Whether the failure proves that the host does not support TLS, so that it is tried again in clear. */
  #fallsBack(target: Target, end: SessionEnd, now: number): boolean {
    const { requireTls, limits, tlsFallback } = this.#options;
    if (!end.tlsBroke || requireTls || limits.current.limits.tls === 'required') return false;
    return tlsFallback.broke(target.host, now);
  }

  /** Closes the breaker and forgets its failures. @returns whether there were any. */
  reset(): boolean {
    const failed = this.failures > 0 || this.#opened !== undefined;
    this.failures = 0;
    this.#opened = undefined;
    this.#pausedUntil = 0;
    this.#mx.reset();
    return failed;
  }

  #openFor(code: string, text: string, now: number, opened: number): OpenFailure {
    this.open(code, text, now);
    return opened > 0 ? { lookAgain: this.retryAt - now } : {};
  }

  /** Opens the breaker, for longer after each failure. */
  open(code: string, text: string, now: number): void {
    const { requireTls, limiter, random } = this.#options;
    this.failures += 1;
    const until = now + backoffDelay(this.failures, random);
    this.#opened = { code, text, until };
    this.#openedAt = now;
    this.#nextProbe = 0;
    if (code !== 'no_source_ip') {
      limiter.down = { tls: requireTls, failures: this.failures, until, code, text };
    }
    // All addresses are tried again together; which one works may have changed by then.
    this.#mx.reset();
  }
}

/** What a connection that never opened means for the deliveries that waited for it. */
function openingResult(end: SessionEnd, text: string): AttemptResult {
  const { phase, reply } = end;
  // A refusal at the greeting or EHLO concerns our host and not the recipient, with any code.
  if (reply !== undefined && reply.code >= 400)
    return { kind: 'refused', phase, reply, code: 'peer_temporary', text };
  return { kind: 'unsent', phase, code: end.code === 'quit' ? 'connect_failed' : end.code, text };
}
