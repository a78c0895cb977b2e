/**
 * Whether a site can be reached from a source IP, with TLS required or not: which address is tried next, what an
 * opening that failed says of host and site, and how long the site is left alone.
 */
import type { AttemptResult } from '../outcome/classify.ts';
import { cutEnvelope } from '../outcome/reply-text.ts';
import { backoffDelay } from '../shaping/backoff.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import type { SessionEnd, SessionOptions } from '../smtp/types.ts';
import type { Target, Targets } from './destination.ts';
import { MxSelector } from './mx-selection.ts';
import type { Connection, PathHost, Reason } from './path-host.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';

/** Pause after a fault that does not yet mean that the site is dead, ms. */
const FAULT_PAUSE = 1_000;

/** From where, to where. */
export interface CircuitBreakerOptions {
  site: Site;
  source: SourceAddress;
  requireTls: boolean;
  poolLimits: PoolLimits;
  host: Pick<PathHost, 'clock' | 'random' | 'tlsFallback' | 'observer'>;
}

/** What a failed opening leads to, beside what is remembered of it. */
export interface OpenFailure {
  /** Another may be opened after so many ms. */
  lookAgain?: number;
  /** What waits has been tried, with this result. */
  result?: AttemptResult;
}

export class CircuitBreaker {
  /** Connection faults in a row since one last opened. */
  failures = 0;
  /** No new connection before then. */
  retryAt = 0;
  /** Why the site is left alone. */
  reason: Reason | undefined = undefined;
  readonly #options: CircuitBreakerOptions;
  readonly #limiter: PathLimiter;
  readonly #selector: MxSelector;

  constructor(options: CircuitBreakerOptions) {
    const { site, source, requireTls, host } = options;
    this.#options = options;
    this.#limiter = source.limiter(site);
    this.#selector = new MxSelector(source.family, host.random);
    const { down } = this.#limiter;
    if (down?.tls !== requireTls) return;
    this.failures = down.failures;
    this.retryAt = down.until;
    this.reason = { code: down.code, text: down.text };
  }

  /** The addresses of the site that no rule prohibits; undefined: it is to be looked up. */
  targets(now: number): Targets | undefined {
    const { site, poolLimits } = this.#options;
    const targets = site.targets(now);
    return targets === undefined ? undefined : poolLimits.permitted(targets);
  }

  /** The address to connect to; undefined when each has failed lately, or is of a family that the source lacks. */
  pick({ targets }: Extract<Targets, { kind: 'targets' }>, now: number): Target | undefined {
    return this.#selector.pick(targets, now, this.#options.poolLimits.limits.addressFamilies);
  }

  /** How a connection to the address is encrypted. */
  tls(target: Target, now: number): SessionOptions['tls'] {
    const { requireTls, poolLimits, host } = this.#options;
    const { tls } = poolLimits.limits;
    if (requireTls || tls === 'required') return 'required';
    return tls === 'off' || host.tlsFallback.isBroken(target.host, now) ? 'off' : 'opportunistic';
  }

  /** A connection to the address has opened. */
  success(target: Target): void {
    if (this.reason !== undefined) this.#limiter.concurrency.revive();
    this.#selector.success(target);
    if (this.#limiter.down?.tls === this.#options.requireTls) this.#limiter.down = undefined;
    this.failures = 0;
    this.retryAt = 0;
    this.reason = undefined;
  }

  /** A connection ended before it opened. @param open how many there are besides, and how many of them opened. */
  failure(
    { target }: Pick<Connection, 'target'>,
    end: SessionEnd,
    open: { connections: number; opened: number },
  ): OpenFailure {
    const { site, source, requireTls, poolLimits, host } = this.#options;
    const now = host.clock.now();
    const inTls = end.phase === 'tls' || end.phase === 'starttls' || end.code === 'tls_failed';
    if (inTls && !requireTls && !host.tlsFallback.isBroken(target.host, now)) {
      host.tlsFallback.remember(target.host, now);
      return {};
    }
    const text = `${target.host} [${target.address}]: ${end.text}`;
    // Nothing is wrong with the destination, and nothing was tried.
    if (end.code === 'no_source_ip') return this.#leave(end.code, text, now, open.opened);
    if (end.reply !== undefined && end.reply.code >= 400) {
      const from = { site, source, mx: target.host };
      host.observer.onSessionRefused(poolLimits.place.pool, from, end.phase, cutEnvelope(end.reply), now);
    }
    const { own, limits } = poolLimits;
    this.#limiter.learntAt = now;
    this.#limiter.concurrency.fault(open.connections + 1, own.limits.connections);
    this.#selector.failure(target, now + backoffDelay(this.failures + 1, host.random));
    const targets = this.targets(now);
    if (targets?.kind === 'targets' && this.pick(targets, now) !== undefined) return {};
    if (open.opened === 0 && !this.#limiter.concurrency.dead(limits.deadAfter)) {
      this.#selector.reset();
      this.retryAt = now + FAULT_PAUSE;
      return { lookAgain: FAULT_PAUSE };
    }
    const result = openingResult(end, text);
    const setback = this.#leave(result.code!, text, now, open.opened);
    // While others are open the site works, and it is only more connections that it does not want.
    return open.opened > 0 ? setback : { result };
  }

  #leave(code: string, text: string, now: number, opened: number): OpenFailure {
    this.open(code, text, now);
    return opened > 0 ? { lookAgain: this.retryAt - now } : {};
  }

  /** Leaves the site alone, longer after each fault. */
  open(code: string, text: string, now: number): void {
    const { requireTls, host } = this.#options;
    this.failures += 1;
    this.retryAt = now + backoffDelay(this.failures, host.random);
    this.reason = { code, text };
    if (code !== 'no_source_ip') {
      this.#limiter.down = { tls: requireTls, failures: this.failures, until: this.retryAt, code, text };
    }
    // All of them are tried again together; which one works may have changed by then.
    this.#selector.reset();
  }
}

/** What a connection that never opened means for the deliveries that waited for it. */
function openingResult(end: SessionEnd, text: string): AttemptResult {
  const { phase, reply } = end;
  // A refusal at the greeting or EHLO concerns our host and not the recipient, whatever its code says.
  if (reply !== undefined && reply.code >= 400)
    return { kind: 'refused', phase, reply, code: 'peer_temporary', text };
  return { kind: 'unsent', phase, code: end.code === 'quit' ? 'connect_failed' : end.code, text };
}
