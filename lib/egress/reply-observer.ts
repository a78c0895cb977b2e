/** Hands replies of peers to the rules of automation and to the warm-up. */

import type { RuleSet } from '../automation/compile.ts';
import { type Alert, evaluate, type ReplyEvent } from '../automation/evaluate.ts';
import { AutomationState } from '../automation/state.ts';
import type { Directive } from '../directives/directive.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import type { Reply } from '../outcome/reply.ts';
import type { WarmupBook } from '../warmup/book.ts';
import { signalOf } from '../warmup/signals.ts';
import type { ReplyOrigin } from './pool-host.ts';

/** The mail that a reply answers. */
type Answered = Pick<ReplyEvent, 'tenant' | 'campaign' | 'domain' | 'pool'> & { item: { attempts: number } };

export interface ReplyObserverOptions {
  /** Puts directives into force, and ends others. */
  raise: (raise: readonly Directive[], lift: readonly string[]) => void;
  warmup: WarmupBook | undefined;
  /** Called with alerts. Must not throw. */
  onAlert: ((alert: Alert) => void) | undefined;
}

export class ReplyObserver {
  readonly #options: ReplyObserverOptions;
  readonly state = new AutomationState();
  /** Compiled rules; none: nothing is concluded from replies. */
  rules: RuleSet | undefined;

  constructor(options: ReplyObserverOptions, rules: RuleSet | undefined) {
    this.#options = options;
    this.rules = rules;
  }

  /**
   * Handles a peer's answer to a delivery, or its absence.
   * @returns the time that the reply names for the next try, since the epoch, ms; 0 when it names none.
   */
  onReply(mail: Answered, from: ReplyOrigin, result: AttemptResult, now: number): number {
    const { warmup } = this.#options;
    const { provider, ip = '' } = from;
    if (warmup?.warming(ip, provider)) {
      const signal = signalOf(result, mail.item.attempts);
      if (signal !== undefined) warmup.outcome(ip, provider, signal, now);
    }
    const delivered = result.kind === 'accepted';
    if (delivered ? !this.state.watching : result.kind !== 'refused') return 0;
    const { tenant, campaign, domain, pool } = mail;
    return this.#evaluate({ tenant, campaign, domain, pool }, from, delivered, result, now);
  }

  /** A peer refused a session before any delivery was spoken of. */
  onSessionRefused(pool: string, from: ReplyOrigin, phase: string, reply: Reply, now: number): void {
    this.#evaluate({ pool }, from, false, { phase, reply }, now);
  }

  #evaluate(
    mail: Pick<ReplyEvent, 'tenant' | 'campaign' | 'domain' | 'pool'>,
    { site, provider, ip, mx }: ReplyOrigin,
    delivered: boolean,
    { phase, reply }: Pick<AttemptResult, 'phase' | 'reply'>,
    now: number,
  ): number {
    const { onAlert } = this.#options;
    const { rules } = this;
    if (rules === undefined) return 0;
    const event: ReplyEvent = {
      ...mail,
      outcome: delivered ? 'delivered' : 'refused',
      ip: ip ?? 'default',
      provider,
      site,
      mx,
      phase,
      reply: delivered ? undefined : reply,
    };
    const { raise, lift, alerts, retryAfter } = evaluate(rules, this.state, event, now);
    for (const alert of alerts) onAlert?.(alert);
    if (raise.length > 0 || lift.length > 0) this.#options.raise(raise, lift);
    return retryAfter === undefined ? 0 : now + retryAfter;
  }
}
